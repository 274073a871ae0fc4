// Reads a zone file (TZif) and the POSIX rule in its footer.

/** What the clocks show during one stretch of time; the offset is seconds east of UTC. */
export interface LocalType {
  readonly offsetSeconds: number;
  readonly abbreviation: string;
}

/** A parsed zone file; `transitions` are ascending Unix times, each with the type that begins there. */
export interface Zone {
  readonly first: LocalType;
  readonly transitions: readonly { readonly at: number; readonly type: LocalType }[];
  /** What holds at a Unix time after the last transition, where the file has a rule for that. */
  readonly rule: ((epochSeconds: number) => LocalType) | undefined;
}

const HEADER_BYTES = 44;
const TYPE_BYTES = 6;

/** A zone file (TZif, RFC 9636, versions 1 to 4). Throws an Error that says what is malformed. Leap seconds are passed over: the kernel's clock does not count them. */
export function parseZone(buffer: Buffer): Zone {
  const legacy = parseHeader(buffer, 0, 4);
  if (legacy.version < 2) return { ...parseTransitions(buffer, legacy), rule: undefined };
  const block = parseHeader(buffer, legacy.end, 8);
  return { ...parseTransitions(buffer, block), rule: parseFooter(buffer, block.end) };
}

type Block = ReturnType<typeof parseHeader>;

/** Where the parts are of the block whose header is at `offset`; `timeBytes` is the width of a time in it. */
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
  // NUL is version 1, then the ASCII digits; later versions are promised to be readable as version 2.
  const version = Math.max(1, buffer.readUInt8(offset + 4) - 0x30);
  return { version, timeBytes, transitionCount, times, indexes, types, names, namesEnd, end };
}

/** Read by a DataView, which needs no warming up: a zone has hundreds of transitions, and every alert reads them. */
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

/** One zone or two, each with its offset. Patterns are compiled at every start: this one is short, and used once. */
const ZONES =
  /^(<[A-Za-z0-9+-]+>|[A-Za-z]+)([+:0-9-]+)(?:(<[A-Za-z0-9+-]+>|[A-Za-z]+)([+:0-9-]*))?$/;

/** `CET-1CEST,M3.5.0,M10.5.0/3`, `<-03>3`. POSIX counts offsets west of Greenwich, so signs turn round. */
function parseRule(text: string): Zone['rule'] {
  const [zones = '', start, end] = partsOf(text, ',', 3);
  const [, name, offset, daylightName, daylightOffset] = ZONES.exec(zones) ?? [];
  if (name === undefined || offset === undefined) throw malformed(text);
  const standard = localType(name, -parseSeconds(offset, 24));
  if (daylightName === undefined && start === undefined) return () => standard;
  if (daylightName === undefined || start === undefined || end === undefined) throw malformed(text);
  const isUsual = daylightOffset === undefined || daylightOffset === '';
  const offsetSeconds = isUsual ? standard.offsetSeconds + 3600 : -parseSeconds(daylightOffset, 24);
  const daylight = localType(daylightName, offsetSeconds);
  const startIn = parseChange(start, standard);
  const endIn = parseChange(end, daylight);
  /** The latest change before a moment decides, whichever year it is reckoned from: a change may fall into the year beside. */
  return (epochSeconds) => {
    const thisYear = new Date(epochSeconds * 1000).getUTCFullYear();
    const changes = [thisYear - 1, thisYear, thisYear + 1].flatMap((year) => [
      { at: endIn(year), type: standard },
      { at: startIn(year), type: daylight },
    ]);
    // The sort is stable: where an end and the next start meet (daylight all year round), the start wins.
    const past = changes.filter(({ at }) => at <= epochSeconds).sort((a, b) => a.at - b.at);
    return past.at(-1)?.type ?? standard;
  };
}

function localType(name: string, offsetSeconds: number): LocalType {
  return { offsetSeconds, abbreviation: name.startsWith('<') ? name.slice(1, -1) : name };
}

const DAY_SECONDS = 86_400;

/**
 * `J60`, `59` or `M3.5.0`, each with `/` and a time where that is not two o'clock: the Unix time of that change in a year.
 * `before` is what the clocks show until then. RFC 9636 allows a week's worth of hours either way.
 */
function parseChange(text: string, before: LocalType): (year: number) => number {
  const [day = '', time = '2'] = partsOf(text, '/', 2);
  const dayIn = parseDay(day);
  const seconds = parseSeconds(time, 167) - before.offsetSeconds;
  return (year) => dayIn(year) * DAY_SECONDS + seconds;
}

/** A day of any year, in days since 1 January 1970. */
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

/** `3.5.0`: month, week and weekday. Week 5 is the last one in which that weekday occurs. */
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

/** Of a month. */
function firstDay(year: number, month: number): number {
  // Not Date.UTC, which takes the years 0 to 99 for 1900 to 1999.
  return new Date(0).setUTCFullYear(year, month - 1, 1) / (DAY_SECONDS * 1000);
}

/** `[+-]h[:m[:s]]` in seconds. */
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

function wholeNumber(text = '', min: number, max: number): number {
  const value = DIGITS.test(text) ? Number(text) : NaN;
  if (!(value >= min && value <= max)) throw malformed(text);
  return value;
}

function malformed(text: string): Error {
  return new Error(`zone file: can't read ${JSON.stringify(text)} in its rule`);
}
