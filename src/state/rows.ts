// Reads bans from rows, and rejects contents that this program did not write.
import { parseExactNetwork, type Address } from '../model/address.ts';
import type { AlertRef, Ban, ForeignRules, Hold, Origin, Outcome, Phase } from '../model/ban.ts';
import type { Values } from './connection.ts';
import { Damage } from './database.ts';

/** The end of the response log when a change was recorded. A line after it can already be that of the change. */
export interface LogOffset {
  readonly inode: number;
  readonly size: number;
}

/** A ban with the data that its pending change still needs. */
export interface StoredBan extends Ban {
  /** The log line to write after the change; null if none is due. */
  readonly line: Outcome | null;
  readonly offset: LogOffset | null;
}

/** The columns for `readBans`. The query must return one row per hold, or one row for a ban without holds. */
export const COLUMNS =
  'address, phase, since_ms, owed, foreign_rules, origin, added_ms, timeout_seconds, expires_at_ms, alert_id, rule_id, reason, forced';

/** Reads bans from rows in which those of one ban are adjacent. */
export function readBans(rows: Iterable<Values>): StoredBan[] {
  const bans: StoredBan[] = [];
  let holds: Hold[] = [];
  let last: { readonly row: Values; readonly hold: Hold | null } | null = null;
  for (const row of rows) {
    if (row[0] !== bans.at(-1)?.address.text) {
      holds = [];
      bans.push(readBan(row, holds));
    }
    // Bans of one list have equal holds, which can share one object.
    if (last === null || !isSameHold(last.row, row)) last = { row, hold: readHold(row) };
    if (last.hold !== null) holds.push(last.hold);
  }
  return bans;
}

function readBan(
  [text, phase, sinceMs, pendingLine, rules]: Values,
  holds: readonly Hold[],
): StoredBan {
  const address = readAddress(text);
  const line = readJson(pendingLine, 'the line of a pending change') as LineJson | null;
  const foreign = readJson(rules, 'the list of rules of others') as ForeignRules | null;
  return {
    address,
    phase: phase as Phase,
    // NULL means unknown only until the block is confirmed, and none after that.
    foreign: foreign === null && phase !== 'blocking' ? {} : foreign,
    sinceMs: sinceMs as number,
    holds,
    line: line && { verb: line.verb, alertRef: line.incident ?? line.alertRef, address },
    offset: line?.mark ?? null,
  };
}

/** Parses a JSON column. Returns null for NULL. */
function readJson(value: unknown, what: string): unknown {
  if (typeof value !== 'string') return null;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw new Damage(`${what} in the state is not JSON`, error);
  }
}

/** Returns the text of the column `owed`: the line without its address, and the offset as `mark`. */
export function lineJson(line: Outcome | null, offset: LogOffset | null): string | null {
  return line === null ? null : JSON.stringify({ ...line, address: undefined, mark: offset });
}

type LineJson = Pick<Outcome, 'verb' | 'alertRef'> & {
  readonly mark: LogOffset | null;
  /** The name of `alertRef` in version 0.1. */
  readonly incident?: AlertRef;
};

const FIRST_OF_HOLD = COLUMNS.split(', ').indexOf('origin');

function isSameHold(one: Values, other: Values): boolean {
  return one.every((value, at) => at < FIRST_OF_HOLD || value === other[at]);
}

/** Returns null if the row has no hold. */
function readHold(row: Values): Hold | null {
  const [, , , , , origin, addedMs, seconds, endMs, alertId, ruleId, reason, forced] = row;
  if (origin === null) return null;
  return {
    origin: origin as Origin,
    addedMs: addedMs as number,
    timeoutSeconds: seconds as number | null,
    expiresAtMs: endMs as number | null,
    alertRef: { alertId: alertId as string, ruleId: ruleId as string },
    reason: reason as string,
    forced: forced === 1,
  };
}

/** Reads an address, which this program writes in canonical form. Throws `Damage` for any other text. */
export function readAddress(value: unknown): Address {
  const address = typeof value === 'string' ? parseExactNetwork(value) : null;
  if (address === null) throw new Damage(`${String(value)} in the state is not an address`);
  return address;
}
