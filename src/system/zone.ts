// The host's local time as date(1) prints it, read from the zone file itself: rule engines decode `CEST` and `-03`, not Intl's `GMT+2`.

/** What the clocks show during one stretch of time; the offset is seconds east of UTC. */
interface LocalType {
  readonly offsetSeconds: number;
  readonly abbreviation: string;
}

/** A day of any year, and the seconds after its midnight (negative and above 24 h too). */
interface YearlyChange {
  readonly day:
    | { readonly kind: 'julian'; readonly day: number }
    | { readonly kind: 'zeroBased'; readonly day: number }
    | {
        readonly kind: 'weekday';
        readonly month: number;
        readonly week: number;
        readonly weekday: number;
      };
  readonly seconds: number;
}

/** A POSIX TZ string: what holds after a zone file's last transition. */
interface Rule {
  readonly standard: LocalType;
  readonly daylight?: {
    readonly type: LocalType;
    readonly start: YearlyChange;
    readonly end: YearlyChange;
  };
}

/** A parsed zone file; `transitions` are ascending Unix times, each with the type that begins there. */
export interface Zone {
  readonly first: LocalType;
  readonly transitions: readonly { readonly at: number; readonly type: LocalType }[];
  readonly rule: Rule | undefined;
}

/** A moment on the wall: month 1 to 12, weekday 0 (Sunday) to 6, offset in seconds east of UTC. */
export interface LocalTime {
  readonly year: number;
  readonly month: number;
  readonly day: number;
  readonly weekday: number;
  readonly hour: number;
  readonly minute: number;
  readonly second: number;
  readonly offsetSeconds: number;
  readonly abbreviation: string;
}

export const UTC: Zone = {
  first: { offsetSeconds: 0, abbreviation: 'UTC' },
  transitions: [],
  rule: undefined,
};

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAY_SECONDS = 86_400;
const HEADER_BYTES = 44;
/** No zone needs more. */
export const LARGEST_ZONE_FILE = 64 * 1024;

/**
 * The zone in which log lines are written: TZ where it is a plain zone name, else /etc/localtime, else UTC. Never throws.
 * `readFile` throws for what is not a readable file of at most {@link LARGEST_ZONE_FILE} bytes.
 */
export function readHostZone(host: {
  readonly tz: string | undefined;
  readonly readFile: (path: string) => Buffer;
}): Zone {
  for (const path of [zonePath(host.tz), '/etc/localtime']) {
    if (path === undefined) continue;
    try {
      return parseZone(host.readFile(path));
    } catch {
      // A line in the next best zone is worth more than no line.
    }
  }
  return UTC;
}

/** Only names below the zone directory: whoever sets TZ must not choose which file root opens. */
function zonePath(tz: string | undefined): string | undefined {
  if (tz === undefined || !/^[A-Za-z0-9_+-]+(?:\/[A-Za-z0-9_+-]+){0,2}$/.test(tz)) return undefined;
  return `/usr/share/zoneinfo/${tz}`;
}

/** A zone file (TZif, RFC 9636, versions 1 to 4). Throws an Error that says what is malformed. Leap seconds are passed over: the kernel's clock does not count them. */
export function parseZone(buffer: Buffer): Zone {
  const legacy = parseHeader(buffer, 0, 4);
  if (legacy.version < 2) return { ...parseBlock(buffer, legacy), rule: undefined };
  const block = parseHeader(buffer, legacy.end, 8);
  return { ...parseBlock(buffer, block), rule: parseFooter(buffer, block.end) };
}

interface Block {
  readonly version: number;
  readonly start: number;
  readonly end: number;
  readonly timeBytes: 4 | 8;
  readonly transitionCount: number;
  readonly typeCount: number;
  readonly characterCount: number;
}

