// Records what happened to addresses, counts events, and counts how often alerts have begun a ban of an address, for
// escalation.
import type { Address } from '../model/address.ts';
import { EXPIRED, TRIAL, type Origin, type Outcome, type Verb } from '../model/ban.ts';
import type { Connection, Row } from './connection.ts';
import { readAddress, asList, runsOf } from './rows.ts';

/** An event and its cause. */
export interface HistoryEntry {
  readonly atMs: number;
  readonly outcome: Outcome;
  /** null if no particular origin held the ban. */
  readonly origin: Origin | null;
  readonly reason: string;
  /** The user who ran the command; absent for events that no person caused. */
  readonly by?: string;
}

export interface HistoryRecord extends HistoryEntry {
  /** Increases with every record. */
  readonly id: number;
}

export interface HistoryFilter {
  readonly address?: Address | undefined;
  readonly sinceMs?: number;
  /** Only records after the one with this id. */
  readonly afterId?: number;
  readonly limit: number;
}

/** The number of events of one kind since the state was created. `expire` is counted separately from other deletes. */
export interface Tally {
  readonly event: string;
  readonly count: number;
  readonly lastMs: number;
}

/**
 * The largest number of records, which take about 75 MB. Each alert for a protected address is refused and adds one.
 */
const MOST_RECORDS = 500_000;

/** Must have the condition of the index `history_of_alerts`. */
export const COUNT_BEGUN = `SELECT count(*) AS count FROM history WHERE at_ms > ? AND at_ms <= ?
  AND verb = 'add' AND origin NOT IN ('manual', '')`;

export class History {
  readonly #connection: Connection;

  constructor(connection: Connection) {
    this.#connection = connection;
  }

  record(entries: readonly HistoryEntry[]): void {
    this.#connection.transaction(() => {
      this.insert(entries);
    });
  }

  /** Inserts records. For use inside a transaction. */
  insert(entries: readonly HistoryEntry[]): void {
    for (const alike of runsOf(entries, sharedFields)) {
      const { atMs, outcome, origin, reason, by = '' } = alike[0];
      this.#connection.run(
        `INSERT INTO history (at_ms, address, verb, origin, alert_id, rule_id, reason, by_user)
         SELECT ?, value, ?, ?, ?, ?, ?, ? FROM json_each(?)`,
        atMs,
        outcome.verb,
        origin ?? '',
        outcome.alertRef.alertId,
        outcome.alertRef.ruleId,
        reason,
        by,
        asList(alike.map((one) => one.outcome.address)),
      );
    }
    // A trial of `doctor` is recorded in the history, but it is not an event of the host.
    const counted = entries.filter(({ reason }) => reason !== TRIAL);
    // Expiries are counted separately from requested releases.
    const events = Map.groupBy(counted, ({ reason, outcome }) => {
      return reason === EXPIRED ? 'expire' : outcome.verb;
    });
    for (const [event, ones] of events) {
      this.#connection.run(
        `INSERT INTO tallies (event, count, last_ms) VALUES (?, ?, ?)
         ON CONFLICT (event) DO UPDATE SET count = count + excluded.count, last_ms = excluded.last_ms`,
        event,
        ones.length,
        ones.at(-1)?.atMs ?? 0,
      );
    }
  }

  /** Returns the newest `limit` records that match, oldest first. */
  find({ address, sinceMs = 0, afterId = 0, limit }: HistoryFilter): HistoryRecord[] {
    const rows = this.#connection.query(
      `SELECT * FROM history
       WHERE at_ms >= ? AND id > ? AND (? IS NULL OR address = ?) ORDER BY id DESC LIMIT ?`,
      sinceMs,
      afterId,
      address?.text ?? null,
      address?.text ?? null,
      limit,
    );
    return rows.map(readRecord).reverse();
  }

  tallies(): Tally[] {
    const rows = this.#connection.query('SELECT event, count, last_ms FROM tallies');
    return rows.map((row) => ({
      event: row['event'] as string,
      count: row['count'] as number,
      lastMs: row['last_ms'] as number,
    }));
  }

  /** Returns the number of saved bans that alerts began after `fromMs` and up to `toMs`. */
  bansBegun(fromMs: number, toMs: number): number {
    return this.#connection.query(COUNT_BEGUN, fromMs, toMs)[0]?.['count'] as number;
  }

  /** Deletes records older than `beforeMs`, and all but the newest `most` records. */
  prune(beforeMs: number, most = MOST_RECORDS): void {
    const oldest = 'SELECT max(id) - ? FROM history';
    this.#connection.transaction(() => {
      this.#connection.run('DELETE FROM history WHERE at_ms < ?', beforeMs);
      this.#connection.run(`DELETE FROM history WHERE id <= (${oldest})`, most);
    });
  }
}

function sharedFields({ atMs, outcome, origin, reason, by }: HistoryEntry): readonly unknown[] {
  return [atMs, outcome.verb, outcome.alertRef, origin, reason, by];
}

function readRecord(row: Row): HistoryRecord {
  const address = readAddress(row['address']);
  const alertRef = { alertId: row['alert_id'] as string, ruleId: row['rule_id'] as string };
  return {
    id: row['id'] as number,
    atMs: row['at_ms'] as number,
    outcome: { verb: row['verb'] as Verb, address, alertRef },
    origin: (row['origin'] as Origin | '') === '' ? null : (row['origin'] as Origin),
    reason: row['reason'] as string,
    ...(row['by_user'] !== '' && { by: row['by_user'] as string }),
  };
}

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
