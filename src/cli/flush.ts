// What `flush` and `uninstall` do: ends all holds, or those of one origin.
import { clearBackend } from '../bans/auto-migrate.ts';
import { unblockAll } from '../bans/unblock.ts';
import type { Context } from '../context.ts';
import { alertRefAt, type Origin } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { inParts } from './in-parts.ts';
import { count } from './output/count.ts';
import type { Person } from './session.ts';

/**
 * Ends all holds, or those of one origin; with the last block our sets, rules for them and table go too. Throws
 * `INTERRUPTED` as `inParts` does, and `STORE` where the state may have more.
 */
export async function releaseAll(
  origin: Origin | null,
  context: Context,
  { name }: Person,
): Promise<ReleaseCounts> {
  // The newest first, where iptables finds their rules soonest.
  const addresses = context.store.bans.heldBy(origin).toReversed();
  const counts = { released: 0, kept: 0 };
  const size = context.firewall.mostReleases;
  await inParts(addresses, { size, doing: 'released', context }, (part, ofPart) => {
    const request = { origin, alertRef: alertRefAt(context.now()), by: name };
    const { released, kept } = unblockAll(part, request, ofPart);
    counts.released += released.length;
    counts.kept += kept.length;
  });
  clearBackend(context);
  context.store.metadata.flush();
  if (context.store.unread) throw notAll(counts.released);
  return counts;
}

function notAll(released: number): AppError {
  return new AppError(
    'STORE',
    `${count(released, 'address', 'addresses')} released, and nobody knows of others: nothing of the state can be read (firewall-drop doctor says what to do)`,
  );
}

export interface ReleaseCounts {
  readonly released: number;
  readonly kept: number;
}
