// Reads the columns of a ban, written by this program, and recognizes what it did not write.
import { parseExactNetwork, type Address } from '../model/address.ts';
import type { AlertRef, Ban, ForeignRules, Hold, Origin, Outcome, Phase } from '../model/ban.ts';
import type { Values } from './connection.ts';
import { Damage } from './database.ts';

/** Where the response log ended when a change was recorded: what comes after may already be the line of the change. */
export interface LogOffset {
  readonly inode: number;
  readonly size: number;
}

/** A ban with what its pending change still needs. */
export interface StoredBan extends Ban {
  /** The line to write once the change is done; null when nobody waits for one. */
  readonly line: Outcome | null;
  readonly offset: LogOffset | null;
}

/** What `readBans` takes: a row for each hold of a ban, or one where it has none. */
export const COLUMNS =
  'address, phase, since_ms, owed, foreign_rules, origin, added_ms, timeout_seconds, expires_at_ms, alert_id, rule_id, reason, forced';

/** The rows of a ban follow each other. */
export function readBans(rows: Iterable<Values>): StoredBan[] {
  const bans: StoredBan[] = [];
  let holds: Hold[] = [];
  let last: { readonly row: Values; readonly hold: Hold | null } | null = null;
  for (const row of rows) {
    if (row[0] !== bans.at(-1)?.address.text) {
      holds = [];
      bans.push(readBan(row, holds));
    }
    // Those of a list are alike: one object is enough.
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
    // A ban that is confirmed without any has none.
    foreign: foreign === null && phase !== 'blocking' ? {} : foreign,
    sinceMs: sinceMs as number,
    holds,
    line: line && { verb: line.verb, alertRef: line.incident ?? line.alertRef, address },
    offset: line?.mark ?? null,
  };
}

/** Null: nothing was written. */
function readJson(value: unknown, what: string): unknown {
  if (typeof value !== 'string') return null;
  try {
    return JSON.parse(value);
  } catch (error) {
    throw new Damage(`${what} in the state is not JSON`, error);
  }
}

/** The text of the column `owed`: the line without its address, and under `mark` the offset. */
export function lineJson(line: Outcome | null, offset: LogOffset | null): string | null {
  return line === null ? null : JSON.stringify({ ...line, address: undefined, mark: offset });
}

type LineJson = Pick<Outcome, 'verb' | 'alertRef'> & {
  readonly mark: LogOffset | null;
  /** Version 0.1 called the reference so. */
  readonly incident?: AlertRef;
};

const FIRST_OF_HOLD = COLUMNS.split(', ').indexOf('origin');

function isSameHold(one: Values, other: Values): boolean {
  return one.every((value, at) => at < FIRST_OF_HOLD || value === other[at]);
}

/** Null where the ban has none. */
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

/** The column holds canonical text that we wrote; anything else means that somebody else wrote into the file. */
export function readAddress(value: unknown): Address {
  const address = typeof value === 'string' ? parseExactNetwork(value) : null;
  if (address === null) throw new Damage(`${String(value)} in the state is not an address`);
  return address;
}
