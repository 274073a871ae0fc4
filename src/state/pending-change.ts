// A change of the kernel as the state records it before it is made.
import type { Address } from '../model/address.ts';
import type { ForeignRules, Hold, Origin, Outcome } from '../model/ban.ts';
import { AMONG_THESE, asList } from './lists.ts';
import type { LogOffset, StoredBan } from './rows.ts';

/** A change of the kernel that is about to be made. */
export interface PendingChange {
  readonly address: Address;
  readonly phase: 'blocking' | 'unblocking';
  /** The line to write once it is done; null when nobody waits for one. */
  readonly line: Outcome | null;
  readonly offset: LogOffset | null;
  /** For `blocking`: the hold to add, in the place of an older one of the same origin. */
  readonly hold: Hold | null;
  /** Holds of other origins that begin with it. */
  readonly also?: readonly Hold[] | undefined;
  /** For `blocking`: whose hold ends with it, while others go on. */
  readonly ends?: Origin | undefined;
  /** For `unblocking`: the rules of somebody else, which stay. Null or absent: none are known. */
  readonly foreign?: ForeignRules | null;
  /** Of what could not be saved: the kernel was seen to be so. */
  readonly confirmed?: true | undefined;
}

export interface Confirmation {
  /** Rules of others that were found meanwhile, by the address's text. */
  readonly foreign?: ReadonlyMap<string, ForeignRules>;
  /** Whether bans that alerts begin are counted, for escalation. */
  readonly countsOffences?: boolean;
}

/** What two changes have in common that differ in their address alone. */
export function allButAddress(change: PendingChange): readonly unknown[] {
  const { phase, line, offset, hold, also, ends } = change;
  return [phase, line?.verb, line?.alertRef, offset, hold, also, ends];
}

/** The holds that begin with a change. */
export function holdsOf({ hold, also = [] }: PendingChange): readonly Hold[] {
  return hold === null ? also : [hold, ...also];
}

/** Worded as the index of pending changes is: they are gone through, and not all of the list is looked up. With `asList`. */
const PENDING_AMONG_THESE = `phase <> 'blocked' AND +${AMONG_THESE}`;
export const FORGET_RELEASED = `DELETE FROM bans WHERE phase = 'unblocking' AND ${PENDING_AMONG_THESE}`;
export const CONFIRM_BLOCKED = `UPDATE bans SET phase = 'blocked', owed = NULL WHERE phase = 'blocking' AND ${PENDING_AMONG_THESE}`;

/** How many of a list have a ban, and how many are blocked. With `asList`. */
export const COUNT_KNOWN = `SELECT count(*) AS known, count(*) FILTER (WHERE phase = 'blocked') AS blocked FROM bans WHERE ${AMONG_THESE}`;

/** Those of a list that have no ban, or none that is blocked, by their text. With `asList`. */
export const WITHOUT_BAN =
  'SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM bans WHERE address = value)';
export const NOT_BLOCKED = `SELECT value FROM json_each(?) WHERE NOT EXISTS (SELECT 1 FROM bans WHERE address = value AND phase = 'blocked')`;

/** What the kernel was, or shall be, changed to. */
export type KernelChange = Pick<StoredBan, 'address' | 'phase'>;

/** Those that go one way, for `json_each`. */
export function listOf(changes: readonly KernelChange[], wanted: KernelChange['phase']): string {
  return asList(changes.filter(({ phase }) => phase === wanted).map(({ address }) => address));
}

/** Nobody waits for a line. */
export const LINELESS = { line: null, offset: null } as const;

/** What makes a ban what it is, whatever was there. */
export function changesTo({ address, phase, holds, foreign }: StoredBan): PendingChange[] {
  const begin = { ...LINELESS, address, phase: 'unblocking', hold: null, foreign } as const;
  if (phase === 'unblocking') return [begin];
  return [
    begin,
    ...holds.map((hold): PendingChange => ({ ...LINELESS, address, phase: 'blocking', hold })),
  ];
}
