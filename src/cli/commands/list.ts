// `list`: what is blocked, by whom, until when, and how much it has dropped.
import { ORIGINS, type Ban, type Hold } from '../../model/ban.ts';
import { describeError } from '../../model/errors.ts';
import type { HeldAddress } from '../../firewall/snapshot.ts';
import type { Context } from '../../context.ts';
import { readEscalation, type Escalation } from '../escalation.ts';
import { defineCommand } from '../command.ts';
import { readLimit } from '../output/count.ts';
import { formatDuration, readSpan } from '../output/duration.ts';
import { banToJson } from '../output/json.ts';
import { shortTime } from '../output/time.ts';
import { formatCsv, formatTable, type Column } from '../output/table.ts';
import type { Person } from '../session.ts';

/** The version of the JSON that `list --json` prints; `docs/json.md` describes it. */
const SCHEMA_VERSION = 1;

export const list = defineCommand({
  name: 'list',
  summary: 'Show what is blocked',
  details:
    'One row for each hold. KERNEL says whether the rules are in the kernel now; PACKETS and BYTES are what they have dropped since they were made.',
  options: {
    origin: {
      kind: 'choice',
      choices: ORIGINS,
      describe: 'only what this origin holds',
    },
    'expiring-within': { kind: 'text', value: 'DURATION', describe: 'only what ends so soon' },
    sort: {
      kind: 'choice',
      choices: ['since', 'expires', 'address', 'packets'],
      default: 'since',
      describe: 'in which order',
    },
    limit: {
      kind: 'text',
      value: 'NUMBER',
      describe: 'at most so many bans, each with all its holds',
    },
    json: { kind: 'flag', describe: 'JSON, see docs/json.md' },
    csv: { kind: 'flag', describe: 'comma-separated values' },
    plain: { kind: 'flag', describe: 'one address a line, for scripts' },
  },
  examples: [
    ['list --expiring-within 10m', 'what ends soon'],
    ['list --plain --origin manual', 'for a script'],
  ],
  needsRoot: true,
  run(_words, options, person) {
    const context = person.createContext();
    const within = readSpan('expiring-within', options['expiring-within']);
    const limit = readLimit(options.limit);
    const chosen = readEntries(context, person)
      .filter((entry) => options.origin === undefined || entry.hold?.origin === options.origin)
      .filter((entry) => within === null || isWithin(entry, within, context.now()))
      .sort(ORDERS[options.sort] ?? ORDERS['since']);
    // Bans are counted, not their holds: whoever reads of a ban reads of all who hold it.
    const shown = new Set([...new Set(chosen.map(({ ban }) => ban))].slice(0, limit));
    const entries = chosen.filter(({ ban }) => shown.has(ban));
    if (options.plain)
      for (const text of new Set(entries.map(({ ban }) => ban.address.text))) person.print(text);
    else if (options.json) person.print(JSON.stringify(toJson(entries)));
    else if (options.csv) formatCsv(columnsFor(context), entries).forEach(person.print);
    else if (entries.length === 0) person.print('nothing is blocked');
    else formatTable(columnsFor(context), entries, person.terminal).forEach(person.print);
    return 0;
  },
});

interface Entry {
  readonly ban: Ban;
  /** Undefined for a ban that is only being released. */
  readonly hold: Hold | undefined;
  readonly kernel: 'yes' | 'missing' | 'unknown';
  readonly held: HeldAddress | undefined;
  readonly backend: string;
  readonly escalation: Escalation | null;
}

function readEntries(context: Context, person: Person): Entry[] {
  const { store, firewall } = context;
  const bans = store.bans.list();
  const escalationOf = readEscalation(context);
  const held = new Map<string, HeldAddress>();
  const unknown = new Set<number>();
  for (const family of new Set(bans.map((ban) => ban.address.family))) {
    try {
      for (const [text, one] of firewall.snapshot(family).held) held.set(text, one);
    } catch (error) {
      unknown.add(family);
      person.complain(`IPv${family}: the kernel can't be asked: ${describeError(error)}`);
    }
  }
  return bans.flatMap((ban) => {
    const found = held.get(ban.address.text);
    const missing = unknown.has(ban.address.family) ? 'unknown' : 'missing';
    const kernel = found === undefined ? missing : 'yes';
    const holds: (Hold | undefined)[] = ban.holds.length === 0 ? [undefined] : [...ban.holds];
    return holds.map((hold): Entry => ({
      ban,
      hold,
      kernel,
      held: found,
      backend: firewall.backendName,
      escalation: escalationOf(ban.address),
    }));
  });
}

