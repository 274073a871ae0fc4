// How long execd wants what it asks for, as far as its message and the agent's files show it. Pure.
import type { Config } from '../config/schema.ts';
import type { Hold } from '../model/ban.ts';
import type { AgentSettings } from './agent-config.ts';
import type { Place } from './home.ts';
import type { Request } from './request.ts';

export interface TimeoutContext {
  readonly place: Place;
  readonly config: Config;
  /** With which timeouts ar.conf has this program started, in seconds; 0: without one. */
  readonly timeouts: () => readonly number[];
  readonly settings: () => AgentSettings;
}

/** ossec-execd looks for what is due every 90 seconds only. */
const OSSEC_LATENESS_SECONDS = 90;

export function originOf({ dialect }: Pick<Request, 'dialect'>): 'wazuh' | 'ossec' {
  return dialect === 'ossec' ? 'ossec' : 'wazuh';
}

/**
 * How many seconds a block that execd asks for may last: longer than execd itself waits, so that its own delete comes
 * first. Null: until it is unblocked.
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
 * How long an address may stay blocked, in seconds: the longest timeout that could apply, since execd does not say which one
 * does. Null, for ever, when one of them is 0 or none is configured.
 */
export function longestTimeout(own: readonly number[], settings: AgentSettings): number | null {
  return own.length === 0 || own.includes(0) ? null : Math.max(...possible(own, settings));
}

/** The shortest timeout after which execd's own delete can come, in seconds; null: it never comes by itself. */
function shortestTimeout(request: Request, context: TimeoutContext): number | null {
  if (request.timeoutSeconds !== undefined) return request.timeoutSeconds;
  const own = context.timeouts();
  const ending = possible(own, context.settings()).filter((seconds) => seconds > 0);
  return own.length === 0 || ending.length === 0 ? null : Math.min(...ending);
}

function possible(own: readonly number[], settings: AgentSettings): number[] {
  return [...own, ...settings.repeatedOffendersMinutes.map((minutes) => minutes * 60)];
}

/** execd began to count before we did, by as long as we waited for the firewall or for another run. */
const MOST_LATE_MS = 20_000;

/** Whether a delete comes before any timeout of execd's can be over: then its agent stops, or restarts. */
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
