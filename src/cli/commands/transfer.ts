// `export` and `import`: print all bans as JSON lines, and block them on another host.
import type { EachRequest } from '../../bans/block.ts';
import type { Context } from '../../context.ts';
import { parseExactNetwork, type Address } from '../../model/address.ts';
import { livingHolds, ORIGINS, type Hold } from '../../model/ban.ts';
import { EXIT_STATUS, orElse } from '../../model/errors.ts';
import type { Offence } from '../../state/history.ts';
import { countedSinceMs } from '../../wazuh/policy.ts';
import { at, textAt, type Json } from '../../wazuh/json.ts';
import { readAlertId, readReason, readRuleId } from '../../wazuh/request.ts';
import { readText } from '../addresses.ts';
import { viewBans } from '../ban-view.ts';
import { filterAllowed } from '../caution.ts';
import { CHANGES_LIST, defineCommand, DRY_RUN, QUIET } from '../command.ts';
import { blockInParts } from '../in-parts.ts';
import { count } from '../output/count.ts';
import { banToJson, documentText } from '../output/json.ts';
import { isoTime } from '../output/time.ts';
import { enterForChange, statusOfReading, type Person } from '../session.ts';

export const exportBans = defineCommand({
  name: 'export',
  summary: 'Print all bans as JSON lines, for import on another host',
  details:
    'Each line is a ban with its holds, their ends and reasons, and its counters, as in list -o json, and with the earlier bans that escalation counts. Addresses that have only earlier bans follow, without holds.',
  examples: [
    ['export > bans.jsonl', 'save all bans'],
    ['export | ssh root@192.0.2.10 firewall-drop import -', 'copy all bans to another host'],
  ],
  run(_words, _options, person) {
    const context = person.createContext();
    const counted = new Map(context.store.offences.times());
    const views = viewBans(context, person).filter(({ ban }) => ban.phase !== 'unblocking');
    for (const view of views) {
      const { text } = view.ban.address;
      const countedBans = (counted.get(text) ?? []).map(isoTime);
      person.print(documentText({ ...banToJson(view), countedBans }));
      counted.delete(text);
    }
    for (const [address, times] of counted) {
      person.print(documentText({ address, holds: [], countedBans: times.map(isoTime) }));
    }
    return statusOfReading(context);
  },
});

export const importBans = defineCommand({
  name: 'import',
  summary: 'Import the bans that export printed, with their ends, reasons and origins',
  details:
    'Skips holds that have expired. If an address is already banned here, the later end applies. Reports and skips protected addresses unless --force is given. Earlier bans count for escalation. Packets and bytes are not imported: the kernel counts from zero.',
  positional: {
    name: 'file',
    describe: 'the output of export; - is standard input',
    count: 'one',
    offers: 'files',
  },
  options: {
    force: {
      kind: 'flag',
      describe: 'also block addresses that are protected here, as add --force',
    },
    ...DRY_RUN,
    ...QUIET,
  },
  examples: [
    ['import bans.jsonl', 'block what another host had blocked'],
    ['import bans.jsonl --dry-run', 'show how many bans would be imported'],
  ],
  exits: {
    0: 'all bans are imported',
    65: 'a line is invalid, or an address is protected',
    ...CHANGES_LIST,
  },
  async run([file = '-'], options, person) {
    const { bans, mistakes } = readExported(readText(file), file === '-' ? 'standard input' : file);
    mistakes.forEach(person.complain);
    const isForReal = !options['dry-run'];
    const context = isForReal ? enterForChange(person) : person.createContext({ readOnly: true });
    const living = bans.flatMap((ban) => withoutExpiredHolds(ban, context.now()));
    const caution = { force: options.force, isForReal };
    const addresses = living.map(({ address }) => address);
    const allowed = filterAllowed(addresses, caution, context, person);
    const earlier = earlierBans(bans, allowed, context);
    if (isForReal) {
      context.store.offences.add(earlier);
      await blockAs(living, allowed, context, person);
    }
    const over = bans.filter(({ holds }) => holds.length > 0).length - living.length;
    const done = isForReal ? 'imported' : 'to be imported';
    const parts = [`${count(allowed.length, 'ban')} ${done}`];
    if (over > 0) parts.push(`${over} already expired`);
    if (earlier.length > 0) parts.push(`${count(earlier.length, 'earlier ban')} for escalation`);
    person.print(parts.join(', '));
    const isWhole = mistakes.length === 0 && allowed.length === living.length;
    return isWhole ? 0 : EXIT_STATUS.BAD_DATA;
  },
});

/**
 * Returns the earlier bans that escalation still counts, except bans that are imported, which are counted when they are
 * blocked.
 */
