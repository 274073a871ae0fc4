// The contract of a backend. A backend translates changes into commands of a firewall program, and parses what the
// program prints. It never runs a command.
import type { Address, Family } from '../model/address.ts';
import type { ForeignRules } from '../model/ban.ts';
import type { Command } from '../system/exec.ts';

/** The required state of one address in the kernel. */
export interface Change {
  readonly address: Address;
  readonly to: 'blocked' | 'released';
  /**
   * For `blocked`: the time in seconds after which the kernel removes the block itself, if the backend supports
   * timeouts. null or absent means never. If a timeout is late, or too long for the kernel, the program unblocks the
   * address at the deadline in the state.
   */
  readonly timeoutSeconds?: number | null;
  /** For `blocked`: true if an existing block may keep its timeout. */
  readonly keepsEnd?: boolean;
  /**
   * Foreign rules with the same text as ours, which are neither counted as ours nor removed. `find` makes the backend
   * look for them, for a new ban or for a block that is undone.
   */
  readonly foreign?: ForeignRules | 'find';
}

/** Returns a value for each change, by the text of its address. */
export function byAddress<T>(
  changes: readonly Change[],
  valueOf: (change: Change) => T,
): Map<string, T> {
  return new Map(changes.map((change) => [change.address.text, valueOf(change)]));
}

/** A command that a backend has planned. */
export interface PlannedCommand extends Command {
  /** `look`: changes nothing. `refresh`: changes only timeouts of existing entries. Absent: changes what is dropped. */
  readonly effect?: 'look' | 'refresh';
  /** A failure that `read` accepts as an answer: its exit status, and a text that standard error contains. */
  readonly answers?: { readonly status: number; readonly complaint: string };
  /** The changes that the command makes or checks, if a backend handles a long list in parts. */
  readonly part?: readonly Change[];
}

/** A command that succeeded, or failed with one of its `answers`. */
export interface Ran<V> {
  readonly command: PlannedCommand;
  readonly status: number;
  /** Standard error, because some programs print answers there. */
  readonly stderr: string;
  /** The view before the command ran. */
  readonly before: V;
}

/** What a backend knows about the rules and sets of one family in the kernel. */
export interface View {
  /** Optional chains that exist on this host. The state remembers them so that the next run can expect them. */
  readonly extras: readonly string[];
}

/**
 * Plans commands and parses their output. Only `apply.ts` runs commands, and it verifies the effect of each of them.
 *
 * A plan starts from a view that is empty or that our state predicts. `plan` returns the next command for whatever the
 * view lacks, which can be a command that only looks; `read` adds the output of the command to the view. A command that
 * stops half-way does no harm, because `apply.ts` then looks at the kernel again.
 */
export interface Backend<V extends View = View> {
  readonly name: string;
  /** The largest number of addresses to unblock with one command: some programs take quadratic time. */
  readonly mostReleases: number;
  /** The empty view, from which `plan` returns only commands that look. */
  readonly nothingKnown: V;
  /** Adds the output of a command from `plan` or `planRemoval` to a view. Throws if it can't parse the output. */
  read(output: string, ran: Ran<V>): V;
  /**
   * Returns the view that the kernel has before `changes` if our state is right. It makes a look before the usual
   * change unnecessary.
   */
  expect(changes: readonly Change[], extras: readonly string[]): V;
  /**
   * Returns the next command that brings a kernel in the state `view` to `changes`; null if the view already shows
   * `changes`.
   */
  plan(family: Family, view: V, changes: readonly Change[]): PlannedCommand | null;
  /**
   * Returns the view that is expected after `command`, which `plan` returned. It is used to show the commands that
   * follow.
   */
  simulate(view: V, command: PlannedCommand, changes: readonly Change[]): V;
  /**
   * Returns commands that only look. `readSnapshot` takes their outputs in the same order. They cost more than the
   * looks of `plan`.
   */
  snapshot(family: Family): readonly PlannedCommand[];
  readSnapshot(outputs: readonly string[]): Snapshot;
  /**
   * Returns the foreign rules for a change: those found in the view, or those of `change.foreign` that still exist.
   * `made` is true if a rule in each chain is ours because it was just made. Returns null if the view does not include
   * rules. Absent if the backend makes no rules for single addresses.
   */
  foreignOf?(view: V, change: Change, made: boolean): ForeignRules | null;
  /**
   * Returns the next command that removes our sets, the rules that match them, and our table; null if the view shows
   * that they are gone. Absent if the backend makes only rules for single addresses, which are unblocked one by one.
   */
  planRemoval?(family: Family, view: V): PlannedCommand | null;
  /**
   * Returns what an administrator can do about an error message of the program; an empty string if there is no advice.
   */
  advice?(complaint: string): string;
}

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
