// Derives the timeout of a block from execd's message and the agent's files, and collects what a policy decision needs
// from the state and the configuration. If neither the configuration nor the manager sets a policy, only the number of
// recent bans is checked.
import type * as Decide from '../policy/decide.ts';
import type { GroupPolicy } from '../config/group-policy.ts';
import { CONFIG_FILE, groupPolicyFile } from '../config/read.ts';
import type { Config } from '../config/schema.ts';
import { widerNetworks, type Address } from '../model/address.ts';
import type { HoldLength, Hold } from '../model/ban.ts';
import { parseDuration } from '../model/duration.ts';
import type { Decision } from '../policy/decide.ts';
import type { ProtectedEntry } from '../policy/protected.ts';
import type { Store } from '../state/store.ts';
import type { AgentSettings } from './agent-config.ts';
import type { Place } from './invocation.ts';
import type { Request } from './request.ts';

export interface PolicyContext {
  readonly place: Place;
  readonly config: Config;
  /** Returns the timeouts that ar.conf lists for this program, in seconds; 0 means no timeout. */
  readonly timeouts: () => readonly number[];
  readonly settings: () => AgentSettings;
  readonly store: Store;
  readonly now: () => number;
  readonly warn: (message: string) => void;
  readonly protectionOf: (network: Address) => ProtectedEntry | null;
  /** Returns the policy that the manager sends to this agent's group. */
  readonly groupPolicy: () => GroupPolicy;
}

const MINUTE_MS = 60_000;

/** Decides about an alert that asks for a block of `address`. The caller checks whether the address is protected. */
export function decideBlock(request: Request, address: Address, context: PolicyContext): Decision {
  const own = { origin: originOf(request), timeoutSeconds: timeoutOf(request, context) };
  const decision: Decision = isPlain(request, context)
    ? { action: 'block', target: address, holds: [own], decidedBy: [] }
    : decideByPolicy(request, address, own, context);
  return decision.action === 'block' ? withFuse(decision, context) : decision;
}

function isPlain({ extraArguments }: Request, { config, groupPolicy }: PolicyContext): boolean {
  const { policy, escalation, aggregate } = config;
  const isConfigured =
    policy.length > 0 ||
    escalation.timeouts.length > 0 ||
    aggregate.ipv4Count > 0 ||
    aggregate.ipv6Prefix < 128;
  return extraArguments.length === 0 && !isConfigured && groupPolicy().policy.length === 0;
}

function decideByPolicy(
  request: Request,
  address: Address,
  own: HoldLength,
  context: PolicyContext,
): Decision {
  const { decide, readArgumentWords } = require('../policy/decide.ts') as typeof Decide;
  const { config, store, place, groupPolicy, protectionOf } = context;
  const nowMs = context.now();
  const args = readArgumentWords(request.extraArguments);
  if (args.unknown.length > 0) {
    const words = JSON.stringify(args.unknown).slice(0, 200);
    context.warn(`ignored unknown arguments of the active response: ${words}`);
  }
  return decide({
    address,
    own,
    args,
    alert: request.facts,
    config,
    configFile: CONFIG_FILE,
    group: groupPolicy().policy,
    groupFile: groupPolicyFile(place.home),
    isProtected: (network) => protectionOf(network) !== null,
    earlierBans: (target) => store.offences.earlier(target, countedSinceMs(config, nowMs)),
    findBan: (target) => store.bans.find(target),
    bansIn: (network) => store.bans.within(network),
    nowMs,
  });
}

/** Returns the start of the escalation window in Unix milliseconds: bans before it do not count. */
export function countedSinceMs({ escalation }: Config, nowMs: number): number {
  return nowMs - (parseDuration(escalation.window) ?? 0) * 1000;
}

/**
 * Turns a block into `ignore` if limits.bans_per_minute is reached, so that a flood of forged addresses is not blocked
 * one by one. A block of an address that is already banned is not limited.
 */
