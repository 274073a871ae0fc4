// Decides about an alert: whom to block, and for how long. Pure: it reads the state through functions of the question.
import type { PolicyEntry } from '../config/policy.ts';
import type { Config } from '../config/schema.ts';
import { type Address, contains, parseNetwork } from '../model/address.ts';
import {
  livingHolds,
  remainingSeconds,
  type Hold,
  type HoldLength,
  type Ban,
} from '../model/ban.ts';
import { parseDuration } from '../model/duration.ts';
import { chooseTarget, type Target } from './aggregate.ts';

export { networkOf } from './aggregate.ts';

/** An alert that asks for a block, and everything that the decision depends on. */
export interface Question {
  readonly address: Address;
  /** The hold of execd: its own timeout plus limits.grace_seconds. */
  readonly own: HoldLength;
  readonly args: ResponseArguments;
  readonly alert: AlertFacts;
  readonly config: Pick<Config, 'policy' | 'escalation' | 'aggregate'>;
  readonly configFile: string;
  /** The entries that the manager sends to this agent's group; `groupFile` is the file they arrive in. */
  readonly group: readonly PolicyEntry[];
  readonly groupFile: string;
  readonly isProtected: (network: Address) => boolean;
  /** Returns how many bans of an address began within the escalation window, without a ban that is still active. */
  readonly earlierBans: (address: Address) => number;
  readonly findBan: (address: Address) => Ban | null;
  /** Returns the bans of addresses in an IPv4 network, without a ban of the network itself. */
  readonly bansIn: (network: Address) => readonly Ban[];
  readonly nowMs: number;
}

export interface Decision {
  readonly action: 'block' | 'ignore' | 'release';
  /** The address, or the network that is blocked instead. */
  readonly target: Address;
  /** At least one for a block, each with a different origin; otherwise empty. */
  readonly holds: readonly HoldLength[];
  /** The reason for people; undefined for the reason in the alert. */
  readonly reason?: string | undefined;
  /** The settings and arguments that decided, in order; empty if only execd's own timeout applies. */
  readonly decidedBy: readonly string[];
  /** True if limits.bans_per_minute decided. */
  readonly fuse?: boolean;
  /** The addresses whose bans the ban of a network replaces. */
  readonly absorbs?: readonly Address[];
}

