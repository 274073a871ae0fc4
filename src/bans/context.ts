// What changing bans needs. `context.ts` creates it; functions take the members that they use.
import type { SwitchableFirewall } from '../firewall/switch.ts';
import type { Address } from '../model/address.ts';
import type { Outcome } from '../model/ban.ts';
import type { LogOffset } from '../state/rows.ts';
import type { Store } from '../state/store.ts';

/** The response log as bans need it. A line that can't be written is reported, and stops nothing. */
export interface ResponseLog {
  /** Writes a line for each. */
  write(outcomes: readonly Outcome[]): void;
  /** Where the log ends now; null when that can't be found out. */
  offset(): LogOffset | null;
  /** Those of which no line was written after an offset, by a run that was killed before it could record so. */
  missing(offset: LogOffset | null, outcomes: readonly Outcome[]): Outcome[];
}

export interface BanContext {
  readonly store: Store;
  readonly firewall: SwitchableFirewall;
  readonly responseLog: ResponseLog;
  readonly now: () => number;
  /** Whether bans that alerts begin are counted, for escalation. */
  readonly countsOffences: boolean;
  readonly isInstalled: (program: string) => boolean;
  /** For addresses that the kernel has just begun to block. A failure is reported, not thrown. */
  readonly cutConnections: (addresses: readonly Address[]) => void;
  /** Reports a problem that does not stop the work at hand. */
  readonly warn: (message: string) => void;
  /** How far a long list has come. */
  readonly onProgress: (done: number, total: number) => void;
}
