// The table of bans and their holds, and the changes that are pending.
import type { SQLInputValue } from 'node:sqlite';
import { contains, type Address } from '../model/address.ts';
import type { Ban, ForeignRules, Hold, HoldKey, Origin } from '../model/ban.ts';
import type { Connection } from './connection.ts';
import type { History, HistoryEntry } from './history.ts';
import { COUNT_OFFENCES } from './offences.ts';
import { AMONG_THESE, asList, runsOf } from './lists.ts';
import {
  allButAddress,
  changesTo,
  holdsOf,
  listOf,
  CONFIRM_BLOCKED,
  COUNT_KNOWN,
  FORGET_RELEASED,
  LINELESS,
  NOT_BLOCKED,
  WITHOUT_BAN,
  type Confirmation,
  type KernelChange,
  type PendingChange,
} from './pending-change.ts';
import { confirmationsOf, confirmedIn, type Unsaved } from './unsaved.ts';
import { COLUMNS, lineJson, readAddress, readBans, type StoredBan } from './rows.ts';

/** More addresses than this are looked for in a list of all bans: two queries for each would take longer. */
const MOST_ASKED_SINGLY = 100;

/** Many that came at once too, by rowid: plain rules stand in the chain in the reverse of it, and are released fast in that order only. */
const AS_MADE = 'ORDER BY since_ms, bans.rowid';

/** Every operation is one transaction. */
export class Bans {
  readonly #connection: Connection;
  readonly #history: History;
  readonly #unsaved: Unsaved;
  #begunIn = 0;

  constructor(connection: Connection, history: History, unsaved: Unsaved) {
    this.#connection = connection;
    this.#history = history;
    this.#unsaved = unsaved;
  }

  find(address: Address): StoredBan | null {
    return this.#select('WHERE address = ?', address.text)[0] ?? null;
  }

  /** Those of many addresses that have a ban, by their text. */
  findAll(addresses: readonly Address[]): ReadonlyMap<string, StoredBan> {
    const bans =
      addresses.length > MOST_ASKED_SINGLY
        ? this.#select(`WHERE ${AMONG_THESE}`, asList(addresses))
        : addresses.map((address) => this.find(address)).filter((ban) => ban !== null);
    return new Map(bans.map((ban) => [ban.address.text, ban]));
  }

  /** Those of many addresses that have none. */
  withoutBan(addresses: readonly Address[]): Address[] {
    const unknown = new Set(this.#texts(WITHOUT_BAN, asList(addresses)));
    return addresses.filter(({ text }) => unknown.has(text));
  }

  /** Those of many addresses that are blocked, by one query. */
  blockedAmong(addresses: readonly Address[]): Ban[] {
    return this.#select(`WHERE phase = 'blocked' AND ${AMONG_THESE}`, asList(addresses));
  }

  /** All bans in the order in which they were made. */
  list(): StoredBan[] {
    return this.#select('');
  }

  /** The bans of addresses and networks that lie in an IPv4 network, other than its own. */
  within(network: Address): StoredBan[] {
    // Their text begins with the whole bytes of the network's; '/' is the character after '.'.
    const bytes = network.text.split('.').slice(0, Math.floor(network.prefixLength / 8));
    const first = bytes.map((byte) => `${byte}.`).join('');
    const bans = this.#select('WHERE address >= ? AND address < ?', first, `${bytes.join('.')}/`);
    return bans.filter(({ address }) => {
      return address.text !== network.text && contains(network, address);
    });
  }

  /** What an origin holds, or with null all, in the order in which the bans were made. */
  heldBy(origin: Origin | null): Address[] {
    const sql = `SELECT address FROM bans WHERE ? IS NULL OR address IN (SELECT address FROM holds WHERE origin = ?) ${AS_MADE}`;
    return this.#connection.query(sql, origin, origin).map((row) => readAddress(row['address']));
  }

  networks(): Address[] {
    const sql = "SELECT address FROM bans WHERE instr(address, '/') > 0";
    return this.#connection.query(sql).map((row) => readAddress(row['address']));
  }

  hasIpv6(): boolean {
    const sql = "SELECT 1 FROM bans WHERE instr(address, ':') > 0 LIMIT 1";
    return this.#connection.query(sql).length > 0;
  }

  count(): number {
    return this.#connection.query('SELECT count(*) AS count FROM bans')[0]?.['count'] as number;
  }

  pending(): StoredBan[] {
    return this.#select("WHERE phase <> 'blocked'");
  }

  /** Bans with a hold whose time is over, in the order in which they were made. */
  due(nowMs: number): Ban[] {
    const overdue = 'SELECT address FROM holds WHERE expires_at_ms <= ?';
    return this.#select(`WHERE phase = 'blocked' AND address IN (${overdue})`, nowMs);
  }

  /** No other run comes between what `work` reads and what it records. It may be called again. */
  transaction<T>(work: () => T): T {
    return this.#connection.transaction(work);
  }

  /**
   * Records changes as pending; the kernel may be changed once this has returned. Returns whether each address was in the
   * other state: without a ban where it is to be blocked, blocked where it is to be released.
   */
  begin(changes: readonly PendingChange[], nowMs: number): boolean {
    const wereOpposite = this.#connection.transaction(() => {
      return runsOf(changes, allButAddress).map((alike) => this.#beginAlike(alike, nowMs));
    });
    this.#begunIn = this.#connection.replacements;
    this.#keepUnsaved(changes);
    return wereOpposite.every(Boolean);
  }

