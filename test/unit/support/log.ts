// A response log in memory, with the methods of the real one.
import type { Outcome } from '../../../src/model/ban.ts';
import type { ResponseLog } from '../../../src/bans/context.ts';
import type { LogOffset } from '../../../src/state/rows.ts';

export class MemoryLog implements ResponseLog {
  /** The written lines, as `verb address alertId ruleId`. */
  readonly lines: string[] = [];

  write(outcomes: readonly Outcome[]): void {
    this.lines.push(...outcomes.map(lineOf));
  }

  offset(): LogOffset {
    return { inode: 1, size: this.lines.length };
  }

  missing(offset: LogOffset | null, outcomes: readonly Outcome[]): Outcome[] {
    const since = new Set(this.lines.slice(offset?.size ?? 0));
    return outcomes.filter((outcome) => !since.has(lineOf(outcome)));
  }
}

function lineOf({ verb, address, alertRef }: Outcome): string {
  return `${verb} ${address.text} ${alertRef.alertId} ${alertRef.ruleId}`;
}
