// The open state file. Runs statements and transactions, and falls back to memory if the disk fails.
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { AppError, describeError } from '../model/errors.ts';
import {
  copyInMemory,
  isDamage,
  isReplaced,
  openDatabase,
  replaceDamaged,
  type OpenedDatabase,
  type OpenOptions,
} from './database.ts';

export type Row = Record<string, unknown>;
/** The values of a row, in the order of the selected columns. */
export type Values = readonly unknown[];

/** Writes that are added to the next transaction. */
export interface DeferredWrites {
  write(): void;
  written(): void;
}

/**
 * Reports an operation that fails on disk through `onProblem` and repeats it in memory, so that no caller needs to
 * handle it: a broken state file never prevents a block or an unblock.
 */
export class Connection {
  #opened: OpenedDatabase;
  #options: OpenOptions;
  readonly #onProblem: (problem: string) => void;
  readonly #statements = new Map<string, StatementSync>();
  #deferred: DeferredWrites | null = null;
  #replacements = 0;
  readonly #shadowed: string[] = [];

  constructor(options: OpenOptions, onProblem: (problem: string) => void) {
    this.#options = options;
    this.#onProblem = onProblem;
    this.#opened = openDatabase(options);
    this.#opened.problems.forEach(onProblem);
  }

  set deferred(deferred: DeferredWrites) {
    this.#deferred = deferred;
  }

  reopenIfReplaced(): void {
    const { directory } = this.#options;
    const { identity } = this.#opened;
    if (directory === null || identity === undefined) return;
    if (!isReplaced(directory, identity)) return;
    this.close();
    this.#use(openDatabase(this.#options));
  }

  allowRepair(): void {
    this.#options = { ...this.#options, mayRepair: true };
    for (const table of this.#shadowed.splice(0)) this.#database.exec(`DROP TABLE temp.${table}`);
    if (this.volatile) this.#use(openDatabase(this.#options));
  }

  /**
   * Runs `work` on temporary copies of tables, which only this process sees, until `allowRepair` is called. The tables
   * must be in the order of their references.
   */
  shadow(tables: readonly string[], work: () => void): void {
    this.guard(() => {
      for (const table of tables) {
        const [row] = this.all('SELECT sql FROM main.sqlite_schema WHERE name = ?', table);
        this.#database.exec(String(row?.['sql']).replace('CREATE TABLE', 'CREATE TEMP TABLE'));
        this.#database.exec(`INSERT INTO temp.${table} SELECT * FROM main.${table}`);
        this.#shadowed.unshift(table);
      }
      work();
    });
  }

  /** True if writes are lost when the process ends. */
  get volatile(): boolean {
    return this.#opened.volatile;
  }

  /** True if there is a state but none of it could be read. */
  get unread(): boolean {
    return this.#opened.unread === true;
  }

  /** True if the state has a history that could not be read. */
  get lacksHistory(): boolean {
    return this.#opened.lacksHistory === true;
  }

  /** The number of times that the database was replaced. The replacement may lack earlier writes. */
  get replacements(): number {
    return this.#replacements;
  }

  get readOnly(): boolean {
    return this.#options.readOnly === true;
  }

  query(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.guard(() => this.all(sql, ...values));
  }

  /** For use inside `guard` and `transaction`. */
  all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values);
  }

  /**
   * Iterates over rows as arrays of values. Creating an object for each of 100,000 rows would double the time of the
   * run. For use inside `guard` and `transaction`.
   */
  each(sql: string, ...values: SQLInputValue[]): Iterable<Values> {
    const statement = this.#prepare(sql);
    statement.setReturnArrays(true);
    return statement.iterate(...values) as Iterable<unknown> as Iterable<Values>;
  }

  /** For use inside `transaction`. */
  run(sql: string, ...values: SQLInputValue[]): void {
    this.#prepare(sql).run(...values);
  }

  /**
   * Runs `work` in a transaction. Its writes are durable when this returns, or when the enclosing transaction is
   * committed. `work` can run again, on another database.
   */
  transaction<T>(work: () => T): T {
    if (this.#database.isTransaction) return work();
    return this.guard(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#deferred?.write();
        this.#database.exec('COMMIT');
        this.#deferred?.written();
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /**
   * Runs an operation. After a failure, repeats it on a repaired file, and if that fails too, on a database in memory.
   */
  guard<T>(operation: () => T): T {
    // A failure inside a transaction makes the caller repeat the whole transaction.
    if (this.#database.isTransaction) return operation();
    try {
      return operation();
    } catch (error) {
      if (this.volatile) throw new AppError('STORE', 'the state in memory failed', error);
      this.#onProblem(`the state failed: ${describeError(error)}`);
      this.#replaceDatabase(error);
    }
    return this.guard(operation);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  get #database(): DatabaseSync {
    return this.#opened.database;
  }

  /** Prepares each statement once, because a list of thousands runs the same few. */
  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #replaceDatabase(error: unknown): void {
    const { mayRepair } = this.#options;
    // Repair only once: if the new file is damaged too, the disk can't be trusted.
    this.#options = { ...this.#options, mayRepair: false };
    if (mayRepair && isDamage(error)) {
      // Rows with contents that we can't parse must not be copied into the new file.
      const readable =
        error instanceof AppError ? undefined : copyInMemory(this.#database).database;
      this.#use(replaceDamaged(this.#options, readable));
    } else {
      this.#use({ ...copyInMemory(this.#database), lacksHistory: true });
    }
  }

  #use(opened: OpenedDatabase): void {
    this.#opened = opened;
    this.#replacements += 1;
    this.#shadowed.length = 0;
    this.#statements.clear();
    opened.problems.forEach(this.#onProblem);
  }
}
