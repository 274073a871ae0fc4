// `status`: whether an address is blocked, by what and why; or an overview.
import { contains, type Address } from '../../model/address.ts';
import type { Ban } from '../../model/ban.ts';
import { familiesInUse } from '../../bans/families.ts';
import { findDrift, type Drift } from '../../bans/reconcile.ts';
import { describeError } from '../../model/errors.ts';
import type { Snapshot } from '../../firewall/snapshot.ts';
import { findVerdict, type Verdict } from '../../firewall/verdict.ts';
import { STATE_DIRECTORY, type Context } from '../../context.ts';
import type { HistoryRecord } from '../../state/history.ts';
import { readAddress } from '../addresses.ts';
import { inspectBackend, type BackendState } from '../backend-state.ts';
import { readEscalation, type Escalation } from '../escalation.ts';
import { count } from '../output/count.ts';
import { defineCommand } from '../command.ts';
import { stateBytes } from '../state-size.ts';
import { formatDuration } from '../output/duration.ts';
import { banToJson, historyToJson } from '../output/json.ts';
import type { Person } from '../session.ts';
import { paint } from '../output/table.ts';
import { isoTime, lastChangeMs, shortTime } from '../output/time.ts';

const SCHEMA_VERSION = 1;
const NOT_BLOCKED = 1;
const LATEST = 10;

export const status = defineCommand({
  name: 'status',
  summary: 'Show whether an address is blocked, by what and why; or an overview',
  details:
    'With an address: asks the kernel whether a packet from it is dropped now, by which rule, and shows its holds and history. Exit status 0: blocked, 1: not blocked. Without: totals, backend, store, the next expiry, and where state and kernel differ.',
  positional: { name: 'address', describe: 'IPv4, IPv6, or a CIDR block', count: 'optional' },
  options: { json: { kind: 'flag', describe: 'JSON, see docs/json.md' } },
  examples: [
    ['status 203.0.113.9', 'is this customer blocked, since when, by which alert?'],
    ['status --json', 'for monitoring'],
  ],
  needsRoot: true,
  run(words, { json }, person) {
    const context = person.createContext();
    if (words[0] === undefined) return tellAll(context, json, person);
    return tellOne(readAddress(words[0]), context, json, person);
  },
});

interface Finding {
  readonly address: Address;
  readonly verdict: Verdict;
  /** `exact`: a rule for this very address; `block`: one for a block around it; `other`: somebody else's. */
  readonly cause: 'exact' | 'block' | 'other' | 'policy' | null;
  /** Our bans on it and on blocks around it. */
  readonly bans: readonly Ban[];
  readonly history: readonly HistoryRecord[];
  readonly held: Snapshot['held'];
  readonly backend: string;
  readonly escalationOf: (address: Address) => Escalation | null;
  /** For how long a ban counts, as it is configured. */
  readonly window: string;
}

function tellOne(address: Address, context: Context, json: boolean, person: Person): number {
  const finding = examine(address, context);
  const blocked = finding.verdict.kind === 'dropped';
  if (json) person.print(JSON.stringify(findingToJson(finding)));
  else describeFinding(finding, context.now(), person).forEach(person.print);
  return blocked ? 0 : NOT_BLOCKED;
}

function examine(address: Address, context: Context): Finding {
  const { store, firewall, config } = context;
  const snapshot = firewall.snapshot(address.family);
  const verdict = findVerdict(address, snapshot);
  const bans = store.bans.list().filter((ban) => contains(ban.address, address));
  const history = store.history.find({ address, sinceMs: 0, afterId: 0, limit: LATEST });
  const { held } = snapshot;
  const cause = causeOf(address, verdict, bans);
  const { window } = config.escalation;
  const escalationOf = readEscalation(context);
  const backend = firewall.backendName;
  return { address, verdict, cause, bans, history, held, backend, escalationOf, window };
}

function causeOf(
  address: Address,
  { kind, rule }: Verdict,
  bans: readonly Ban[],
): Finding['cause'] {
  if (kind === 'accepted') return null;
  if (rule === null) return 'policy';
  const ours = bans.filter((ban) => {
    // A rule that asks a set decides by what is in it, which is what our state has.
    return rule.dropsSet !== undefined || rule.spec.startsWith(`-s ${withLength(ban.address)} `);
  });
  if (ours.some((ban) => ban.address.text === address.text)) return 'exact';
  return ours.length > 0 ? 'block' : 'other';
}

function withLength({ text, prefixLength }: Address): string {
  return text.includes('/') ? text : `${text}/${prefixLength}`;
}

const CAUSES = {
  exact: 'by our rule for it',
  block: 'by our rule for a block around it',
  other: 'by a rule that no ban of ours explains',
  policy: 'by the policy of INPUT',
} as const;

function describeFinding(finding: Finding, nowMs: number, { terminal }: Person): string[] {
  const { address, verdict, cause, bans, history } = finding;
  const blocked = verdict.kind === 'dropped';
  const rule = verdict.rule === null ? '' : ` (${verdict.rule.chain}: ${verdict.rule.spec})`;
  const state = blocked
    ? paint('blocked', 'red', terminal)
    : paint('not blocked', 'green', terminal);
  return [
    `${address.text} is ${state}${cause === null ? '' : `, ${CAUSES[cause]}`}${rule}`,
    ...verdict.partly.map(
      ({ chain, spec }) => `some of its packets are dropped (${chain}: ${spec})`,
    ),
    ...bans.flatMap((ban) => describeBan(ban, blocked, nowMs)),
    ...(bans.length === 0 ? ['no ban on it'] : []),
    ...describeEscalation(finding),
    ...(history.length === 0 ? [] : ['history:']),
    ...history.map(({ atMs, outcome, origin, reason }) => {
      const { verb, alertRef } = outcome;
      return `  ${shortTime(atMs)}  ${verb}  ${origin ?? ''} rule ${alertRef.ruleId} alert ${alertRef.alertId} ${reason}`.trimEnd();
    }),
  ];
}

