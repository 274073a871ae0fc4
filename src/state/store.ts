// The books: bans, their holds, what is unfinished, what has happened, and facts worth remembering.
import type { DatabaseSync, SQLInputValue, StatementSync } from 'node:sqlite';
import { parseBlock, type Address } from '../model/address.ts';
import {
  EXPIRED,
  type AlertRef,
  type Ban,
  type ForeignRules,
  type Hold,
  type Origin,
  type Outcome,
  type Phase,
  type Verb,
} from '../model/ban.ts';
import { AppError, describeError } from '../model/errors.ts';
import {
  damage,
  isDamage,
  openDatabase,
  openInMemory,
  replaceDamaged,
  type OpenedDatabase,
  type OpenOptions,
} from './database.ts';

/** Where the response log ended when a line became owed: what comes after may already be that line. */
export interface LogMark {
  readonly inode: number;
  readonly size: number;
}

/** A change of the kernel that is about to be made. */
export interface Intent {
  readonly address: Address;
  readonly phase: 'blocking' | 'unblocking';
  /** The line to log once it is done; null when nobody waits for one. */
  readonly owed: Outcome | null;
  readonly mark: LogMark | null;
  /** For `blocking`: the hold to add, in the place of an older one of the same origin. */
  readonly hold: Hold | null;
  /** For `blocking`: whose hold ends with it, while others go on. */
  readonly ends?: Origin;
}

export interface UnfinishedBan extends Ban {
  readonly owed: Outcome | null;
  readonly mark: LogMark | null;
}

/** What happened, and on whose account. */
export interface HistoryEntry {
  readonly atMs: number;
  readonly outcome: Outcome;
  /** Null where it was nobody's hold in particular. */
  readonly origin: Origin | null;
  readonly reason: string;
}

/** A line of the history, as it was written. */
export interface HistoryRecord extends HistoryEntry {
  /** Grows with every line. */
  readonly id: number;
}

export interface HistoryFilter {
  readonly address: Address | null;
  readonly sinceMs: number;
  /** Only lines that came after this one. */
  readonly afterId: number;
  /** The newest so many. */
  readonly limit: number;
}

/** How often something happened since the store was begun; `expire` is counted apart from other deletes. */
export interface Tally {
  readonly event: string;
  readonly count: number;
  readonly lastMs: number;
}

export interface HoldKey {
  readonly address: Address;
  readonly origin: Origin;
}

type Row = Record<string, unknown>;

/** SQLite would list every damaged page. */
const MOST_COMPLAINTS = 3;
/** More addresses than this are looked for in a list of all bans: two queries for each would take longer. */
const MOST_ASKED_SINGLY = 100;

/** Many that came at once too, by rowid: plain rules stand in the chain in the reverse of it, and are released fast in that order only. */
const AS_MADE = 'ORDER BY since_ms, rowid';

/** With `asList`: a list of addresses as one value, in place of a statement for each. */
const AMONG_THESE = 'address IN (SELECT value FROM json_each(?))';

function asList(addresses: readonly Address[]): string {
  return JSON.stringify(addresses.map(({ text }) => text));
}

/**
 * Every operation is one transaction. An operation that the disk refuses is said through `onProblem` and then done in
 * memory, so that no caller needs to know: broken books never stop a block or a release.
 */
export class Store {
  #database: DatabaseSync;
  #volatile: boolean;
  #options: OpenOptions;
  readonly #onProblem: (problem: string) => void;
  /** As this run found them; null before it asked. */
  #facts: Map<string, string> | null = null;
  readonly #statements = new Map<string, StatementSync>();
  readonly #pendingFacts = new Map<string, string>();

  constructor(options: OpenOptions, onProblem: (problem: string) => void) {
    this.#options = options;
    this.#onProblem = onProblem;
    const opened = openDatabase(options);
    this.#database = opened.database;
    this.#volatile = opened.volatile;
    opened.problems.forEach(onProblem);
  }

