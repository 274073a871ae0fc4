// Blocks and releases long lists in parts, which bounds the memory and lets Ctrl-C end the run between two parts
// without leaving a change half done.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type * as V8 from 'node:v8';
import { clearBackend } from '../bans/auto-migrate.ts';
import { blockEach, type EachRequest, type Made } from '../bans/block.ts';
import { unblockAll, type ReleaseOutcomes, type ReleaseRequest } from '../bans/unblock.ts';
import type { Context } from '../context.ts';
import type { Address } from '../model/address.ts';
import { alertRefAt, type Origin } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { sortLongList } from './addresses.ts';
import { count } from './output/count.ts';

/** The largest number of addresses in one firewall transaction, which then takes a few seconds at most. */
const LARGEST_PART = 50_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Blocks addresses in parts. Throws `INTERRUPTED` if a signal arrives. */
export async function blockInParts(
  addresses: readonly Address[],
  request: EachRequest,
  context: Context,
): Promise<Made[]> {
  // Load a long list straight into sets instead of creating one rule per address first.
  context.migrate(addresses.length);
  const all: Made[] = [];
  const options = { size: LARGEST_PART, doing: 'blocked', context };
  await inParts(sortLongList(addresses), options, (part, ofPart) => {
    for (const { address, before, hold } of blockEach(part, request, ofPart)) {
      all.push({ address, before, hold });
    }
  });
  return all;
}

/** Releases addresses in parts. Throws `INTERRUPTED` if a signal arrives. */
export async function releaseInParts(
  addresses: readonly Address[],
  request: Omit<ReleaseRequest, 'alertRef'>,
  context: Context,
): Promise<ReleaseOutcomes> {
  const all: ReleaseOutcomes[] = [];
  const options = { size: context.firewall.mostReleases, doing: 'released', context };
  await inParts(addresses, options, (part, ofPart) =>
    all.push(unblockAll(part, { ...request, alertRef: alertRefAt(context.now()) }, ofPart)),
  );
  return {
    released: all.flatMap(({ released }) => released),
    kept: all.flatMap(({ kept }) => kept),
    absent: all.flatMap(({ absent }) => absent),
    foreign: all.flatMap(({ foreign }) => foreign),
  };
}

/**
 * Ends all holds, or those of one origin. Releasing the last ban also removes our sets, their rules and our table.
 * Throws `STORE` if the state could not be read and can hold further bans.
 */
export async function releaseAll(
  origin: Origin | null,
  by: string,
  context: Context,
): Promise<ReleaseOutcomes> {
  // Newest first: iptables searches from the top of the chain, where the newest rules are.
  const addresses = context.store.bans.heldBy(origin).toReversed();
  const outcomes = await releaseInParts(addresses, { origin, by }, context);
  clearBackend(context);
  context.store.metadata.flush();
  if (!context.store.unread) return outcomes;
  throw new AppError(
    'STORE',
    `${count(outcomes.released.length, 'address', 'addresses')} released; there may be more, but the state can't be read (firewall-drop doctor says what to do)`,
  );
}

interface PartOptions {
  readonly size: number;
  /** The action as a participle, for messages: `blocked`. */
  readonly doing: string;
  readonly context: Context;
}

/**
 * Defers a terminating signal to the end of the current part, then throws `INTERRUPTED` with the number of addresses
 * done.
 */
async function inParts(
  addresses: readonly Address[],
  { size, doing, context }: PartOptions,
  work: (part: readonly Address[], context: Context) => void,
): Promise<void> {
  limitHeap(addresses.length);
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  for (const signal of SIGNALS) process.on(signal, interrupt);
  const step = Math.min(size, LARGEST_PART);
  for (let done = 0; done < addresses.length; done += step) {
    const onProgress = (ofPart: number): void =>
      context.onProgress(done + ofPart, addresses.length);
    work(addresses.slice(done, done + step), { ...context, onProgress });
    // Signals that arrived during the part are delivered in this turn of the event loop.
    await nextTurn();
    if (interruption.signal.aborted)
      throw interrupted(Math.min(done + step, addresses.length), addresses, doing);
  }
  for (const signal of SIGNALS) process.off(signal, interrupt);
}

function interrupted(done: number, { length }: readonly Address[], doing: string): AppError {
  const left = length - done;
  const said = `interrupted: ${done} of ${count(length, 'address', 'addresses')} ${doing}`;
  return new AppError(
    'INTERRUPTED',
    left === 0 ? said : `${said}, ${left} not; run the command again for the rest`,
  );
}

/** The shortest list for which V8 is tuned. */
const MANY = 1000;

/** Limits the growth of V8's heap before a long list is processed. `count` is the number of addresses. */
export function limitHeap(count: number): void {
  if (count < MANY) return;
  const { setFlagsFromString } = require('node:v8') as typeof V8;
  // The objects of a list live as long as the list: V8 would let its space for new objects grow to 128 MB.
  setFlagsFromString('--semi-space-growth-factor=1');
  // V8 would also keep the garbage of each part for a long time.
  setFlagsFromString('--heap-growing-percent=50');
}
