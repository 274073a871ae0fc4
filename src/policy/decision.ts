// The input and the result of a policy decision.
import type { PolicyEntry } from '../config/policy.ts';
import type { Config } from '../config/schema.ts';
import type { Address } from '../model/address.ts';
import type { Ban, HoldLength } from '../model/ban.ts';
import type { ResponseArguments } from './arguments.ts';
import type { AlertFacts } from './entries.ts';

/** An alert that asks for a block, and everything that the decision depends on. */
export interface Question {
  readonly address: Address;
  /** The hold of execd: its own timeout plus limits.grace_seconds. */
  readonly own: HoldLength;
  readonly args: ResponseArguments;
  readonly alert: AlertFacts;
  readonly config: Pick<Config, 'policy' | 'escalation' | 'aggregate'>;
  readonly configFile: string;
  /** The entries that the manager sends to this agent's group; `groupFile` is the file they arrive in. */
  readonly group: readonly PolicyEntry[];
  readonly groupFile: string;
  readonly isProtected: (network: Address) => boolean;
  /** Returns how many bans of an address began within the escalation window, without a ban that is still active. */
  readonly earlierBans: (address: Address) => number;
  readonly findBan: (address: Address) => Ban | null;
  /** Returns the bans of addresses in an IPv4 network, without a ban of the network itself. */
  readonly bansIn: (network: Address) => readonly Ban[];
  readonly nowMs: number;
}

export interface Decision {
  readonly action: 'block' | 'ignore' | 'release';
  /** The address, or the network that is blocked instead. */
  readonly target: Address;
  /** At least one for a block, each with a different origin; otherwise empty. */
  readonly holds: readonly HoldLength[];
  /** The reason for people; undefined for the reason in the alert. */
  readonly reason?: string | undefined;
  /** The settings and arguments that decided, in order; empty if only execd's own timeout applies. */
  readonly decidedBy: readonly string[];
  /** True if limits.bans_per_minute decided. */
  readonly fuse?: boolean;
  /** The addresses whose bans the ban of a network replaces. */
  readonly absorbs?: readonly Address[];
}
