// The contract of a backend: a pure translator between what is wanted and what a firewall program reads and prints.
import type { Address, Family } from '../model/address.ts';
import type { ForeignRules } from '../model/ban.ts';
import type { Command } from '../system/exec.ts';
import type { Snapshot } from './snapshot.ts';

/** What the kernel shall do with packets from an address. */
export interface Change {
  readonly address: Address;
  readonly to: 'blocked' | 'released';
  /**
   * For `blocked`: after how many seconds the kernel may end the block by itself, where the backend can have it do so;
   * null or absent: never. What is late or too long for the kernel is ended by us, by the state.
   */
  readonly timeoutSeconds?: number | null;
  /** For `blocked`: what the kernel blocks already may keep its end. */
  readonly keepsEnd?: boolean;
  /**
   * Rules of exactly our shape that somebody else made: they are neither counted as ours nor removed. `find`: they are to
   * be found out, for a ban that is new or whose block is undone.
   */
  readonly foreign?: ForeignRules | 'find';
}

/** A command as a backend plans it. */
export interface PlannedCommand extends Command {
  /** `look`: changes nothing; `refresh`: only moves the end of what is there. Absent: changes what is dropped. */
  readonly effect?: 'look' | 'refresh';
  /** A failure that is an answer as well, and that `read` is given: its status, and what its complaint has in it. */
  readonly answers?: { readonly status: number; readonly complaint: string };
}

/** A command that was run to its end, and did what it had to. */
export interface Ran<V> {
  readonly command: PlannedCommand;
  readonly status: number;
  /** Some programs answer on the wrong side. */
  readonly stderr: string;
  /** What was known before it. */
  readonly before: V;
}

/** A backend's picture of what the kernel holds for one family. */
export interface View {
  /** Chains or sets that exist here and not on every host; remembered so that the next run may expect them. */
  readonly extras: readonly string[];
}

/**
 * Nothing here touches the kernel; `apply.ts` runs the commands and trusts no command whose effect it has not seen.
 *
 * A backend plans one command after another, from a view in which nothing is known yet, or from what our state has one
 * expect: `plan` gives the next command for what the view lacks, which may be one that only looks, and `read` adds what it
 * printed to the view. A command that stops half-way does no harm, since the kernel is looked at again.
 */
export interface Backend<V extends View = View> {
  readonly name: string;
  /** A longer list is released in parts: some programs take the square of its length. */
  readonly mostReleases: number;
  /** The most changes that one command can carry. */
  readonly mostChanges: number;
  /** Nothing was looked at: what `plan` gives for any change only looks. */
  readonly nothingKnown: V;
  /** Reads what a command of `plan` or `planRemoval` printed; throws on text that it does not know. */
  read(output: string, ran: Ran<V>): V;
  /** What the kernel ought to hold if our state is right: lets the usual change be made without looking first. */
  expect(changes: readonly Change[], extras: readonly string[]): V;
  /** The next command that brings a kernel that looks like `view` to `changes`; null: it is seen to be there. */
  plan(family: Family, view: V, changes: readonly Change[]): PlannedCommand | null;
  /** The view as it ought to be once `command`, which `plan` gave, was run: for showing what comes after it. */
  simulate(view: V, command: PlannedCommand, changes: readonly Change[]): V;
  /** Commands that change nothing and print what `readSnapshot` reads, one output each; dearer than a look of `plan`. */
  snapshot(family: Family): readonly PlannedCommand[];
  readSnapshot(outputs: readonly string[]): Snapshot;
  /**
   * The rules of somebody else that a view shows: found out, or those known that are still there. `made`: one of each
   * chain is ours, just made. Null: the view does not show rules. Absent where there are no rules of single addresses.
   */
  foreignOf?(view: V, change: Change, made: boolean): ForeignRules | null;
  /**
   * The next command towards a kernel that holds no set, no rule for one and no table of ours; null: it is seen to be so.
   * Absent where there are only rules of single addresses, which are released.
   */
  planRemoval?(family: Family, view: V): PlannedCommand | null;
  /** What a person can do about a program's complaint; empty: nothing is known. */
  advice?(complaint: string): string;
}
