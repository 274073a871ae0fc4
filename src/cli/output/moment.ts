// Points in time as people write them, in UTC unless a zone is named.
import { AppError } from '../../model/errors.ts';
import { quote } from '../addresses.ts';

const DATE = String.raw`(?<date>\d{4}-\d\d-\d\d)`;
const TIME = String.raw`(?<time>\d\d:\d\d(?::\d\d(?:\.\d{1,3})?)?)`;
const ZONE = String.raw`(?<zone>Z|[+-]\d\d:\d\d)?`;
const WITH_DATE = new RegExp(`^${DATE}(?:[T ]${TIME}${ZONE})?$`);
const TIME_ALONE = new RegExp(`^${TIME}$`);
const DAY_MS = 86_400_000;

export interface MomentOptions {
  readonly nowMs: number;
  /** Which day a time without a date is on. */
  readonly nearest: 'next' | 'last';
}

/** `2026-12-24`, `2026-12-24 18:00`, `2026-12-24T18:00:00Z`, `18:00`: Unix milliseconds. Throws `USAGE`. */
export function readMoment(
  option: string,
  text: string,
  { nowMs, nearest }: MomentOptions,
): number {
  const { date, time = '00:00', zone = 'Z' } = WITH_DATE.exec(text)?.groups ?? {};
  if (date !== undefined) {
    const moment = Date.parse(`${date}T${time}${zone}`);
    // Date.parse takes 30 February for 2 March where it is lenient.
    const day = new Date(Date.parse(date));
    const isReal = !Number.isNaN(day.getTime()) && isoDay(day.getTime()) === date;
    if (!Number.isNaN(moment) && isReal) return moment;
  }
  const today = TIME_ALONE.test(text) ? Date.parse(`${isoDay(nowMs)}T${text}Z`) : Number.NaN;
  if (Number.isNaN(today)) throw notATime(option, text);
  if (nearest === 'next') return today > nowMs ? today : today + DAY_MS;
  return today < nowMs ? today : today - DAY_MS;
}

function isoDay(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

function notATime(option: string, text: string): AppError {
  return new AppError(
    'USAGE',
    `--${option} ${quote(text)} is not a time: write for example 14:05, 2026-12-24 or "2026-12-24 18:00", in UTC`,
  );
}
