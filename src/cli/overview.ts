// How this host stands: totals, backend, state, the next expiry, and where state and kernel differ. For `status`.
import { familiesInUse } from '../bans/families.ts';
import { findDrift, type Drift } from '../bans/reconcile.ts';
import { STATE_DIRECTORY, type Context } from '../context.ts';
import { describeError } from '../model/errors.ts';
import { inspectBackend, type BackendState } from './backend-state.ts';
import { count } from './output/count.ts';
import { formatDuration } from './output/duration.ts';
import { isoTime, lastChangeMs } from './output/time.ts';
import type { Person } from './session.ts';
import { stateBytes } from './state-size.ts';

const SCHEMA_VERSION = 1;

export interface Overview {
  readonly bans: number;
  readonly byOrigin: Readonly<Record<string, number>>;
  readonly byFamily: Readonly<Record<string, number>>;
  readonly unfinished: number;
  readonly backend: BackendState;
  readonly store: {
    readonly path: string;
    readonly bytes: number | null;
    readonly volatile: boolean;
  };
  readonly lastRun: string | null;
  /** When the kernel was last changed. */
  readonly lastChange: string | null;
  readonly nextExpiry: string | null;
  /** Null when the kernel could not be asked. */
  readonly drift: {
    readonly missing: number;
    readonly unknown: number;
    readonly steps: number;
  } | null;
}

export function examineHost(context: Context, person: Person): Overview {
  const bans = context.store.bans.list();
  const next = context.store.deadlines.nextMs();
  const clock = context.store.metadata.getJson('clock') as { readonly wallMs: number } | null;
  const drift = driftOrNull(context, person);
  const lastMs = lastChangeMs(context.store.history.tallies());
  return {
    bans: bans.length,
    byOrigin: countBy(bans.flatMap((ban) => ban.holds.map((hold) => hold.origin))),
    byFamily: countBy(bans.map((ban) => `IPv${ban.address.family}`)),
    unfinished: bans.filter((ban) => ban.phase !== 'blocked').length,
    backend: inspectBackend(context),
    store: {
      path: `${STATE_DIRECTORY}/state.db`,
      bytes: stateBytes(),
      volatile: context.store.isBehind,
    },
    lastRun: clock === null ? null : isoTime(clock.wallMs),
    lastChange: lastMs === null ? null : isoTime(lastMs),
    nextExpiry: next === null ? null : isoTime(next),
    drift:
      drift === null
        ? null
        : {
            missing: drift.missing.length,
            unknown: drift.unknown.length,
            steps: drift.steps.length,
          },
  };
}

/** The name alone has been there from the beginning. */
export function overviewToJson({ backend, ...rest }: Overview): unknown {
  const { inUse, why, wanted, unfinishedMove, beyond, promotion } = backend;
  const backendState = { why, wanted, unfinishedMove, beyond, promotion };
  return { schema: SCHEMA_VERSION, ...rest, backend: inUse, backendState };
}

function driftOrNull(context: Context, { complain }: Person): Drift | null {
  try {
    return findDrift(context, familiesInUse(context.store));
  } catch (error) {
    complain(`the kernel can't be asked: ${describeError(error)}`);
    return null;
  }
}

export function describeOverview(overview: Overview, nowMs: number): string[] {
  const { bans, byOrigin, byFamily, unfinished, backend, store, lastChange, nextExpiry } = overview;
  const origins = Object.entries(byOrigin).map(([origin, number]) => `${origin} ${number}`);
  const families = Object.entries(byFamily).map(([family, number]) => `${family} ${number}`);
  const parts = [...families, ...origins].join(', ');
  const next =
    nextExpiry === null ? 'none' : `in ${formatDuration((Date.parse(nextExpiry) - nowMs) / 1000)}`;
  return [
    `bans         ${bans}${parts === '' ? '' : ` (${parts})`}`,
    `pending      ${unfinished}${unfinished === 0 ? '' : `: ${whyPending(store)}`}`,
    `backend      ${backend.inUse}: ${backend.why}`,
    ...(backend.unfinishedMove === null
      ? []
      : ['             a migration to another one was interrupted; the next run completes it']),
    ...(backend.promotion?.to === null
      ? [`             sets could not be used: ${backend.promotion.trouble}`]
      : []),
    `state        ${store.path}, ${store.bytes ?? 'no'} bytes${store.volatile ? ", can't be written: firewall-drop doctor says why" : ''}`,
    `last change  ${lastChange === null ? 'never' : `${lastChange.slice(0, 19).replace('T', ' ')} UTC`}`,
    `next expiry  ${next}`,
    `drift        ${describeDrift(overview)}`,
  ];
}

function whyPending({ volatile }: Overview['store']): string {
  return volatile
    ? 'they could not be saved; firewall-drop expire does it once they can'
    : 'an earlier run was interrupted; firewall-drop reconcile completes them';
}

function describeDrift({ drift, unfinished }: Overview): string {
  if (drift === null) return 'unknown';
  const { missing, unknown, steps } = drift;
  const foreign = unknown === 0 ? '' : `; ${count(unknown, 'drop rule')} that no ban explains`;
  if (unfinished > 0) {
    return `${count(unfinished, 'change')} pending: firewall-drop reconcile${foreign}`;
  }
  if (steps === 0) return `none${foreign}`;
  const what =
    missing === 0 ? 'rules out of place' : `${count(missing, 'ban')} without rules in the kernel`;
  return `${what}: firewall-drop reconcile${foreign}`;
}

function countBy(keys: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(keys, (key) => key);
  return Object.fromEntries(Array.from(groups, ([key, all]) => [key, all.length]));
}
