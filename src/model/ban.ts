// The types of bans and holds. A ban lasts as long as one of its holds.
import type { Address } from './address.ts';

/**
 * The origin of a hold. `repeat` is escalation. `policy` covers other policies that make a ban last beyond execd's own
 * delete. execd's delete does not end holds of these two.
 */
export const ORIGINS = ['wazuh', 'ossec', 'manual', 'repeat', 'policy'] as const;
export type Origin = (typeof ORIGINS)[number];

/** The reference of a log line to an alert, in the form that the rule engines decode. */
export interface AlertRef {
  /** The id of the alert as `digits.digits`, or the time of the action if there was no alert. */
  readonly alertId: string;
  /** The id of the rule as digits; `0` if there was no rule. */
  readonly ruleId: string;
}

export interface Hold {
  readonly origin: Origin;
  readonly addedMs: number;
  /** The requested time in seconds; null for a hold without an end. */
  readonly timeoutSeconds: number | null;
  /** The deadline as Unix time in milliseconds; null if and only if `timeoutSeconds` is null. */
  readonly expiresAtMs: number | null;
  readonly alertRef: AlertRef;
  /** Free text from a person; empty if there is none. */
  readonly reason: string;
  /** True if a person forced the hold, although the address is protected. */
  readonly forced: boolean;
}

/** The key of a hold. Each origin has at most one hold on an address. */
export interface HoldKey {
  readonly address: Address;
  readonly origin: Origin;
}

/**
 * The phase of a ban. `blocking` and `unblocking` are pending changes. They are durable before the kernel is changed,
 * and if the run is killed, the next one completes them.
 */
export type Phase = 'blocking' | 'blocked' | 'unblocking';

/** The number of foreign rules for an address, by chain. Chains without any are left out. */
export type ForeignRules = Readonly<Record<string, number>>;

export interface Ban {
  readonly address: Address;
  readonly phase: Phase;
  readonly sinceMs: number;
  readonly holds: readonly Hold[];
  /**
   * Rules of our shape that were in the kernel before the block. They belong to other programs and stay. null while
   * they are not known, during a pending block.
   */
  readonly foreign: ForeignRules | null;
}

/** Returns the holds of a ban; none if its release is pending or there is no ban. */
export function livingHolds(ban: Ban | null): readonly Hold[] {
  return ban === null || ban.phase === 'unblocking' ? [] : ban.holds;
}

/** Reports whether foreign rules drop the address, which stay when the ban ends. */
export function hasForeignRules({ foreign }: Ban): boolean {
  return Object.keys(foreign ?? {}).length > 0;
}

export function isForced({ holds }: Pick<Ban, 'holds'>): boolean {
  return holds.some(({ forced }) => forced);
}

/** Reports whether only alerts hold the ban. Bans that a person holds are neither counted nor absorbed. */
export function isOfAlerts({ phase, holds }: Ban): boolean {
  return (
    phase === 'blocked' && holds.length > 0 && holds.every(({ origin }) => origin !== 'manual')
  );
}

/** The reason in the history for a ban that expired. */
export const EXPIRED = 'expired';

/** The reason in the history for blocks made by `doctor --test`. */
export const TRIAL = 'doctor --test';

/**
 * The verb of a log line. `held` appears only in the history: a person added or changed a hold on a blocked address.
 */
export type Verb = 'add' | 'delete' | 'kept' | 'reapplied' | 'held' | 'failed' | 'refused';

/** An event of an address that is written to the response log. */
export interface Outcome {
  readonly verb: Verb;
  readonly address: Address;
  readonly alertRef: AlertRef;
}

/** A hold and its timeout. execd's own delete ends only the hold of execd's origin. */
export interface HoldLength {
  readonly origin: Origin;
  /** null if the hold has no deadline. */
  readonly timeoutSeconds: number | null;
}

/** A requested hold, before its times are set. */
export interface HoldRequest extends HoldLength {
  readonly alertRef: AlertRef;
  readonly reason: string;
  /** True if the address may be protected. Only a person can set it. */
  readonly forced?: boolean;
  /** Holds of other origins to add. */
  readonly also?: readonly HoldLength[];
}

export function makeHolds(request: HoldRequest, nowMs: number): readonly [Hold, ...Hold[]] {
  const further = (request.also ?? []).map((other) => makeHold({ ...request, ...other }, nowMs));
  return [makeHold(request, nowMs), ...further];
}

export function makeHold(request: HoldRequest, nowMs: number): Hold {
  const { timeoutSeconds } = request;
  const expiresAtMs = timeoutSeconds === null ? null : nowMs + timeoutSeconds * 1000;
  const { origin, alertRef, reason, forced = false } = request;
  return { origin, timeoutSeconds, alertRef, reason, forced, addedMs: nowMs, expiresAtMs };
}

/** Returns how long these holds keep an address blocked, in seconds; null if one has no end. */
export function remainingSeconds(holds: readonly Hold[], nowMs: number): number | null {
  const ends = holds.map((hold) => hold.expiresAtMs ?? Infinity);
  const last = Math.max(nowMs, ...ends);
  return last === Infinity ? null : (last - nowMs) / 1000;
}

/** Returns the reference for an action without an alert: the time of the action, and rule 0. */
export function alertRefAt(nowMs: number): AlertRef {
  const seconds = Math.floor(nowMs / 1000);
  const microseconds = String(Math.floor((nowMs - seconds * 1000) * 1000)).padStart(6, '0');
  return { alertId: `${seconds}.${microseconds}`, ruleId: '0' };
}
