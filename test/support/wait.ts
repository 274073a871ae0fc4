/** Waits for a condition with a deadline. Error messages name the condition. */
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';

/**
 * The deadline for events that are certain to come, on a machine of any speed. Only waits for the absence of an event
 * are shorter.
 */
export const PATIENCE_MS = 10 * 60_000;

type Falsy = false | 0 | '' | null | undefined;

export interface WaitOptions {
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
}

/** Repeats `ask` until its result is truthy, and returns the result. An exception counts as "not yet". */
export async function eventually<T>(
  what: string,
  ask: () => T | Promise<T>,
  { timeoutMs = PATIENCE_MS, intervalMs = 10 }: WaitOptions = {},
): Promise<Exclude<T, Falsy>> {
  const deadline = performance.now() + timeoutMs;
  for (;;) {
    const answer = await attempt(ask);
    if ('value' in answer && answer.value) return answer.value as Exclude<T, Falsy>;
    if (performance.now() >= deadline) throw timedOut(what, timeoutMs, answer);
    await sleep(intervalMs);
  }
}

/** Returns the lines of a stream so far: a live array that grows. */
export function collectLines(stream: NodeJS.ReadableStream): string[] {
  const lines: string[] = [];
  createInterface({ input: stream }).on('line', (line) => lines.push(line));
  return lines;
}

type Answer<T> = { readonly value: T } | { readonly error: unknown };

async function attempt<T>(ask: () => T | Promise<T>): Promise<Answer<T>> {
  try {
    return { value: await ask() };
  } catch (error) {
    return { error };
  }
}

function timedOut(what: string, timeoutMs: number, answer: Answer<unknown>): Error {
  const failed = 'error' in answer;
  const last = failed ? String(answer.error) : `last answer: ${JSON.stringify(answer.value)}`;
  const options = failed ? { cause: answer.error } : {};
  return new Error(`waited ${timeoutMs} ms in vain for ${what}; ${last}`, options);
}
