// Pending changes: how the state records a change before it is made in the kernel.
import type { Address } from '../model/address.ts';
import type { ForeignRules, Hold, Origin, Outcome } from '../model/ban.ts';
import { ADDRESS_IN_LIST, asList } from './lists.ts';
import type { LogOffset, StoredBan } from './rows.ts';

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