  /** To be called by the holder of the writer lock: from now on a damaged file may be replaced, and is. */
  allowRepair(): void {
    this.#options = { ...this.#options, mayRepair: true };
    if (this.#volatile) this.#use(openDatabase(this.#options));
  }

  /** True when nothing written now outlives the process. */
  get volatile(): boolean {
    return this.#volatile;
  }

  find(address: Address): UnfinishedBan | null {
    return this.#select('WHERE address = ?', address.text)[0] ?? null;
  }

  /** Those of many addresses that are in the books, by their text. */
  findAll(addresses: readonly Address[]): ReadonlyMap<string, UnfinishedBan> {
    const bans =
      addresses.length > MOST_ASKED_SINGLY
        ? this.list()
        : addresses.map((address) => this.find(address)).filter((ban) => ban !== null);
    return new Map(bans.map((ban) => [ban.address.text, ban]));
  }

  /** All bans in the order in which they were made. */
  list(): UnfinishedBan[] {
    return this.#select(AS_MADE);
  }

  count(): number {
    return this.#guard(() => this.#all('SELECT count(*) AS count FROM bans'))[0]?.[
      'count'
    ] as number;
  }

  /** What an earlier run began and did not live to finish. */
  unfinished(): UnfinishedBan[] {
    return this.#select(`WHERE phase <> 'blocked' ${AS_MADE}`);
  }

  /** Bans with a hold whose time is over, in the order in which they were made. */
  due(nowMs: number): Ban[] {
    const overdue = 'SELECT address FROM holds WHERE expires_at_ms <= ?';
    return this.#select(`WHERE phase = 'blocked' AND address IN (${overdue}) ${AS_MADE}`, nowMs);
  }

