// Formats the host's local time as date(1) does. Parses the zone file (TZif) and the POSIX rule in its footer itself,
// because Wazuh's and OSSEC's decoders accept `CEST` and `-03`, but not Intl's `GMT+2`.
import { readRegularFile } from './files.ts';

export const UTC: Zone = {
  first: { offsetSeconds: 0, abbreviation: 'UTC' },
  transitions: [],
  rule: undefined,
};

const LARGEST_ZONE_FILE = 64 * 1024;

/** Returns the time zone of log lines: TZ if it is a plain zone name, else /etc/localtime, else UTC. Never throws. */
export function readHostZone(tz: string | undefined, read = readZoneFile): Zone {
  for (const path of [zonePath(tz), '/etc/localtime']) {
    if (path === undefined) continue;
    try {
      return parseZone(read(path));
    } catch {
      // A line in another time zone is better than no line.
    }
  }
  return UTC;
}

function readZoneFile(path: string): Buffer {
  return readRegularFile(path, LARGEST_ZONE_FILE);
}

/** `Europe/Berlin`, with the optional leading colon of POSIX. */
const ZONE_NAME = /^:?([A-Za-z0-9_+-]+(?:\/[A-Za-z0-9_+-]+){0,2})$/;

/** Accepts only names below the zone directory: the user who sets TZ must not choose a file for root to open. */
function zonePath(tz: string | undefined): string | undefined {
  const name = tz === undefined ? undefined : ZONE_NAME.exec(tz)?.[1];
  return name === undefined ? undefined : `/usr/share/zoneinfo/${name}`;
}

/** Returns the local time type in effect at a Unix time in whole seconds, which is negative before 1970. */
export function typeAt(zone: Zone, epochSeconds: number): LocalType {
  const last = zone.transitions.at(-1);
  const afterAll = last === undefined || epochSeconds >= last.at;
  if (afterAll && zone.rule !== undefined) return zone.rule(epochSeconds);
  return zone.transitions.findLast(({ at }) => at <= epochSeconds)?.type ?? zone.first;
}

/**
 * Returns `Sun May  7 12:45:26 UTC 2024`, as `LC_ALL=C date` prints it. Uses UTC if the decoders do not accept the
 * abbreviation of the zone.
 */
