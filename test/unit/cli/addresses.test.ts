// Addresses as a person gives them: nothing is guessed, and every mistake is reported with advice.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { contains, makeAddress, type Address } from '../../../src/model/address.ts';
import { findOverlaps, readAddress, readAddresses } from '../../../src/cli/addresses.ts';
import { quote } from '../../../src/system/printable.ts';
import { addressOf, codeOf } from '../support/workshop.ts';
import { ownDirectory } from '../support/directory.ts';

const directory = ownDirectory();

const SILENT = { complain: (): void => undefined, note: (): void => undefined };

function read(
  lines: string,
  words: readonly string[] = [],
): { found: string[]; mistakes: string[] } {
  const file = join(directory, 'list.txt');
  writeFileSync(file, lines);
  const { addresses, mistakes } = readAddresses(words, file, SILENT);
  return {
    found: addresses.map(({ text }) => text),
    mistakes: mistakes.map((mistake) => mistake.replace(`${directory}/`, '')),
  };
}

describe('a list', () => {
  test('can have blank lines, comments, white space and CRLF line ends', () => {
    const { found, mistakes } = read('# a\n\n 203.0.113.9 # b\r\n\t2001:DB8::9\n203.0.113.0/24');
    expect({ found, mistakes }).toEqual({
      found: ['203.0.113.9', '2001:db8::9', '203.0.113.0/24'],
      mistakes: [],
    });
  });

  test('reports a mistake with its line number, which includes blank lines and comments', () => {
    expect(read('# a\n\nx\n203.0.113.9\n203.0.113.9/24\n').mistakes).toEqual([
      expect.stringMatching(/^list\.txt:3: "x" is not an address/),
      expect.stringMatching(/^list\.txt:5: .* did you mean 203\.0\.113\.0\/24\?$/),
    ]);
  });

  test('gives each address once, in the order given, arguments first', () => {
    expect(read('203.0.113.9\n2001:db8::9\n203.0.113.9/32\n', ['2001:db8:0::9']).found).toEqual([
      '2001:db8::9',
      '203.0.113.9',
    ]);
  });

  test('has only one address per line', () => {
    expect(read('203.0.113.8 203.0.113.9\n203.0.113.8,203.0.113.9').mistakes).toHaveLength(2);
  });

  test('that can’t be read is an error with its name', () => {
    expect(() => readAddresses([], join(directory, 'none'), SILENT)).toThrow(
      join(directory, 'none'),
    );
    expect(codeOf(() => readAddresses([], directory, SILENT))).toBe('BAD_DATA');
  });

  test('is optional if there are arguments, but one of the two is required', () => {
    expect(readAddresses(['203.0.113.9'], undefined, SILENT).addresses).toHaveLength(1);
    expect(codeOf(() => readAddresses([], undefined, SILENT))).toBe('USAGE');
  });
});

describe('an argument', () => {
  test('that is not an address is an error', () => {
    expect(codeOf(() => readAddresses(['203.0.113.9', 'x'], undefined, SILENT))).toBe('BAD_DATA');
  });

  test.each([
    ['203.0.113.9/24', 'did you mean 203.0.113.0/24?'],
    ['2001:db8::1/32', 'did you mean 2001:db8::/32?'],
    ['example.com', 'host names are not resolved'],
    ['203.0.113.9,203.0.113.10', 'separate addresses with spaces'],
    ['203.0.113.9/33', 'use the form 203.0.113.9'],
    ['', 'use the form 203.0.113.9'],
  ])('%j gets the advice: %s', (text, advice) => {
    expect(() => readAddress(text)).toThrow(advice);
  });
});

test('a quoted text fits on one line', () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 300, unit: 'binary' }), (text) => {
      expect(quote(text)).not.toMatch(/[\n\r]/);
      expect(quote(text).length).toBeLessThan(400);
    }),
  );
  expect(quote('x'.repeat(1000))).toBe(`"${'x'.repeat(60)}…"`);
});

describe('overlaps', () => {
  const overlaps = (added: readonly string[], known: readonly string[] = []): string[] => {
    return findOverlaps(added.map(addressOf), known.map(addressOf)).map(
      ([inner, outer]) => `${inner.text} in ${outer.text}`,
    );
  };

  test.each<[string, string[], string[], string[]]>([
    ['do not exist between single addresses', ['203.0.113.8', '203.0.113.9'], ['203.0.113.8'], []],
    [
      'are found for an address in a new network',
      ['203.0.113.9', '203.0.113.0/24'],
      [],
      ['203.0.113.9 in 203.0.113.0/24'],
    ],
    [
      'are found for an address in a known network',
      ['203.0.113.9'],
      ['203.0.113.0/24'],
      ['203.0.113.9 in 203.0.113.0/24'],
    ],
    [
      'are found for a network around a known address',
      ['203.0.113.0/24'],
      ['203.0.113.9'],
      ['203.0.113.9 in 203.0.113.0/24'],
    ],
    [
      'are not reported between known entries',
      ['198.51.100.9'],
      ['203.0.113.9', '203.0.113.0/24'],
      [],
    ],
    ['do not include an entry with itself', ['203.0.113.0/24'], ['203.0.113.0/24'], []],
    ['do not exist across families', ['203.0.113.9'], ['2001:db8::/32'], []],
  ])('%s', (_, added, known, expected) => {
    expect(overlaps(added, known)).toEqual(expected);
  });

  test('are the same as a comparison of all pairs finds, each once', () => {
    const block = fc
      .tuple(
        fc.constantFrom(4 as const, 6 as const),
        fc.integer({ min: 0, max: 255 }),
        fc.integer({ min: 24, max: 32 }),
      )
      .map(([family, last, length]) =>
        makeAddress(family, BigInt(last), family === 4 ? length : length + 96),
      );
    const pair = ([inner, outer]: readonly [Address, Address]): string =>
      `${inner.text} ${outer.text}`;
    fc.assert(
      fc.property(
        fc.array(block, { maxLength: 12 }),
        fc.array(block, { maxLength: 12 }),
        (added, known) => {
          const all = [...new Map([...known, ...added].map((one) => [one.text, one])).values()];
          const isNew = ({ text }: Address): boolean => added.some((one) => one.text === text);
          const naive = all.flatMap((outer) =>
            all
              .filter((inner) => inner.text !== outer.text && contains(outer, inner))
              .filter((inner) => isNew(inner) || isNew(outer))
              .map((inner) => pair([inner, outer])),
          );
          expect(findOverlaps(added, known).map(pair).toSorted()).toEqual(naive.toSorted());
        },
      ),
    );
  });

  test('are found quickly among thousands of networks', () => {
    const blocks = Array.from({ length: 3000 }, (_, index) =>
      makeAddress(4, BigInt(index) << 8n, 24),
    );
    expect(findOverlaps(blocks, [])).toEqual([]);
  });
});
