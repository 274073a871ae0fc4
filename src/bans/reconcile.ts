// Where state and kernel differ. Looks only; `restore` repairs it.
import { isFullyDropped, type HeldAddress } from '../firewall/snapshot.ts';
import type { Address, Family } from '../model/address.ts';
import type { Ban } from '../model/ban.ts';
import { writerLockHolder } from '../state/lock.ts';
import type { Command } from '../system/exec.ts';
import type { BanContext } from './context.ts';
import { toKernelChange } from './load.ts';
import { LOCK_DIRECTORY } from './run.ts';

export interface Differences {
  /** Banned, and not dropped by each of the chains that should. */
  readonly missing: readonly Missing[];
  /** Rules of our shape without a ban: an administrator's, or from before the state was begun. */
  readonly unknown: readonly HeldAddress[];
}

interface Missing {
  readonly address: Address;
  /** The chains without its rule; empty: no chain has one. */
  readonly lacks: readonly string[];
}

export interface Drift extends Differences {
  /** Changes that a run recorded and did not complete, or not yet. */
  readonly pending: readonly Ban[];
  /** Another process that has the writer lock, and may be at work on what is pending; null: there is none. */
  readonly atWork: number | null;
  /** What would be run to make the kernel hold all bans; also for rules that are twice or not first. */
  readonly steps: readonly Command[];
}

/** Throws `FIREWALL` when the kernel can't be asked. */
export function findDrift(
  { store, firewall, now }: Pick<BanContext, 'store' | 'firewall' | 'now'>,
  families: readonly Family[],
): Drift {
  const all = store.bans.list();
  const pending = all.filter((ban) => ban.phase !== 'blocked');
  // Before the kernel is asked, which takes long.
  const holder = pending.length === 0 ? null : writerLockHolder(LOCK_DIRECTORY);
  const held = new Map(families.flatMap((family) => [...firewall.snapshot(family).held]));
  return {
    ...differences(all, held),
    pending,
    atWork: holder === process.pid ? null : holder,
    steps: firewall.plan(all.map((ban) => toKernelChange(ban, now()))),
  };
}

/** `held` is what the kernel drops, by the address's text; of the same families as the bans. */
export function differences(
  bans: readonly Ban[],
  held: ReadonlyMap<string, HeldAddress>,
): Differences {
  const known = new Set(bans.map(({ address }) => address.text));
  return {
    missing: bans.flatMap(({ phase, address }) => {
      const one = held.get(address.text);
      if (phase !== 'blocked' || isFullyDropped(one)) return [];
      return [{ address, lacks: one?.lacks ?? [] }];
    }),
    unknown: [...held.values()].filter(({ address }) => !known.has(address.text)),
  };
}
