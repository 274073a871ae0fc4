// Reads and changes the tables of bans and holds, including pending changes.
import type { SQLInputValue } from 'node:sqlite';
import { contains, type Address } from '../model/address.ts';
import type { Ban, ForeignRules, Hold, HoldKey, Origin } from '../model/ban.ts';
import type { Connection } from './connection.ts';
import { type History, type HistoryEntry, COUNT_OFFENCES } from './history.ts';
import { confirmationsOf, confirmedIn, type Unsaved } from './unsaved.ts';
import {
  COLUMNS,
  lineJson,
  readAddress,
  readBans,
  type StoredBan,
  ADDRESS_IN_LIST,
  asList,
  runsOf,
  sharedFields,
  changesTo,
  holdsOf,
  listOf,
  CONFIRM_BLOCKED,
  COUNT_KNOWN,
  FORGET_RELEASED,
  WITHOUT_LINE,
  NOT_BLOCKED,
  WITHOUT_BAN,
  type Confirmation,
  type KernelChange,
  type PendingChange,
} from './rows.ts';

/** Orders bans by age, then by rowid. Plain rules are removed fast in the reverse of this order only. */
const OLDEST_FIRST = 'ORDER BY since_ms, bans.rowid';

/** The bans in the state. Every operation is one transaction. */
export class Bans {
  readonly #connection: Connection;
  readonly #history: History;
  readonly #unsaved: Unsaved;
  #replacementsAtBegin = 0;

  constructor(connection: Connection, history: History, unsaved: Unsaved) {
    this.#connection = connection;
    this.#history = history;
    this.#unsaved = unsaved;
  }

  find(address: Address): StoredBan | null {
    return this.findAll([address]).get(address.text) ?? null;
  }

  /** Returns the bans of a list of addresses, by the text of the address. */
  findAll(addresses: readonly Address[]): ReadonlyMap<string, StoredBan> {
    const bans = this.#select(`WHERE ${ADDRESS_IN_LIST}`, asList(addresses));
    return new Map(bans.map((ban) => [ban.address.text, ban]));
  }

  /** Returns the addresses of a list that have no ban. */
  withoutBan(addresses: readonly Address[]): Address[] {
    const unknown = new Set(this.#texts(WITHOUT_BAN, asList(addresses)));
    return addresses.filter(({ text }) => unknown.has(text));
  }

  /** Returns all bans, oldest first. */
  list(): StoredBan[] {
    return this.#select('');
  }

  /** Returns the bans of addresses and networks within an IPv4 network, except that of the network itself. */
  within(network: Address): StoredBan[] {
    // The text of each address begins with the whole bytes of the network. '/' is the character after '.'.
    const bytes = network.text.split('.').slice(0, Math.floor(network.prefixLength / 8));
    const first = bytes.map((byte) => `${byte}.`).join('');
    const bans = this.#select('WHERE address >= ? AND address < ?', first, `${bytes.join('.')}/`);
    return bans.filter(({ address }) => {
      return address.text !== network.text && contains(network, address);
    });
  }

  /** Returns the addresses that an origin holds, or all banned addresses if `origin` is null, oldest ban first. */
  heldBy(origin: Origin | null): Address[] {
    const sql = `SELECT address FROM bans WHERE ? IS NULL OR address IN (SELECT address FROM holds WHERE origin = ?) ${OLDEST_FIRST}`;
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

  /** Returns blocked bans with at least one hold whose deadline has passed, oldest first. */
  due(nowMs: number): Ban[] {
    const overdue = 'SELECT address FROM holds WHERE expires_at_ms <= ?';
    return this.#select(`WHERE phase = 'blocked' AND address IN (${overdue})`, nowMs);
  }

  /** Runs `work` in one transaction, so that no other run changes the state meanwhile. `work` can run again. */
  transaction<T>(work: () => T): T {
    return this.#connection.transaction(work);
  }

  /** Records changes as pending, before the kernel changes. Returns true if every address still needed its change. */
  begin(changes: readonly PendingChange[], nowMs: number): boolean {
    const neededChange = this.#connection.transaction(() => {
      return runsOf(changes, sharedFields).map((alike) => this.#beginAlike(alike, nowMs));
    });
    this.#replacementsAtBegin = this.#connection.replacements;
    this.#keepUnsaved(changes);
    return neededChange.every(Boolean);
  }

  /** Records the unsaved changes of earlier runs as pending, except those that are confirmed. */
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

  /** Shows unsaved changes as pending to a run that only reads. Returns true if there are any. */
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
   * Confirms changes that were verified in the kernel: `blocking` becomes `blocked`, `unblocking` bans are deleted, and
   * the history is written. Returns the changes that another run has confirmed or reversed in the meantime, which can
   * happen if one of the two runs has no writer lock.
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
    // The state was replaced after a failure, and the new one may lack these changes.
    if (this.#connection.replacements !== this.#replacementsAtBegin) return [];
    return changes.filter((change) => !isOwn(change));
  }

  /** Adds holds to blocked addresses. Returns the texts of those that another run has unblocked; they get none. */
  addHolds(changes: readonly PendingChange[]): Set<string> {
    const list = asList(changes.map(({ address }) => address));
    const [released, left] = this.#connection.transaction(() => {
      const gone = new Set(this.#texts(NOT_BLOCKED, list));
      const others = changes.filter(({ address }) => !gone.has(address.text));
      for (const alike of runsOf(others, sharedFields)) {
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

  /** Restores bans to their state before changes that failed. */
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

  /** Deletes holds whose address stays blocked because of other holds. */
  dropHolds(holds: readonly HoldKey[]): void {
    this.#connection.transaction(() => {
      for (const { address, origin } of holds) this.#dropHold(asList([address]), origin);
    });
    const change = { ...WITHOUT_LINE, phase: 'blocking', hold: null } as const;
    this.#keepUnsaved(holds.map(({ address, origin }) => ({ ...change, address, ends: origin })));
  }

  #select(condition: string, ...values: SQLInputValue[]): StoredBan[] {
    const sql = `SELECT ${COLUMNS} FROM bans LEFT JOIN holds USING (address) ${condition} ${OLDEST_FIRST}, added_ms`;
    return this.#connection.guard(() => readBans(this.#connection.each(sql, ...values)));
  }

  #beginAlike(changes: readonly [PendingChange, ...PendingChange[]], nowMs: number): boolean {
    const { phase, line, offset, ends } = changes[0];
    const list = asList(changes.map(({ address }) => address));
    const [known] = this.#connection.all(COUNT_KNOWN, list);
    const neededChange =
      phase === 'blocking' ? known?.['known'] === 0 : known?.['blocked'] === changes.length;
    // A ban with a pending release starts over: its old holds have ended.
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
    return neededChange;
  }

  #texts(sql: string, list: string): string[] {
    return this.#connection.guard(() =>
      [...this.#connection.each(sql, list)].map(([text]) => String(text)),
    );
  }

  #dropHold(list: string, origin: Origin): void {
    this.#connection.run(`DELETE FROM holds WHERE origin = ? AND ${ADDRESS_IN_LIST}`, origin, list);
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
