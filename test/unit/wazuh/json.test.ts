// Tests the parser of hostile JSON, which reads what JSON.parse reads, but keeps the first value of a repeated key.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { at, isObject, parseJson, textAt } from '../../../src/wazuh/json.ts';
import { effort } from '../../support/effort.ts';

/** Converts a value to ordinary objects, to compare it with the expected one. */
function plain(text: string): unknown {
  return structuredClone(parseJson(text));
}

describe('like JSON.parse', () => {
  test('it returns the same value for any text without repeated keys, with any spacing', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom('', ' ', '\t', '\n', ' \r\n '), (text, space) => {
        const spaced = JSON.stringify(JSON.parse(text), null, space);
        const padded = `${space}${spaced}${space}`;
        expect(plain(padded)).toEqual(JSON.parse(padded));
        expect(JSON.stringify(parseJson(text))).toBe(JSON.stringify(JSON.parse(text)));
      }),
      { numRuns: effort(200) },
    );
  });

  test('it refuses the same texts', () => {
    const pieces = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      ',',
      ':',
      '"a"',
      '"',
      '\\',
      '1',
      '-',
      '0',
      '1e5',
      '.',
      'true',
      'nul',
      ' ',
      '\u00a0',
      '\ufeff',
    );
    fc.assert(
      fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
        const text = parts.join('');
        expect(isRefused(() => parseJson(text))).toBe(isRefused(() => JSON.parse(text) as unknown));
      }),
      { numRuns: effort(300) },
    );
  });

  test.each([
    '""',
    '"\\""',
    '"\\\\"',
    '"a\\"b,]}"',
    '"\\u0000\\ud800"',
    '"}{"',
    '-0',
    '1e400',
    '0.1',
    '[[],{},[{}],""]',
    '{"":{"":[]}}',
    '{"a,b":"c:d"}',
    '[true,false,null]',
    '"\u2028"',
  ])('it reads %s', (text) => {
    expect(plain(text)).toEqual(JSON.parse(text));
  });
});

describe('the first value of a repeated key counts', () => {
  test.each([
    ['{"a":1,"a":2}', { a: 1 }],
    ['{"a":{"b":1},"a":{"b":2,"c":3}}', { a: { b: 1 } }],
    ['{"a":1,"a":{"b":[2,{"c":3}]},"d":4}', { a: 1, d: 4 }],
    ['{"a":[1],"a":[2],"a":[3]}', { a: [1] }],
    ['{"a":null,"a":2}', { a: null }],
    // These are other spellings of the same key.
    ['{"a":1,"\\u0061":2}', { a: 1 }],
    ['{"\\u0061":1,"a":2}', { a: 1 }],
    ['[{"a":1,"a":2},{"a":3}]', [{ a: 1 }, { a: 3 }]],
  ])('%s', (text, value) => {
    expect(plain(text)).toEqual(value);
  });
});

describe('keys with names of inherited properties', () => {
  test('reach no prototype', () => {
    parseJson('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}');
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('are read like other keys, and are absent if the text does not have them', () => {
    expect(at(parseJson('{"__proto__":{"a":1}}'), '__proto__', 'a')).toBe(1);
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
      expect(at(parseJson('{}'), name)).toBeUndefined();
  });
});

describe('nesting', () => {
  test('is read to the depth that execd reads', () => {
    const text = `${'['.repeat(999)}${']'.repeat(999)}`;
    expect(() => parseJson(text)).not.toThrow();
  });

  test.each([1001, 30_000, 120_000])('of %i levels is an error and not a crash', (levels) => {
    const text = `${'['.repeat(levels)}${']'.repeat(levels)}`;
    expect(() => parseJson(text)).toThrow();
    expect(() => parseJson(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`)).toThrow();
  });
});

describe('parsing takes linear time for', () => {
  test.each([
    ['a long string', JSON.stringify('a'.repeat(250_000))],
    ['a string of escapes', JSON.stringify('\\"'.repeat(60_000))],
    ['many numbers', JSON.stringify(Array(60_000).fill(1))],
    ['much white space', ' '.repeat(250_000) + '1'],
    [
      'many keys',
      JSON.stringify(
        Object.fromEntries(
          Array(20_000)
            .fill(0)
            .map((_, n) => [n, n]),
        ),
      ),
    ],
    ['a key that is repeated very often', `{${'"a":1,'.repeat(40_000)}"a":2}`],
  ])('%s', (_, text) => {
    parseJson(text);
  });
});

test.each([
  '{"a":1}{"a":2}',
  '{"a":1} x',
  '{"a":1},',
  '1 2',
  '',
  ' ',
  '\0',
  '{"a":NaN}',
  "{'a':1}",
])('a text that is not exactly one value is refused: %j', (text) => {
  expect(isRefused(() => parseJson(text))).toBe(true);
});

describe('access to a value', () => {
  const value = parseJson('{"a":{"b":["c"],"length":1},"s":"text"}');

  test('follows own properties, one for each name', () => {
    expect(textAt(value, 's')).toBe('text');
    expect(at(value, 'a', 'length')).toBe(1);
    expect(at(value, 'a.b')).toBeUndefined();
    expect(at(value, 'A')).toBeUndefined();
  });

  test('follows properties of objects only', () => {
    expect(at(value, 'a', 'b', '0')).toBeUndefined();
    expect(at(value, 's', 'length')).toBeUndefined();
    expect(at(value, 'x', 'y')).toBeUndefined();
    expect(at(undefined, 'x')).toBeUndefined();
    expect(isObject([])).toBe(false);
    expect(isObject(null)).toBe(false);
  });

  test('returns text only for strings', () => {
    expect(textAt(value, 'a')).toBeUndefined();
    expect(textAt(parseJson('{"n":1}'), 'n')).toBeUndefined();
  });
});

function isRefused(parse: () => unknown): boolean {
  try {
    parse();
    return false;
  } catch {
    return true;
  }
}
