// The open state file: statements, transactions, and what happens where the disk refuses them.
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
/** The values of a row, in the order of the columns that were selected. */
export type Values = readonly unknown[];

/** Values that are written with the next transaction, whichever it is. */
export interface Rider {
  write(): void;
  written(): void;
}

/**
 * An operation that the disk refuses is reported through `onProblem` and then done in memory, so that no caller needs to
 * know: a broken state file never stops a block or an unblock.
 */
export class Connection {
  #database: DatabaseSync;
  #volatile: boolean;
  #unread: boolean;
  #options: OpenOptions;
  #identity: string | undefined;
  readonly #onProblem: (problem: string) => void;
  readonly #statements = new Map<string, StatementSync>();
  #rider: Rider | null = null;
  #replacements = 0;
  readonly #shadowed: string[] = [];

  constructor(options: OpenOptions, onProblem: (problem: string) => void) {
    this.#options = options;
    this.#onProblem = onProblem;
    const opened = openDatabase(options);
    this.#database = opened.database;
    this.#volatile = opened.volatile;
    this.#unread = opened.unread === true;
    this.#identity = opened.identity;
    opened.problems.forEach(onProblem);
  }

  set rider(rider: Rider) {
    this.#rider = rider;
  }

  reopenIfReplaced(): void {
    const { directory } = this.#options;
    if (directory === null || this.#identity === undefined) return;
    if (!isReplaced(directory, this.#identity)) return;
    this.close();
    this.#use(openDatabase(this.#options));
  }

  allowRepair(): void {
    this.#options = { ...this.#options, mayRepair: true };
    for (const table of this.#shadowed.splice(0)) this.#database.exec(`DROP TABLE temp.${table}`);
    if (this.#volatile) this.#use(openDatabase(this.#options));
  }

  /**
   * Does work on copies of tables, given in the order in which they refer to each other: until `allowRepair` this process,
   * and no other, sees the copies in their place.
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

  /** True when nothing written now outlives the process. */
  get volatile(): boolean {
    return this.#volatile;
  }

  /** True when there is a state, and nothing of it could be read. */
  get unread(): boolean {
    return this.#unread;
  }

  /** How often another database has taken the place of one that failed: it may lack what was written before. */
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

  /** The same one by one, each as the values of its columns: a hundred thousand objects would take as long as all else. */
  each(sql: string, ...values: SQLInputValue[]): Iterable<Values> {
    const statement = this.#prepare(sql);
    statement.setReturnArrays(true);
    return statement.iterate(...values) as Iterable<unknown> as Iterable<Values>;
  }

  /** For use inside `transaction`. */
  run(sql: string, ...values: SQLInputValue[]): void {
    this.#prepare(sql).run(...values);
  }

  /** Durable on return, or with the transaction that it is within. `work` may be called again, on another database. */
  transaction<T>(work: () => T): T {
    if (this.#database.isTransaction) return work();
    return this.guard(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = work();
        this.#rider?.write();
        this.#database.exec('COMMIT');
        this.#rider?.written();
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }

  /** Runs an operation; on failure once more on a repaired file, and if that fails too on a database in memory. */
  guard<T>(operation: () => T): T {
    // What fails within a transaction is done again with all of it.
    if (this.#database.isTransaction) return operation();
    try {
      return operation();
    } catch (error) {
      if (this.#volatile) throw new AppError('STORE', 'the state in memory failed', error);
      this.#onProblem(`the state failed: ${describeError(error)}`);
      this.#replaceDatabase(error);
    }
    return this.guard(operation);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  /** Each statement once: a list of thousands runs the same few. */
  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #replaceDatabase(error: unknown): void {
    const { mayRepair } = this.#options;
    // Once is enough: a new store that is damaged at once is on a disk that can't be trusted.
    this.#options = { ...this.#options, mayRepair: false };
    if (mayRepair && isDamage(error)) {
      // Rows that we can't read would be as unreadable in the new file.
      const readable =
        error instanceof AppError ? undefined : copyInMemory(this.#database).database;
      this.#use(replaceDamaged(this.#options, readable));
    } else {
      this.#use(copyInMemory(this.#database));
    }
  }

  #use({ database, identity, volatile, unread = false, problems }: OpenedDatabase): void {
    this.#database = database;
    this.#replacements += 1;
    this.#identity = identity;
    this.#unread = unread;
    this.#shadowed.length = 0;
    this.#statements.clear();
    this.#volatile = volatile;
    problems.forEach(this.#onProblem);
  }
}
