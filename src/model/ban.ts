// What a ban is: an address that stays blocked while any of its holds lives.
import type { Address } from './address.ts';

/**
 * Who asked for a block; one hold each. `repeat` is escalation, `policy` what else makes a ban last beyond execd's own
 * delete: neither ends by that.
 */
export const ORIGINS = ['wazuh', 'ossec', 'manual', 'repeat', 'policy'] as const;
export type Origin = (typeof ORIGINS)[number];

/** Which alert a line in the log speaks of, in the shapes that the rule engines decode. */
export interface AlertRef {
  /** `digits.digits`: the alert's id, or the time of the action where there was no alert. */
  readonly alertId: string;
  /** Digits; `0` where there was no rule. */
  readonly ruleId: string;
}

export interface Hold {
  readonly origin: Origin;
  readonly addedMs: number;
  /** How long was asked for, in seconds; null: until somebody releases it. */
  readonly timeoutSeconds: number | null;
  /** Unix time in milliseconds; null exactly when `timeoutSeconds` is. */
  readonly expiresAtMs: number | null;
  readonly alertRef: AlertRef;
  /** Free text for people; empty when none was given. */
  readonly reason: string;
  /** A person insisted, though the address is protected. */
  readonly forced: boolean;
}

/** Each origin has one hold on an address. */
export interface HoldKey {
  readonly address: Address;
  readonly origin: Origin;
}

/**
 * `blocking` and `unblocking` are pending changes: durable before the kernel is changed, completed by the next run if this
 * one is killed.
 */
export type Phase = 'blocking' | 'blocked' | 'unblocking';

/** How many rules of somebody else drop an address, by chain; chains without any are left out. */
export type ForeignRules = Readonly<Record<string, number>>;

export interface Ban {
  readonly address: Address;
  readonly phase: Phase;
  readonly sinceMs: number;
  readonly holds: readonly Hold[];
  /**
   * Rules of our shape that were in the kernel before the block: how many, by chain. They are somebody else's and stay.
   * Null while that is not known, in a block that is pending.
   */
  readonly foreign: ForeignRules | null;
}

/** What is about to be released is held by nobody any more. */
export function livingHolds(ban: Ban | null): readonly Hold[] {
  return ban === null || ban.phase === 'unblocking' ? [] : ban.holds;
}

/** Whether rules that were there before the block drop the address, and stay. */
export function hasForeignRules({ foreign }: Ban): boolean {
  return Object.keys(foreign ?? {}).length > 0;
}

export function isForced({ holds }: Pick<Ban, 'holds'>): boolean {
  return holds.some(({ forced }) => forced);
}

/** The reason that history gives for a block that ended by itself. */
export const EXPIRED = 'expired';

/** The reason of what `doctor --test` does. */
export const TRIAL = 'doctor --test';

/** The verb of a log line: what became of the address. `held` is for the history alone: a person's hold began or changed on what was blocked. */
export type Verb = 'add' | 'delete' | 'kept' | 'reapplied' | 'held' | 'failed' | 'refused';

/** Something that happened to an address and is written to the response log. */
export interface Outcome {
  readonly verb: Verb;
  readonly address: Address;
  readonly alertRef: AlertRef;
}

/** One claim on a ban, which ends by itself; execd's own delete ends only the one of its origin. */
export interface HoldLength {
  readonly origin: Origin;
  /** Null: until somebody releases it. */
  readonly timeoutSeconds: number | null;
}

/** A hold as it is requested, before its times are known. */
export interface HoldRequest extends HoldLength {
  readonly alertRef: AlertRef;
  readonly reason: string;
  /** Only a person can: the address may be protected. */
  readonly forced?: boolean;
  /** Holds of other origins that begin with it. */
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

/** How much longer an address stays blocked for these holds, in seconds; null: until somebody releases it. */
export function remainingSeconds(holds: readonly Hold[], nowMs: number): number | null {
  const ends = holds.map((hold) => hold.expiresAtMs ?? Infinity);
  const last = Math.max(nowMs, ...ends);
  return last === Infinity ? null : (last - nowMs) / 1000;
}

/** An alertRef for an action without an alert: the time of the action, and rule 0. */
export function alertRefAt(nowMs: number): AlertRef {
  const seconds = Math.floor(nowMs / 1000);
  const microseconds = String(Math.floor((nowMs - seconds * 1000) * 1000)).padStart(6, '0');
  return { alertId: `${seconds}.${microseconds}`, ruleId: '0' };
}
