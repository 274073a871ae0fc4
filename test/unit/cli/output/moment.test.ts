// Times as people write them.
import { expect, test } from '@jest/globals';
import {
  momentText,
  readMoment,
  TIME_PAST,
  TIME_TO_COME,
} from '../../../../src/cli/output/time.ts';

const NOON_MS = Date.UTC(2026, 10, 29, 12);

function read(text: string, nearest: 'next' | 'last' = 'next'): string {
  return new Date(readMoment(text, nearest, NOON_MS) ?? Number.NaN).toISOString();
}

test.each([
  ['2026-12-24', '2026-12-24T00:00:00.000Z'],
  ['2026-12-24 18:00', '2026-12-24T18:00:00.000Z'],
  ['2026-12-24T18:00', '2026-12-24T18:00:00.000Z'],
  ['2026-12-24T18:00:30Z', '2026-12-24T18:00:30.000Z'],
  ['2026-12-24T18:00+01:00', '2026-12-24T17:00:00.000Z'],
  ['2028-02-29', '2028-02-29T00:00:00.000Z'],
  ['14:05', '2026-11-29T14:05:00.000Z'],
  ['11:00', '2026-11-30T11:00:00.000Z'],
])('%s is parsed as %s', (text, moment) => {
  expect(read(text)).toBe(moment);
});

test('a time without a date is the last one for options about the past', () => {
  expect(read('14:05', 'last')).toBe('2026-11-28T14:05:00.000Z');
  expect(read('11:00', 'last')).toBe('2026-11-29T11:00:00.000Z');
});

test.each([
  '',
  'tomorrow',
  '2026-02-30',
  '2026-13-01',
  '25:00',
  '14:65',
  '24.12.2026',
  '2026-12-24 18',
])('%j is rejected with an example', (text) => {
  for (const { form } of [TIME_TO_COME, TIME_PAST]) {
    expect(form.read(text)).toBeUndefined();
    expect(form.expected).toContain('14:05, 2026-12-24, "2026-12-24 18:00"');
  }
});

test('a time is printed with its date only on another day', () => {
  expect(momentText(NOON_MS + 7_500_000, NOON_MS)).toBe('14:05 UTC');
  expect(momentText(NOON_MS + 86_400_000, NOON_MS)).toBe('2026-11-30 12:00 UTC');
});
