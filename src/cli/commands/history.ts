// `history`: what happened, to all addresses or to one.
import { setTimeout as wait } from 'node:timers/promises';
import type { Context } from '../../context.ts';
import type { HistoryFilter, HistoryRecord } from '../../state/history.ts';
import { readAddress } from '../addresses.ts';
import { defineCommand } from '../command.ts';
import { readLimit } from '../output/count.ts';
import { readSpan } from '../output/duration.ts';
import { historyToJson } from '../output/json.ts';
import type { Person } from '../session.ts';
import { formatTable, type Column } from '../output/table.ts';
import { shortTime } from '../output/time.ts';

const FOLLOW_EVERY_MS = 500;
const DEFAULT_LIMIT = '50';

export const history = defineCommand({
  name: 'history',
  summary: 'Show what happened, to all addresses or to one',
  details:
    'Oldest first. Lines are kept as long as history.keep_days says. With --follow it stays and prints what comes, until it is ended.',
  positional: { name: 'address', describe: 'only this address or CIDR block', count: 'optional' },
  options: {
    since: { kind: 'text', value: 'DURATION', describe: 'only the last 2d, 90m, …' },
    limit: {
      kind: 'text',
      value: 'NUMBER',
      default: DEFAULT_LIMIT,
      describe: 'the newest so many',
    },
    json: { kind: 'flag', describe: 'one JSON document a line, see docs/json.md' },
    follow: { kind: 'flag', describe: 'stay, and print what comes' },
  },
  examples: [
    ['history 203.0.113.9', 'all about one address'],
    ['history --since 1d --json', 'the last day, for programs'],
  ],
  needsRoot: true,
  async run(words, options, person) {
    const context = person.createContext();
    const filter: HistoryFilter = {
      address: words[0] === undefined ? null : readAddress(words[0]),
      sinceMs: readSince(options.since, context.now()),
      afterId: 0,
      limit: readLimit(options.limit),
    };
    const records = context.store.history.find(filter);
    const show = options.json ? showJson : showTable;
    show(records, person, true);
    if (options.follow)
      await follow(context, { ...filter, afterId: records.at(-1)?.id ?? 0 }, (more) => {
        show(more, person, false);
      });
    return 0;
  },
});

/** Until somebody ends the process. */
async function follow(
  context: Context,
  filter: HistoryFilter,
  show: (records: readonly HistoryRecord[]) => void,
): Promise<never> {
  let afterId = filter.afterId;
  for (;;) {
    await wait(FOLLOW_EVERY_MS);
    const records = context.store.history.find({
      ...filter,
      afterId,
      limit: Number.MAX_SAFE_INTEGER,
    });
    show(records);
    afterId = records.at(-1)?.id ?? afterId;
  }
}

function readSince(text: string | undefined, nowMs: number): number {
  const seconds = readSpan('since', text);
  return seconds === null ? 0 : nowMs - seconds * 1000;
}

const COLUMNS: readonly Column<HistoryRecord>[] = [
  { heading: 'TIME UTC', dispensable: 5, cell: ({ atMs }) => shortTime(atMs) },
  {
    heading: 'WHAT',
    cell: ({ outcome }) => outcome.verb,
    colour: ({ outcome }) => (outcome.verb === 'failed' ? 'red' : null),
  },
  { heading: 'ADDRESS', cell: ({ outcome }) => outcome.address.text },
  { heading: 'ORIGIN', dispensable: 3, cell: ({ origin }) => origin ?? '' },
  { heading: 'RULE', dispensable: 2, cell: ({ outcome }) => outcome.alertRef.ruleId },
  {
    heading: 'ALERT',
    dispensable: 1,
    cell: ({ outcome }) => outcome.alertRef.alertId,
    cuttable: true,
  },
  { heading: 'REASON', dispensable: 4, cell: ({ reason }) => reason, cuttable: true },
];

function showTable(records: readonly HistoryRecord[], person: Person, first: boolean): void {
  const lines = formatTable(COLUMNS, records, person.terminal);
  if (first && records.length === 0) person.print('nothing happened');
  else lines.slice(first ? 0 : 1).forEach(person.print);
}

function showJson(records: readonly HistoryRecord[], { print }: Person): void {
  for (const record of records) print(JSON.stringify(historyToJson(record)));
}
