// How often alerts have begun a ban of an address, for escalation. The rows are written as bans are confirmed.
import type { Address } from '../model/address.ts';
import type { Connection } from './connection.ts';

export interface Offence {
  readonly address: Address;
  readonly atMs: number;
}

/** Of the bans in a list that are being confirmed, those that an alert has a hold on. Takes the list, as JSON. */
export const COUNT_OFFENCES = `INSERT OR IGNORE INTO offences (address, at_ms)
  SELECT address, since_ms FROM bans WHERE phase = 'blocking' AND address IN (SELECT value FROM json_each(?))
  AND EXISTS (SELECT 1 FROM holds WHERE holds.address = bans.address AND origin <> 'manual')`;

export class Offences {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  /** How many bans of an address have begun since then; one that goes on is not counted. */
  earlier(address: Address, sinceMs: number): number {
    const sql = `SELECT count(*) AS count FROM offences AS o WHERE address = ? AND at_ms >= ? AND NOT EXISTS
       (SELECT 1 FROM bans WHERE address = o.address AND since_ms = o.at_ms AND phase <> 'unblocking')`;
    return this.#connection.query(sql, address.text, sinceMs)[0]?.['count'] as number;
  }

  /** How many each address has had since then, by its text, those that go on too; without any it is left out. */
  count(sinceMs: number): ReadonlyMap<string, number> {
    const sql = 'SELECT address, count(*) AS count FROM offences WHERE at_ms >= ? GROUP BY address';
    const rows = this.#connection.query(sql, sinceMs);
    return new Map(rows.map((row) => [row['address'] as string, row['count'] as number]));
  }

  /** When each address's began, by its text, in Unix milliseconds, the oldest first. */
  times(): ReadonlyMap<string, readonly number[]> {
    const rows = this.#connection.query('SELECT address, at_ms FROM offences ORDER BY at_ms');
    const groups = Map.groupBy(rows, (row) => row['address'] as string);
    return new Map(
      Array.from(groups, ([text, own]) => [text, own.map((row) => row['at_ms'] as number)]),
    );
  }

  /** Adds what another host counted; what is there already stays. */
  add(all: readonly Offence[]): void {
    const sql = 'INSERT OR IGNORE INTO offences (address, at_ms) VALUES (?, ?)';
    this.#connection.transaction(() => {
      for (const { address, atMs } of all) this.#connection.run(sql, address.text, atMs);
    });
  }

  /** From now on the address has had no ban. Returns how many were forgotten. */
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
