// Where state and kernel differ. Looks only; `restore` repairs it.
import type { HeldAddress } from '../firewall/backend.ts';
import type { Family } from '../model/address.ts';
import type { Ban } from '../model/ban.ts';
import type { Command } from '../system/exec.ts';
import type { BanContext } from './context.ts';
import { toKernelChange } from './journal.ts';

export interface Drift {
  /** Bans of which the kernel holds no rule at all. */
  readonly missing: readonly Ban[];
  /** Rules of our shape without a ban: an administrator's, or from before the state was begun. */
  readonly unknown: readonly HeldAddress[];
  /** Changes that a run recorded and did not live to complete. */
  readonly pending: readonly Ban[];
  /** What would be run to make the kernel hold all bans; also for rules that are twice or not first. */
  readonly steps: readonly Command[];
}

/** Throws `FIREWALL` when the kernel can't be asked. */
export function findDrift(
  { store, firewall, now }: Pick<BanContext, 'store' | 'firewall' | 'now'>,
  families: readonly Family[],
): Drift {
  const all = store.bans.list();
  const bans = all.filter((ban) => ban.phase === 'blocked');
  const known = new Set(all.map((ban) => ban.address.text));
  const held = new Map(families.flatMap((family) => [...firewall.snapshot(family).held]));
  return {
    missing: bans.filter((ban) => !held.has(ban.address.text)),
    unknown: [...held.values()].filter(({ address }) => !known.has(address.text)),
    pending: all.filter((ban) => ban.phase !== 'blocked'),
    steps: firewall.plan(all.map((ban) => toKernelChange(ban, now()))),
  };
}
