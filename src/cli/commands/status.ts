// `status`: shows whether addresses are blocked, by which rule and why; without addresses, an overview.
import { lastReading } from '../../bans/clock-shift.ts';
import { findDrift, type Drift } from '../../bans/reconcile.ts';
import { describeError, EXIT_STATUS } from '../../model/errors.ts';
import { STATE_DIRECTORY, type Context } from '../../context.ts';
import { readAddress } from '../addresses.ts';
import { inspectBackend } from '../backend-state.ts';
import { ANSWER_NO, BANNED, defineCommand, outputAs } from '../command.ts';
import { count } from '../output/count.ts';
import { printAnswer } from '../output/json.ts';
import { formatDuration, isoTime } from '../output/time.ts';
import { statusOfReading, type Person } from '../session.ts';
import { lastChangeMs, stateBytes, describePendingCause } from '../figures.ts';
import { describeFinding, examine, findingToJson } from '../verdict.ts';

export const status = defineCommand({
  name: 'status',
  summary: 'Show an overview, or whether and why addresses are blocked',
  details:
    'With addresses, checks in the kernel whether a packet from each is dropped now and by which rule, and shows its holds and history. Without addresses, shows totals, the backend, the state, the next expiry, and differences between state and kernel.',
  positional: { ...BANNED, count: 'any' },
  options: { output: outputAs('text', 'json') },
  examples: [
    ['status 203.0.113.9', 'show whether a customer is blocked, since when, and by which alert'],
    ['status --json', 'an overview for monitoring'],
  ],
  exits: {
    0: 'all addresses are blocked; in the overview: state and kernel agree',
    1: 'an address is not blocked; in the overview: changes are pending or rules are missing',
    65: 'an address is invalid',
    69: "the kernel can't be queried",
  },
  run(words, { output }, person) {
    const addresses = words.map(readAddress);
    const context = person.createContext();
    if (addresses.length === 0) return printOverview(context, output, person);
    const findings = addresses.map((address) => examine(address, context));
    for (const finding of findings) {
      const lines = describeFinding(finding, context, person);
      printAnswer(output, findingToJson(finding, context), lines, person);
    }
    return findings.every(({ verdict }) => verdict.kind === 'dropped') ? 0 : ANSWER_NO;
  },
});

function printOverview(context: Context, output: string, person: Person): number {
  const overview = examineHost(context, person);
  const lines = describeOverview(overview, context.now());
  printAnswer(output, overviewToJson(overview), lines, person);
  const { drift, unfinished } = overview;
  if (drift === null) return EXIT_STATUS.FIREWALL;
  return drift.steps === 0 && unfinished === 0 ? statusOfReading(context) : ANSWER_NO;
}

type Overview = ReturnType<typeof examineHost>;

function examineHost(context: Context, person: Person) {
  const bans = context.store.bans.list();
  const next = context.store.deadlines.nextMs();
  const lastRun = lastReading(context.store);
  const drift = driftOrNull(context, person);
  const lastMs = lastChangeMs(context.store.history.tallies());
  return {
    bans: bans.length,
    byOrigin: countBy(bans.flatMap((ban) => ban.holds.map((hold) => hold.origin))),
    byFamily: countBy(bans.map((ban) => `IPv${ban.address.family}`)),
    unfinished: bans.filter((ban) => ban.phase !== 'blocked').length,
    atWork: drift?.atWork ?? null,
    backend: inspectBackend(context),
    store: {
      path: `${STATE_DIRECTORY}/state.db`,
      bytes: stateBytes(),
      volatile: context.store.isBehind,
    },
    lastRun: lastRun === null ? null : isoTime(lastRun.wallMs),
    lastChange: lastMs === null ? null : isoTime(lastMs),
    nextExpiry: next === null ? null : isoTime(next),
    /** null if the kernel can't be queried. */
    drift: drift && {
      missing: drift.missing.length,
      unknown: drift.unknown.length,
      steps: drift.steps.length,
    },
  };
}

/** Returns the overview for JSON. `backend` is the name alone, for compatibility with the first version. */
function overviewToJson({ backend, ...rest }: Overview): object {
  const { inUse, why, wanted, unfinishedMove, beyond, promotion } = backend;
  const backendState = { why, wanted, unfinishedMove, beyond, promotion };
  return { ...rest, backend: inUse, backendState };
}

function driftOrNull(context: Context, { complain }: Person): Drift | null {
  try {
    return findDrift(context);
  } catch (error) {
    complain(`the kernel can't be queried: ${describeError(error)}`);
    return null;
  }
}

function describeOverview(overview: Overview, nowMs: number): string[] {
  const { bans, byOrigin, byFamily, unfinished, backend, store, lastChange, nextExpiry } = overview;
  const origins = Object.entries(byOrigin).map(([origin, number]) => `${origin} ${number}`);
  const families = Object.entries(byFamily).map(([family, number]) => `${family} ${number}`);
  const parts = [...families, ...origins].join(', ');
  const next =
    nextExpiry === null ? 'none' : `in ${formatDuration((Date.parse(nextExpiry) - nowMs) / 1000)}`;
  return [
    `bans         ${bans}${parts === '' ? '' : ` (${parts})`}`,
    `pending      ${unfinished}${unfinished === 0 ? '' : `: ${describePending(overview)}`}`,
    `backend      ${backend.inUse}: ${backend.why}`,
    ...(backend.unfinishedMove === null
      ? []
      : ['             a migration to another backend was interrupted; the next run completes it']),
    ...(backend.promotion?.to === null
      ? [`             sets could not be used: ${backend.promotion.trouble}`]
      : []),
    `state        ${store.path}, ${store.bytes ?? 'no'} bytes${store.volatile ? ", can't be written: firewall-drop doctor says why" : ''}`,
    `last change  ${lastChange === null ? 'never' : `${lastChange.slice(0, 19).replace('T', ' ')} UTC`}`,
    `next expiry  ${next}`,
    `drift        ${describeDrift(overview)}`,
  ];
}

function describePending({ store, atWork }: Overview): string {
  if (store.volatile)
    return "the state can't be written; firewall-drop expire saves them once it can";
  const way = atWork === null ? '; firewall-drop reconcile completes the changes' : '';
  return `${describePendingCause({ atWork })}${way}`;
}

function describeDrift({ drift, unfinished }: Overview): string {
  if (drift === null) return 'unknown';
  const { missing, unknown, steps } = drift;
  const foreign = unknown === 0 ? '' : `; ${count(unknown, 'drop rule')} without a ban`;
  if (unfinished > 0) {
    return `${count(unfinished, 'change')} pending: run firewall-drop reconcile${foreign}`;
  }
  if (steps === 0) return `none${foreign}`;
  const what =
    missing === 0
      ? 'rules out of place'
      : `${count(missing, 'ban')} without all rules in the kernel`;
  return `${what}: run firewall-drop reconcile${foreign}`;
}

function countBy(keys: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(keys, (key) => key);
  return Object.fromEntries(Array.from(groups, ([key, all]) => [key, all.length]));
}
