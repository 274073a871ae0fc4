// The columns of `list`: who is blocked, by whom and until when; what the kernel holds and has dropped.
import type { Hold } from '../model/ban.ts';
import type { Context } from '../context.ts';
import type { Entry } from './ban-entries.ts';
import { formatDuration } from './output/duration.ts';
import type { Column } from './output/table.ts';
import { shortTime } from './output/time.ts';

/** Escalation has a column where it is configured. */
export function columnsFor({ config, now }: Context): Column<Entry>[] {
  const escalates = config.escalation.timeouts.length > 0;
  return [...timeColumns(now()), ...(escalates ? [OFFENCES] : []), ...CAUSE, ...KERNEL, REASON];
}

function timeColumns(nowMs: number): Column<Entry>[] {
  return [
    { heading: 'ADDRESS', cell: ({ ban }) => ban.address.text },
    {
      heading: 'SINCE UTC',
      dispensable: 6,
      cell: ({ ban, hold }) => shortTime(hold?.addedMs ?? ban.sinceMs),
    },
    { heading: 'EXPIRES IN', dispensable: 9, cell: ({ hold }) => remaining(hold, nowMs) },
  ];
}

const OFFENCES: Column<Entry> = {
  heading: 'BANS',
  dispensable: 7,
  cell: ({ escalation }) =>
    escalation === null ? '' : `${escalation.bans}, next ${escalation.next}`,
};

const CAUSE: readonly Column<Entry>[] = [
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
];

const KERNEL: readonly Column<Entry>[] = [
  { heading: 'BACKEND', dispensable: 1, cell: ({ backend }) => backend },
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
    isIdle: ({ held }) => (held?.packets ?? 0) === 0,
  },
  {
    heading: 'BYTES',
    dispensable: 2,
    cell: ({ held }) => String(held?.bytes ?? 0),
    align: 'right',
    isIdle: ({ held }) => (held?.bytes ?? 0) === 0,
  },
];

const REASON: Column<Entry> = {
  heading: 'REASON',
  dispensable: 7,
  cell: reasonOf,
  cuttableTo: 24,
  isIdle: (entry) => reasonOf(entry) === '',
};

function isWithoutRule({ hold }: Entry): boolean {
  return (hold?.alertRef.ruleId ?? '0') === '0';
}

function remaining(hold: Hold | undefined, nowMs: number): string {
  if (hold === undefined) return '';
  return hold.expiresAtMs === null ? 'never' : formatDuration((hold.expiresAtMs - nowMs) / 1000);
}

function reasonOf({ ban, hold }: Entry): string {
  const pending = ban.phase === 'blocked' ? '' : `(${ban.phase}) `;
  return `${pending}${hold?.forced === true ? '(forced) ' : ''}${hold?.reason ?? ''}`.trimEnd();
}