const ORDERS: Readonly<Record<string, (a: Entry, b: Entry) => number>> = {
  since: (a, b) => (a.hold?.addedMs ?? a.ban.sinceMs) - (b.hold?.addedMs ?? b.ban.sinceMs),
  expires: (a, b) => (a.hold?.expiresAtMs ?? Infinity) - (b.hold?.expiresAtMs ?? Infinity),
  packets: (a, b) => (b.held?.packets ?? 0) - (a.held?.packets ?? 0),
  address: (a, b) => {
    const [one, other] = [a.ban.address, b.ban.address];
    if (one.family !== other.family) return one.family - other.family;
    return one.value < other.value ? -1 : Number(one.value > other.value);
  },
};

function isWithin({ hold }: Entry, seconds: number, nowMs: number): boolean {
  const expiresAtMs = hold?.expiresAtMs ?? null;
  return expiresAtMs !== null && expiresAtMs - nowMs <= seconds * 1000;
}

/** Escalation has a column where it is configured. */
function columnsFor({ config, now }: Context): Column<Entry>[] {
  const columns = columnsAt(now());
  if (config.escalation.timeouts.length === 0) return columns;
  const bans: Column<Entry> = {
    heading: 'BANS',
    dispensable: 7,
    cell: ({ escalation }) =>
      escalation === null ? '' : `${escalation.bans}, next ${escalation.next}`,
  };
  return [...columns.slice(0, 3), bans, ...columns.slice(3)];
}

function columnsAt(nowMs: number): Column<Entry>[] {
  return [
    { heading: 'ADDRESS', cell: ({ ban }) => ban.address.text },
    {
      heading: 'SINCE UTC',
      dispensable: 6,
      cell: ({ ban, hold }) => shortTime(hold?.addedMs ?? ban.sinceMs),
    },
    { heading: 'EXPIRES IN', dispensable: 9, cell: ({ hold }) => remaining(hold, nowMs) },
    { heading: 'ORIGIN', dispensable: 8, cell: ({ ban, hold }) => hold?.origin ?? ban.phase },
    { heading: 'RULE', dispensable: 4, cell: ({ hold }) => hold?.alertRef.ruleId ?? '' },
    {
      heading: 'ALERT',
      dispensable: 3,
      cell: ({ hold }) => hold?.alertRef.alertId ?? '',
      cuttable: true,
    },
    { heading: 'BACKEND', dispensable: 1, cell: ({ backend }) => backend, cuttable: true },
    {
      heading: 'KERNEL',
      cell: ({ kernel }) => kernel,
      colour: ({ kernel }) => (kernel === 'missing' ? 'red' : null),
    },
    {
      heading: 'PACKETS',
      dispensable: 5,
      cell: ({ held }) => String(held?.packets ?? 0),
      align: 'right',
    },
    {
      heading: 'BYTES',
      dispensable: 2,
      cell: ({ held }) => String(held?.bytes ?? 0),
      align: 'right',
    },
    { heading: 'REASON', dispensable: 7, cell: reasonOf, cuttable: true },
  ];
}

function remaining(hold: Hold | undefined, nowMs: number): string {
  if (hold === undefined) return '';
  return hold.expiresAtMs === null ? 'never' : formatDuration((hold.expiresAtMs - nowMs) / 1000);
}

function reasonOf({ ban, hold }: Entry): string {
  const unfinished = ban.phase === 'blocked' ? '' : `(${ban.phase}) `;
  return `${unfinished}${hold?.reason ?? ''}`;
}

/** Rows are holds, documents are bans: those of one ban come together again. */
function toJson(entries: readonly Entry[]): unknown {
  const groups = Map.groupBy(entries, (entry) => entry.ban);
  const bans = Array.from(groups, ([ban, own]) => {
    const holds = own.flatMap(({ hold }) => (hold === undefined ? [] : [hold]));
    const [first] = own;
    return first === undefined ? null : banToJson(ban, holds, first);
  });
  return { schema: SCHEMA_VERSION, bans };
}
