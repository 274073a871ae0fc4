// Derives the timeout of a block from execd's message and the agent's files. Pure.
import type { Config } from '../config/schema.ts';
import type { Hold } from '../model/ban.ts';
import type { AgentSettings } from './agent-config.ts';
import type { Place } from './invocation.ts';
import type { Request } from './request.ts';

export interface TimeoutContext {
  readonly place: Place;
  readonly config: Config;
  /** Returns the timeouts that ar.conf lists for this program, in seconds; 0 means no timeout. */
  readonly timeouts: () => readonly number[];
  readonly settings: () => AgentSettings;
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
export function timeoutOf(request: Request, context: TimeoutContext): number | null {
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
function shortestTimeout(request: Request, context: TimeoutContext): number | null {
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
export function isAgentStop(
  request: Request,
  hold: Hold,
  context: TimeoutContext & { readonly now: () => number },
): boolean {
  const shortest = shortestTimeout(request, context);
  if (shortest === null) return true;
  const slackMs = Math.min(MOST_LATE_MS, shortest * 100);
  return context.now() - hold.addedMs < shortest * 1000 - slackMs;
}
