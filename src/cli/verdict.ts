// Determines whether an address is blocked, by which rule and why, for `status` and `is-blocked`.
import type { Context } from '../context.ts';
import type { Snapshot } from '../firewall/backend.ts';
import { findVerdict, type Verdict } from '../firewall/verdict.ts';
import { contains, withPrefix, type Address } from '../model/address.ts';
import type { AlertRef, Ban } from '../model/ban.ts';
import type { HistoryRecord } from '../state/history.ts';
import { readEscalation, viewer } from './ban-view.ts';
import { count } from './output/count.ts';
import { formatDuration, shortTime } from './output/time.ts';
import { banToJson, historyToJson } from './output/json.ts';
import { paint } from './output/table.ts';
import { wrap } from './output/wrap.ts';
import type { Person } from './session.ts';

const LATEST = 10;

export interface Finding {
  readonly address: Address;
  readonly verdict: Verdict;
  /**
   * The decisive rule: `exact` for this address, `block` for a network that contains it, `other` for a rule without a
   * ban of ours.
   */
  readonly cause: 'exact' | 'block' | 'other' | 'policy' | null;
  /** The bans on the address and on networks that contain it. */
  readonly bans: readonly Ban[];
  readonly history: readonly HistoryRecord[];
  readonly held: Snapshot['held'];
}

export function examine(address: Address, context: Context): Finding {
  const { store, firewall } = context;
  const snapshot = firewall.snapshot(address.family);
  const verdict = findVerdict(address, snapshot);
  const bans = store.bans.list().filter((ban) => contains(ban.address, address));
  const history = store.history.find({ address, limit: LATEST });
  const cause = causeOf(address, verdict, bans);
  return { address, verdict, cause, bans, history, held: snapshot.held };
}

function causeOf(
  address: Address,
  { kind, rule }: Verdict,
  bans: readonly Ban[],
): Finding['cause'] {
  if (kind === 'accepted') return null;
  if (rule === null) return 'policy';
  const ours = bans.filter((ban) => {
    // A rule that matches one of our sets stands for all bans in the state.
    return rule.dropsSet !== undefined || rule.spec.startsWith(`-s ${withPrefix(ban.address)} `);
  });
  if (ours.some((ban) => ban.address.text === address.text)) return 'exact';
  return ours.length > 0 ? 'block' : 'other';
}

const CAUSES = {
  exact: 'by our rule',
  block: 'by our rule for a network that contains it',
  other: 'by a rule that belongs to no ban',
  policy: 'by the policy of the chain INPUT',
} as const;

export function describeFinding(
  finding: Finding,
  context: Context,
  { terminal }: Person,
): string[] {
  const { address, verdict, cause, bans, history } = finding;
  const { width } = terminal;
  const blocked = verdict.kind === 'dropped';
  const rule = verdict.rule === null ? '' : ` (${verdict.rule.chain}: ${verdict.rule.spec})`;
  const state = blocked
    ? paint('blocked', 'red', terminal)
    : paint('not blocked', 'green', terminal);
  const lines = [
    `${address.text} is ${state}${cause === null ? '' : `, ${CAUSES[cause]}`}${rule}`,
    ...verdict.partly.map(
      ({ chain, spec }) => `some of its packets are dropped (${chain}: ${spec})`,
    ),
    ...bans.flatMap((ban) => describeBan(ban, blocked, context.now())),
    ...(bans.length === 0 ? ['no ban'] : []),
    ...describeEscalation(finding, context),
    ...(history.length === 0 ? [] : ['history:']),
    ...history.map(describeRecord),
  ];
  return width === null ? lines : lines.flatMap((line) => wrap(line, width, '      '));
}

function describeRecord({ atMs, outcome, origin, by, reason }: HistoryRecord): string {
  const who = [origin ?? '', by === undefined ? '' : `by ${by}`, ...alertWords(outcome.alertRef)];
  return `  ${shortTime(atMs)}  ${outcome.verb}  ${withReason(who, reason)}`;
}

/** Returns nothing for an action without an alert, whose alert id is only the time of the action. */
function alertWords({ alertId, ruleId }: AlertRef): string[] {
  return ruleId === '0' ? [] : [`rule ${ruleId}`, `alert ${alertId}`];
}

function withReason(words: readonly string[], reason: string): string {
  const said = words.filter((word) => word !== '').join(', ');
  return reason === '' ? said : `${said}: ${reason}`;
}

/** Describes the escalation of an address; returns no line if no ban counts. */
function describeEscalation({ address, bans }: Finding, context: Context): string[] {
  const escalationOf = readEscalation(context);
  const { window } = context.config.escalation;
  const texts = new Set([address.text, ...bans.map((ban) => ban.address.text)]);
  return [...texts].flatMap((text) => {
    const { bans: number = 0, next = '' } = escalationOf(text) ?? {};
    if (number === 0) return [];
    return `escalation: ${count(number, 'ban')} of ${text} within ${window}; the next lasts at least ${next}`;
  });
}

function describeBan(ban: Ban, blocked: boolean, nowMs: number): string[] {
  const drift =
    ban.phase === 'blocked' && !blocked
      ? ', but the kernel accepts it: run firewall-drop reconcile'
      : '';
  const holds = ban.holds.map(({ origin, expiresAtMs, alertRef, reason }) => {
    const end =
      expiresAtMs === null
        ? 'until released'
        : `ends in ${formatDuration((expiresAtMs - nowMs) / 1000)}`;
    return `  held by ${withReason([origin, end, ...alertWords(alertRef)], reason)}`;
  });
  return [
    `ban: ${ban.address.text} ${ban.phase} since ${shortTime(ban.sinceMs)} UTC${drift}`,
    ...holds,
  ];
}

export function findingToJson(finding: Finding, context: Context): object {
  const { address, verdict, cause, bans, history, held } = finding;
  return {
    address: address.text,
    blocked: verdict.kind === 'dropped',
    cause,
    rule: verdict.rule,
    partly: verdict.partly,
    bans: bans.map(viewer(context, () => held)).map((view) => banToJson(view)),
    history: history.map(historyToJson),
  };
}
