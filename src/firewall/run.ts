// Runs the commands of a backend: within the time that is left, patiently where the kernel is busy, and with an error that
// names the addresses where one fails.
import type { Family } from '../model/address.ts';
import { AppError } from '../model/errors.ts';
import { programError, type Command, type Run, type RunResult } from '../system/exec.ts';
import { monotonicMs, type Deadline } from '../system/wait.ts';
import type { Backend, Change, PlannedCommand, View } from './backend.ts';

export interface FirewallContext {
  readonly backend: Backend;
  readonly run: Run;
  readonly sleep: (milliseconds: number) => void;
  readonly deadline: Deadline;
  readonly programTimeoutSeconds: number;
  /** The chains beyond the usual that a family had when last seen, and where to record a difference. */
  readonly extras: (family: Family) => readonly string[];
  readonly noteExtras: (family: Family, extras: readonly string[]) => void;
  /** Whether the kernel runs without IPv6. */
  readonly isIpv6Absent: () => boolean;
}

/** Status 4: the program met a lock, a race on the table, or no permission. Waits before trying again. */
const BUSY_STATUS = 4;
const BUSY_WAITS_MS: readonly number[] = [100, 300];
/** The program itself waits for a second at least before it gives up on the lock. */
const BUSY_WORTH_RETRYING_MS = 800;

export interface Attempt {
  readonly command: PlannedCommand;
  readonly result: RunResult;
}

/** The first look, before which nothing is known. */
export function look(family: Family, changes: readonly Change[], context: FirewallContext): View {
  const { backend } = context;
  const command = backend.plan(family, backend.nothingKnown, changes);
  return command === null ? backend.nothingKnown : lookWith(command, backend.nothingKnown, context);
}

export function lookWith(command: PlannedCommand, before: View, context: FirewallContext): View {
  return readResult(command, ask(command, context), before, context);
}

/** Runs a command that changes nothing. Throws what was no answer. */
export function ask(command: PlannedCommand, context: FirewallContext): RunResult {
  const result = runPatiently(command, context);
  if (isAnswer(command, result)) return result;
  throw failure([], { command, result }, context);
}

export function isAnswer({ answers }: PlannedCommand, { status, stderr }: RunResult): boolean {
  if (status === 0 || answers === undefined) return status === 0;
  return status === answers.status && stderr.includes(answers.complaint);
}

export function readResult(
  command: PlannedCommand,
  { status, stdout, stderr }: RunResult,
  before: View,
  { backend }: FirewallContext,
): View {
  return backend.read(stdout, { command, status: status ?? 0, stderr, before });
}

/** After a failure. Should looking fail as well, the failure is the better explanation. */
export function lookAgain(
  family: Family,
  changes: readonly Change[],
  context: FirewallContext,
  failed: Attempt,
): View {
  try {
    return look(family, changes, context);
  } catch (error) {
    throw failure(changes, failed, context, error);
  }
}

export function runPatiently(command: Command, context: FirewallContext): RunResult {
  const waits = [...BUSY_WAITS_MS];
  for (;;) {
    const started = monotonicMs();
    const result = context.run(command, timeLeft(command, context));
    const wait = result.status === BUSY_STATUS ? waits.shift() : undefined;
    // A program that itself waited for the lock is not asked to wait again.
    if (wait === undefined || monotonicMs() - started > BUSY_WORTH_RETRYING_MS) return result;
    context.sleep(Math.min(wait, context.deadline.remainingMs()));
  }
}

function timeLeft(command: Command, context: FirewallContext): number {
  const remaining = context.deadline.remainingMs();
  if (remaining > 0) return Math.min(remaining, context.programTimeoutSeconds * 1000);
  throw new AppError('FIREWALL', `no time was left to run ${command.program}`);
}

/** How a command failed that was to bring about the changes; none: it was to look. */
export function failure(
  changes: readonly Change[],
  { command, result }: Attempt,
  { backend }: FirewallContext,
  cause?: unknown,
): AppError {
  const about = changes.length === 0 ? '' : `${subject(changes)}: `;
  const advice = backend.advice?.(result.stderr) ?? '';
  return programError(command, result, { about, advice, cause });
}

export function subject(changes: readonly Change[]): string {
  const named = changes.slice(0, 3).map((change) => change.address.text);
  const more = changes.length - named.length;
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
}
