// Untrusted text must stay on one line in a log and must not control a terminal.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { printable } from '../../../src/system/printable.ts';

test.each(['', 'sshd: brute force', 'Müller', '日本', '😀', 'a\\nb', '"quoted"', '<b>&amp;</b>'])(
  'printable text is not changed: %j',
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
  ['escape sequence in eight bits', '\u009b2J', '\\u009b2J'],
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

describe('in any text', () => {
  test('no control character remains', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(printable(text)).not.toMatch(/[\p{Cc}\p{Zl}\p{Zp}]/u);
      }),
    );
  });

  test('the meaning for a JSON parser is unchanged', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        expect(JSON.parse(printable(JSON.stringify(text)))).toBe(text);
      }),
    );
  });
});
