// The contract of a backend: a pure translator between what is wanted and what a firewall program reads and prints.
import type { Address, Family } from '../ban/address.ts';
import type { Command } from '../os/run.ts';

/** What the kernel shall do with packets from an address. */
export interface Change {
  readonly address: Address;
  readonly to: 'blocked' | 'released';
}

/** A backend's picture of what the kernel holds for one family. */
export interface View {
  /** Chains or sets that exist here and not on every host; remembered so that the next run may expect them. */
  readonly extras: readonly string[];
}

/** One rule as the kernel holds it. */
export interface Rule {
  readonly chain: string;
  /** Matches and target as the firewall program writes them: `-s 203.0.113.9/32 -j DROP`. */
  readonly spec: string;
  readonly packets: number;
  readonly bytes: number;
}

/** What our rules have dropped of an address, and where they stand. */
export interface HeldAddress {
  readonly address: Address;
  readonly chains: readonly string[];
  readonly packets: number;
  readonly bytes: number;
}

/** All that the kernel holds for one family, with counters. */
export interface Census {
  /** By the address's text; the plain drops of our chains. */
  readonly held: ReadonlyMap<string, HeldAddress>;
  /** Every rule of the table, in order. */
  readonly rules: readonly Rule[];
  /** What becomes of a packet that no rule of a built-in chain decides. */
  readonly policies: ReadonlyMap<string, string>;
}

/**
 * Nothing here touches the kernel; `apply.ts` runs the commands and trusts no step that it has not seen obeyed.
 * All changes of one family go into one command, which the kernel takes whole or not at all.
 */
export interface Backend<V extends View = View> {
  readonly name: string;
  /** A command that changes nothing and prints what `read` reads. */
  inspect(family: Family): Command;
  /** Reads what an inspecting or changing command printed; throws on text that it does not know. */
  read(output: string): V;
  /** What the kernel ought to hold if our books are right: lets the usual change be made without inspecting first. */
  expect(changes: readonly Change[], extras: readonly string[]): V;
  /** The command that brings a kernel that looks like `view` to `changes` and prints the outcome; null: nothing to do. */
  plan(family: Family, view: V, changes: readonly Change[]): Command | null;
  /** A command that changes nothing and prints what `readCensus` reads; dearer than `inspect`. */
  census(family: Family): Command;
  readCensus(output: string): Census;
}
