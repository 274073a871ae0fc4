// What strangers wrote must stay one line in a log and must not command a terminal.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { printable } from '../../../src/system/printable.ts';

test.each(['', 'sshd: brute force', 'Müller', '日本', '😀', 'a\\nb', '"quoted"', '<b>&amp;</b>'])(
  'what is printable stays as it is: %j',
  (text) => {
    expect(printable(text)).toBe(text);
  },
);

test.each([
  ['newline', 'a\nb', 'a\\u000ab'],
  ['carriage return', 'a\rb', 'a\\u000db'],
  ['NUL', 'a\0b', 'a\\u0000b'],
  ['tab', 'a\tb', 'a\\u0009b'],
  ['escape sequence', '\u001b[2J', '\\u001b[2J'],
  ['the same in eight bits', '\u009b2J', '\\u009b2J'],
  ['delete', 'a\u007fb', 'a\\u007fb'],
  ['line separator', 'a\u2028b', 'a\\u2028b'],
  ['paragraph separator', 'a\u2029b', 'a\\u2029b'],
  ['byte order mark', '\ufeffa', '\\ufeffa'],
  ['right-to-left override', 'a\u202eb', 'a\\u202eb'],
  ['isolate', 'a\u2066b', 'a\\u2066b'],
  ['left-to-right mark', 'a\u200eb', 'a\\u200eb'],
  ['right-to-left mark', 'a\u200fb', 'a\\u200fb'],
  ['Arabic letter mark', 'a\u061cb', 'a\\u061cb'],
])('a %s is escaped', (_, text, escaped) => {
  expect(printable(text)).toBe(escaped);
});

describe('of any text', () => {
  test('no control character is left', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
      }),
    );
  });

  test('what is left means the same to a reader of JSON', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(printable(JSON.stringify(text)))).toBe(text);
      }),
    );
  });
});
