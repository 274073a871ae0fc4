// What policy decides about an alert, and what is decided where nothing is configured.
import type { Address } from '../model/address.ts';
import type { Origin } from '../model/ban.ts';

/** One claim on the ban, which ends by itself; execd's own delete ends only the one of its origin. */
export interface HoldLength {
  readonly origin: Origin;
  /** Null: until somebody releases it. */
  readonly timeoutSeconds: number | null;
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

/** Where nothing is configured: execd's own timeout. */
export function plainDecision(target: Address, hold: HoldLength): Decision {
  return { action: 'block', target, holds: [hold], decidedBy: [] };
}
