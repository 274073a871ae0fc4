// Compares the zone parser with the C library: every line must equal the output of date(1).

import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { beforeAll, describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import {
  UTC,
  formatDate,
  formatWazuhDate,
  readHostZone,
  typeAt,
  parseZone,
  type Zone,
} from '../../../src/system/zone.ts';
import { effort } from '../../support/effort.ts';

const ZONE_DIRECTORY = '/usr/share/zoneinfo';
const ZONES = [
  'UTC',
  'Europe/Berlin',
  'Europe/London',
  'Europe/Dublin',
  'America/New_York',
  'America/Sao_Paulo',
  'America/St_Johns',
  'America/Nuuk',
  'America/Santiago',
  'America/Argentina/Buenos_Aires',
  'Asia/Kolkata',
  'Asia/Kathmandu',
  'Asia/Tehran',
  'Asia/Gaza',
  'Australia/Lord_Howe',
  'Africa/Casablanca',
  'Africa/El_Aaiun',
  'Africa/Monrovia',
  'Pacific/Apia',
  'Pacific/Kiritimati',
  'Antarctica/Troll',
  'Etc/GMT+12',
  'EST5EDT',
];

/** POSIX rules of real zone files, and corner cases that RFC 9636 allows. */
const RULES = [
  'UTC0',
  '<-03>3',
  '<+0545>-5:45',
  'CET-1CEST,M3.5.0,M10.5.0/3',
  'EST5EDT,M3.2.0,M11.1.0',
  'IST-1GMT0,M10.5.0,M3.5.0/1',
  '<-02>2<-01>,M3.5.0/-1,M10.5.0/0',
  '<+1030>-10:30<+11>-11,M10.1.0,M4.1.0',
  '<+00>0<+02>-2,M3.5.0/1,M10.5.0/3',
  'IST-2IDT,M3.4.4/26,M10.5.0',
  'EET-2EEST,M3.4.4/50,M10.4.4/50',
  'AAA3BBB,J60,J300',
  'AAA3BBB,59/3:30:15,299/-26',
  'AAA-3BBB-4:20,J59/24,J365/0',
];

const FIXED = [
  0, -1, 1, 951782399, 951782400, 1078012800, 1715085926, 1715172326, 2145916799, 2147483647,
  2147483648, 2208988800, 3786912000, 3803500800, 4102444799, 4102444800, -2147483648, -86400,
  -1000000000,
];

const DAY = 86_400;

describe('a log line has the time that date(1) prints', () => {
  beforeAll(() => {
    const missing = ZONES.filter((name) => !existsSync(`${ZONE_DIRECTORY}/${name}`));
    if (missing.length > 0)
      throw new Error(`these tests need tzdata: ${ZONE_DIRECTORY} lacks ${missing.join(', ')}`);
  });

  test.each(ZONES)('in %s, from 1900 to 2100, and in the seconds around every change', (name) => {
    const zone = parseZone(readFileSync(`${ZONE_DIRECTORY}/${name}`));
    expectAsDatePrints(zone, name, instants(zone));
  });

  test.each(RULES)('with a zone file that has only the rule %s', (rule) => {
    const zone = parseZone(zoneFile({ footer: rule }));
    // The C library applies rules from 1970 on. A real zone file has a rule only for the future.
    const since1970 = instants(zone).filter((at) => at >= 0);
    expectAsDatePrints(zone, rule, since1970);
  });
});

// These are not compared with date(1): the C library shows some hours of standard time around New Year.
test.each(['EST5EDT,0/0,J365/25', 'XXX3EDT4,0/0,J365/23'])(
  'a rule of daylight time all year (%s) never shows standard time',
  (rule) => {
    const zone = parseZone(zoneFile({ footer: rule }));
    const shown = new Set(instants(zone).map((at) => typeAt(zone, at).abbreviation));
    expect([...shown]).toEqual(['EDT']);
  },
);

test('the line has the form that the rules decode', () => {
  expect(formatDate(UTC, Date.UTC(2024, 4, 7, 12, 45, 26))).toBe('Tue May  7 12:45:26 UTC 2024');
  expect(formatDate(UTC, Date.UTC(2024, 10, 17, 2, 5, 6))).toBe('Sun Nov 17 02:05:06 UTC 2024');
});

test("Wazuh's own format has the local time too", () => {
  const zone = parseZone(zoneFile({ footer: 'CET-1CEST,M3.5.0,M10.5.0/3' }));
  expect(formatWazuhDate(zone, Date.UTC(2024, 4, 7, 10, 5, 6))).toBe('2024/05/07 12:05:06');
  expect(formatWazuhDate(UTC, Date.UTC(2024, 4, 7, 10, 5, 6))).toBe('2024/05/07 10:05:06');
});

test('milliseconds are rounded down, even before 1970', () => {
  expect(formatDate(UTC, 1999)).toBe('Thu Jan  1 00:00:01 UTC 1970');
  expect(formatDate(UTC, -1)).toBe('Wed Dec 31 23:59:59 UTC 1969');
  expect(formatWazuhDate(UTC, -1)).toBe('1969/12/31 23:59:59');
});

test('a day with one digit is padded, even west of Greenwich', () => {
  const zone = parseZone(zoneFile({ footer: '<-03>3' }));
  const moment = Date.UTC(2024, 4, 5, 2, 59, 58);
  expect(formatDate(zone, moment)).toBe('Sat May  4 23:59:58 -03 2024');
  expect(formatWazuhDate(zone, moment)).toBe('2024/05/04 23:59:58');
});

test.each(['', 'A B', '++1', 'GMT+2', '-', 'CEST\n', 'Ä', 'A'.repeat(17)])(
  'an abbreviation that no rule decodes (%j) gives the time in UTC with that name',
  (abbreviation) => {
    const zone = parseZone(zoneFile({ version: 1, abbreviation, offsetSeconds: 7200 }));
    expect(formatDate(zone, Date.UTC(2024, 4, 7, 12, 45, 26))).toBe('Tue May  7 12:45:26 UTC 2024');
  },
);

describe('a file of version 1 or without a rule', () => {
  test('is read with 32-bit times', () => {
    const zone = parseZone(
      zoneFile({ version: 1, abbreviation: 'AAA', offsetSeconds: -60, transitions: [-5, 10] }),
    );
    expect(typeAt(zone, 10)).toMatchObject({ abbreviation: 'AAA', offsetSeconds: -60 });
  });

  test('keeps its last type forever', () => {
    const zone = parseZone(zoneFile({ footer: '', abbreviation: 'ABC', transitions: [0] }));
    expect(typeAt(zone, 4_000_000_000).abbreviation).toBe('ABC');
  });
});

describe('a malformed zone file is refused as a whole', () => {
  const sound = zoneFile({ footer: 'CET-1CEST,M3.5.0,M10.5.0/3', transitions: [-100, 0, 100] });

  test('but the file that these tests damage is valid', () => {
    expect(() => parseZone(sound)).not.toThrow();
  });

  test('if it is cut short anywhere', () => {
    for (let length = 0; length < sound.length; length++)
      expect(() => parseZone(sound.subarray(0, length))).toThrow(/zone file/);
  });

  test.each([
    ['transitions in descending order', { footer: '', transitions: [100, 0] }],
    ['the same transition twice', { footer: '', transitions: [0, 0] }],
    ['a transition to no type', { footer: '', transitions: [0], typeIndex: 1 }],
    ['no types', { footer: '', typeCount: 0 }],
    ['an offset of days', { footer: '', offsetSeconds: 100_000 }],
    ['an abbreviation outside the names', { footer: '', nameIndex: 200 }],
    ['more transitions than bytes', { footer: '', transitionCount: 0xffffffff }],
    ['an incomplete rule', { footer: 'CET' }],
    ['a rule without its days', { footer: 'CET-1CEST' }],
    ['a rule of the 13th month', { footer: 'CET-1CEST,M13.5.0,M10.5.0' }],
    ['a rule of the sixth week', { footer: 'CET-1CEST,M3.6.0,M10.5.0' }],
    ['a rule of an eighth weekday', { footer: 'CET-1CEST,M3.5.7,M10.5.0' }],
    ['a rule of Julian day 0', { footer: 'CET-1CEST,J0,M10.5.0' }],
    ['a rule of day 366', { footer: 'CET-1CEST,366,M10.5.0' }],
    ['a rule with a time beyond a week', { footer: 'CET-1CEST,M3.5.0/168,M10.5.0' }],
    ['a rule with 60 minutes', { footer: 'CET-1:60' }],
    ['a rule 25 hours from UTC', { footer: 'CET-25' }],
    ['a rule with trailing text', { footer: 'CET-1CEST,M3.5.0,M10.5.0,M11.5.0' }],
  ])('if it has %s', (_, parts) => {
    expect(() => parseZone(zoneFile(parts))).toThrow(Error);
  });

  test('random bytes, and random damage to a valid file, give an Error or a usable zone', () => {
    const garbage = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
    const damage = fc
      .array(fc.tuple(fc.nat(sound.length - 1), fc.nat(255)), { minLength: 1, maxLength: 6 })
      .map((changes) => {
        const damaged = Buffer.from(sound);
        for (const [index, byte] of changes) damaged[index] = byte;
        return damaged;
      });
    fc.assert(
      fc.property(fc.oneof(garbage, damage), fc.integer(), (bytes, seconds) => {
        const zone = zoneOrError(bytes);
        if (zone instanceof Error) return;
        expect(formatDate(zone, seconds * 1000)).toMatch(
          /^\w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d [+-]?\w+ \d+$/,
        );
      }),
      { numRuns: effort(200) },
    );
  });
});

describe("the host's zone", () => {
  const berlin = zoneFile({ footer: 'CET-1CEST,M3.5.0,M10.5.0/3' });
  const brazil = zoneFile({ footer: '<-03>3' });
  const host = (files: Record<string, Buffer>, tz?: string) => {
    const opened: string[] = [];
    const readFile = (path: string): Buffer => {
      opened.push(path);
      const found = files[path];
      if (found === undefined) throw new Error(`${path}: no such file`);
      return found;
    };
    const zone = readHostZone(tz, readFile);
    return { opened, abbreviation: typeAt(zone, 0).abbreviation };
  };

  test.each(['Europe/Berlin', 'America/Argentina/Buenos_Aires', 'Etc/GMT+3', 'EST5EDT'])(
    'is the one that TZ names, with or without the colon of POSIX: %s',
    (name) => {
      const files = { [`/usr/share/zoneinfo/${name}`]: brazil, '/etc/localtime': berlin };
      expect(host(files, name).abbreviation).toBe('-03');
      expect(host(files, `:${name}`).abbreviation).toBe('-03');
    },
  );

  test.each([
    '',
    '/etc/passwd',
    ':/etc/passwd',
    '::Europe/Berlin',
    ':../../etc/passwd',
    '../../etc/passwd',
    'Europe/../../../etc/passwd',
    'Europe/Berlin/',
    'a/b/c/d',
    'Europe/Berlin\n',
    'CET-1CEST,M3.5.0,M10.5.0/3',
    'Europe/Ber\0lin',
  ])('is read only from /etc/localtime if TZ is %j', (tz) => {
    const { opened, abbreviation } = host({ '/etc/localtime': brazil }, tz);
    expect(opened).toEqual(['/etc/localtime']);
    expect(abbreviation).toBe('-03');
  });

  test('is that of /etc/localtime if TZ is unset or names a missing or malformed file', () => {
    const files = { '/etc/localtime': brazil, '/usr/share/zoneinfo/Bad': Buffer.from('TZif') };
    for (const tz of [undefined, 'Missing', 'Bad'])
      expect(host(files, tz).abbreviation).toBe('-03');
  });

  test('is UTC if no file can be read', () => {
    expect(host({}).abbreviation).toBe('UTC');
    expect(host({ '/etc/localtime': Buffer.alloc(0) }, 'Missing').abbreviation).toBe('UTC');
  });
});

function zoneOrError(bytes: Buffer): Zone | Error {
  try {
    return parseZone(bytes);
  } catch (error) {
    if (error instanceof Error) return error;
    throw error;
  }
}

/** Fixed times, a grid over two centuries, and the seconds before and after each change in the grid. */
function instants(zone: Zone): readonly number[] {
  const found = [...FIXED];
  const shown = (at: number): string => {
    const { offsetSeconds, abbreviation } = typeAt(zone, at);
    return `${offsetSeconds} ${abbreviation}`;
  };
  const step = 11 * DAY + 12_345;
  for (let at = Date.UTC(1900, 0, 1) / 1000; at < Date.UTC(2100, 11, 31) / 1000; at += step) {
    found.push(at);
    if (shown(at) === shown(at + step)) continue;
    const change = firstChange(shown, at, at + step);
    found.push(change - 1, change, change + 1);
  }
  for (const { at } of zone.transitions) if (at > -4e9) found.push(at - 1, at, at + 1);
  return found;
}

function firstChange(shown: (at: number) => string, from: number, to: number): number {
  let [before, after] = [from, to];
  while (after - before > 1) {
    const middle = Math.floor((before + after) / 2);
    if (shown(middle) === shown(from)) before = middle;
    else after = middle;
  }
  return after;
}

function expectAsDatePrints(zone: Zone, tz: string, epochSeconds: readonly number[]): void {
  const input = epochSeconds.map((at) => `@${at}\n`).join('');
  const environment = { PATH: process.env['PATH'], LC_ALL: 'C', TZ: tz };
  const date = spawnSync('date', ['-f', '-'], { input, env: environment, encoding: 'utf8' });
  expect(date.stderr).toBe('');
  const printed = date.stdout.trimEnd().split('\n');
  expect(printed).toHaveLength(epochSeconds.length);
  const different = epochSeconds
    .map((at, index) => ({ at, date: printed[index], ours: formatDate(zone, at * 1000) }))
    .filter(({ date, ours }) => date !== ours);
  expect(different.slice(0, 5)).toEqual([]);
}

/** Returns a zone file with one type. By default it has version 2 and an empty 32-bit block. */
function zoneFile(parts: {
  version?: number;
  footer?: string;
  abbreviation?: string;
  offsetSeconds?: number;
  transitions?: readonly number[];
  transitionCount?: number;
  typeCount?: number;
  typeIndex?: number;
  nameIndex?: number;
}): Buffer {
  const { version = 2, footer = '', transitions = [] } = parts;
  const block = zoneBlock({ ...parts, version, transitions });
  if (version === 1) return block;
  const empty = zoneBlock({ version, transitions: [] });
  return Buffer.concat([empty, block, Buffer.from(`\n${footer}\n`, 'latin1')]);
}

function zoneBlock(
  parts: Parameters<typeof zoneFile>[0] & {
    version: number;
    transitions: readonly number[];
  },
): Buffer {
  const { version, transitions, abbreviation = 'LMT', offsetSeconds = 0 } = parts;
  const { transitionCount = transitions.length, typeCount = 1, typeIndex = 0 } = parts;
  const names = Buffer.from(`${abbreviation}\0`, 'latin1');
  const header = Buffer.alloc(44);
  header.write(`TZif${version === 1 ? '\0' : String(version)}`, 'latin1');
  [0, 0, 0, transitionCount, typeCount, names.length].forEach((count, index) =>
    header.writeUInt32BE(count, 20 + 4 * index),
  );
  const times = transitions.map((at) => {
    const time = Buffer.alloc(version === 1 ? 4 : 8);
    if (version === 1) time.writeInt32BE(at);
    else time.writeBigInt64BE(BigInt(at));
    return time;
  });
  const type = Buffer.alloc(6 * typeCount);
  if (typeCount > 0) type.writeInt32BE(offsetSeconds);
  if (typeCount > 0) type.writeUInt8(parts.nameIndex ?? 0, 5);
  return Buffer.concat([header, ...times, Buffer.alloc(times.length, typeIndex), type, names]);
}
