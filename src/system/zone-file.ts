// Parses a zone file (TZif) and the POSIX rule in its footer.

/** A local time type: the offset in seconds east of UTC, and the abbreviation. */
export interface LocalType {
  readonly offsetSeconds: number;
  readonly abbreviation: string;
}

/** A yearly change: a day, and the seconds after its midnight, which can be negative or more than 24 hours. */
export interface YearlyChange {
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

/** A POSIX TZ string, which applies after the last transition of the zone file. */
export interface Rule {
  readonly standard: LocalType;
  readonly daylight?: {
    readonly type: LocalType;
    readonly start: YearlyChange;
    readonly end: YearlyChange;
  };
}

/** A parsed zone file. `transitions` are Unix times in ascending order, each with the type that starts there. */
export interface Zone {
  readonly first: LocalType;
  readonly transitions: readonly { readonly at: number; readonly type: LocalType }[];
  readonly rule: Rule | undefined;
}

const HEADER_BYTES = 44;

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

interface Block {
  readonly version: number;
  readonly start: number;
  readonly end: number;
  readonly timeBytes: 4 | 8;
  readonly transitionCount: number;
  readonly typeCount: number;
  readonly characterCount: number;
}

/** Parses the header at `offset`. `timeBytes` is the width of a time in the data block after it. */
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

/** Converts the version byte: NUL for version 1, else an ASCII digit. Later versions can be read as version 2. */
function versionNumber(byte: number): number {
  return byte === 0 ? 1 : byte - 0x30;
}

/** Uses a DataView for speed: a zone has hundreds of transitions, and every alert parses them without a warm JIT. */
function parseTransitions(buffer: Buffer, block: Block): Pick<Zone, 'first' | 'transitions'> {
  const types = parseTypes(buffer, block);
  const first = types[0];
  if (first === undefined) throw new Error('zone file has no local time type');
  const view = new DataView(buffer.buffer, buffer.byteOffset + block.start);
  const indexes = block.transitionCount * block.timeBytes;
  const transitions: { readonly at: number; readonly type: LocalType }[] = [];
  let previous = -Infinity;
  for (let index = 0; index < block.transitionCount; index += 1) {
    const upper = view.getInt32(index * block.timeBytes);
    const at = block.timeBytes === 4 ? upper : upper * 2 ** 32 + view.getUint32(index * 8 + 4);
    const type = types[view.getUint8(indexes + index)];
    if (type === undefined) throw new Error(`zone file: transition ${index} has an unknown type`);
    if (at <= previous) throw new Error('zone file: transitions are not in ascending order');
    transitions.push({ at, type });
    previous = at;
  }
  return { first, transitions };
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

/** Matches one or two zone names, each with its offset. The pattern is short because every start compiles it. */
const ZONES =
  /^(<[A-Za-z0-9+-]+>|[A-Za-z]+)([+:0-9-]+)(?:(<[A-Za-z0-9+-]+>|[A-Za-z]+)([+:0-9-]*))?$/;

/** Parses rules such as `CET-1CEST,M3.5.0,M10.5.0/3` or `<-03>3`. Offsets in POSIX are positive west of Greenwich. */
function parseRule(text: string): Rule {
  const [zones = '', start, end, more] = text.split(',', 4);
  const [, name, offset, daylightName, daylightOffset] = ZONES.exec(zones) ?? [];
  const isComplete = daylightName === undefined ? start === undefined : more === undefined;
  if (name === undefined || offset === undefined || !isComplete)
    throw new Error(`zone file: can't read the rule ${JSON.stringify(text)}`);
  const standard = localType(name, -parseSeconds(offset, 24));
  if (daylightName === undefined) return { standard };
  const offsetSeconds =
    daylightOffset === undefined || daylightOffset === ''
      ? standard.offsetSeconds + 3600
      : -parseSeconds(daylightOffset, 24);
  return {
    standard,
    daylight: {
      type: localType(daylightName, offsetSeconds),
      start: parseChange(start ?? ''),
      end: parseChange(end ?? ''),
    },
  };
}

function localType(name: string, offsetSeconds: number): LocalType {
  return { offsetSeconds, abbreviation: name.startsWith('<') ? name.slice(1, -1) : name };
}

/** Converts `[+-]h[:m[:s]]` to seconds. */
function parseSeconds(text: string, maxHours: number): number {
  const isNegative = text.startsWith('-');
  const unsigned = isNegative || text.startsWith('+') ? text.slice(1) : text;
  const [hours, minutes, seconds, more] = unsigned.split(':', 4);
  const total =
    wholeNumber(hours, 0, maxHours) * 3600 +
    wholeNumber(minutes ?? '0', 0, 59) * 60 +
    wholeNumber(seconds ?? '0', 0, 59);
  if (more !== undefined || Number.isNaN(total))
    throw new Error(`zone file: ${JSON.stringify(text)} is not a time`);
  return isNegative ? -total : total;
}

/** Parses `J60`, `59` or `M3.5.0`, with an optional `/` and a time. The default time is two o'clock. */
function parseChange(text: string): YearlyChange {
  const [written = '', time, more] = text.split('/', 3);
  const day = parseDay(written);
  if (more !== undefined || Object.values(day).some(Number.isNaN))
    throw new Error(`zone file: ${JSON.stringify(text)} is not a day of the year`);
  // RFC 9636 allows -167 to 167 hours.
  return { day, seconds: time === undefined ? 2 * 3600 : parseSeconds(time, 167) };
}

/** Returns NaN for each number that is malformed or out of range. */
function parseDay(text: string): YearlyChange['day'] {
  if (text.startsWith('J')) return { kind: 'julian', day: wholeNumber(text.slice(1), 1, 365) };
  if (!text.startsWith('M')) return { kind: 'zeroBased', day: wholeNumber(text, 0, 365) };
  const [month, week, weekday, more] = text.slice(1).split('.', 4);
  return {
    kind: 'weekday',
    month: more === undefined ? wholeNumber(month, 1, 12) : NaN,
    week: wholeNumber(week, 1, 5),
    weekday: wholeNumber(weekday, 0, 6),
  };
}

const DIGITS = /^[0-9]+$/;

/** Returns NaN if the text is not a whole number from `min` to `max`. */
function wholeNumber(text: string | undefined, min: number, max: number): number {
  const value = text !== undefined && DIGITS.test(text) ? Number(text) : NaN;
  return value >= min && value <= max ? value : NaN;
}
