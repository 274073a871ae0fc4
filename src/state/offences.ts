// Counts how often alerts have begun a ban of an address, for escalation. A row is written when such a ban is
// confirmed.
import type { Address } from '../model/address.ts';
import type { Connection } from './connection.ts';

export interface Offence {
  readonly address: Address;
  readonly atMs: number;
}

/** Records an offence for each ban that is being confirmed and that an alert holds. Takes a list from `asList`. */
export const COUNT_OFFENCES = `INSERT OR IGNORE INTO offences (address, at_ms)
  SELECT address, since_ms FROM bans WHERE phase = 'blocking' AND address IN (SELECT value FROM json_each(?))
  AND EXISTS (SELECT 1 FROM holds WHERE holds.address = bans.address AND origin <> 'manual')`;

export class Offences {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** Returns the number of bans of an address that began at `sinceMs` or later, not counting one still in force. */
  earlier(address: Address, sinceMs: number): number {
    const sql = `SELECT count(*) AS count FROM offences AS o WHERE address = ? AND at_ms >= ? AND NOT EXISTS
       (SELECT 1 FROM bans WHERE address = o.address AND since_ms = o.at_ms AND phase <> 'unblocking')`;
    return this.#connection.query(sql, address.text, sinceMs)[0]?.['count'] as number;
  }

  /**
   * Returns the number of bans per address that began at `sinceMs` or later, including those still in force. Addresses
   * without any are left out.
   */
  count(sinceMs: number): ReadonlyMap<string, number> {
    const sql = 'SELECT address, count(*) AS count FROM offences WHERE at_ms >= ? GROUP BY address';
    const rows = this.#connection.query(sql, sinceMs);
    return new Map(rows.map((row) => [row['address'] as string, row['count'] as number]));
  }

  /** Returns the times at which the bans of each address began, by its text, in Unix milliseconds, oldest first. */
  times(): ReadonlyMap<string, readonly number[]> {
    const rows = this.#connection.query('SELECT address, at_ms FROM offences ORDER BY at_ms');
    const groups = Map.groupBy(rows, (row) => row['address'] as string);
    return new Map(
      Array.from(groups, ([text, own]) => [text, own.map((row) => row['at_ms'] as number)]),
    );
  }

  /** Adds the offences of another host. Existing ones stay. */
  add(all: readonly Offence[]): void {
    const sql = 'INSERT OR IGNORE INTO offences (address, at_ms) VALUES (?, ?)';
    this.#connection.transaction(() => {
      for (const { address, atMs } of all) this.#connection.run(sql, address.text, atMs);
    });
  }

  /** Deletes the offences of an address. Returns their number. */
  forgive(address: Address): number {
    const count = this.count(0).get(address.text) ?? 0;
    this.#connection.transaction(() => {
      this.#connection.run('DELETE FROM offences WHERE address = ?', address.text);
    });
    return count;
  }

  prune(beforeMs: number): void {
    this.#connection.transaction(() => {
      this.#connection.run('DELETE FROM offences WHERE at_ms < ?', beforeMs);
    });
  }
}
