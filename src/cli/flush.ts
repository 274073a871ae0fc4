// What `flush` and `uninstall` do: ends all holds, or those of one origin.
import { clearBackend } from '../bans/auto-migrate.ts';
import { unblockAll, type ReleaseOutcomes } from '../bans/unblock.ts';
import type { Context } from '../context.ts';
import { alertRefAt, type Ban, type Origin } from '../model/ban.ts';

/** Ends all holds, or those of one origin; with the last block our sets, rules for them and table go too. */
export function releaseAll(origin: Origin | null, context: Context): ReleaseOutcomes {
  const addresses = heldBy(origin, context).map((ban) => ban.address);
  const outcomes = unblockAll(addresses, { origin, alertRef: alertRefAt(context.now()) }, context);
  clearBackend(context);
  context.store.metadata.flush();
  return outcomes;
}

export function heldBy(origin: Origin | null, { store }: Context): Ban[] {
  const bans = store.bans.list();
  if (origin === null) return bans;
  return bans.filter((ban) => ban.holds.some((hold) => hold.origin === origin));
}
