// Formats bans and history records for JSON documents, which docs/json.md describes.
import type { Hold } from '../../model/ban.ts';
import type { HistoryRecord } from '../../state/history.ts';
import type { BanView } from '../ban-view.ts';
import type { Person } from '../session.ts';
import { isoTime } from './time.ts';

const SCHEMA_VERSION = 1;

export function documentText(content: object): string {
  return JSON.stringify({ schema: SCHEMA_VERSION, ...content });
}

/** Prints an answer as a document with `-o json`, otherwise as lines. */
export function printAnswer(
  output: string,
  content: object,
  lines: readonly string[],
  { print }: Person,
): void {
  for (const line of output === 'json' ? [documentText(content)] : lines) print(line);
}

function holdToJson(hold: Hold): unknown {
  return {
    origin: hold.origin,
    since: isoTime(hold.addedMs),
    expires: hold.expiresAtMs === null ? null : isoTime(hold.expiresAtMs),
    timeoutSeconds: hold.timeoutSeconds,
    alertId: hold.alertRef.alertId,
    ruleId: hold.alertRef.ruleId,
    reason: hold.reason,
    forced: hold.forced,
  };
}

/** Returns a ban with what the state records and what the kernel holds. */
export function banToJson(
  { ban: { address, phase, sinceMs, holds: all }, backend, kernel, held, escalation }: BanView,
  holds: readonly Hold[] = all,
): object {
  return {
    address: address.text,
    family: address.family,
    phase,
    since: isoTime(sinceMs),
    backend,
    kernel,
    packets: held?.packets ?? 0,
    bytes: held?.bytes ?? 0,
    escalation,
    holds: holds.map(holdToJson),
  };
}

export function historyToJson({ id, atMs, outcome, origin, reason, by }: HistoryRecord): object {
  return {
    schema: SCHEMA_VERSION,
    id,
    time: isoTime(atMs),
    verb: outcome.verb,
    address: outcome.address.text,
    origin,
    by: by ?? null,
    alertId: outcome.alertRef.alertId,
    ruleId: outcome.alertRef.ruleId,
    reason,
  };
}
