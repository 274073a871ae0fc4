// Decides what becomes of an alert: who is blocked, and for how long. Pure; what it needs of the state it asks for.
import type { Address } from '../model/address.ts';
import { livingHolds, remainingSeconds, type Hold, type HoldLength } from '../model/ban.ts';
import { parseDuration } from '../model/duration.ts';
import { chooseTarget, type Target } from './aggregate.ts';
import type { Decision, Question } from './decision.ts';
import { findEntry, type FoundEntry } from './entries.ts';

export function decide(question: Question): Decision {
  const { address, args, config, configFile, group, groupFile } = question;
  if (args.release) return end('release', address, "release, of the manager's arguments");
  const found = findEntry(config.policy, configFile, question);
  const fromGroup = findEntry(group, groupFile, question);
  const ignoring = [found, fromGroup].find((one) => one?.entry.action === 'ignore');
  if (ignoring) return end('ignore', address, `${ignoring.name}: action = "ignore"`);
  const limit = limitOf([found, fromGroup]);
  const first = firstHold(question, found);
  const target = chooseTarget(question, { own: first.hold, most: limit?.seconds ?? null });
  const repeated = escalate(question, target);
  const lengths = [target.hold, ...(repeated === null ? [] : [repeated.hold])];
  return {
    action: 'block',
    target: target.network,
    holds: lengths.map((hold) => lastingAtLeast(limited(hold, limit), target, question)),
    reason: args.reason,
    decidedBy: [
      ...first.why,
      ...target.why,
      ...(repeated === null ? [] : [repeated.why]),
      ...(limit === null ? [] : [limit.why]),
    ],
    absorbs: target.absorbs,
  };
}

function end(action: 'ignore' | 'release', target: Address, why: string): Decision {
  return { action, target, holds: [], decidedBy: [why] };
}

interface Limit {
  readonly seconds: number;
  readonly why: string;
}

/** The strictest of the entries' `timeout_max`. */
function limitOf(found: readonly (FoundEntry | null)[]): Limit | null {
  const limits = found.flatMap((one): Limit[] => {
    const text = one?.entry.timeoutMax ?? '';
    const seconds = parseDuration(text);
    if (one === null || typeof seconds !== 'number') return [];
    return [{ seconds, why: `${one.name}: timeout_max = "${text}"` }];
  });
  return limits.sort((a, b) => a.seconds - b.seconds)[0] ?? null;
}

function limited(hold: HoldLength, limit: Limit | null): HoldLength {
  if (limit === null) return hold;
  return { ...hold, timeoutSeconds: Math.min(hold.timeoutSeconds ?? Infinity, limit.seconds) };
}

/** Who names a timeout: the arguments, then an entry, then execd. Only execd's own hold ends by its delete. */
function firstHold(
  { own, args }: Question,
  found: FoundEntry | null,
): { readonly hold: HoldLength; readonly why: readonly string[] } {
  const kept = args.keep ? ["keep, of the manager's arguments"] : [];
  const origin = args.keep ? 'policy' : own.origin;
  if (args.timeoutSeconds !== undefined) {
    const hold = { origin, timeoutSeconds: args.timeoutSeconds } as const;
    return { hold, why: ["timeout, of the manager's arguments", ...kept] };
  }
  const text = found?.entry.timeout ?? '';
  const seconds = parseDuration(text);
  if (found !== null && seconds !== undefined) {
    const hold = { origin: 'policy', timeoutSeconds: seconds } as const;
    return { hold, why: [`${found.name}: timeout = "${text}"`, ...kept] };
  }
  return { hold: { ...own, origin }, why: kept };
}

function escalate(
  { config, earlierBans }: Question,
  { network }: Target,
): { readonly hold: HoldLength; readonly why: string } | null {
  const { timeouts, window } = config.escalation;
  if (timeouts.length === 0) return null;
  const number = earlierBans(network) + 1;
  const text = nthTimeout(number, timeouts);
  const why = `escalation: ban ${number} of ${network.text} within ${window}, at least ${text}`;
  return { hold: { origin: 'repeat', timeoutSeconds: parseDuration(text) ?? null }, why };
}

/** The value for the ban of this number, from 1; the last value counts for all further. */
export function nthTimeout(number: number, timeouts: readonly string[]): string {
  return timeouts[Math.min(number, timeouts.length) - 1] ?? '';
}

/** A later alert does not shorten what policy gave before: execd's own hold alone begins anew. */
function lastingAtLeast(hold: HoldLength, { network }: Target, question: Question): HoldLength {
  if (hold.origin !== 'policy' && hold.origin !== 'repeat') return hold;
  const isSame = ({ origin }: Hold): boolean => origin === hold.origin;
  const standing = livingHolds(question.findBan(network)).filter(isSame);
  const { timeoutSeconds } = hold;
  if (standing.length === 0 || timeoutSeconds === null) return hold;
  const left = remainingSeconds(standing, question.nowMs);
  return {
    ...hold,
    timeoutSeconds: left === null ? null : Math.max(timeoutSeconds, Math.ceil(left)),
  };
}
