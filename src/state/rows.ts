// How bans and their pending changes are stored as rows: reads them, rejecting contents that this program did not
// write, and changes many of them with one statement.
import { parseExactNetwork, type Address } from '../model/address.ts';
import type { AlertRef, Ban, ForeignRules, Hold, Origin, Outcome, Phase } from '../model/ban.ts';
import type { Values } from './connection.ts';
import { Damage } from './database.ts';

/** The end of the response log when a change was recorded. A line after it can already be that of the change. */
export interface LogOffset {
  readonly inode: number;
  readonly size: number;
}

/** A ban with the data that its pending change still needs. */
export interface StoredBan extends Ban {
  /** The log line to write after the change; null if none is due. */
  readonly line: Outcome | null;
  readonly offset: LogOffset | null;
}

/** The columns for `readBans`. The query must return one row per hold, or one row for a ban without holds. */
export const COLUMNS =
  'address, phase, since_ms, owed, foreign_rules, origin, added_ms, timeout_seconds, expires_at_ms, alert_id, rule_id, reason, forced';

/** Reads bans from rows in which those of one ban are adjacent. */
export function readBans(rows: Iterable<Values>): StoredBan[] {
  const bans: StoredBan[] = [];
  let holds: Hold[] = [];
  let last: { readonly row: Values; readonly hold: Hold | null } | null = null;
  for (const row of rows) {
    if (row[0] !== bans.at(-1)?.address.text) {
      holds = [];
      bans.push(readBan(row, holds));
    }
    // Bans of one list have equal holds, which can share one object.
    if (last === null || !isSameHold(last.row, row)) last = { row, hold: readHold(row) };
    if (last.hold !== null) holds.push(last.hold);
  }
  return bans;
}

function readBan(
  [text, phase, sinceMs, pendingLine, rules]: Values,
  holds: readonly Hold[],
): StoredBan {
  const address = readAddress(text);
  const line = readJson(pendingLine, 'the line of a pending change') as LineJson | null;
  const foreign = readJson(rules, 'the list of rules of others') as ForeignRules | null;
  return {
    address,
    phase: phase as Phase,
    // NULL means unknown only until the block is confirmed, and none after that.
    foreign: foreign === null && phase !== 'blocking' ? {} : foreign,
    sinceMs: sinceMs as number,
    holds,
    line: line && { verb: line.verb, alertRef: line.incident ?? line.alertRef, address },
    offset: line?.mark ?? null,
  };
}

/** Parses a JSON column. Returns null for NULL. */
function readJson(value: unknown, what: string): unknown {
  if (typeof value !== 'string') return null;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw new Damage(`${what} in the state is not JSON`, error);
  }
}

/** Returns the text of the column `owed`: the line without its address, and the offset as `mark`. */
export function lineJson(line: Outcome | null, offset: LogOffset | null): string | null {
  return line === null ? null : JSON.stringify({ ...line, address: undefined, mark: offset });
}

type LineJson = Pick<Outcome, 'verb' | 'alertRef'> & {
  readonly mark: LogOffset | null;
  /** The name of `alertRef` in version 0.1. */
  readonly incident?: AlertRef;
};

const FIRST_OF_HOLD = COLUMNS.split(', ').indexOf('origin');

function isSameHold(one: Values, other: Values): boolean {
  return one.every((value, at) => at < FIRST_OF_HOLD || value === other[at]);
}

/** Returns null if the row has no hold. */
function readHold(row: Values): Hold | null {
  const [, , , , , origin, addedMs, seconds, endMs, alertId, ruleId, reason, forced] = row;
  if (origin === null) return null;
  return {
    origin: origin as Origin,
    addedMs: addedMs as number,
    timeoutSeconds: seconds as number | null,
    expiresAtMs: endMs as number | null,
    alertRef: { alertId: alertId as string, ruleId: ruleId as string },
    reason: reason as string,
    forced: forced === 1,
  };
}

/** Reads an address, which this program writes in canonical form. Throws `Damage` for any other text. */
export function readAddress(value: unknown): Address {
  const address = typeof value === 'string' ? parseExactNetwork(value) : null;
  if (address === null) throw new Damage(`${String(value)} in the state is not an address`);
  return address;
}

/** Returns a list of addresses as the argument of `json_each`, which replaces one statement per address. */
export function asList(addresses: readonly Address[]): string {
  return JSON.stringify(addresses.map(({ text }) => text));
}

