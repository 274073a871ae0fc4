// What a backend shows of all that the kernel holds, for views and comparisons; blocking and unblocking need none of it.
import type { Address } from '../model/address.ts';

/** One rule as the kernel holds it. */
export interface Rule {
  /** Behind the name of its table, unless that is iptables' `filter`: `INPUT`, `raw PREROUTING`. */
  readonly chain: string;
  /** Matches and target as the firewall program writes them: `-s 203.0.113.9/32 -j DROP`. */
  readonly spec: string;
  readonly packets: number;
  readonly bytes: number;
  /** The set of ours all of whose members the rule drops. */
  readonly dropsSet?: string;
}

/** What our rules have dropped of an address, and where they stand. */
export interface HeldAddress {
  readonly address: Address;
  /** As in `Rule`. */
  readonly chains: readonly string[];
  readonly packets: number;
  readonly bytes: number;
  /** Chains that should have its rule too, and don't: what comes through them is not dropped. Absent: none. */
  readonly lacks?: readonly string[];
}

/** Whether all that comes from an address is dropped. */
export function isWhole(held: HeldAddress | undefined): boolean {
  return held !== undefined && held.lacks === undefined;
}

/** Of what is dropped in some of the chains that should drop it. */
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

/** All that the kernel holds for one family, with counters. */
export interface Snapshot {
  /** By the address's text; the plain drops of our chains, and what our sets hold where a rule of ours asks them. */
  readonly held: ReadonlyMap<string, HeldAddress>;
  /** Every rule of the tables that were listed, in order. */
  readonly rules: readonly Rule[];
  /** By chain: what becomes of a packet that no rule of it decides; `-` for a chain that is not built in. */
  readonly policies: ReadonlyMap<string, string>;
  /** What is in the sets that rules of ours ask, by the set's name. */
  readonly sets?: ReadonlyMap<string, readonly Address[]>;
}