/** Header at `offset`; `timeBytes` is the width of a time in the block behind it. */
function parseHeader(buffer: Buffer, offset: number, timeBytes: 4 | 8): Block {
  if (buffer.length < offset + HEADER_BYTES)
    throw new Error('zone file is cut short in its header');
  if (buffer.toString('latin1', offset, offset + 4) !== 'TZif')
    throw new Error('not a zone file: its first bytes are not TZif');
  const count = (index: number): number => buffer.readUInt32BE(offset + 20 + 4 * index);
  const [transitionCount, typeCount, characterCount] = [count(3), count(4), count(5)];
  const [utIndicators, standardIndicators, leapCount] = [count(0), count(1), count(2)];
  const start = offset + HEADER_BYTES;
  const end =
    start +
    transitionCount * (timeBytes + 1) +
    typeCount * 6 +
    characterCount +
    leapCount * (timeBytes + 4) +
    standardIndicators +
    utIndicators;
  if (buffer.length < end) throw new Error('zone file is cut short in its data');
  const version = versionNumber(buffer.readUInt8(offset + 4));
  return { version, start, end, timeBytes, transitionCount, typeCount, characterCount };
}

/** NUL is version 1, then the ASCII digits; later versions are promised to be readable as version 2. */
function versionNumber(byte: number): number {
  return byte === 0 ? 1 : byte - 0x30;
}

function parseBlock(buffer: Buffer, block: Block): Pick<Zone, 'first' | 'transitions'> {
  const types = parseTypes(buffer, block);
  const first = types[0];
  if (first === undefined) throw new Error('zone file has no local time type');
  const indexes = block.start + block.transitionCount * block.timeBytes;
  const transitions = Array.from({ length: block.transitionCount }, (_, index) => {
    const type = types[buffer.readUInt8(indexes + index)];
    if (type === undefined) throw new Error(`zone file: transition ${index} has an unknown type`);
    return { at: readTime(buffer, block, index), type };
  });
  checkAscending(transitions);
  return { first, transitions };
}

function readTime(buffer: Buffer, block: Block, index: number): number {
  const offset = block.start + index * block.timeBytes;
  return block.timeBytes === 4 ? buffer.readInt32BE(offset) : Number(buffer.readBigInt64BE(offset));
}

function checkAscending(transitions: readonly { readonly at: number }[]): void {
  let previous = -Infinity;
  for (const { at } of transitions) {
    if (at <= previous) throw new Error('zone file: transitions are not in ascending order');
    previous = at;
  }
}

function parseTypes(buffer: Buffer, block: Block): readonly LocalType[] {
  const start = block.start + block.transitionCount * (block.timeBytes + 1);
  const namesStart = start + block.typeCount * 6;
  const names = buffer.toString('latin1', namesStart, namesStart + block.characterCount);
  return Array.from({ length: block.typeCount }, (_, index) => {
    const offsetSeconds = buffer.readInt32BE(start + index * 6);
    const nameStart = buffer.readUInt8(start + index * 6 + 5);
    const nameEnd = names.indexOf('\0', nameStart);
    if (nameEnd < 0) throw new Error(`zone file: type ${index} has no abbreviation`);
    if (Math.abs(offsetSeconds) > 26 * 3600)
      throw new Error(`zone file: type ${index} is more than 26 hours from UTC`);
    return { offsetSeconds, abbreviation: names.slice(nameStart, nameEnd) };
  });
}

function parseFooter(buffer: Buffer, offset: number): Rule | undefined {
  const footer = /^\n([^\n]*)\n/.exec(buffer.toString('latin1', offset))?.[1];
  if (footer === undefined) throw new Error('zone file is cut short in its footer');
  return footer === '' ? undefined : parseRule(footer);
}

const RULE =
  /^(?<standard><[A-Za-z0-9+-]+>|[A-Za-z]+)(?<offset>[+-]?\d{1,2}(?::\d{1,2}){0,2})(?:(?<daylight><[A-Za-z0-9+-]+>|[A-Za-z]+)(?<daylightOffset>[+-]?\d{1,2}(?::\d{1,2}){0,2})?,(?<start>[^,]+),(?<end>[^,]+))?$/;

