// The dependencies of functions that change bans. `src/context.ts` creates them.
import type { SwitchableFirewall } from '../firewall/select.ts';
import type { Address } from '../model/address.ts';
import type { Outcome } from '../model/ban.ts';
import type { LogOffset } from '../state/rows.ts';
import type { Store } from '../state/store.ts';

/** The response log. A failure to write a line is reported and does not stop the run. */
export interface ResponseLog {
  /** Writes one line per outcome. */
  write(outcomes: readonly Outcome[]): void;
  /** Returns the current end of the log; null if it can't be determined. */
  offset(): LogOffset | null;
  /**
   * Returns the outcomes that have no line after `offset`. A killed run may have written some lines without recording
   * it.
   */
  missing(offset: LogOffset | null, outcomes: readonly Outcome[]): Outcome[];
}

export interface BanContext {
  readonly store: Store;
  readonly firewall: SwitchableFirewall;
  readonly responseLog: ResponseLog;
  readonly now: () => number;
  /** Reports whether runs without the writer lock are working, this one included. */
  readonly isWorkShared: () => boolean;
  /** True if bans that alerts begin are counted for escalation. */
  readonly countsOffences: boolean;
  readonly isInstalled: (program: string) => boolean;
  /** Removes the tracked connections of addresses that were just blocked. Reports failures instead of throwing. */
  readonly cutConnections: (addresses: readonly Address[]) => void;
  /** Reports a problem that does not stop the work at hand. */
  readonly warn: (message: string) => void;
  /** Reports the progress of a long list. */
  readonly onProgress: (done: number, total: number) => void;
}
