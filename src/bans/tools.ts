// What the work on bans is done with; `main` fills it in, so that nothing here knows who asked or who listens.
import type { Firewall } from '../firewall/apply.ts';
import type { LogMark, Store } from '../state/store.ts';
import type { Address } from '../model/address.ts';
import type { Outcome } from '../model/ban.ts';

/** The response log as bans need it. A line that can't be written is its own trouble and stops nothing. */
export interface ResponseLog {
  /** Writes a line for each. */
  write(outcomes: readonly Outcome[]): void;
  /** Where the log ends now; null when that can't be told. */
  offset(): LogMark | null;
  /** Those of which no line was written after a mark, by a run that died before it could note so. */
  missing(mark: LogMark | null, outcomes: readonly Outcome[]): Outcome[];
}

export interface Tools {
  readonly store: Store;
  readonly firewall: Firewall;
  readonly responseLog: ResponseLog;
  readonly now: () => number;
  /** For addresses that the kernel has just begun to block. Trouble is said, not thrown. */
  readonly cutConnections: (addresses: readonly Address[]) => void;
  /** For a person: trouble that does not stop the work at hand. */
  readonly warn: (message: string) => void;
  /** How many of the addresses at hand are through. */
  readonly onProgress: (done: number, total: number) => void;
}