/** The SQL condition for addresses in a list from `asList`. */
export const ADDRESS_IN_LIST = 'address IN (SELECT value FROM json_each(?))';

/**
 * Groups consecutive items for which `fieldsOf` returns equal fields, in order. A list that a person gave is one group;
 * each alert is a group of its own.
 */
export function runsOf<T>(
  items: readonly T[],
  fieldsOf: (item: T) => readonly unknown[],
): (readonly [T, ...T[]])[] {
  const runs: [T, ...T[]][] = [];
  let last: readonly unknown[] = [];
  for (const item of items) {
    const fields = fieldsOf(item);
    const run = runs.at(-1);
    if (run !== undefined && fields.every((field, at) => isSame(field, last[at]))) run.push(item);
    else runs.push([item]);
    last = fields;
  }
  return runs;
}

/** Compares by identity first, because the items of a list mostly share their objects. */
function isSame(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other);
}

/** A change that is about to be made in the kernel. */
export interface PendingChange {
  readonly address: Address;
  readonly phase: 'blocking' | 'unblocking';
  /** The log line to write after the change; null if none is due. */
  readonly line: Outcome | null;
  readonly offset: LogOffset | null;
  /** For `blocking`: the hold to add, which replaces an older one of the same origin. */
  readonly hold: Hold | null;
  /** Holds of other origins to add. */
  readonly also?: readonly Hold[] | undefined;
  /** For `blocking`: the origin whose hold ends while others continue. */
  readonly ends?: Origin | undefined;
  /** For `unblocking`: the foreign rules, which stay; null or absent if none are known. */
  readonly foreign?: ForeignRules | null;
  /** For unsaved changes: true if the last change of the address was verified in the kernel. */
  readonly confirmed?: true | undefined;
}

export interface Confirmation {
  /** Foreign rules found while making the change, by the text of the address. */
  readonly foreign?: ReadonlyMap<string, ForeignRules>;
  /** True if bans that alerts begin are counted for escalation. */
  readonly countsOffences?: boolean;
}

/** Returns the fields of a change other than its address. */
export function sharedFields(change: PendingChange): readonly unknown[] {
  const { phase, line, offset, hold, also, ends } = change;
  return [phase, line?.verb, line?.alertRef, offset, hold, also, ends];
}

/** Returns the holds that a change adds. */
export function holdsOf({ hold, also = [] }: PendingChange): readonly Hold[] {
  return hold === null ? also : [hold, ...also];
}

/**
 * Selects the pending changes of a list (`asList`). The unary plus makes SQLite scan the index of pending changes
 * instead of looking up every address of the list.
 */
const PENDING_IN_LIST = `phase <> 'blocked' AND +${ADDRESS_IN_LIST}`;
export const FORGET_RELEASED = `DELETE FROM bans WHERE phase = 'unblocking' AND ${PENDING_IN_LIST}`;
export const CONFIRM_BLOCKED = `UPDATE bans SET phase = 'blocked', owed = NULL WHERE phase = 'blocking' AND ${PENDING_IN_LIST}`;

/** Counts the addresses of a list (`asList`) that have a ban, and those that are blocked. */
export const COUNT_KNOWN = `SELECT count(*) AS known, count(*) FILTER (WHERE phase = 'blocked') AS blocked FROM bans WHERE ${ADDRESS_IN_LIST}`;

/** Selects the addresses of a list (`asList`) that have no ban, or none that is blocked. */
export const WITHOUT_BAN =
  'SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM bans WHERE address = value)';
export const NOT_BLOCKED = `SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM bans WHERE address = value AND phase = 'blocked')`;

/** A change that is pending or was made in the kernel. */
export type KernelChange = Pick<StoredBan, 'address' | 'phase'>;

/** Returns the addresses of the changes with one phase, for `json_each`. */
export function listOf(changes: readonly KernelChange[], wanted: KernelChange['phase']): string {
  return asList(changes.filter(({ phase }) => phase === wanted).map(({ address }) => address));
}

/** The fields of a change without a log line. */
export const WITHOUT_LINE = { line: null, offset: null } as const;

/** Returns the changes that recreate a ban from any earlier state of its address. */
export function changesTo({ address, phase, holds, foreign }: StoredBan): PendingChange[] {
  const begin = { ...WITHOUT_LINE, address, phase: 'unblocking', hold: null, foreign } as const;
  if (phase === 'unblocking') return [begin];
  return [
    begin,
    ...holds.map((hold): PendingChange => ({ ...WITHOUT_LINE, address, phase: 'blocking', hold })),
  ];
}
