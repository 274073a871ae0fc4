// Parses and formats times and durations. Times are in UTC, so that they mean the same on every host of a fleet.
import { parseDuration, UNIT_SECONDS } from '../../model/duration.ts';
import { textOption } from '../command.ts';

export function isoTime(milliseconds: number): string {
  return new Date(milliseconds).toISOString();
}

/** Returns a time as `2026-11-24 04:05:06`, in UTC. */
export function shortTime(milliseconds: number): string {
  return isoTime(milliseconds).slice(0, 19).replace('T', ' ');
}

/** Returns `14:05 UTC` for a time of the same day, otherwise the date as well. */
export function momentText(milliseconds: number, nowMs: number): string {
  const text = shortTime(milliseconds).slice(0, -3);
  const isToday = isoDay(milliseconds) === isoDay(nowMs);
  return `${isToday ? text.slice(11) : text} UTC`;
}

/** An option in seconds; null for `never`. */
export const TIMEOUT = textOption('DURATION', {
  expected: 'a duration; examples: 90m, 1h30m, 2d, never',
  read: parseDuration,
});

/** An option in seconds, without `never`. */
export const SPAN = textOption('DURATION', {
  expected: 'a duration; examples: 10m, 2d',
  read: (text) => parseDuration(text) ?? undefined,
});

/** Formats a duration in its largest unit and the next smaller one if that is not zero: `1h 30m`, `2d`. */
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

const DATE = String.raw`(?<date>\d{4}-\d\d-\d\d)`;
const TIME = String.raw`(?<time>\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)`;
const ZONE = String.raw`(?<zone>Z|[+-]\d\d:\d\d)?`;
const WITH_DATE = new RegExp(`^${DATE}(?:[T ]${TIME}${ZONE})?$`);
const TIME_ALONE = new RegExp(`^${TIME}$`);
const DAY_MS = 86_400_000;

const EXAMPLES = 'examples, in UTC: 14:05, 2026-12-24, "2026-12-24 18:00"';

/** An option with a future time, in Unix milliseconds. */
export const TIME_TO_COME = textOption('TIME', {
  expected: `a time in the future; ${EXAMPLES}`,
  read: (text) => {
    const moment = readMoment(text, 'next') ?? 0;
    return moment > Date.now() ? moment : undefined;
  },
});

/** An option with a past time, or a duration before now, in Unix milliseconds. */
export const TIME_PAST = textOption('TIME', {
  expected: `a time or a duration; ${EXAMPLES}, 90m`,
  read: (text) => {
    const seconds = SPAN.form.read(text);
    return seconds === undefined ? readMoment(text, 'last') : Date.now() - seconds * 1000;
  },
});

/**
 * Parses `2026-12-24`, `2026-12-24 18:00`, `2026-12-24T18:00:00Z` or `18:00`, which means the next or the last such
 * time. Returns Unix milliseconds; undefined if the text is not a time.
 */
export function readMoment(
  text: string,
  nearest: 'next' | 'last',
  nowMs = Date.now(),
): number | undefined {
  const { date, time = '00:00', zone = 'Z' } = WITH_DATE.exec(text)?.groups ?? {};
  if (date !== undefined) {
    const moment = Date.parse(`${date}T${time}${zone}`);
    // Date.parse can turn 30 February into 2 March.
    const day = new Date(Date.parse(date));
    const isReal = !Number.isNaN(day.getTime()) && isoDay(day.getTime()) === date;
    if (!Number.isNaN(moment) && isReal) return moment;
  }
  const today = TIME_ALONE.test(text) ? Date.parse(`${isoDay(nowMs)}T${text}Z`) : Number.NaN;
  if (Number.isNaN(today)) return undefined;
  if (nearest === 'next') return today > nowMs ? today : today + DAY_MS;
  return today < nowMs ? today : today - DAY_MS;
}

function isoDay(milliseconds: number): string {
  return isoTime(milliseconds).slice(0, 10);
}
