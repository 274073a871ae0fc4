// Reads a zone file (TZif) and the POSIX rule in its footer.

/** What the clocks show during one stretch of time; the offset is seconds east of UTC. */
export interface LocalType {
  readonly offsetSeconds: number;
  readonly abbreviation: string;
}

/** A day of any year, and the seconds after its midnight (negative and above 24 h too). */
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

/** A POSIX TZ string: what holds after a zone file's last transition. */
export interface Rule {
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

const HEADER_BYTES = 44;

/** A zone file (TZif, RFC 9636, versions 1 to 4). Throws an Error that says what is malformed. Leap seconds are passed over: the kernel's clock does not count them. */
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

function parseTransitions(buffer: Buffer, block: Block): Pick<Zone, 'first' | 'transitions'> {
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
