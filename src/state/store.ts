// The state store: bans, their deadlines, history and metadata in one SQLite file.
import { Bans } from './bans.ts';
import { describeError } from '../model/errors.ts';
import { Connection } from './connection.ts';
import { foundDamage, type OpenOptions } from './database.ts';
import { Deadlines } from './deadlines.ts';
import { History } from './history.ts';
import { Metadata } from './metadata.ts';
import { Offences } from './offences.ts';
import { Unsaved } from './unsaved.ts';

interface StoreOptions extends OpenOptions {
  /** The file for changes that can't be written to the state; absent if there is none. */
  readonly unsaved?: string;
  /**
   * True if those changes are shown as pending until `allowRepair` is called. A run that only reads does not save them.
   */
  readonly showsUnsaved?: boolean;
}

/** The number of problems to report. SQLite would list one for each damaged page. */
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

  /**
   * Opens the file again if it was replaced. A run must call it after it has waited for another, because writes to a
   * replaced file are lost.
   */
  reopenIfReplaced(): void {
    this.#connection.reopenIfReplaced();
  }

  /**
   * Allows replacing a damaged file, replaces it if necessary, and records the unsaved changes of earlier runs. Those
   * that are not confirmed become pending. The holder of the writer lock must call it.
   */
  allowRepair(): void {
    this.#connection.allowRepair();
    this.bans.takeUnsaved();
  }

  get volatile(): boolean {
    return this.#connection.volatile;
  }

  /** True if there is a state but none of it could be read. An empty list of bans then proves nothing. */
  get unread(): boolean {
    return this.#connection.unread;
  }

  /** True if the state has a history that could not be read. An empty history then proves nothing. */
  get lacksHistory(): boolean {
    return this.#connection.lacksHistory;
  }

  /** True if the file lacks changes: this run can't write it, or changes of earlier runs are still unsaved. */
  get isBehind(): boolean {
    return this.volatile || this.#hasUnsaved;
  }

  bansBegun(fromMs: number, toMs: number): number {
    return this.history.bansBegun(fromMs, toMs) + this.#unsaved.bansBegun(fromMs, toMs);
  }

  /**
   * Checks the whole file. Returns a few of the problems that SQLite finds; an empty list if there are none. Never falls
   * back to a copy in memory, which would be intact.
   */
  examine(): string[] {
    try {
      return this.#complaints();
    } catch (error) {
      return [describeError(error)];
    }
  }

  /**
   * Checks the whole file, and replaces it if it is damaged where no query has read it. The holder of the writer lock
   * may call it.
   */
  replaceIfDamaged(): void {
    this.#connection.guard(() => {
      const complaints = this.#complaints();
      if (complaints.length > 0) throw foundDamage(complaints);
    });
  }

  #complaints(): string[] {
    const rows = this.#connection.all(`PRAGMA integrity_check(${MOST_COMPLAINTS})`);
    const lines = rows.map((row) => String(row['integrity_check']));
    return lines.filter((line) => line !== 'ok');
  }

  /**
   * Closes the state. Only a long-running process needs to call it; one that ends need not wait for the checkpoint of
   * the write-ahead log.
   */
  close(): void {
    this.metadata.flush();
    this.#connection.close();
  }
}
