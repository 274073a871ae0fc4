// When holds end: the deadlines of the table of holds, and how they follow a clock that was set.
import type { Connection } from './connection.ts';

export class Deadlines {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** When the next hold ends, in Unix milliseconds; null when none does. */
  nextMs(): number | null {
    const sql = 'SELECT min(expires_at_ms) AS next FROM holds';
    return this.#connection.query(sql)[0]?.['next'] as number | null;
  }

  /** Moves every deadline: the wall clock was found to have been set by that much. */
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

  /** Pulls in deadlines that lie further ahead than was ever asked for. */
  cap(nowMs: number): void {
    const any = this.#connection.query(ANY_TOO_FAR, nowMs);
    if (any.length === 0) return;
    this.#connection.transaction(() => {
      const sql = `UPDATE holds SET expires_at_ms = ? + timeout_seconds * 1000 WHERE ${TOO_FAR}`;
      this.#connection.run(sql, nowMs, nowMs);
    });
  }
}

/** Worded as the index `holds_beyond` is, or every run would read every hold. */
const TOO_FAR = 'expires_at_ms IS NOT NULL AND expires_at_ms - timeout_seconds * 1000 > ?';
export const ANY_TOO_FAR = `SELECT 1 FROM holds WHERE ${TOO_FAR} LIMIT 1`;