  /** Makes intents durable; the kernel may be told once this has returned. */
  intend(intents: readonly Intent[], nowMs: number): void {
    this.#transaction(() => {
      // What was about to be released begins anew: its old holds are over.
      const begun = intents.filter(({ phase }) => phase === 'blocking');
      this.#forgetReleased(begun.map(({ address }) => address));
      for (const intent of intents) this.#intendOne(intent, nowMs);
    });
  }

  /** The kernel was seen to obey: `blocking` becomes `blocked`, `unblocking` is forgotten, and history says so. */
  confirm(
    addresses: readonly Address[],
    history: readonly HistoryEntry[],
    foreign: ReadonlyMap<string, ForeignRules> = new Map(),
  ): void {
    this.#transaction(() => {
      for (const [text, rules] of foreign) this.#putForeign(text, rules);
      this.#forgetReleased(addresses);
      this.#run(
        `UPDATE bans SET phase = 'blocked', owed = NULL WHERE phase = 'blocking' AND ${AMONG_THESE}`,
        asList(addresses),
      );
      this.#insertHistory(history);
    });
  }

  /** Puts a hold on an address that stays blocked. */
  hold(address: Address, hold: Hold): void {
    this.#transaction(() => {
      // It is there, unless the disk has failed since and these are other books.
      this.#run(
        "INSERT OR IGNORE INTO bans (address, phase, since_ms) VALUES (?, 'blocked', ?)",
        address.text,
        hold.addedMs,
      );
      this.#putHold(address, hold);
    });
  }

  /** What was found out of the rules of others since a ban was confirmed. */
  noteForeign(foreign: ReadonlyMap<string, ForeignRules>): void {
    if (foreign.size === 0) return;
    this.#transaction(() => {
      for (const [text, rules] of foreign) this.#putForeign(text, rules);
    });
  }

  /** Puts bans back as they were before intents that came to nothing. */
  revert(bans: readonly UnfinishedBan[]): void {
    if (bans.length === 0) return;
    this.#transaction(() => {
      for (const { address, phase, sinceMs, holds, owed, mark, foreign } of bans) {
        this.#run('DELETE FROM bans WHERE address = ?', address.text);
        this.#run(
          'INSERT INTO bans (address, phase, since_ms, owed) VALUES (?, ?, ?, ?)',
          address.text,
          phase,
          sinceMs,
          owedJson(owed, mark),
        );
        if (foreign !== null) this.#putForeign(address.text, foreign);
        for (const hold of holds) this.#putHold(address, hold);
      }
    });
  }

  /** Ends holds without releasing their address, which others still hold. Nobody is to hear of it. */
  dropHolds(holds: readonly HoldKey[]): void {
    this.#transaction(() => {
      for (const key of holds) this.#dropHold(key);
    });
  }

  /** Notes what happened without changing any ban. */
  record(history: readonly HistoryEntry[]): void {
    this.#transaction(() => {
      this.#insertHistory(history);
    });
  }

  /** Moves every deadline: the wall clock was found to have been set by that much. */
  shiftDeadlines(milliseconds: number): void {
    this.#transaction(() => {
      this.#run(
        `UPDATE holds SET expires_at_ms = expires_at_ms + ?, added_ms = added_ms + ?
         WHERE expires_at_ms IS NOT NULL`,
        milliseconds,
        milliseconds,
      );
    });
  }

  /** Pulls in deadlines that lie further ahead than was ever asked for. */
  capDeadlines(nowMs: number): void {
    const any = this.#guard(() => this.#all(ANY_TOO_FAR, nowMs));
    if (any.length === 0) return;
    this.#transaction(() => {
      const sql = `UPDATE holds SET expires_at_ms = ? + timeout_seconds * 1000 WHERE ${TOO_FAR}`;
      this.#run(sql, nowMs, nowMs);
    });
  }

  /** Oldest first. */
  history({ address, sinceMs, afterId, limit }: HistoryFilter): HistoryRecord[] {
    const rows = this.#guard(() =>
      this.#all(
        `SELECT * FROM history
         WHERE at_ms >= ? AND id > ? AND (? IS NULL OR address = ?) ORDER BY id DESC LIMIT ?`,
        sinceMs,
        afterId,
        address?.text ?? null,
        address?.text ?? null,
        limit,
      ),
    );
    return rows.map(readHistory).reverse();
  }

  /** What SQLite finds wrong with the file, a few lines at most; empty: it is sound. Reads all of it. */
  examine(): string[] {
    const rows = this.#guard(() => this.#all(`PRAGMA integrity_check(${MOST_COMPLAINTS})`));
    const lines = rows.map((row) => String(row['integrity_check']));
    return lines.filter((line) => line !== 'ok');
  }

  tallies(): Tally[] {
    const rows = this.#guard(() => this.#all('SELECT event, count, last_ms FROM tallies'));
    return rows.map((row) => ({
      event: row['event'] as string,
      count: row['count'] as number,
      lastMs: row['last_ms'] as number,
    }));
  }

  /** When the next hold ends, in Unix milliseconds; null when none does. */
  nextExpiryMs(): number | null {
    const sql = 'SELECT min(expires_at_ms) AS next FROM holds';
    return this.#guard(() => this.#all(sql))[0]?.['next'] as number | null;
  }

  pruneHistory(beforeMs: number): void {
    this.#transaction(() => {
      this.#run('DELETE FROM history WHERE at_ms < ?', beforeMs);
    });
  }

  /** For the holder of the writer lock: what was read while others could write may be old. */
  rereadMetadata(): void {
    this.#facts = null;
  }

  metadata(name: string): string | null {
    this.#facts ??= this.#readFacts();
    return this.#pendingFacts.get(name) ?? this.#facts.get(name) ?? null;
  }

  /** A metadata that was written as JSON; null when there is none or it can't be read. The shape is the writer's. */
  metadataJson(name: string): unknown {
    const text = this.metadata(name);
    if (text === null) return null;
    try {
      return JSON.parse(text);
    } catch {
      // Not written by us: found out anew.
      return null;
    }
  }

  /** Remembered with the next transaction, or at `flush`: a metadata alone is not worth waiting for the disk. */
  setMetadata(name: string, value: string): void {
    if (this.metadata(name) !== value) this.#pendingFacts.set(name, value);
  }

  /** For a process that stays; one that ends need not wait for the log to be copied back. */
  close(): void {
    this.flush();
    this.#statements.clear();
    this.#database.close();
  }

  flush(): void {
    if (this.#options.readOnly === true) return;
    if (this.#pendingFacts.size > 0) this.#transaction(() => undefined);
  }

  /** All at once: there are few, and a run needs most of them. */
  #readFacts(): Map<string, string> {
    const rows = this.#guard(() => this.#all('SELECT name, value FROM facts'));
    return new Map(rows.map((row) => [row['name'] as string, row['value'] as string]));
  }

  #select(clause: string, ...values: SQLInputValue[]): UnfinishedBan[] {
    return this.#guard(() => {
      const bans = this.#all(
        `SELECT address, phase, since_ms, owed, foreign_rules FROM bans ${clause}`,
        ...values,
      );
      if (bans.length === 0) return [];
      const ofThese = `address IN (SELECT address FROM bans ${clause})`;
      const rows = this.#all(`SELECT * FROM holds WHERE ${ofThese} ORDER BY added_ms`, ...values);
      const holds = Map.groupBy(rows, (row) => row['address']);
      return bans.map((row) => readBan(row, (holds.get(row['address']) ?? []).map(readHold)));
    });
  }

  #forgetReleased(addresses: readonly Address[]): void {
    if (addresses.length === 0) return;
    const sql = `DELETE FROM bans WHERE phase = 'unblocking' AND ${AMONG_THESE}`;
    this.#run(sql, asList(addresses));
  }

  #intendOne({ address, phase, owed, mark, hold, ends }: Intent, nowMs: number): void {
    this.#run(
      `INSERT INTO bans (address, phase, since_ms, owed) VALUES (?, ?, ?, ?)
       ON CONFLICT (address) DO UPDATE SET phase = excluded.phase, owed = excluded.owed`,
      address.text,
      phase,
      nowMs,
      owedJson(owed, mark),
    );
    if (ends !== undefined) this.#dropHold({ address, origin: ends });
    if (hold !== null) this.#putHold(address, hold);
  }

  #dropHold({ address, origin }: HoldKey): void {
    this.#run('DELETE FROM holds WHERE address = ? AND origin = ?', address.text, origin);
  }

  #putForeign(text: string, rules: ForeignRules): void {
    const json = Object.keys(rules).length === 0 ? null : JSON.stringify(rules);
    this.#run('UPDATE bans SET foreign_rules = ? WHERE address = ?', json, text);
  }

  #putHold(address: Address, hold: Hold): void {
    this.#run(
      `INSERT OR REPLACE INTO holds
       (address, origin, added_ms, timeout_seconds, expires_at_ms, alert_id, rule_id, reason, forced)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      address.text,
      hold.origin,
      hold.addedMs,
      hold.timeoutSeconds,
      hold.expiresAtMs,
      hold.alertRef.alertId,
      hold.alertRef.ruleId,
      hold.reason,
      hold.forced ? 1 : 0,
    );
  }

  #insertHistory(entries: readonly HistoryEntry[]): void {
    for (const { atMs, outcome, origin, reason } of entries) {
      this.#run(
        `INSERT INTO history (at_ms, address, verb, origin, alert_id, rule_id, reason)
         VALUES (?, ?, ?, ?, ?, ?, ?)`,
        atMs,
        outcome.address.text,
        outcome.verb,
        origin ?? '',
        outcome.alertRef.alertId,
        outcome.alertRef.ruleId,
        reason,
      );
    }
    for (const [event, ones] of Map.groupBy(entries, eventOf)) {
      this.#run(
        `INSERT INTO tallies (event, count, last_ms) VALUES (?, ?, ?)
         ON CONFLICT (event) DO UPDATE SET count = count + excluded.count, last_ms = excluded.last_ms`,
        event,
        ones.length,
        ones.at(-1)?.atMs ?? 0,
      );
    }
  }

  #all(sql: string, ...values: SQLInputValue[]): Row[] {
    return this.#prepare(sql).all(...values);
  }

  #run(sql: string, ...values: SQLInputValue[]): void {
    this.#prepare(sql).run(...values);
  }

  /** Each statement once: a list of thousands runs the same few. */
  #prepare(sql: string): StatementSync {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement = this.#database.prepare(sql);
    this.#statements.set(sql, statement);
    return statement;
  }

  #transaction(work: () => void): void {
    this.#guard(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        work();
        for (const [name, value] of this.#pendingFacts) {
          this.#run('INSERT OR REPLACE INTO facts (name, value) VALUES (?, ?)', name, value);
        }
        this.#database.exec('COMMIT');
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
      for (const [name, value] of this.#pendingFacts) this.#facts?.set(name, value);
      this.#pendingFacts.clear();
    });
  }

  /** Runs an operation; on trouble once more on a repaired store, and if that fails too on one in memory. */
  #guard<T>(operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      if (this.#volatile) throw new AppError('STORE', 'the store in memory failed', error);
      this.#onProblem(`the store failed: ${describeError(error)}`);
      this.#replaceDatabase(error);
    }
    return this.#guard(operation);
  }

  #replaceDatabase(error: unknown): void {
    const { mayRepair } = this.#options;
    // Once is enough: a new store that is damaged at once is on a disk that can't be trusted.
    this.#options = { ...this.#options, mayRepair: false };
    if (mayRepair && isDamage(error)) this.#use(replaceDamaged(this.#options));
    else this.#use({ database: openInMemory(), volatile: true, problems: [] });
  }

  #use({ database, volatile, problems }: OpenedDatabase): void {
    this.#database = database;
    this.#statements.clear();
    this.#volatile = volatile;
    problems.forEach(this.#onProblem);
  }
}

/** Worded as the index `holds_beyond` is, or every run would read every hold. */
const TOO_FAR = 'expires_at_ms IS NOT NULL AND expires_at_ms - timeout_seconds * 1000 > ?';
export const ANY_TOO_FAR = `SELECT 1 FROM holds WHERE ${TOO_FAR} LIMIT 1`;

function readBan(row: Row, holds: readonly Hold[]): UnfinishedBan {
  const address = readAddress(row['address']);
  const owed = readOwed(row['owed']);
  const phase = row['phase'] as Phase;
  const foreign = readForeign(row['foreign_rules']);
  return {
    address,
    phase,
    // A ban that is confirmed without any has none.
    foreign: foreign === null && phase !== 'blocking' ? {} : foreign,
    sinceMs: row['since_ms'] as number,
    holds,
    owed: owed === null ? null : { verb: owed.verb, alertRef: owed.alertRef, address },
    mark: owed?.mark ?? null,
  };
}

function readForeign(value: unknown): ForeignRules | null {
  if (typeof value !== 'string') return null;
  try {
    return JSON.parse(value) as ForeignRules;
  } catch (error) {
    throw damage('the rules of somebody else in the state are not JSON', error);
  }
}

function owedJson(owed: Outcome | null, mark: LogMark | null): string | null {
  return owed === null ? null : JSON.stringify({ ...owed, address: undefined, mark });
}

type OwedJson = Pick<Outcome, 'verb' | 'alertRef'> & { readonly mark: LogMark | null };

function readOwed(value: unknown): OwedJson | null {
  if (typeof value !== 'string') return null;
  try {
    const { incident, ...owed } = JSON.parse(value) as OwedJson & { incident?: AlertRef };
    // Version 0.1 called it so.
    return incident === undefined ? owed : { ...owed, alertRef: incident };
  } catch (error) {
    throw damage('an owed line in the store is not JSON', error);
  }
}

function readHistory(row: Row): HistoryRecord {
  const address = readAddress(row['address']);
  const alertRef = { alertId: row['alert_id'] as string, ruleId: row['rule_id'] as string };
  return {
    id: row['id'] as number,
    atMs: row['at_ms'] as number,
    outcome: { verb: row['verb'] as Verb, address, alertRef },
    origin: (row['origin'] as Origin | '') === '' ? null : (row['origin'] as Origin),
    reason: row['reason'] as string,
  };
}

/** What is counted: an end by time is another thing than a release that somebody asked for. */
function eventOf({ reason, outcome }: HistoryEntry): string {
  return reason === EXPIRED ? 'expire' : outcome.verb;
}

function readHold(row: Row): Hold {
  return {
    origin: row['origin'] as Origin,
    addedMs: row['added_ms'] as number,
    timeoutSeconds: row['timeout_seconds'] as number | null,
    expiresAtMs: row['expires_at_ms'] as number | null,
    alertRef: { alertId: row['alert_id'] as string, ruleId: row['rule_id'] as string },
    reason: row['reason'] as string,
    forced: row['forced'] === 1,
  };
}

/** The column holds canonical text that we wrote; anything else means that somebody else wrote into the file. */
function readAddress(value: unknown): Address {
  const address = typeof value === 'string' ? parseBlock(value) : null;
  if (address === null) throw damage(`${String(value)} in the store is not an address`);
  return address;
}
