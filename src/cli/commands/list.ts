// `list`: shows all bans with their holds, ends and counters.
import type { Hold } from '../../model/ban.ts';
import type { Context } from '../../context.ts';
import { viewBans, type BanView } from '../ban-view.ts';
import { anyText, defineCommand, NUMBER, oneOf, ORIGIN, outputAs, WIDE } from '../command.ts';
import { count } from '../output/count.ts';
import { banToJson, documentText } from '../output/json.ts';
import { formatDuration, shortTime, SPAN } from '../output/time.ts';
import { chooseColumns, formatCsv, formatTable, type Column } from '../output/table.ts';
import { statusOfReading, type Terminal } from '../session.ts';

const SORTS = ['since', 'expires', 'address', 'packets'] as const;

export const list = defineCommand({
  name: 'list',
  aliases: ['ls'],
  summary: 'Show what is blocked',
  details:
    'One row per hold. KERNEL shows whether the rules are in the kernel now. PACKETS and BYTES count what they have dropped since they were added.',
  options: {
    ...ORIGIN,
    'expiring-within': { ...SPAN, describe: 'only holds that end within this time' },
    sort: { ...oneOf(...SORTS), default: 'since', describe: 'sort order' },
    limit: { ...NUMBER, describe: 'show at most this many bans, each with all its holds' },
    ...WIDE,
    columns: {
      ...anyText('NAMES'),
      describe: 'show these columns in this order, such as address,expires_in,reason',
    },
    output: outputAs('table', 'json', 'csv', 'plain'),
  },
  examples: [
    ['list --expiring-within 10m', 'show what ends soon'],
    ['list -o plain --origin manual', 'print one address per line, for a script'],
  ],
  isLong: () => true,
  run(_words, options, person) {
    const context = person.createContext();
    const within = options['expiring-within'];
    const all = viewBans(context, person);
    const chosen = all
      .flatMap(rowsOf)
      .filter((entry) => options.origin === undefined || entry.hold?.origin === options.origin)
      .filter((entry) => within === undefined || isWithin(entry, within, context.now()))
      .sort(ORDERS[options.sort]);
    // The limit counts bans, not holds, so that every ban shown has all its holds.
    const shown = new Set([...new Set(chosen.map(({ ban }) => ban))].slice(0, options.limit));
    const entries = chosen.filter(({ ban }) => shown.has(ban));
    const { output, wide, columns } = options;
    const { terminal } = person;
    const shape = { output, columns, terminal: wide ? { ...terminal, width: null } : terminal };
    linesOf(entries, shape, context).forEach(person.print);
    if (entries.length === 0 && output === 'table' && !context.store.unread) {
      person.print(all.length > 0 ? 'no ban matches' : 'nothing is blocked');
    }
    if (output === 'table' && terminal.width !== null && all.length > 0) {
      person.print(totalOf(entries, all.length));
    }
    return statusOfReading(context);
  },
});

/** A row: a ban with one of its holds. The hold is undefined for a ban that is being released. */
interface Entry extends BanView {
  readonly hold: Hold | undefined;
}

function rowsOf(view: BanView): Entry[] {
  const { holds } = view.ban;
  return holds.length === 0
    ? [{ ...view, hold: undefined }]
    : holds.map((hold) => ({ ...view, hold }));
}

/** Groups rows, which are holds, into one document per ban. */
function documentsOf(entries: readonly Entry[]): object[] {
  return Array.from(Map.groupBy(entries, ({ ban }) => ban).values(), (own) => {
    const holds = own.flatMap(({ hold }) => hold ?? []);
    return own.slice(0, 1).map((view) => banToJson(view, holds));
  }).flat();
}

interface Shape {
  readonly output: 'table' | 'json' | 'csv' | 'plain';
  readonly columns: string | undefined;
  readonly terminal: Terminal;
}

