// `history`: shows the recorded events of all addresses or of one.
import { setTimeout as wait } from 'node:timers/promises';
import type { Context } from '../../context.ts';
import { EXIT_STATUS } from '../../model/errors.ts';
import type { HistoryFilter, HistoryRecord } from '../../state/history.ts';
import { readAddress } from '../addresses.ts';
import { BANNED, defineCommand, NUMBER, outputAs, WIDE } from '../command.ts';
import { shortTime, TIME_PAST } from '../output/time.ts';
import { historyToJson } from '../output/json.ts';
import { chooseColumns, formatTable, type Column } from '../output/table.ts';
import type { Person } from '../session.ts';

const FOLLOW_EVERY_MS = 500;

export const history = defineCommand({
  name: 'history',
  summary: 'Show what happened to all addresses or to one',
  details:
    'Lists events oldest first. Events are kept for history.keep_days. With --follow, keeps running and prints new events until it is interrupted.',
  positional: { ...BANNED, describe: 'only this address or network', count: 'optional' },
  options: {
    since: {
      ...TIME_PAST,
      describe:
        'only events of the last 2d, 90m, or since 14:05, 2026-12-24, "2026-12-24 18:00" (UTC)',
    },
    limit: { ...NUMBER, default: '50', describe: 'show at most this many events, the newest' },
    output: outputAs('table', 'json'),
    ...WIDE,
    follow: { kind: 'flag', describe: 'keep running, and print new events' },
  },
  examples: [
    ['history 203.0.113.9', 'show the events of one address'],
    ['history --since 1d --json', 'show the last day, for scripts'],
  ],
  exits: { 0: 'success', 65: 'the address is invalid' },
  isLong: ({ follow }) => !follow,
  async run(words, options, person) {
    const context = person.createContext();
    const filter: HistoryFilter = {
      address: words[0] === undefined ? undefined : readAddress(words[0]),
      sinceMs: options.since ?? 0,
      limit: options.limit,
    };
    const records = context.store.history.find(filter);
    const { output, wide } = options;
    const { terminal } = person;
    const columns = options.follow ? COLUMNS : chooseColumns(COLUMNS, records, undefined);
    const room = wide ? { ...terminal, width: null } : terminal;
    const show = (more: readonly HistoryRecord[], isFirst: boolean): void => {
      if (output === 'json') {
        for (const record of more) person.print(JSON.stringify(historyToJson(record)));
      } else if (isFirst && more.length === 0) printNothing(filter, context, person);
      else
        formatTable(columns, more, room)
          .slice(isFirst ? 0 : 1)
          .forEach(person.print);
    };
    show(records, true);
    if (output === 'table' && terminal.width !== null && records.length === filter.limit) {
      person.print(`showing the newest ${records.length}; use --limit for more`);
    }
    for (let afterId = records.at(-1)?.id ?? 0; options.follow;) {
      await wait(FOLLOW_EVERY_MS);
      const limit = Number.MAX_SAFE_INTEGER;
      const more = context.store.history.find({ ...filter, afterId, limit });
      show(more, false);
      afterId = more.at(-1)?.id ?? afterId;
    }
    return context.store.lacksHistory ? EXIT_STATUS.STORE : 0;
  },
});

/** Says nothing if the history could not be read, which was reported. */
function printNothing(filter: HistoryFilter, { store }: Context, { print }: Person): void {
  if (store.lacksHistory) return;
  print(filter.sinceMs === 0 ? 'nothing is recorded' : 'nothing is recorded since then');
}

const COLUMNS: readonly Column<HistoryRecord>[] = [
  { heading: 'TIME UTC', dispensable: 7, cell: ({ atMs }) => shortTime(atMs) },
  {
    heading: 'WHAT',
    cell: ({ outcome }) => outcome.verb,
    colour: ({ outcome }) => (outcome.verb === 'failed' ? 'red' : null),
  },
  { heading: 'ADDRESS', cell: ({ outcome }) => outcome.address.text },
  { heading: 'ORIGIN', dispensable: 3, cell: ({ origin }) => origin ?? '' },
  {
    heading: 'BY',
    dispensable: 4,
    cell: ({ by }) => by ?? '',
    isIdle: ({ by }) => by === undefined,
  },
  {
    heading: 'RULE',
    dispensable: 2,
    cell: ({ outcome }) => outcome.alertRef.ruleId,
    isIdle: ({ outcome }) => outcome.alertRef.ruleId === '0',
  },
  {
    heading: 'ALERT',
    dispensable: 1,
    cell: ({ outcome }) => outcome.alertRef.alertId,
    isIdle: ({ outcome }) => outcome.alertRef.ruleId === '0',
  },
  {
    heading: 'REASON',
    dispensable: 6,
    cell: ({ reason }) => reason,
    cuttableTo: 24,
    isIdle: ({ reason }) => reason === '',
  },
];
