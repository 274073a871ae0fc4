// The reader of hostile JSON: what JSON.parse reads, except that nothing said later overrides what was said first.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import { at, isObject, parseJson, textAt } from '../../../src/wazuh/json.ts';
import { effort } from '../../support/effort.ts';

/** The value in ordinary objects, which is what the expected ones are. */
function plain(text: string): unknown {
  return structuredClone(parseJson(text));
}

describe('compared with JSON.parse', () => {
  test('the same value comes out of any text without repeated keys, however it is spaced', () => {
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

  test('the same texts are refused', () => {
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
  ])('%s is the same', (text) => {
    expect(plain(text)).toEqual(JSON.parse(text));
  });
});

describe('of a key given twice the first counts', () => {
  test.each([
    ['{"a":1,"a":2}', { a: 1 }],
    ['{"a":{"b":1},"a":{"b":2,"c":3}}', { a: { b: 1 } }],
    ['{"a":1,"a":{"b":[2,{"c":3}]},"d":4}', { a: 1, d: 4 }],
    ['{"a":[1],"a":[2],"a":[3]}', { a: [1] }],
    ['{"a":null,"a":2}', { a: null }],
    // Other spellings of the same key.
    ['{"a":1,"\\u0061":2}', { a: 1 }],
    ['{"\\u0061":1,"a":2}', { a: 1 }],
    ['[{"a":1,"a":2},{"a":3}]', [{ a: 1 }, { a: 3 }]],
  ])('%s', (text, value) => {
    expect(plain(text)).toEqual(value);
  });
});

describe('keys that name parts of every object', () => {
  test('reach no prototype', () => {
    parseJson('{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}');
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false);
    expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
  });

  test('are keys like others when they are there, and absent when they are not', () => {
    expect(at(parseJson('{"__proto__":{"a":1}}'), '__proto__', 'a')).toBe(1);
    for (const name of ['__proto__', 'constructor', 'toString', 'hasOwnProperty'])
      expect(at(parseJson('{}'), name)).toBeUndefined();
  });
});

describe('nesting', () => {
  test('is read as deep as execd reads it', () => {
    const text = `${'['.repeat(999)}${']'.repeat(999)}`;
    expect(() => parseJson(text)).not.toThrow();
  });

  test.each([1001, 30_000, 120_000])('of %i levels is an error and no crash', (levels) => {
    const text = `${'['.repeat(levels)}${']'.repeat(levels)}`;
    expect(() => parseJson(text)).toThrow();
    expect(() => parseJson(`${'{"a":'.repeat(levels)}1${'}'.repeat(levels)}`)).toThrow();
  });
});

describe('size', () => {
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
    ['one key very often', `{${'"a":1,'.repeat(40_000)}"a":2}`],
  ])('does not make it slow: %s', (_, text) => {
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
])('text that is not one value is refused whole: %j', (text) => {
  expect(isRefused(() => parseJson(text))).toBe(true);
});

describe('looking into a value', () => {
  const value = parseJson('{"a":{"b":["c"],"length":1},"s":"text"}');

  test('goes by own names, one step each', () => {
    expect(textAt(value, 's')).toBe('text');
    expect(at(value, 'a', 'length')).toBe(1);
    expect(at(value, 'a.b')).toBeUndefined();
    expect(at(value, 'A')).toBeUndefined();
  });

  test('goes into objects only', () => {
    expect(at(value, 'a', 'b', '0')).toBeUndefined();
    expect(at(value, 's', 'length')).toBeUndefined();
    expect(at(value, 'x', 'y')).toBeUndefined();
    expect(at(undefined, 'x')).toBeUndefined();
    expect(isObject([])).toBe(false);
    expect(isObject(null)).toBe(false);
  });

  test('for text takes nothing else for it', () => {
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