export function decide(question: Question): Decision {
  const { address, args, config, configFile, group, groupFile } = question;
  if (args.release) return end('release', address, "release in the manager's arguments");
  const found = findEntry(config.policy, configFile, question);
  const fromGroup = findEntry(group, groupFile, question);
  const ignoring = [found, fromGroup].find((one) => one?.entry.action === 'ignore');
  if (ignoring) return end('ignore', address, `${ignoring.name}: action = "ignore"`);
  const limit = limitOf([found, fromGroup]);
  const first = firstHold(question, found);
  const target = chooseTarget(question, { own: first.hold, maxSeconds: limit?.seconds ?? null });
  const repeated = escalate(question, target);
  const lengths = [target.hold, ...(repeated === null ? [] : [repeated.hold])];
  return {
    action: 'block',
    target: target.network,
    holds: lengths.map((hold) => notShortened(limited(hold, limit), target, question)),
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

/** Returns the shortest `timeout_max` of the entries. */
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

/**
 * Returns the hold with the timeout of the arguments, else of the entry, else of execd. execd's delete ends the hold
 * only if the hold has execd's origin.
 */
function firstHold(
  { own, args }: Question,
  found: FoundEntry | null,
): { readonly hold: HoldLength; readonly why: readonly string[] } {
  const kept = args.keep ? ["keep in the manager's arguments"] : [];
  const origin = args.keep ? 'policy' : own.origin;
  if (args.timeoutSeconds !== undefined) {
    const hold = { origin, timeoutSeconds: args.timeoutSeconds } as const;
    return { hold, why: ["timeout in the manager's arguments", ...kept] };
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

/** Returns the timeout for a ban by its number, counted from 1. The last timeout applies to all later bans. */
export function nthTimeout(number: number, timeouts: readonly string[]): string {
  return timeouts[Math.min(number, timeouts.length) - 1] ?? '';
}

/** Extends a hold of policy to the time that its present hold still has. A new alert restarts only execd's own hold. */
function notShortened(hold: HoldLength, { network }: Target, question: Question): HoldLength {
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

/** The parts of an alert that conditions of entries can test; null if the alert lacks one. */
export interface AlertFacts {
  readonly ruleId: string | null;
  readonly level: number | null;
  readonly groups: readonly string[];
  readonly agent: string | null;
  /** Returns the text or number at a dotted path. */
  readonly field: (path: string) => string | null;
}

/** An entry and its name for people: `[[policy]] 2 of /etc/firewall-drop/config.toml`. */
interface FoundEntry {
  readonly entry: PolicyEntry;
  readonly name: string;
}

/** Returns the first entry whose conditions are all met; null if there is none. */
function findEntry(
  entries: readonly PolicyEntry[],
  file: string,
  subject: { readonly address: Address; readonly alert: AlertFacts },
): FoundEntry | null {
  const index = entries.findIndex((entry) => isMet(entry, subject.address, subject.alert));
  const entry = entries[index];
  return entry === undefined ? null : { entry, name: `[[policy]] ${index + 1} of ${file}` };
}

function isMet(entry: PolicyEntry, address: Address, alert: AlertFacts): boolean {
  const { ruleId, levelMin, group, agent, field } = entry;
  return (
    isAmong(ruleId, alert.ruleId) &&
    (levelMin === 0 || (alert.level ?? -1) >= levelMin) &&
    (group.length === 0 || group.some((name) => alert.groups.includes(name))) &&
    isAmong(agent, alert.agent) &&
    isInNetworks(entry.address, address) &&
    field.every((condition) => hasValue(condition, alert))
  );
}

function isAmong(list: readonly string[], value: string | null): boolean {
  return list.length === 0 || (value !== null && list.includes(value));
}

function isInNetworks(networks: readonly string[], address: Address): boolean {
  if (networks.length === 0) return true;
  return networks.some((text) => {
    const network = parseNetwork(text);
    return network !== null && contains(network, address);
  });
}

function hasValue(condition: string, alert: AlertFacts): boolean {
  const at = condition.indexOf('=');
  return alert.field(condition.slice(0, at)) === condition.slice(at + 1);
}

export interface ResponseArguments {
  /** True to unblock the address, although the message says add: the manager's API can only send add. */
  readonly release: boolean;
  /** True if execd's own delete does not end the ban before its timeout. */
  readonly keep: boolean;
  /** null for a ban without a deadline; undefined if no timeout is given. */
  readonly timeoutSeconds: number | null | undefined;
  /** undefined if no reason is given. */
  readonly reason: string | undefined;
  /** Words with no meaning here. */
  readonly unknown: readonly string[];
}

/** The maximum number of words; later words are ignored. */
const MOST_WORDS = 64;
const REASON = 'reason=';
const TIMEOUT = 'timeout=';

/**
 * Parses the words of the arguments. Wazuh splits its configuration at blanks, so a reason includes all words after it.
 * Of repeated timeouts, the first valid one counts.
 */
export function readArgumentWords(given: readonly string[]): ResponseArguments {
  const words = given.slice(0, MOST_WORDS);
  const at = words.findIndex((word) => word.startsWith(REASON));
  const before = at < 0 ? words : words.slice(0, at);
  const reason = at < 0 ? undefined : words.slice(at).join(' ').slice(REASON.length);
  const timeouts = before.filter((word) => word.startsWith(TIMEOUT));
  const seconds = timeouts.map((word) => parseDuration(word.slice(TIMEOUT.length)));
  return {
    release: before.includes('release'),
    keep: before.includes('keep'),
    timeoutSeconds: seconds.find((one) => one !== undefined),
    reason,
    unknown: before.filter((word) => !isKnown(word)),
  };
}

function isKnown(word: string): boolean {
  if (word.startsWith(TIMEOUT)) return parseDuration(word.slice(TIMEOUT.length)) !== undefined;
  return word === '' || word === 'release' || word === 'keep' || word.startsWith(REASON);
}
