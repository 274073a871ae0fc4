// Blocks and releases long lists: within bounds of memory, and in parts, so that Ctrl-C ends the run between two of them and
// nothing is left half done.
import { setImmediate as nextTurn } from 'node:timers/promises';
import type * as V8 from 'node:v8';
import { clearBackend } from '../bans/auto-migrate.ts';
import { blockEach, type EachRequest, type Made } from '../bans/block.ts';
import { unblockAll, type ReleaseOutcomes, type ReleaseRequest } from '../bans/unblock.ts';
import type { Context } from '../context.ts';
import type { Address } from '../model/address.ts';
import { alertRefAt, type Origin } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { inTextOrder } from './addresses.ts';
import { count } from './output/count.ts';

/** One transaction of the firewall takes no more than a few seconds for so many. */
const LARGEST_PART = 50_000;
const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

/** Throws `INTERRUPTED` where a signal came. */
export async function blockInParts(
  addresses: readonly Address[],
  request: EachRequest,
  context: Context,
): Promise<Made[]> {
  // Many go into sets at once, rather than by way of as many rules.
  context.migrate(addresses.length);
  const all: Made[] = [];
  const options = { size: LARGEST_PART, doing: 'blocked', context };
  await inParts(inTextOrder(addresses), options, (part, ofPart) => {
    for (const { address, before, hold } of blockEach(part, request, ofPart)) {
      all.push({ address, before, hold });
    }
  });
  return all;
}

/** The same. */
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
 * Ends all holds, or those of one origin; with the last block our sets, rules for them and table go too. Throws `STORE` where
 * the state may have more.
 */
export async function releaseAll(
  origin: Origin | null,
  by: string,
  context: Context,
): Promise<ReleaseOutcomes> {
  // The newest first, where iptables finds their rules soonest.
  const addresses = context.store.bans.heldBy(origin).toReversed();
  const outcomes = await releaseInParts(addresses, { origin, by }, context);
  clearBackend(context);
  context.store.metadata.flush();
  if (!context.store.unread) return outcomes;
  throw new AppError(
    'STORE',
    `${count(outcomes.released.length, 'address', 'addresses')} released, and nobody knows of others: nothing of the state can be read (firewall-drop doctor says what to do)`,
  );
}

interface PartOptions {
  readonly size: number;
  /** What is done with them, as a participle: `blocked`. */
  readonly doing: string;
  readonly context: Context;
}

/** A signal that would end the process is heeded between the parts: throws `INTERRUPTED`, which says how many are done. */
async function inParts(
  addresses: readonly Address[],
  { size, doing, context }: PartOptions,
  work: (part: readonly Address[], context: Context) => void,
): Promise<void> {
  expectMany(addresses.length);
  const interruption = new AbortController();
  const interrupt = (): void => interruption.abort();
  for (const signal of SIGNALS) process.on(signal, interrupt);
  const step = Math.min(size, LARGEST_PART);
  for (let done = 0; done < addresses.length; done += step) {
    const onProgress = (ofPart: number): void =>
      context.onProgress(done + ofPart, addresses.length);
    work(addresses.slice(done, done + step), { ...context, onProgress });
    // Signals that came meanwhile are delivered in this turn of the event loop.
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
    left === 0 ? said : `${said}, ${left} not; run the command again for the others`,
  );
}

/** A shorter list has no use for it. */
const MANY = 1000;

/** To be called with how many addresses are about to be worked on. */
export function expectMany(count: number): void {
  if (count < MANY) return;
  const { setFlagsFromString } = require('node:v8') as typeof V8;
  // What is made for a list lives as long as the list: V8 would have its room for new objects grow to 128 MB.
  setFlagsFromString('--semi-space-growth-factor=1');
  // And it would let what is left of each part stay for long.
  setFlagsFromString('--heap-growing-percent=50');
}