  /** What earlier runs could not save becomes pending, but for what they had seen in the kernel. */
  takeUnsaved(): void {
    this.#unsaved.handOver((changes) => {
      this.#connection.transaction(() => {
        this.#beginEach(changes)();
        const list = asList(confirmedIn(changes));
        for (const sql of [FORGET_RELEASED, CONFIRM_BLOCKED]) this.#connection.run(sql, list);
      });
      return !this.#connection.volatile;
    });
  }

  /** For whoever only looks: all of it is pending, and nothing is saved. Returns whether there is any. */
  showUnsaved(): boolean {
    const changes = this.#unsaved.read();
    if (changes.length > 0) this.#connection.shadow(['bans', 'holds'], this.#beginEach(changes));
    return changes.length > 0;
  }

  readonly #beginEach = (changes: readonly PendingChange[]) => (): void => {
    for (const change of changes) {
      if (!change.confirmed) this.#beginAlike([change], change.hold?.addedMs ?? Date.now());
      if (change.foreign) this.#putForeign(change.address.text, change.foreign);
    }
  };

  #keepUnsaved(changes: readonly PendingChange[]): void {
    if (this.#connection.volatile && !this.#connection.readOnly) this.#unsaved.keep(changes);
  }

  /**
   * The kernel was seen to be so: `blocking` becomes `blocked`, `unblocking` is forgotten, and history says so. Returns
   * those that another run has confirmed or turned round meanwhile: one of the two had no writer lock.
   */
  confirm<T extends KernelChange>(
    changes: readonly T[],
    history: readonly HistoryEntry[],
    { foreign = new Map(), countsOffences = false }: Confirmation = {},
  ): T[] {
    const own = this.#connection.transaction(() => {
      if (countsOffences) this.#connection.run(COUNT_OFFENCES, listOf(changes, 'blocking'));
      const confirmed = new Set([
        ...this.#texts(`${FORGET_RELEASED} RETURNING address`, listOf(changes, 'unblocking')),
        ...this.#texts(`${CONFIRM_BLOCKED} RETURNING address`, listOf(changes, 'blocking')),
      ]);
      for (const [text, rules] of foreign) if (confirmed.has(text)) this.#putForeign(text, rules);
      this.#history.insert(history.filter(({ outcome }) => confirmed.has(outcome.address.text)));
      return confirmed;
    });
    const isOwn = ({ address }: KernelChange): boolean => own.has(address.text);
    this.#keepUnsaved(confirmationsOf(changes.filter(isOwn), foreign));
    // A state that took the place of one that failed may never have had them.
    if (this.#connection.replacements !== this.#begunIn) return [];
    return changes.filter((change) => !isOwn(change));
  }

  /** Puts holds on addresses that stay blocked. Returns the text of those that another run has released meanwhile: they get none. */
  addHolds(changes: readonly PendingChange[]): Set<string> {
    const list = asList(changes.map(({ address }) => address));
    const [released, left] = this.#connection.transaction(() => {
      const gone = new Set(this.#texts(NOT_BLOCKED, list));
      const others = changes.filter(({ address }) => !gone.has(address.text));
      for (const alike of runsOf(others, allButAddress)) {
        this.#putHolds(asList(alike.map(({ address }) => address)), holdsOf(alike[0]));
      }
      return [gone, others];
    });
    this.#keepUnsaved(left);
    return released;
  }

  noteForeign(foreign: ReadonlyMap<string, ForeignRules>): void {
    if (foreign.size === 0) return;
    this.#connection.transaction(() => {
      for (const [text, rules] of foreign) this.#putForeign(text, rules);
    });
  }

  /** Puts bans back as they were before changes that failed. */
  revert(bans: readonly StoredBan[]): void {
    if (bans.length === 0) return;
    this.#connection.transaction(() => {
      for (const { address, phase, sinceMs, holds, line, offset, foreign } of bans) {
        this.#connection.run('DELETE FROM bans WHERE address = ?', address.text);
        this.#connection.run(
          'INSERT INTO bans (address, phase, since_ms, owed) VALUES (?, ?, ?, ?)',
          address.text,
          phase,
          sinceMs,
          lineJson(line, offset),
        );
        if (foreign !== null) this.#putForeign(address.text, foreign);
        this.#putHolds(asList([address]), holds);
      }
    });
    this.#keepUnsaved(bans.flatMap(changesTo));
  }

  /** Ends holds without unblocking their address, which others still hold. */
  dropHolds(holds: readonly HoldKey[]): void {
    this.#connection.transaction(() => {
      for (const { address, origin } of holds) this.#dropHold(asList([address]), origin);
    });
    const change = { ...LINELESS, phase: 'blocking', hold: null } as const;
    this.#keepUnsaved(holds.map(({ address, origin }) => ({ ...change, address, ends: origin })));
  }

  #select(condition: string, ...values: SQLInputValue[]): StoredBan[] {
    const sql = `SELECT ${COLUMNS} FROM bans LEFT JOIN holds USING (address) ${condition} ${AS_MADE}, added_ms`;
    return this.#connection.guard(() => readBans(this.#connection.each(sql, ...values)));
  }

  #beginAlike(changes: readonly [PendingChange, ...PendingChange[]], nowMs: number): boolean {
    const { phase, line, offset, ends } = changes[0];
    const list = asList(changes.map(({ address }) => address));
    const [known] = this.#connection.all(COUNT_KNOWN, list);
    const wereOpposite =
      phase === 'blocking' ? known?.['known'] === 0 : known?.['blocked'] === changes.length;
    // What was about to be released begins anew: its old holds are over.
    if (phase === 'blocking') this.#connection.run(FORGET_RELEASED, list);
    this.#connection.run(
      `INSERT INTO bans (address, phase, since_ms, owed) SELECT value, ?, ?, ? FROM json_each(?) WHERE true
       ON CONFLICT (address) DO UPDATE SET phase = excluded.phase, owed = excluded.owed`,
      phase,
      nowMs,
      lineJson(line, offset),
      list,
    );
    if (ends !== undefined) this.#dropHold(list, ends);
    this.#putHolds(list, holdsOf(changes[0]));
    return wereOpposite;
  }

  #texts(sql: string, list: string): string[] {
    return this.#connection.guard(() =>
      [...this.#connection.each(sql, list)].map(([text]) => String(text)),
    );
  }

  #dropHold(list: string, origin: Origin): void {
    this.#connection.run(`DELETE FROM holds WHERE origin = ? AND ${AMONG_THESE}`, origin, list);
  }

  #putForeign(text: string, rules: ForeignRules): void {
    const json = Object.keys(rules).length === 0 ? null : JSON.stringify(rules);
    this.#connection.run('UPDATE bans SET foreign_rules = ? WHERE address = ?', json, text);
  }

  #putHolds(list: string, holds: readonly Hold[]): void {
    for (const hold of holds) {
      this.#connection.run(
        `INSERT OR REPLACE INTO holds
         (address, origin, added_ms, timeout_seconds, expires_at_ms, alert_id, rule_id, reason, forced)
         SELECT value, ?, ?, ?, ?, ?, ?, ?, ? FROM json_each(?)`,
        hold.origin,
        hold.addedMs,
        hold.timeoutSeconds,
        hold.expiresAtMs,
        hold.alertRef.alertId,
        hold.alertRef.ruleId,
        hold.reason,
        hold.forced ? 1 : 0,
        list,
      );
    }
  }
}