/** Of an address that was never banned there is nothing to say. */
function describeEscalation({ address, bans, escalationOf, window }: Finding): string[] {
  const known = [address, ...bans.map((ban) => ban.address)];
  const texts = [...new Map(known.map((one) => [one.text, one])).values()];
  return texts.flatMap((one) => {
    const escalation = escalationOf(one);
    if (escalation === null || escalation.bans === 0) return [];
    const { bans: number, next } = escalation;
    return [
      `escalation: ${count(number, 'ban')} of ${one.text} within ${window}, the next lasts at least ${next}`,
    ];
  });
}

function describeBan(ban: Ban, blocked: boolean, nowMs: number): string[] {
  const drift =
    ban.phase === 'blocked' && !blocked
      ? ', but the kernel lets it through: firewall-drop reconcile'
      : '';
  const holds = ban.holds.map(({ origin, expiresAtMs, alertRef, reason }) => {
    const left =
      expiresAtMs === null ? 'never' : `in ${formatDuration((expiresAtMs - nowMs) / 1000)}`;
    return `  held by ${origin}, ends ${left}, rule ${alertRef.ruleId}, alert ${alertRef.alertId} ${reason}`.trimEnd();
  });
  return [
    `ban: ${ban.address.text} ${ban.phase} since ${shortTime(ban.sinceMs)} UTC${drift}`,
    ...holds,
  ];
}

function findingToJson(finding: Finding): unknown {
  const { address, verdict, cause, bans, history, held, backend } = finding;
  return {
    schema: SCHEMA_VERSION,
    address: address.text,
    blocked: verdict.kind === 'dropped',
    cause,
    rule: verdict.rule,
    partly: verdict.partly,
    bans: bans.map((ban) => {
      const found = held.get(ban.address.text);
      const kernel = found === undefined ? 'missing' : 'yes';
      const escalation = finding.escalationOf(ban.address);
      return banToJson(ban, ban.holds, { backend, kernel, held: found, escalation });
    }),
    history: history.map(historyToJson),
  };
}

interface Overview {
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

function tellAll(context: Context, json: boolean, person: Person): number {
  const overview = look(context, person);
  if (json) person.print(JSON.stringify(overviewToJson(overview)));
  else describeOverview(overview, context.now()).forEach(person.print);
  return 0;
}

function look(context: Context, person: Person): Overview {
  const bans = context.store.bans.list();
  const next = context.store.bans.nextExpiryMs();
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
      volatile: context.store.volatile,
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
function overviewToJson({ backend, ...rest }: Overview): unknown {
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

function describeOverview(overview: Overview, nowMs: number): string[] {
  const { bans, byOrigin, byFamily, unfinished, backend, store, lastChange, nextExpiry } = overview;
  const origins = Object.entries(byOrigin).map(([origin, count]) => `${origin} ${count}`);
  const families = Object.entries(byFamily).map(([family, count]) => `${family} ${count}`);
  const parts = [...families, ...origins].join(', ');
  const next =
    nextExpiry === null ? 'none' : `in ${formatDuration((Date.parse(nextExpiry) - nowMs) / 1000)}`;
  return [
    `bans         ${bans}${parts === '' ? '' : ` (${parts})`}`,
    `pending      ${unfinished}${unfinished === 0 ? '' : ': an earlier run was interrupted; firewall-drop reconcile completes them'}`,
    `backend      ${backend.inUse}: ${backend.why}`,
    ...(backend.unfinishedMove === null
      ? []
      : ['             a move to another one was interrupted: the next run ends it']),
    ...(backend.promotion?.to === null
      ? [`             sets could not be used: ${backend.promotion.trouble}`]
      : []),
    `store        ${store.path}, ${store.bytes ?? 'no'} bytes${store.volatile ? ', NOT USABLE: what happens now is forgotten' : ''}`,
    `last change  ${lastChange === null ? 'never' : `${lastChange.slice(0, 19).replace('T', ' ')} UTC`}`,
    `next expiry  ${next}`,
    `drift        ${describeDrift(overview)}`,
  ];
}

function describeDrift({ drift, unfinished }: Overview): string {
  if (drift === null) return 'unknown';
  const { missing, unknown, steps } = drift;
  const foreign = unknown === 0 ? '' : `; ${unknown} drop rules of our shape belong to no ban`;
  if (unfinished > 0) return `${unfinished} changes are pending: firewall-drop reconcile${foreign}`;
  if (steps === 0) return `none${foreign}`;
  return `${missing} bans have no rule, and others may be out of place: firewall-drop reconcile${foreign}`;
}

function countBy(keys: readonly string[]): Record<string, number> {
  const groups = Map.groupBy(keys, (key) => key);
  return Object.fromEntries(Array.from(groups, ([key, all]) => [key, all.length]));
}