function earlierBans(
  bans: readonly ExportedBan[],
  going: readonly Address[],
  { config, now }: Context,
): Offence[] {
  const nowMs = now();
  const sinceMs = countedSinceMs(config, nowMs);
  const goesOn = new Set(going.map(({ text }) => text));
  return bans.flatMap(({ address, sinceMs: ownMs, countedMs }) => {
    const isOwn = (atMs: number): boolean => atMs === ownMs && goesOn.has(address.text);
    return countedMs
      .filter((atMs) => atMs >= sinceMs && atMs <= nowMs && !isOwn(atMs))
      .map((atMs) => ({ address, atMs }));
  });
}

function withoutExpiredHolds(ban: ExportedBan, nowMs: number): ExportedBan[] {
  const holds = ban.holds.filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
  return holds.length === 0 ? [] : [{ ...ban, holds }];
}

async function blockAs(
  bans: readonly ExportedBan[],
  allowed: readonly Address[],
  context: Context,
  person: Person,
): Promise<void> {
  const holds = new Map(bans.map((ban) => [ban.address.text, ban.holds]));
  const holdsFor: EachRequest['holdsFor'] = ({ text }, before) => {
    const known = livingHolds(before);
    const [first, ...others] = (holds.get(text) ?? []).map((hold) => later(hold, known));
    if (first === undefined) throw new Error(`${text} is not in the file`);
    return [first, ...others];
  };
  await blockInParts(allowed, { holdsFor, by: person.name }, context);
  context.expire();
}

/** Returns the imported hold, or the existing hold of the same origin if that ends later. */
function later(imported: Hold, known: readonly Hold[]): Hold {
  const own = known.find(({ origin }) => origin === imported.origin);
  const endOf = ({ expiresAtMs }: Hold): number => expiresAtMs ?? Infinity;
  return own !== undefined && endOf(own) > endOf(imported) ? own : imported;
}

interface ExportedBan {
  readonly address: Address;
  /** Empty if only earlier bans are imported. */
  readonly holds: readonly Hold[];
  readonly sinceMs: number | null;
  /** The start of each ban that escalation counts, including the current one, in Unix milliseconds. */
  readonly countedMs: readonly number[];
}

/** Parses exported bans. Returns each address once, and the invalid lines as `bans.jsonl:7: …`. */
export function readExported(
  text: string,
  name: string,
): { readonly bans: readonly ExportedBan[]; readonly mistakes: readonly string[] } {
  const bans = new Map<string, ExportedBan>();
  const mistakes: string[] = [];
  text.split('\n').forEach((line, index) => {
    if (line.trim() === '') return;
    const ban = readBan(orElse(null, () => JSON.parse(line) as Json));
    if (ban !== null) bans.set(ban.address.text, ban);
    else mistakes.push(`${name}:${index + 1}: not a line of firewall-drop export`);
  });
  return { bans: [...bans.values()], mistakes };
}

/** `ban` is null if the line is not JSON, which is a mistake like any other line without an address. */
function readBan(ban: Json): ExportedBan | null {
  const address = parseExactNetwork(textAt(ban, 'address') ?? '');
  const [holds, counted = []] = [at(ban, 'holds'), at(ban, 'countedBans')];
  if (address === null || !Array.isArray(holds) || !Array.isArray(counted)) return null;
  const read = readAll(holds, readHold);
  const countedMs = readAll(counted, readTime);
  if (read === null || countedMs === null || read.length + countedMs.length === 0) return null;
  return { address, holds: read, sinceMs: readTime(at(ban, 'since')), countedMs };
}

/** Parses all values; returns null if one of them is invalid. */
function readAll<T>(all: readonly Json[], read: (one: Json) => T | null): T[] | null {
  const good = all.map(read).filter((one) => one !== null);
  return good.length === all.length ? good : null;
}

function readHold(hold: Json): Hold | null {
  const origin = ORIGINS.find((known) => known === at(hold, 'origin'));
  const addedMs = readTime(at(hold, 'since'));
  const isEndless = at(hold, 'expires') === null;
  const expiresAtMs = isEndless ? null : readTime(at(hold, 'expires'));
  const alertId = readAlertId(textAt(hold, 'alertId'));
  const ruleId = readRuleId(textAt(hold, 'ruleId'));
  if (origin === undefined || addedMs === null || alertId === null || ruleId === null) return null;
  const timeoutSeconds = Math.ceil(((expiresAtMs ?? addedMs) - addedMs) / 1000);
  if (!isEndless && (expiresAtMs === null || timeoutSeconds < 1)) return null;
  return {
    origin,
    addedMs,
    // This is the requested timeout, unless the clock has been set since.
    timeoutSeconds: isEndless ? null : timeoutSeconds,
    expiresAtMs,
    alertRef: { alertId, ruleId },
    reason: readReason(textAt(hold, 'reason')),
    forced: at(hold, 'forced') === true,
  };
}

/** Parses an ISO 8601 time. Returns Unix milliseconds; null if it is invalid. */
function readTime(value: Json | undefined): number | null {
  const milliseconds = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  return Number.isFinite(milliseconds) ? milliseconds : null;
}
