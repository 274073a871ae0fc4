// Keeps the changes of bans that the state could not take in a file of their own, until a run finds that it can.
import { closeSync, fstatSync, unlinkSync } from 'node:fs';
import { parseExactNetwork, type Address } from '../model/address.ts';
import type { ForeignRules } from '../model/ban.ts';
import { describeError } from '../model/errors.ts';
import { appendLine, isErrno, openLogForAppend, readRegularFile } from '../system/files.ts';
import { LINELESS, type PendingChange } from './pending-change.ts';

/** Some 20,000 changes. */
const LARGEST_FILE = 4 * 1024 * 1024;

export class Unsaved {
  readonly #path: string | null;
  readonly #onProblem: (problem: string) => void;

  /** Without a path nothing is kept. */
  constructor(path: string | null, onProblem: (problem: string) => void) {
    this.#path = path;
    this.#onProblem = onProblem;
  }

  /** Before the kernel is changed. */
  keep(changes: readonly PendingChange[]): void {
    if (this.#path === null || changes.length === 0) return;
    try {
      append(this.#path, changes.map(lineOf).join(''));
    } catch (error) {
      const first = changes[0]?.address.text ?? '';
      this.#onProblem(
        `nothing remembers what is done for ${first}, and a block will not end by itself: ${describeError(error)}`,
      );
    }
  }

  /** Gives `save` what earlier runs kept, in the order in which it was made; the file goes once that returns true. */
  handOver(save: (changes: readonly PendingChange[]) => boolean): void {
    const changes = this.read();
    try {
      if (this.#path !== null && changes.length > 0 && save(changes)) unlinkSync(this.#path);
    } catch (error) {
      this.#onProblem(`${this.#path} can't be used: ${describeError(error)}`);
    }
  }

  /** How many of the bans that alerts have begun in a span of time are kept here. */
  bansBegun(fromMs: number, toMs: number): number {
    const begun = this.read().filter(({ phase, hold }) => {
      if (phase !== 'blocking' || hold === null || hold.origin === 'manual') return false;
      return hold.addedMs > fromMs && hold.addedMs <= toMs;
    });
    return new Set(begun.map(({ address }) => address.text)).size;
  }

  /** What earlier runs kept, in the order in which it was made. */
  read(): PendingChange[] {
    try {
      return this.#path === null ? [] : readUnsaved(this.#path);
    } catch (error) {
      this.#onProblem(`${this.#path} can't be used: ${describeError(error)}`);
      return [];
    }
  }
}

/** That the kernel was seen to be as the last change of each address has it, and the rules of others that were found. */
export function confirmationsOf(
  changes: readonly Pick<PendingChange, 'address'>[],
  foreign: ReadonlyMap<string, ForeignRules>,
): PendingChange[] {
  const confirmed = { ...LINELESS, phase: 'blocking', hold: null, confirmed: true } as const;
  return changes.map(({ address }) => ({
    ...confirmed,
    address,
    foreign: foreign.get(address.text) ?? null,
  }));
}

/**
 * Of which addresses that was the last to be kept. The kernel is not asked again: it may have a rule that somebody has made
 * or removed since.
 */
export function confirmedIn(changes: readonly PendingChange[]): Address[] {
  const last = new Map<string, PendingChange>();
  for (const change of changes) {
    // Where the change itself is in the state, nobody knows what came after it there.
    if (!change.confirmed || last.has(change.address.text)) last.set(change.address.text, change);
  }
  return [...last.values()].flatMap(({ address, confirmed }) => (confirmed ? [address] : []));
}

function append(path: string, lines: string): void {
  const descriptor = openLogForAppend(path);
  try {
    if (fstatSync(descriptor).size + lines.length > LARGEST_FILE)
      throw new Error(`${path} is full`);
    appendLine(descriptor, lines);
  } finally {
    closeSync(descriptor);
  }
}

/** As JSON. The lines of the response log are not part of it: the run that made the change wrote them. */
type Line = Omit<PendingChange, 'address' | 'line' | 'offset'> & { readonly address: string };

function lineOf(change: PendingChange): string {
  const { address, phase, hold, also, ends, foreign = null, confirmed } = change;
  const line: Line = { address: address.text, phase, hold, also, ends, foreign, confirmed };
  return `${JSON.stringify(line)}\n`;
}

/** None where there is no such file. Throws what the system says. */
export function readUnsaved(path: string): PendingChange[] {
  try {
    const lines = readRegularFile(path, LARGEST_FILE).toString('utf8').split('\n');
    return lines.flatMap((line) => (line === '' ? [] : (changeOf(line) ?? [])));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Only root writes there; what was cut off is no JSON. */
function changeOf(text: string): PendingChange | null {
  try {
    const line = JSON.parse(text) as Line;
    const address = parseExactNetwork(line.address);
    return address === null ? null : { ...line, address, line: null, offset: null };
  } catch {
    return null;
  }
}
