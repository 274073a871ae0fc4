// Releases addresses when somebody says so: the mirror of blocking, with the same promises.
import { step } from '../system/fault.ts';
import type { Address } from '../model/address.ts';
import type { Ban, AlertRef, Origin, Outcome } from '../model/ban.ts';
import { release } from './release.ts';
import type { Tools } from './tools.ts';

export interface ReleaseRequest {
  /** Whose hold ends; null: everybody's. */
  readonly origin: Origin | null;
  readonly alertRef: AlertRef;
}

export type ReleaseOutcome = 'released' | 'kept';

/**
 * Ends a hold, and the block with the last one. An address that was not blocked is released all the same: the kernel
 * is looked at, and what is there goes. Throws `FIREWALL` when the kernel was not seen to be rid of it; the next run
 * then tries again.
 */
export function unblock(address: Address, request: ReleaseRequest, tools: Tools): ReleaseOutcome {
  return unblockAll([address], request, tools).kept.length > 0 ? 'kept' : 'released';
}

export interface ReleaseOutcomes {
  readonly released: readonly Address[];
  /** Still held by others than the one who released. */
  readonly kept: readonly Address[];
}

/** Many at once, in one firewall transaction per family. Throws as `unblock` does. */
export function unblockAll(
  addresses: readonly Address[],
  request: ReleaseRequest,
  tools: Tools,
): ReleaseOutcomes {
  const bans = tools.store.findAll(addresses);
  const known = addresses.map((address) => ({ address, ban: bans.get(address.text) ?? null }));
  const held = known.filter(({ ban }) => ban !== null && isHeldByOthers(ban, request.origin));
  const isHeld = new Set(held);
  const ending = known.filter((one) => !isHeld.has(one));
  keep(
    held.flatMap(({ ban }) => ban ?? []),
    request,
    tools,
  );
  try {
    release(
      ending.map(({ address, ban }) => {
        return { ...request, address, reason: '', inState: ban?.phase === 'blocked' };
      }),
      tools,
    );
  } catch (error) {
    tellFailures(ending, request, tools);
    throw error;
  }
  const addressesOf = (ones: typeof known): Address[] => ones.map(({ address }) => address);
  return { released: addressesOf(ending), kept: addressesOf(held) };
}

function isHeldByOthers(ban: Ban, origin: Origin | null): boolean {
  if (origin === null || ban.phase === 'unblocking') return false;
  return ban.holds.some((hold) => hold.origin !== origin);
}

/** A hold ends and others go on: its end and the line that is owed become durable together. */
function keep(bans: readonly Ban[], { origin, alertRef }: ReleaseRequest, tools: Tools): void {
  if (bans.length === 0) return;
  const { store, responseLog, now } = tools;
  const mark = responseLog.offset();
  const outcomes = bans.map(({ address }): Outcome => ({ verb: 'kept', address, alertRef }));
  const ends = origin === null ? {} : { ends: origin };
  store.intend(
    outcomes.map((owed) => {
      return { address: owed.address, phase: 'blocking', owed, mark, hold: null, ...ends };
    }),
    now(),
  );
  step('keep: intent written');
  responseLog.write(outcomes);
  step('keep: lines written');
  store.confirm(
    bans.map(({ address }) => address),
    outcomes.map((outcome) => ({ atMs: now(), outcome, origin, reason: '' })),
  );
  step('keep: books confirmed');
}

/** One family may have succeeded: only what is still to be released has failed. */
function tellFailures(
  ending: readonly { readonly address: Address }[],
  { origin, alertRef }: ReleaseRequest,
  { store, responseLog, now }: Tools,
): void {
  const bans = store.findAll(ending.map(({ address }) => address));
  const left = ending.filter(({ address }) => bans.has(address.text));
  const outcomes = left.map(({ address }): Outcome => ({ verb: 'failed', address, alertRef }));
  responseLog.write(outcomes);
  store.record(outcomes.map((outcome) => ({ atMs: now(), outcome, origin, reason: '' })));
}