function linesOf(entries: readonly Entry[], shape: Shape, { config }: Context): string[] {
  const { output, columns: names, terminal } = shape;
  if (output === 'json') return [documentText({ bans: documentsOf(entries) })];
  if (output === 'plain') return [...new Set(entries.map(({ ban }) => ban.address.text))];
  const escalates = config.escalation.timeouts.length > 0;
  const columns = COLUMNS.filter((column) => escalates || column !== OFFENCES);
  if (output === 'csv' && names === undefined) return formatCsv(columns, entries);
  const chosen = chooseColumns(columns, entries, names);
  if (output === 'csv') return formatCsv(chosen, entries);
  return entries.length === 0 ? [] : formatTable(chosen, entries, terminal);
}

/** Returns `2 of 7 bans, 3 holds`. */
function totalOf(entries: readonly Entry[], all: number): string {
  const shown = new Set(entries.map(({ ban }) => ban)).size;
  const bans = shown === all ? count(all, 'ban') : `${shown} of ${count(all, 'ban')}`;
  return shown === entries.length ? bans : `${bans}, ${count(entries.length, 'hold')}`;
}

const ORDERS: Readonly<Record<(typeof SORTS)[number], (a: Entry, b: Entry) => number>> = {
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

const OFFENCES: Column<Entry> = {
  heading: 'BANS',
  dispensable: 7,
  cell: ({ escalation }) => (escalation ? `${escalation.bans}, next ${escalation.next}` : ''),
};

const COLUMNS: readonly Column<Entry>[] = [
  { heading: 'ADDRESS', cell: ({ ban }) => ban.address.text },
  {
    heading: 'SINCE UTC',
    dispensable: 6,
    cell: ({ ban, hold }) => shortTime(hold?.addedMs ?? ban.sinceMs),
  },
  { heading: 'EXPIRES IN', dispensable: 9, cell: ({ hold }) => remaining(hold) },
  OFFENCES,
  { heading: 'ORIGIN', dispensable: 8, cell: ({ ban, hold }) => hold?.origin ?? ban.phase },
  {
    heading: 'RULE',
    dispensable: 4,
    cell: ({ hold }) => hold?.alertRef.ruleId ?? '',
    isIdle: isWithoutRule,
  },
  {
    heading: 'ALERT',
    dispensable: 3,
    cell: ({ hold }) => hold?.alertRef.alertId ?? '',
    isIdle: isWithoutRule,
  },
  { heading: 'BACKEND', dispensable: 1, cell: ({ backend }) => backend },
  {
    heading: 'KERNEL',
    cell: ({ kernel }) => kernel,
    colour: ({ kernel }) => (kernel === 'missing' ? 'red' : null),
  },
  counter('PACKETS', 5, ({ held }) => held?.packets ?? 0),
  counter('BYTES', 2, ({ held }) => held?.bytes ?? 0),
  {
    heading: 'REASON',
    dispensable: 7,
    cell: reasonOf,
    cuttableTo: 24,
    isIdle: (entry) => reasonOf(entry) === '',
  },
];

function counter(
  heading: string,
  dispensable: number,
  count: (entry: Entry) => number,
): Column<Entry> {
  const cell = (entry: Entry): string => String(count(entry));
  return { heading, dispensable, cell, align: 'right', isIdle: (entry) => count(entry) === 0 };
}

function isWithoutRule({ hold }: Entry): boolean {
  return (hold?.alertRef.ruleId ?? '0') === '0';
}

function remaining(hold: Hold | undefined): string {
  if (hold === undefined) return '';
  return hold.expiresAtMs === null
    ? 'never'
    : formatDuration((hold.expiresAtMs - Date.now()) / 1000);
}

function reasonOf({ ban, hold }: Entry): string {
  const pending = ban.phase === 'blocked' ? '' : `(${ban.phase}) `;
  return `${pending}${hold?.forced === true ? '(forced) ' : ''}${hold?.reason ?? ''}`.trimEnd();
}
