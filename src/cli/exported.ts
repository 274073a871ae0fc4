// Reads what `export` printed: the only parser of its lines.
import { parseExactNetwork, type Address } from '../model/address.ts';
import { ORIGINS, type Hold } from '../model/ban.ts';
import { readAlertId, readReason, readRuleId } from '../wazuh/request.ts';

export interface ExportedBan {
  readonly address: Address;
  /** None: only its earlier bans are counted. */
  readonly holds: readonly Hold[];
  readonly sinceMs: number | null;
  /** When alerts began its bans, in Unix milliseconds, this one included, as far as escalation counts them. */
  readonly countedMs: readonly number[];
}

/** Bans, each address once, and lines that are none: `bans.jsonl:7: …`. */
export function readExported(
  text: string,
  name: string,
): { readonly bans: readonly ExportedBan[]; readonly mistakes: readonly string[] } {
  const bans = new Map<string, ExportedBan>();
  const mistakes: string[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    const ban = readBan(parse(line));
    if (ban !== null) bans.set(ban.address.text, ban);
    else mistakes.push(`${name}:${index + 1}: this is not a line of firewall-drop export`);
  });
  return { bans: [...bans.values()], mistakes };
}

type Fields = Readonly<Record<string, unknown>>;

function parse(line: string): Fields {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? (value as Fields) : {};
  } catch {
    // Not JSON: a mistake, as any other line without an address.
    return {};
  }
}

function readBan({ address: text, since, holds, countedBans = [] }: Fields): ExportedBan | null {
  const address = typeof text === 'string' ? parseExactNetwork(text) : null;
  if (address === null || !Array.isArray(holds) || !Array.isArray(countedBans)) return null;
  const read = readAll(holds, (hold) => readHold((hold ?? {}) as Fields));
  const countedMs = readAll(countedBans, readTime);
  if (read === null || countedMs === null || read.length + countedMs.length === 0) return null;
  return { address, holds: read, sinceMs: readTime(since), countedMs };
}

/** Null where one can't be read. */
function readAll<T>(all: readonly unknown[], read: (one: unknown) => T | null): T[] | null {
  const good = all.map(read).filter((one) => one !== null);
  return good.length === all.length ? good : null;
}

function readHold(fields: Fields): Hold | null {
  const origin = ORIGINS.find((known) => known === fields['origin']);
  const addedMs = readTime(fields['since']);
  const isEndless = fields['expires'] === null;
  const expiresAtMs = isEndless ? null : readTime(fields['expires']);
  const alertId = readAlertId(textOf(fields['alertId']));
  const ruleId = readRuleId(textOf(fields['ruleId']));
  if (origin === undefined || addedMs === null || alertId === null || ruleId === null) return null;
  const timeoutSeconds = Math.ceil(((expiresAtMs ?? addedMs) - addedMs) / 1000);
  if (!isEndless && (expiresAtMs === null || timeoutSeconds < 1)) return null;
  return {
    origin,
    addedMs,
    // What was asked for, unless the clock was set since.
    timeoutSeconds: isEndless ? null : timeoutSeconds,
    expiresAtMs,
    alertRef: { alertId, ruleId },
    reason: readReason(textOf(fields['reason'])),
    forced: fields['forced'] === true,
  };
}

function textOf(value: unknown): string | undefined {
  return typeof value === 'string' ? value : undefined;
}

/** ISO 8601 as Unix milliseconds, within what a clock can show. */
function readTime(value: unknown): number | null {
  const milliseconds = Date.parse(textOf(value) ?? '');
  return Number.isFinite(milliseconds) ? milliseconds : null;
}
