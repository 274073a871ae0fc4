// What policy is asked about an alert, and what it decides.
import type { PolicyEntry } from '../config/policy.ts';
import type { Config } from '../config/schema.ts';
import type { Address } from '../model/address.ts';
import type { Ban, HoldLength } from '../model/ban.ts';
import type { ResponseArguments } from './arguments.ts';
import type { AlertFacts } from './entries.ts';

/** An alert that asks for a block, and what may bear on it. */
export interface Question {
  readonly address: Address;
  /** The hold that execd would have: its own timeout, and grace. */
  readonly own: HoldLength;
  readonly args: ResponseArguments;
  readonly alert: AlertFacts;
  readonly config: Pick<Config, 'policy' | 'escalation' | 'aggregate'>;
  readonly configFile: string;
  /** Entries that the manager sends to this agent's group, and the file that they came in. */
  readonly group: readonly PolicyEntry[];
  readonly groupFile: string;
  readonly isProtected: (network: Address) => boolean;
  /** How many bans of an address have begun within the window, the one that goes on not counted. */
  readonly earlierBans: (address: Address) => number;
  readonly findBan: (address: Address) => Ban | null;
  /** Bans of addresses in an IPv4 network, without the network's own. */
  readonly bansIn: (network: Address) => readonly Ban[];
  readonly nowMs: number;
}

export interface Decision {
  readonly action: 'block' | 'ignore' | 'release';
  /** The address, or the network of it that is blocked in its place. */
  readonly target: Address;
  /** Of a block: at least one, each of another origin. */
  readonly holds: readonly HoldLength[];
  /** For people; undefined: what the alert says. */
  readonly reason?: string | undefined;
  /** What in configuration or arguments decided, in order; empty: nothing but execd's own timeout. */
  readonly decidedBy: readonly string[];
  /** True where limits.bans_per_minute decided. */
  readonly fuse?: boolean;
  /** Bans that the ban of a network takes the place of. */
  readonly absorbs?: readonly Address[];
}