/** `CET-1CEST,M3.5.0,M10.5.0/3`, `<-03>3`. POSIX counts offsets west of Greenwich, so signs turn round. */
function parseRule(text: string): Rule {
  const parts = RULE.exec(text)?.groups;
  const { standard, offset, daylight, daylightOffset, start, end } = parts ?? {};
  if (standard === undefined || offset === undefined)
    throw new Error(`zone file: can't read the rule ${JSON.stringify(text)}`);
  const standardType = localType(standard, -parseSeconds(offset, 24));
  if (daylight === undefined || start === undefined || end === undefined)
    return { standard: standardType };
  const offsetSeconds =
    daylightOffset === undefined
      ? standardType.offsetSeconds + 3600
      : -parseSeconds(daylightOffset, 24);
  return {
    standard: standardType,
    daylight: {
      type: localType(daylight, offsetSeconds),
      start: parseChange(start),
      end: parseChange(end),
    },
  };
}

function localType(name: string, offsetSeconds: number): LocalType {
  return { offsetSeconds, abbreviation: name.replace(/^<|>$/g, '') };
}

/** `[+-]h[:m[:s]]` in seconds. */
function parseSeconds(text: string, maxHours: number): number {
  const [hours = 0, minutes = 0, seconds = 0] = text.replace(/^[+-]/, '').split(':').map(Number);
  if (hours > maxHours || minutes > 59 || seconds > 59)
    throw new Error(`zone file: ${JSON.stringify(text)} is not a time`);
  const total = hours * 3600 + minutes * 60 + seconds;
  return text.startsWith('-') ? -total : total;
}

const CHANGE =
  /^(?:J(?<julian>\d{1,3})|(?<zeroBased>\d{1,3})|M(?<month>\d{1,2})\.(?<week>\d)\.(?<weekday>\d))(?:\/(?<time>[+-]?\d{1,3}(?::\d{1,2}){0,2}))?$/;

function parseChange(text: string): YearlyChange {
  const parts = CHANGE.exec(text)?.groups;
  if (parts === undefined)
    throw new Error(`zone file: ${JSON.stringify(text)} is not a day of the year`);
  const bounded = (part: string | undefined, min: number, max: number): number => {
    const value = Number(part);
    if (value >= min && value <= max) return value;
    throw new Error(`zone file: ${JSON.stringify(text)} is not a day of the year`);
  };
  const { julian, zeroBased, month, week, weekday, time } = parts;
  // RFC 9636 allows a week's worth of hours either way; two o'clock is POSIX' default.
  const seconds = time === undefined ? 2 * 3600 : parseSeconds(time, 167);
  if (julian !== undefined)
    return { seconds, day: { kind: 'julian', day: bounded(julian, 1, 365) } };
  if (zeroBased !== undefined)
    return { seconds, day: { kind: 'zeroBased', day: bounded(zeroBased, 0, 365) } };
  const day = { kind: 'weekday', month: bounded(month, 1, 12) } as const;
  return { seconds, day: { ...day, week: bounded(week, 1, 5), weekday: bounded(weekday, 0, 6) } };
}

/** What the clocks of the zone show at a Unix time (whole seconds, negative before 1970). */
export function localTime(zone: Zone, epochSeconds: number): LocalTime {
  const { offsetSeconds, abbreviation } = typeAt(zone, epochSeconds);
  const wall = new Date((epochSeconds + offsetSeconds) * 1000);
  return {
    year: wall.getUTCFullYear(),
    month: wall.getUTCMonth() + 1,
    day: wall.getUTCDate(),
    weekday: wall.getUTCDay(),
    hour: wall.getUTCHours(),
    minute: wall.getUTCMinutes(),
    second: wall.getUTCSeconds(),
    offsetSeconds,
    abbreviation,
  };
}

