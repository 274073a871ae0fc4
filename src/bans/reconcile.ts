// Finds differences between state and kernel. Changes nothing; `restore` repairs them.
import { isFullyDropped, type HeldAddress } from '../firewall/backend.ts';
import type { Address, Family } from '../model/address.ts';
import type { Ban } from '../model/ban.ts';
import { writerLockHolder } from '../state/lock.ts';
import type { Command } from '../system/exec.ts';
import type { BanContext } from './context.ts';
import { toKernelChange } from './load.ts';
import { LOCK_DIRECTORY } from './run.ts';

export interface Differences {
  /** Bans that at least one of our chains does not drop. */
  readonly missing: readonly Missing[];
  /** Rules of our shape without a ban, made by an administrator or before the state was created. */
  readonly unknown: readonly HeldAddress[];
}

interface Missing {
  readonly address: Address;
  /** The chains without its rule; empty if no chain has one. */
  readonly lacks: readonly string[];
}

export interface Drift extends Differences {
  /** Changes that are recorded and not complete. */
  readonly pending: readonly Ban[];
  /**
   * The process id of another run that holds the writer lock and may be completing the pending changes; null if there
   * is none.
   */
  readonly atWork: number | null;
  /** The commands that would make the kernel hold all bans. They also repair rules that are duplicate or not first. */
  readonly steps: readonly Command[];
}

/** Compares state and kernel. Throws `FIREWALL` if the kernel can't be inspected. */
export function findDrift({
  store,
  firewall,
  now,
}: Pick<BanContext, 'store' | 'firewall' | 'now'>): Drift {
  const all = store.bans.list();
  const pending = all.filter((ban) => ban.phase !== 'blocked');
  // Look up the holder first, because the snapshot takes long.
  const holder = pending.length === 0 ? null : writerLockHolder(LOCK_DIRECTORY);
  const held = new Map(
    familiesInUse(store).flatMap((family) => [...firewall.snapshot(family).held]),
  );
  return {
    ...differences(all, held),
    pending,
    atWork: holder === process.pid ? null : holder,
    steps: firewall.plan(all.map((ban) => toKernelChange(ban, now()))),
  };
}

/** Returns IPv4, and IPv6 if the state has IPv6 bans, because a host may lack IPv6 tables. */
export function familiesInUse({ bans }: BanContext['store']): Family[] {
  return bans.hasIpv6() ? [4, 6] : [4];
}

/** Compares bans with the addresses that the kernel drops, by their text. Both must be of the same families. */
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
