// The state store: bans, their deadlines, history and metadata in one SQLite file.
import { Bans } from './bans.ts';
import { Connection } from './connection.ts';
import type { OpenOptions } from './database.ts';
import { Deadlines } from './deadlines.ts';
import { History } from './history.ts';
import { Metadata } from './metadata.ts';
import { Offences } from './offences.ts';
import { Unsaved } from './unsaved.ts';

interface StoreOptions extends OpenOptions {
  /** Where changes are kept that the state can't take; absent: nowhere. */
  readonly unsaved?: string;
  /** Those changes are shown as pending, until `allowRepair`: a run that only looks does not save them. */
  readonly showsUnsaved?: boolean;
}

/** SQLite would list every damaged page. */
const MOST_COMPLAINTS = 3;

export class Store {
  readonly bans: Bans;
  readonly deadlines: Deadlines;
  readonly history: History;
  readonly metadata: Metadata;
  readonly offences: Offences;
  readonly #connection: Connection;
  readonly #unsaved: Unsaved;
  readonly #hasUnsaved: boolean;

  constructor(options: StoreOptions, onProblem: (problem: string) => void) {
    this.#connection = new Connection(options, onProblem);
    this.history = new History(this.#connection);
    this.#unsaved = new Unsaved(options.unsaved ?? null, onProblem);
    this.bans = new Bans(this.#connection, this.history, this.#unsaved);
    this.deadlines = new Deadlines(this.#connection);
    this.metadata = new Metadata(this.#connection);
    this.offences = new Offences(this.#connection);
    this.#hasUnsaved = options.showsUnsaved === true && this.bans.showUnsaved();
  }

  /** To be called once a run has waited for others: what is written to a file that nobody opens again is lost. */
  reopenIfReplaced(): void {
    this.#connection.reopenIfReplaced();
  }

  /**
   * To be called by the holder of the writer lock: from now on a damaged file may be replaced, and is. What earlier runs
   * could not save comes into it: the kernel is asked about what they had not seen there.
   */
  allowRepair(): void {
    this.#connection.allowRepair();
    this.bans.takeUnsaved();
  }

  get volatile(): boolean {
    return this.#connection.volatile;
  }

  /** True when there is a state, and nothing of it could be read: that nothing is banned is then no answer. */
  get unread(): boolean {
    return this.#connection.unread;
  }

  /** True when the file was not written where it had to be: by this run, or by earlier ones whose changes wait to be saved. */
  get isBehind(): boolean {
    return this.volatile || this.#hasUnsaved;
  }

  bansBegun(fromMs: number, toMs: number): number {
    return this.history.bansBegun(fromMs, toMs) + this.#unsaved.bansBegun(fromMs, toMs);
  }

  /** What SQLite finds wrong with the file, a few lines at most; empty: it is sound. Reads all of it. */
  examine(): string[] {
    const rows = this.#connection.query(`PRAGMA integrity_check(${MOST_COMPLAINTS})`);
    const lines = rows.map((row) => String(row['integrity_check']));
    return lines.filter((line) => line !== 'ok');
  }

  /** For a process that stays; one that ends need not wait for the log to be copied back. */
  close(): void {
    this.metadata.flush();
    this.#connection.close();
  }
}