function typeAt(zone: Zone, epochSeconds: number): LocalType {
  const last = zone.transitions.at(-1);
  const afterAll = last === undefined || epochSeconds >= last.at;
  if (afterAll && zone.rule !== undefined) return ruleTypeAt(zone.rule, epochSeconds);
  return zone.transitions.findLast(({ at }) => at <= epochSeconds)?.type ?? zone.first;
}

/** The latest change before that moment decides, whichever year it is reckoned from: a change may fall into the year beside. */
function ruleTypeAt(rule: Rule, epochSeconds: number): LocalType {
  if (rule.daylight === undefined) return rule.standard;
  const { type, start, end } = rule.daylight;
  const thisYear = new Date(epochSeconds * 1000).getUTCFullYear();
  const changes = [thisYear - 1, thisYear, thisYear + 1].flatMap((year) => [
    { at: changeAt(end, year, type), type: rule.standard },
    { at: changeAt(start, year, rule.standard), type },
  ]);
  // The sort is stable: where an end and the next start meet (daylight all year round), the start wins.
  const past = changes.filter(({ at }) => at <= epochSeconds).sort((a, b) => a.at - b.at);
  return past.at(-1)?.type ?? rule.standard;
}

/** Unix time of a change in that year; `before` is what the clocks show until then. */
function changeAt(change: YearlyChange, year: number, before: LocalType): number {
  return dayOf(change.day, year) * DAY_SECONDS + change.seconds - before.offsetSeconds;
}

/** Days since 1 January 1970. */
function dayOf(day: YearlyChange['day'], year: number): number {
  const newYear = epochDay(year, 1, 1);
  switch (day.kind) {
    case 'zeroBased':
      return newYear + day.day;
    case 'julian': {
      // Julian days never count 29 February: day 60 is always 1 March.
      const isLeapYear = epochDay(year, 3, 1) - newYear === 60;
      return newYear + day.day - 1 + (isLeapYear && day.day >= 60 ? 1 : 0);
    }
    case 'weekday':
      return weekdayOf(day, year);
  }
}

/** Week 5 is the last one in which that weekday occurs. */
function weekdayOf(day: { month: number; week: number; weekday: number }, year: number): number {
  const first = epochDay(year, day.month, 1);
  // 1 January 1970 was a Thursday.
  const firstWeekday = (((first + 4) % 7) + 7) % 7;
  const found = first + ((day.weekday - firstWeekday + 7) % 7) + (day.week - 1) * 7;
  return found < epochDay(year, day.month + 1, 1) ? found : found - 7;
}

function epochDay(year: number, month: number, day: number): number {
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  return new Date(0).setUTCFullYear(year, month - 1, day) / (DAY_SECONDS * 1000);
}

/** `Sun May  7 12:45:26 UTC 2024`, as `LC_ALL=C date` prints it; UTC where the zone's abbreviation would not be decoded. */
export function formatDate(zone: Zone, epochMs: number): string {
  const epochSeconds = Math.floor(epochMs / 1000);
  const local = localTime(zone, epochSeconds);
  const isDecodable = /^[+-]?[A-Za-z0-9]{1,16}$/.test(local.abbreviation);
  const time = isDecodable ? local : localTime(UTC, epochSeconds);
  const date = `${WEEKDAYS[time.weekday] ?? ''} ${MONTHS[time.month - 1] ?? ''} ${String(time.day).padStart(2)}`;
  return `${date} ${clock(time)} ${time.abbreviation} ${time.year}`;
}

/** `2024/05/07 12:45:26`, as Wazuh's own active responses print it. */
export function formatWazuhDate(zone: Zone, epochMs: number): string {
  const time = localTime(zone, Math.floor(epochMs / 1000));
  const year = String(time.year).padStart(4, '0');
  return `${year}/${twoDigits(time.month)}/${twoDigits(time.day)} ${clock(time)}`;
}

function clock(time: LocalTime): string {
  return `${twoDigits(time.hour)}:${twoDigits(time.minute)}:${twoDigits(time.second)}`;
}

function twoDigits(value: number): string {
  return String(value).padStart(2, '0');
}