export function formatDate(zone: Zone, epochMs: number): string {
  const epochSeconds = Math.floor(epochMs / 1000);
  const local = typeAt(zone, epochSeconds);
  const type = /^[+-]?[A-Za-z0-9]{1,16}$/.test(local.abbreviation) ? local : UTC.first;
  const wall = wallOf(type, epochSeconds);
  const day = String(wall.getUTCDate()).padStart(2);
  const date = `${WEEKDAYS[wall.getUTCDay()] ?? ''} ${MONTHS[wall.getUTCMonth()] ?? ''} ${day}`;
  return `${date} ${timeOf(wall)} ${type.abbreviation} ${wall.getUTCFullYear()}`;
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** Returns `2024/05/07 12:45:26`, as Wazuh's own active responses print it. */
export function formatWazuhDate(zone: Zone, epochMs: number): string {
  const epochSeconds = Math.floor(epochMs / 1000);
  const wall = wallOf(typeAt(zone, epochSeconds), epochSeconds);
  const date = [
    wall.getUTCFullYear(),
    twoDigits(wall.getUTCMonth() + 1),
    twoDigits(wall.getUTCDate()),
  ];
  return `${date.join('/')} ${timeOf(wall)}`;
}

/**
 * Formats the numbers without Date's own methods. With them, ICU would look up the name of the host's time zone, and
 * search all zone files if /etc/localtime is a copy of one.
 */
function timeOf(wall: Date): string {
  return [wall.getUTCHours(), wall.getUTCMinutes(), wall.getUTCSeconds()].map(twoDigits).join(':');
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** Returns a Date whose UTC fields are the local date and time. */
function wallOf({ offsetSeconds }: LocalType, epochSeconds: number): Date {
  return new Date((epochSeconds + offsetSeconds) * 1000);
}

/** A local time type: the offset in seconds east of UTC, and the abbreviation. */
export interface LocalType {
  readonly offsetSeconds: number;
  readonly abbreviation: string;
}

/** A parsed zone file. `transitions` are Unix times in ascending order, each with the type that starts there. */
export interface Zone {
  readonly first: LocalType;
  readonly transitions: readonly { readonly at: number; readonly type: LocalType }[];
  /** Returns the type at a Unix time after the last transition; undefined if the file has no such rule. */
  readonly rule: ((epochSeconds: number) => LocalType) | undefined;
}

const HEADER_BYTES = 44;
const TYPE_BYTES = 6;

/**
 * Parses a zone file (TZif, RFC 9636, versions 1 to 4). Throws an Error that says what is malformed. Skips leap
 * seconds, which the kernel's clock does not count.
 */
export function parseZone(buffer: Buffer): Zone {
  const legacy = parseHeader(buffer, 0, 4);
  if (legacy.version < 2) return { ...parseTransitions(buffer, legacy), rule: undefined };
  const block = parseHeader(buffer, legacy.end, 8);
  return { ...parseTransitions(buffer, block), rule: parseFooter(buffer, block.end) };
}

type Block = ReturnType<typeof parseHeader>;

/**
 * Parses the header at `offset` and returns the offsets in its data block. `timeBytes` is the width of a time there.
 */
function parseHeader(buffer: Buffer, offset: number, timeBytes: 4 | 8) {
  const times = offset + HEADER_BYTES;
  if (buffer.length < times) throw new Error('zone file is cut short in its header');
  if (buffer.toString('latin1', offset, offset + 4) !== 'TZif')
    throw new Error('not a zone file: its first bytes are not TZif');
  const count = (index: number): number => buffer.readUInt32BE(offset + 20 + 4 * index);
  const [transitionCount, typeCount, leapCount] = [count(3), count(4), count(2)];
  const indexes = times + transitionCount * timeBytes;
  const types = indexes + transitionCount;
  const names = types + typeCount * TYPE_BYTES;
  const namesEnd = names + count(5);
  const end = namesEnd + leapCount * (timeBytes + 4) + count(1) + count(0);
  if (buffer.length < end) throw new Error('zone file is cut short in its data');
  // The version byte is NUL for version 1, else an ASCII digit. Later versions can be read as version 2.
  const version = Math.max(1, buffer.readUInt8(offset + 4) - 0x30);
  return { version, timeBytes, transitionCount, times, indexes, types, names, namesEnd, end };
}

/** Uses a DataView for speed: a zone has hundreds of transitions, and every alert parses them without a warm JIT. */
function parseTransitions(buffer: Buffer, block: Block): Pick<Zone, 'first' | 'transitions'> {
  const types = parseTypes(buffer, block);
  const first = types[0];
  if (first === undefined) throw new Error('zone file has no local time type');
  const view = new DataView(buffer.buffer, buffer.byteOffset);
  const transitions: { readonly at: number; readonly type: LocalType }[] = [];
  let previous = -Infinity;
  for (let index = 0; index < block.transitionCount; index += 1) {
    const place = block.times + index * block.timeBytes;
    const upper = view.getInt32(place);
    const at = block.timeBytes === 4 ? upper : upper * 2 ** 32 + view.getUint32(place + 4);
    const type = types[view.getUint8(block.indexes + index)];
    if (type === undefined) throw new Error(`zone file: transition ${index} has an unknown type`);
    if (at <= previous) throw new Error('zone file: transitions are not in ascending order');
    transitions.push({ at, type });
    previous = at;
  }
  return { first, transitions };
}

function parseTypes(buffer: Buffer, block: Block): readonly LocalType[] {
  const names = buffer.toString('latin1', block.names, block.namesEnd);
  return Array.from({ length: (block.names - block.types) / TYPE_BYTES }, (_, index) => {
    const place = block.types + index * TYPE_BYTES;
    const offsetSeconds = buffer.readInt32BE(place);
    const nameStart = buffer.readUInt8(place + 5);
    const nameEnd = names.indexOf('\0', nameStart);
    if (nameEnd < 0) throw new Error(`zone file: type ${index} has no abbreviation`);
    if (Math.abs(offsetSeconds) > 26 * 3600)
      throw new Error(`zone file: type ${index} is more than 26 hours from UTC`);
    return { offsetSeconds, abbreviation: names.slice(nameStart, nameEnd) };
  });
}

function parseFooter(buffer: Buffer, offset: number): Zone['rule'] {
  const footer = /^\n([^\n]*)\n/.exec(buffer.toString('latin1', offset))?.[1];
  if (footer === undefined) throw new Error('zone file is cut short in its footer');
  return footer === '' ? undefined : parseRule(footer);
}

/** Matches one or two zone names, each with its offset. The pattern is short because every start compiles it. */
const ZONES =
  /^(<[A-Za-z0-9+-]+>|[A-Za-z]+)([+:0-9-]+)(?:(<[A-Za-z0-9+-]+>|[A-Za-z]+)([+:0-9-]*))?$/;

/** Parses rules such as `CET-1CEST,M3.5.0,M10.5.0/3` or `<-03>3`. Offsets in POSIX are positive west of Greenwich. */
function parseRule(text: string): Zone['rule'] {
  const [zones = '', start, end] = partsOf(text, ',', 3);
  const [, name, offset, daylightName, daylightOffset] = ZONES.exec(zones) ?? [];
  if (name === undefined || offset === undefined) throw malformed(text);
  const standard = localType(name, -parseSeconds(offset, 24));
  if (daylightName === undefined && start === undefined) return () => standard;
  if (daylightName === undefined || start === undefined || end === undefined) throw malformed(text);
  const hasDefaultOffset = daylightOffset === undefined || daylightOffset === '';
  const offsetSeconds = hasDefaultOffset
    ? standard.offsetSeconds + 3600
    : -parseSeconds(daylightOffset, 24);
  const daylight = localType(daylightName, offsetSeconds);
  const startIn = parseChange(start, standard);
  const endIn = parseChange(end, daylight);
  return (epochSeconds) => {
    // An offset can move a change across New Year, so the changes of the previous and next year count too.
    const thisYear = new Date(epochSeconds * 1000).getUTCFullYear();
    const changes = [thisYear - 1, thisYear, thisYear + 1].flatMap((year) => [
      { at: endIn(year), type: standard },
      { at: startIn(year), type: daylight },
    ]);
    // The sort is stable: if an end and the next start coincide (daylight time all year), the start wins.
    const past = changes.filter(({ at }) => at <= epochSeconds).sort((a, b) => a.at - b.at);
    return past.at(-1)?.type ?? standard;
  };
}

function localType(name: string, offsetSeconds: number): LocalType {
  return { offsetSeconds, abbreviation: name.startsWith('<') ? name.slice(1, -1) : name };
}

const DAY_SECONDS = 86_400;

/**
 * Parses `J60`, `59` or `M3.5.0`, with an optional `/` and a time, which is two o'clock by default and according to RFC
 * 9636 at most 167 hours. Returns a function that gives the Unix time of the change in a year. `before` is the type
 * until then.
 */
function parseChange(text: string, before: LocalType): (year: number) => number {
  const [day = '', time = '2'] = partsOf(text, '/', 2);
  const dayIn = parseDay(day);
  const seconds = parseSeconds(time, 167) - before.offsetSeconds;
  return (year) => dayIn(year) * DAY_SECONDS + seconds;
}

/** Returns a function that gives the day in a year as days since 1 January 1970. */
function parseDay(text: string): (year: number) => number {
  if (text.startsWith('M')) return parseWeekday(text.slice(1));
  if (!text.startsWith('J')) {
    const day = wholeNumber(text, 0, 365);
    return (year) => firstDay(year, 1) + day;
  }
  const day = wholeNumber(text.slice(1), 1, 365);
  // Julian days never count 29 February: day 60 is always 1 March.
  return (year) => (day < 60 ? firstDay(year, 1) + day - 1 : firstDay(year, 3) + day - 60);
}

/** Parses month, week and weekday in `3.5.0`. Week 5 is the last week of the month in which the weekday occurs. */
function parseWeekday(text: string): (year: number) => number {
  const parts = partsOf(text, '.', 3);
  const month = wholeNumber(parts[0], 1, 12);
  const week = wholeNumber(parts[1], 1, 5);
  const weekday = wholeNumber(parts[2], 0, 6);
  return (year) => {
    const first = firstDay(year, month);
    // 1 January 1970 was a Thursday.
    const firstWeekday = (((first + 4) % 7) + 7) % 7;
    const found = first + ((weekday - firstWeekday + 7) % 7) + (week - 1) * 7;
    return found < firstDay(year, month + 1) ? found : found - 7;
  };
}

/** Returns the first day of a month as days since 1 January 1970. */
function firstDay(year: number, month: number): number {
  // Date.UTC would take the years 0 to 99 as 1900 to 1999.
  return new Date(0).setUTCFullYear(year, month - 1, 1) / (DAY_SECONDS * 1000);
}

/** Converts `[+-]h[:m[:s]]` to seconds. */
function parseSeconds(text: string, maxHours: number): number {
  const isNegative = text.startsWith('-');
  const unsigned = isNegative || text.startsWith('+') ? text.slice(1) : text;
  const [hours, minutes = '0', seconds = '0'] = partsOf(unsigned, ':', 3);
  const total =
    wholeNumber(hours, 0, maxHours) * 3600 +
    wholeNumber(minutes, 0, 59) * 60 +
    wholeNumber(seconds, 0, 59);
  return isNegative ? -total : total;
}

function partsOf(text: string, separator: string, most: number): readonly string[] {
  const parts = text.split(separator);
  if (parts.length > most) throw malformed(text);
  return parts;
}

const DIGITS = /^[0-9]+$/;

/** Throws if the text is not a whole number from `min` to `max`. */
function wholeNumber(text = '', min: number, max: number): number {
  const value = DIGITS.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) throw malformed(text);
  return value;
}

function malformed(text: string): Error {
  return new Error(`zone file: can't read ${JSON.stringify(text)} in its rule`);
}
