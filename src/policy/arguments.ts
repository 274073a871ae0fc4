// Parses the extra arguments that the manager's administrator configures for an active response. Pure.
import { parseDuration } from '../model/duration.ts';

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
