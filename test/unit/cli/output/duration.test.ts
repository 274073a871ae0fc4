// Durations as a person types and reads them: a typing mistake must be an error, never another duration.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { formatDuration } from '../../../../src/cli/output/time.ts';
import { parseDuration } from '../../../../src/model/duration.ts';

test.each([
  ['90', 90],
  ['90s', 90],
  ['90m', 5400],
  ['1h30m', 5400],
  ['30m1h', 5400],
  ['2d', 172_800],
  ['1w', 604_800],
  ['never', null],
  ['2147483648', 2 ** 31],
])('%s is parsed as %j seconds', (text, seconds) => {
  expect(parseDuration(text)).toBe(seconds);
});

test.each([
  '',
  ' ',
  '0',
  '0s',
  '-5',
  '+5',
  '5 m',
  ' 5m',
  '5m ',
  '5M',
  '5min',
  '1.5h',
  '1e3',
  'h',
  '1h30',
  '0x10',
  'forever',
  'Never',
  '2147483649',
  '99999999999',
  '9999999999w',
  '1h\n',
  '٣m',
])('%j is rejected', (text) => {
  expect(parseDuration(text)).toBeUndefined();
});

describe('a formatted duration', () => {
  test.each([
    [0, '0s'],
    [0.4, '0s'],
    [-5, '0s'],
    [59, '59s'],
    [60, '1m'],
    [90, '1m 30s'],
    [5400, '1h 30m'],
    [5401, '1h 30m'],
    [86_400, '1d'],
    [694_800, '1w 1d'],
  ])('of %d seconds is %s', (seconds, words) => {
    expect(formatDuration(seconds)).toBe(words);
  });

  test('is parsed as the same duration, less its smaller units', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 2 ** 31 }), (seconds) => {
        const again = parseDuration(formatDuration(seconds).replace(' ', '')) ?? 0;
        expect(again).toBeLessThanOrEqual(seconds);
        expect(again).toBeGreaterThan(seconds * 0.9);
      }),
    );
  });
});
