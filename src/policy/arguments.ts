// What the manager's administrator gives a response besides the alert: the words of its extra arguments. Pure.
import { parseDuration } from '../model/duration.ts';

export interface ResponseArguments {
  /** Unblock the address, though the message says add: the manager's API can say nothing else. */
  readonly release: boolean;
  /** execd's own delete does not end the ban before its timeout. */
  readonly keep: boolean;
  /** Seconds; null: until somebody releases it; undefined: not given. */
  readonly timeoutSeconds: number | null | undefined;
  /** Undefined: not given. */
  readonly reason: string | undefined;
  /** Words that mean nothing to us. */
  readonly unknown: readonly string[];
}

/** More than anybody writes; what comes behind them is passed over. */
const MOST_WORDS = 64;
const REASON = 'reason=';
const TIMEOUT = 'timeout=';

/**
 * Wazuh divides what it is configured with at blanks, so a reason takes all words behind it. Of a word that comes twice
 * the first counts.
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
