// Reads the deadlines of holds, and adjusts them when the clock is set.
import type { Connection } from './connection.ts';

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
