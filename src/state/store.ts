// The state store: bans, their deadlines, history and metadata in one SQLite file. Metadata are small values by name,
// which are written with the next transaction.
import { describeError, orElse } from '../model/errors.ts';
import { Bans } from './bans.ts';
import { Connection } from './connection.ts';
import type { OpenOptions } from './database.ts';
import { History, Offences } from './history.ts';
import { Unsaved } from './unsaved.ts';

interface StoreOptions extends OpenOptions {
  /** The file for changes that can't be written to the state; absent if there is none. */
  readonly unsaved?: string;
  /**
   * True if those changes are shown as pending until `allowRepair` is called. A run that only reads does not save them.
   */
  readonly showsUnsaved?: boolean;
}

/** SQLite's result code for a damaged file (sqlite.org/rescode.html). */
const SQLITE_CORRUPT = 11;

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
      if (complaints.length === 0) return;
      // As with SQLite's own error of this code, what can be read is worth copying.
      throw Object.assign(new Error(complaints.join('; ')), { errcode: SQLITE_CORRUPT });
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

export class Deadlines {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Returns the next deadline in Unix milliseconds; null if no hold has one. */
  nextMs(): number | null {
    const sql = 'SELECT min(expires_at_ms) AS next FROM holds';
    return this.#connection.query(sql)[0]?.['next'] as number | null;
  }

  /** Moves every deadline by the time that the wall clock was set forward or back. */
  shift(milliseconds: number): void {
    this.#connection.transaction(() => {
      this.#connection.run(
        `UPDATE holds SET expires_at_ms = expires_at_ms + ?, added_ms = added_ms + ?
         WHERE expires_at_ms IS NOT NULL`,
        milliseconds,
        milliseconds,
      );
    });
  }

  /** Shortens holds that would last longer than their timeout. */
  cap(nowMs: number): void {
    const any = this.#connection.query(ANY_TOO_FAR, nowMs);
    if (any.length === 0) return;
    this.#connection.transaction(() => {
      const sql = `UPDATE holds SET expires_at_ms = ? + timeout_seconds * 1000 WHERE ${TOO_FAR}`;
      this.#connection.run(sql, nowMs, nowMs);
    });
  }
}

/** Must have the expression of the index `holds_beyond`; otherwise every run would read every hold. */
const TOO_FAR = 'expires_at_ms IS NOT NULL AND expires_at_ms - timeout_seconds * 1000 > ?';
export const ANY_TOO_FAR = `SELECT 1 FROM holds WHERE ${TOO_FAR} LIMIT 1`;

export class Metadata {
  readonly #connection: Connection;
  /** The values as read by this run; null before the first read. */
  #known: Map<string, string> | null = null;
  readonly #unwritten = new Map<string, string>();

  constructor(connection: Connection) {
    this.#connection = connection;
    connection.deferred = {
      write: () => {
        for (const [name, value] of this.#unwritten) {
          connection.run('INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)', name, value);
        }
      },
      written: () => {
        for (const [name, value] of this.#unwritten) this.#known?.set(name, value);
        this.#unwritten.clear();
      },
    };
  }

  get(name: string): string | null {
    this.#known ??= this.#readAll();
    return this.#unwritten.get(name) ?? this.#known.get(name) ?? null;
  }

  /**
   * Returns a value that was stored as JSON; null if there is none or it is not JSON. The caller must know its type.
   */
  getJson(name: string): unknown {
    const text = this.get(name);
    // A value that this program did not write is determined again by the caller.
    return text === null ? null : orElse<unknown>(null, () => JSON.parse(text));
  }

  /**
   * Sets a value, which is written with the next transaction or by `flush`. One value alone is not worth waiting for
   * the disk.
   */
  set(name: string, value: string): void {
    if (this.get(name) !== value) this.#unwritten.set(name, value);
  }

  /** Drops the values read before the run got the writer lock, because they may be outdated. */
  reload(): void {
    this.#known = null;
  }

  flush(): void {
    if (this.#connection.readOnly || this.#unwritten.size === 0) return;
    this.#connection.transaction(() => undefined);
  }

  /** Reads all values at once, since there are few and a run needs most of them. */
  #readAll(): Map<string, string> {
    const rows = this.#connection.query('SELECT name, value FROM facts');
    return new Map(rows.map((row) => [row['name'] as string, row['value'] as string]));
  }
}
