// Lengths of time as people write and read them.
import { AppError } from '../../model/errors.ts';
import { parseDuration, UNIT_SECONDS } from '../../model/duration.ts';
import { quote } from '../addresses.ts';

/** What `--timeout` was given, or `option`: seconds, or null for ever. Throws `USAGE` for what is no length of time. */
export function readTimeout(text: string, option = '--timeout'): number | null {
  const seconds = parseDuration(text);
  if (seconds !== undefined) return seconds;
  throw new AppError(
    'USAGE',
    `${option} ${quote(text)} is not a length of time: write for example 90m, 1h30m, 2d or never`,
  );
}

/** What an option was given that looks so far back or ahead: seconds, null where it was not given. Throws `USAGE`. */
export function readSpan(option: string, text: string | undefined): number | null {
  if (text === undefined) return null;
  const seconds = parseDuration(text);
  if (typeof seconds === 'number') return seconds;
  throw new AppError(
    'USAGE',
    `--${option} ${quote(text)} is not a length of time: write for example 10m or 2d`,
  );
}

/** The largest unit and the one below it, where that is not nought: `1h 30m`, `2d`. */
export function formatDuration(seconds: number): string {
  const units = Object.entries(UNIT_SECONDS).toReversed();
  const whole = Math.max(0, Math.round(seconds));
  const first = units.findIndex(([, size]) => whole >= size);
  if (first < 0) return '0s';
  let rest = whole;
  const parts = units.slice(first, first + 2).map(([unit, size]) => {
    const count = Math.floor(rest / size);
    rest -= count * size;
    return count > 0 ? `${count}${unit}` : '';
  });
  return parts.filter((part) => part !== '').join(' ');
}
