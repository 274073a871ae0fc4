// Ends holds on request, and unblocks the address with the last one. Ends the bans of single addresses that a ban of
// their network replaces.
import type { Address } from '../model/address.ts';
import {
  hasForeignRules,
  type AlertRef,
  type Ban,
  type Origin,
  isOfAlerts,
  remainingSeconds,
} from '../model/ban.ts';
import { ProgramMissing, describeError } from '../model/errors.ts';
import type { BanContext } from './context.ts';
import {
  commitDecided,
  forgetReleases,
  logFailures,
  stillPending,
  type BanChange,
} from './journal.ts';

export interface ReleaseRequest {
  /** The origin whose hold ends; null for all holds. */
  readonly origin: Origin | null;
  readonly alertRef: AlertRef;
  /** True if a person named the addresses. Foreign rules for them are then removed too. */
  readonly named?: boolean;
  /** The user who ran the command; absent for execd or a timer. */
  readonly by?: string;
  /** The reason in the history. */
  readonly reason?: string;
}

export interface ReleaseOutcomes {
  readonly released: readonly Address[];
  /** Addresses that stay blocked: another origin holds them, or a foreign rule drops them. */
  readonly kept: readonly Address[];
  /** Addresses without a ban and without a rule in the kernel. */
  readonly absent: readonly Address[];
  /** Released addresses of which a foreign rule was removed. */
  readonly foreign: readonly Address[];
}

export type ReleaseOutcome = 'released' | 'kept' | 'absent';

/**
 * Ends a hold, and unblocks the address with the last one. If there is no ban, removes a rule of our shape. Throws
 * `FIREWALL` if the removal can't be verified; the next run then tries again.
 */
export function unblock(
  address: Address,
  request: ReleaseRequest,
  context: BanContext,
): ReleaseOutcome {
  const { kept, absent } = unblockAll([address], request, context);
  if (absent.length > 0) return 'absent';
  return kept.length > 0 ? 'kept' : 'released';
}

/** Unblocks many addresses, in one firewall transaction per family. Throws as `unblock` does. */
export function unblockAll(
  addresses: readonly Address[],
  request: ReleaseRequest,
  context: BanContext,
): ReleaseOutcomes {
  const unique = [...new Map(addresses.map((address) => [address.text, address])).values()];
  const present = presentIn(context.store.bans.withoutBan(unique), context);
  let changes: BanChange[] = [];
  let foreign: Address[] = [];
  try {
    commitDecided(() => {
      ({ changes, foreign } = decide(unique, present, request, context));
      return changes;
    }, context);
  } catch (error) {
    const pending = stillPending(changes, context);
    logFailures(pending, context);
    // Without the program and without a ban, nothing of ours is left for later runs to remove.
    if (error instanceof ProgramMissing) {
      const unknown = pending.filter(({ before }) => before === null);
      forgetReleases(unknown, context);
    }
    throw error;
  }
  const isKept = ({ line }: BanChange): boolean => line?.verb === 'kept';
  const changed = new Set(changes.map(({ address }) => address.text));
  return {
    released: changes.filter((change) => !isKept(change)).map(addressOf),
    kept: changes.filter(isKept).map(addressOf),
    absent: unique.filter(({ text }) => !changed.has(text)),
    foreign,
  };
}

function decide(
  addresses: readonly Address[],
  present: readonly Address[],
  request: ReleaseRequest,
  { store }: BanContext,
): { readonly changes: BanChange[]; readonly foreign: Address[] } {
  const found = store.bans.findAll(addresses);
  const bans = [...found.values()];
  const foreign = present.filter(({ text }) => !found.has(text));
  const beside = request.named === true ? bans.filter(hasForeignRules).map(addressOf) : [];
  const releases = foreign.map((address) => releaseOf(address, null, 'delete', request));
  const changes = [...bans.map((ban) => changeOf(ban, request)), ...releases];
  return { changes, foreign: [...foreign, ...beside] };
}

function addressOf({ address }: { readonly address: Address }): Address {
  return address;
}

/** Returns the addresses without a ban that the kernel drops nevertheless. */
function presentIn(unknown: readonly Address[], { firewall }: BanContext): readonly Address[] {
  const releases = unknown.map((address) => ({ address, to: 'released' as const }));
  try {
    return firewall.compare(releases).missing.map(addressOf);
  } catch {
    // The kernel can't be inspected. The release that follows fails in the same way, reports it, and stays pending.
    return unknown;
  }
}

function changeOf(ban: Ban, request: ReleaseRequest): BanChange {
  const { origin } = request;
  if (origin !== null && isHeldByOthers(ban, origin)) {
    const line = { verb: 'kept', address: ban.address, alertRef: request.alertRef } as const;
    const { address } = ban;
    return { address, to: 'blocked', before: ban, ends: origin, line, ...historyOf(request) };
  }
  if (request.named === true)
    return releaseOf(ban.address, { ...ban, foreign: {} }, 'delete', request);
  return releaseOf(ban.address, ban, hasForeignRules(ban) ? 'kept' : 'delete', request);
}

function releaseOf(
  address: Address,
  before: Ban | null,
  verb: 'kept' | 'delete',
  request: ReleaseRequest,
): BanChange {
  const line = { verb, address, alertRef: request.alertRef };
  return { address, to: 'released', before, line, ...historyOf(request) };
}

/** Returns the fields of the history record. A command of a person is `manual`, whichever origin held the address. */
function historyOf({
  origin,
  reason = '',
  by,
}: ReleaseRequest): Pick<BanChange, 'origin' | 'reason' | 'by'> {
  return by === undefined ? { origin, reason } : { origin: 'manual', reason, by };
}

function isHeldByOthers(ban: Ban, origin: Origin): boolean {
  return ban.phase !== 'unblocking' && ban.holds.some((hold) => hold.origin !== origin);
}

/**
 * Ends the bans of `addresses` that `network` covers. Must be called after the network is blocked. Bans may have
 * changed since the list was made without the writer lock: a ban that a person made, or that lasts longer than that of
 * the network, stays. A failed release stays pending for the next run.
 */
export function absorb(addresses: readonly Address[], network: Address, context: BanContext): void {
  const { bans } = context.store;
  const leftOf = ({ holds }: Ban): number => remainingSeconds(holds, context.now()) ?? Infinity;
  try {
    commitDecided(() => {
      const whole = bans.find(network);
      const left = whole === null ? 0 : leftOf(whole);
      const covered = [...bans.findAll(addresses).values()].filter((ban) => {
        return isOfAlerts(ban) && leftOf(ban) <= left;
      });
      return covered.map((ban) => absorptionOf(ban, network));
    }, context);
  } catch (error) {
    context.warn(
      `${network.text} is blocked, but addresses in it still have rules of their own: ${describeError(error)}`,
    );
  }
}

/** Returns the release of a ban. Its line says `kept`, because the address stays blocked. */
function absorptionOf(ban: Ban, network: Address): BanChange {
  const { address, holds } = ban;
  const alertRef = holds.at(-1)?.alertRef ?? { alertId: '0.0', ruleId: '0' };
  const line = { verb: 'kept', address, alertRef } as const;
  const origin = holds.at(-1)?.origin ?? null;
  return { address, to: 'released', before: ban, line, origin, reason: `part of ${network.text}` };
}
