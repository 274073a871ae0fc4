// Keeps changes that can't be written to the state in a separate file, until a later run can save them.
import { closeSync, fstatSync, unlinkSync } from 'node:fs';
import { parseExactNetwork, type Address } from '../model/address.ts';
import type { ForeignRules } from '../model/ban.ts';
import { describeError } from '../model/errors.ts';
import { appendLine, isErrno, openLogForAppend, readRegularFile } from '../system/files.ts';
import { WITHOUT_LINE, type PendingChange } from './rows.ts';

/** The largest size of the file, enough for some 20,000 changes. */
const LARGEST_FILE = 4 * 1024 * 1024;

export class Unsaved {
  readonly #path: string | null;
  readonly #onProblem: (problem: string) => void;

  /** Creates the store. Keeps nothing if `path` is null. */
  constructor(path: string | null, onProblem: (problem: string) => void) {
    this.#path = path;
    this.#onProblem = onProblem;
  }

  /** Appends changes. Must be called before the kernel is changed. */
  keep(changes: readonly PendingChange[]): void {
    if (this.#path === null || changes.length === 0) return;
    try {
      append(this.#path, changes.map(lineOf).join(''));
    } catch (error) {
      const first = changes[0]?.address.text ?? '';
      this.#onProblem(
        `the change for ${first} could not be recorded, so a block will not end by itself: ${describeError(error)}`,
      );
    }
  }

  /**
   * Passes the changes of earlier runs to `save`, oldest first, and deletes the file if `save` returns true. Repeats that
   * for changes that runs without the writer lock append in the meantime.
   */
  handOver(save: (changes: readonly PendingChange[]) => boolean): void {
    let saved = 0;
    try {
      for (;;) {
        const changes = this.read().slice(saved);
        if (changes.length === 0) break;
        if (!save(changes)) return;
        saved += changes.length;
      }
      if (this.#path !== null && saved > 0) unlinkSync(this.#path);
    } catch (error) {
      this.#onProblem(`${this.#path} can't be used: ${describeError(error)}`);
    }
  }

  /** Returns the number of unsaved bans that alerts began after `fromMs` and up to `toMs`. */
  bansBegun(fromMs: number, toMs: number): number {
    const begun = this.read().filter(({ phase, hold }) => {
      if (phase !== 'blocking' || hold === null || hold.origin === 'manual') return false;
      return hold.addedMs > fromMs && hold.addedMs <= toMs;
    });
    return new Set(begun.map(({ address }) => address.text)).size;
  }

  /** Returns the changes of earlier runs, oldest first. */
  read(): PendingChange[] {
    try {
      return this.#path === null ? [] : readUnsaved(this.#path);
    } catch (error) {
      this.#onProblem(`${this.#path} can't be used: ${describeError(error)}`);
      return [];
    }
  }
}

/** Returns the records that confirm the last change of each address, with the foreign rules that were found. */
export function confirmationsOf(
  changes: readonly Pick<PendingChange, 'address'>[],
  foreign: ReadonlyMap<string, ForeignRules>,
): PendingChange[] {
  const confirmed = { ...WITHOUT_LINE, phase: 'blocking', hold: null, confirmed: true } as const;
  return changes.map(({ address }) => ({
    ...confirmed,
    address,
    foreign: foreign.get(address.text) ?? null,
  }));
}

/**
 * Returns the addresses whose last record is a confirmation. The kernel is not inspected again for these, since another
 * program may have made or removed a rule in the meantime.
 */
export function confirmedIn(changes: readonly PendingChange[]): Address[] {
  const last = new Map<string, PendingChange>();
  for (const change of changes) {
    // A confirmation without its change is ignored: the change is in the state, where later changes may have followed.
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

/**
 * One line of the file, as JSON. The line for the response log is left out, because the run that made the change wrote
 * it.
 */
type Line = Omit<PendingChange, 'address' | 'line' | 'offset'> & { readonly address: string };

function lineOf(change: PendingChange): string {
  const { address, phase, hold, also, ends, foreign = null, confirmed } = change;
  const line: Line = { address: address.text, phase, hold, also, ends, foreign, confirmed };
  return `${JSON.stringify(line)}\n`;
}

/** Reads the changes in a file; none if it does not exist. Throws system errors. */
export function readUnsaved(path: string): PendingChange[] {
  try {
    const lines = readRegularFile(path, LARGEST_FILE).toString('utf8').split('\n');
    return lines.flatMap((line) => (line === '' ? [] : (changeOf(line) ?? [])));
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return [];
    throw error;
  }
}

/** Parses a line; null if it is incomplete. Its contents are trusted, because only root writes the file. */
function changeOf(text: string): PendingChange | null {
  try {
    const line = JSON.parse(text) as Line;
    const address = parseExactNetwork(line.address);
    return address === null ? null : { ...line, address, line: null, offset: null };
  } catch {
    return null;
  }
}
