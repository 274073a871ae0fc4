// The full contents of the kernel, for views and comparisons. Blocking and unblocking do not use it.
import type { Address } from '../model/address.ts';

/** One rule as the kernel holds it. */
export interface Rule {
  /** The chain, with its table in front unless that is the `filter` table of iptables: `INPUT`, `raw PREROUTING`. */
  readonly chain: string;
  /** The matches and the target as the firewall program prints them: `-s 203.0.113.9/32 -j DROP`. */
  readonly spec: string;
  readonly packets: number;
  readonly bytes: number;
  /** The name of our set, if the rule drops every member of one. */
  readonly dropsSet?: string;
}

/** An address that our rules drop, with counters. */
export interface HeldAddress {
  readonly address: Address;
  /** The chains whose rules drop the address, named as in `Rule`. */
  readonly chains: readonly string[];
  readonly packets: number;
  readonly bytes: number;
  /** Our chains that have no rule for the address and therefore let its packets through. Absent if there are none. */
  readonly lacks?: readonly string[];
}

/** Reports whether every packet from an address is dropped. */
export function isFullyDropped(held: HeldAddress | undefined): boolean {
  return held !== undefined && held.lacks === undefined;
}

/** Adds `lacks` to each address that some of the `wanted` chains do not drop. */
export function noteLacks(
  held: ReadonlyMap<string, HeldAddress>,
  wanted: readonly string[],
): Map<string, HeldAddress> {
  return new Map(
    Array.from(held, ([text, one]) => {
      const lacks = wanted.filter((chain) => !one.chains.includes(chain));
      return [text, lacks.length === 0 ? one : { ...one, lacks }];
    }),
  );
}

/** Everything that the kernel holds for one family, with counters. */
export interface Snapshot {
  /**
   * The dropped addresses by their text: plain rules in our chains, and members of our sets that a rule of ours
   * matches.
   */
  readonly held: ReadonlyMap<string, HeldAddress>;
  /** Every rule of the listed tables, in order. */
  readonly rules: readonly Rule[];
  /** The policy of each chain; `-` for a chain that is not built in. */
  readonly policies: ReadonlyMap<string, string>;
  /** The members of the sets that our rules match, by the name of the set. */
  readonly sets?: ReadonlyMap<string, readonly Address[]>;
}