export function withFuse(decision: Decision, { config, store, now }: PolicyContext): Decision {
  const most = config.limits.bansPerMinute;
  if (most === 0 || store.bansBegun(now() - MINUTE_MS, now()) < most) return decision;
  if (store.bans.find(decision.target) !== null) return decision;
  const why = `limits.bans_per_minute = ${most}: this many bans began within the last minute`;
  return { ...decision, action: 'ignore', decidedBy: [...decision.decidedBy, why], fuse: true };
}

/** Returns the network that is blocked instead of the address; null if there is none. */
export function enclosingNetwork(
  address: Address,
  { config, store }: Pick<PolicyContext, 'config' | 'store'>,
): Address | null {
  const { ipv4Count, ipv6Prefix } = config.aggregate;
  if (ipv4Count > 0 || ipv6Prefix < 128) {
    const { networkOf } = require('../policy/decide.ts') as typeof Decide;
    const network = networkOf(address, config);
    if (network !== null && store.bans.find(network)?.phase === 'blocked') return network;
  }
  return store.bans.find(address) === null ? formerNetwork(address, store) : null;
}

/**
 * Returns the narrowest network around the address that alerts banned before `[aggregate]` was changed; null if none.
 */
function formerNetwork(address: Address, { bans }: Store): Address | null {
  const found = [...bans.findAll(widerNetworks(address)).values()].filter(({ phase, holds }) => {
    return phase === 'blocked' && holds.some(({ origin }) => origin !== 'manual');
  });
  const narrowest = found.sort((a, b) => b.address.prefixLength - a.address.prefixLength)[0];
  return narrowest?.address ?? null;
}

/** ossec-execd checks for expired timeouts only every 90 seconds. */
const OSSEC_LATENESS_SECONDS = 90;

export function originOf({ dialect }: Pick<Request, 'dialect'>): 'wazuh' | 'ossec' {
  return dialect === 'ossec' ? 'ossec' : 'wazuh';
}

/**
 * Returns how long a block that execd requests lasts, in seconds; null if it has no deadline. The result is longer than
 * execd's own timeout, so that execd's delete comes first.
 */
export function timeoutOf(request: Request, context: PolicyContext): number | null {
  const asked =
    request.timeoutSeconds === undefined
      ? longestTimeout(context.timeouts(), context.settings())
      : request.timeoutSeconds;
  const lateness = request.dialect === 'ossec' ? OSSEC_LATENESS_SECONDS : 0;
  return asked === null ? null : asked + context.config.limits.graceSeconds + lateness;
}

/**
 * Returns the longest timeout that can apply, in seconds, because execd does not say which one does. Returns null if
 * ar.conf lists none, or one of 0: then execd never deletes the address.
 */
export function longestTimeout(own: readonly number[], settings: AgentSettings): number | null {
  return own.length === 0 || own.includes(0) ? null : Math.max(...possible(own, settings));
}

/** Returns the shortest timeout after which execd sends delete, in seconds; null if execd never does so by itself. */
function shortestTimeout(request: Request, context: PolicyContext): number | null {
  if (request.timeoutSeconds !== undefined) return request.timeoutSeconds;
  const own = context.timeouts();
  const ending = possible(own, context.settings()).filter((seconds) => seconds > 0);
  return own.length === 0 || ending.length === 0 ? null : Math.min(...ending);
}

function possible(own: readonly number[], settings: AgentSettings): number[] {
  return [...own, ...settings.repeatedOffendersMinutes.map((minutes) => minutes * 60)];
}

/** The maximum lead of execd's count, which starts before this program waits for the firewall or for another run. */
const MOST_LATE_MS = 20_000;

/**
 * Reports whether a delete comes too early for any timeout of execd's, which means that the agent stops or restarts.
 */
export function isAgentStop(request: Request, hold: Hold, context: PolicyContext): boolean {
  const shortest = shortestTimeout(request, context);
  if (shortest === null) return true;
  const slackMs = Math.min(MOST_LATE_MS, shortest * 100);
  return context.now() - hold.addedMs < shortest * 1000 - slackMs;
}
