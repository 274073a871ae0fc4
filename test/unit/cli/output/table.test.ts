// Tables fit the terminal and cut only cuttable columns; CSV contains no formula.
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import type { Terminal } from '../../../../src/cli/session.ts';
import { formatCsv, formatTable, paint, type Column } from '../../../../src/cli/output/table.ts';

interface Row {
  readonly address: string;
  readonly count: number;
  readonly note: string;
}

const COLUMNS: readonly Column<Row>[] = [
  { heading: 'ADDRESS', cell: ({ address }) => address },
  {
    heading: 'COUNT',
    cell: ({ count }) => String(count),
    align: 'right',
    colour: ({ count }) => (count === 0 ? 'red' : null),
  },
  { heading: 'NOTE ON IT', cell: ({ note }) => note, cuttableTo: 8 },
];
const PIPE: Terminal = {
  width: null,
  height: null,
  colours: false,
  watchesErrors: false,
  ask: null,
};
const ROW: Row = { address: '203.0.113.9', count: 7, note: 'scan' };

function table(rows: readonly Row[], terminal: Partial<Terminal> = {}): string[] {
  return formatTable(COLUMNS, rows, { ...PIPE, ...terminal });
}

describe('a table', () => {
  test('has a heading, and columns as wide as their longest cell', () => {
    expect(table([ROW, { address: '2001:db8::9', count: 12345, note: '' }])).toEqual([
      'ADDRESS      COUNT  NOTE ON IT',
      '203.0.113.9      7  scan',
      '2001:db8::9  12345',
    ]);
  });

  test('can have more rows than a function call can have arguments', () => {
    expect(table(Array<Row>(200_000).fill(ROW))).toHaveLength(200_001);
  });

  test('is not cut if the width is unknown', () => {
    const note = 'long '.repeat(100).trim();
    expect(table([{ ...ROW, note }])[1]).toBe(`203.0.113.9      7  ${note}`);
  });

  test('that is too wide cuts its cuttable columns, and marks the cut', () => {
    const [, row] = table([{ ...ROW, note: 'a very long story' }], { width: 32 });
    expect(row).toBe('203.0.113.9      7  a very long…'.slice(0, 31) + '…');
    expect(row).toHaveLength(32);
  });

  test('that fits to the character is not cut', () => {
    const rows = [{ ...ROW, note: 'a very long story' }];
    expect(table(rows, { width: 37 })).toEqual(table(rows));
  });

  test('never cuts other columns, however narrow the terminal is', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.string(), (width, note) => {
        for (const line of table([{ ...ROW, note }], { width }).slice(1))
          expect(line).toMatch(/^203\.0\.113\.9 {6}7(?: {2}|$)/);
      }),
    );
  });

  test('is never wider than a terminal that has room for the other columns', () => {
    fc.assert(
      fc.property(fc.integer({ min: 28, max: 100 }), fc.string(), (width, note) => {
        for (const line of table([{ ...ROW, note }], { width }))
          expect(line.length).toBeLessThanOrEqual(width);
      }),
    );
  });

  test('does not split a character', () => {
    const rows = [{ ...ROW, note: '😀'.repeat(20) }];
    for (let width = 28; width < 60; width += 1)
      expect(table(rows, { width }).join('').isWellFormed()).toBe(true);
  });

  test('has one line per row, whatever the cells contain', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (note) => {
        const lines = table([{ ...ROW, note }]);
        expect(lines).toHaveLength(2);
        // eslint-disable-next-line no-control-regex -- they are what is looked for
        expect(lines.join('')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/);
      }),
    );
  });

  test('with colours is as wide as without', () => {
    const rows = [{ ...ROW, count: 0 }, ROW];
    const coloured = table(rows, { colours: true });
    expect(coloured[1]).toContain('\u001b[31m    0\u001b[0m');
    // eslint-disable-next-line no-control-regex -- terminals are told so
    expect(coloured.map((line) => line.replace(/\u001b\[\d+m/g, ''))).toEqual(table(rows));
  });
});

describe('colour', () => {
  test.each([
    ['red', '\u001b[31mx\u001b[0m'],
    ['yellow', '\u001b[33mx\u001b[0m'],
    ['green', '\u001b[32mx\u001b[0m'],
    [null, 'x'],
  ] as const)('%s is used only if the terminal has colours', (colour, painted) => {
    expect(paint('x', colour, { ...PIPE, colours: true })).toBe(painted);
    expect(paint('x', colour, PIPE)).toBe('x');
  });
});

describe('CSV', () => {
  const csv = (note: string): string => formatCsv(COLUMNS, [{ ...ROW, note }])[1] ?? '';

  test('has headings in lower case without spaces', () => {
    expect(formatCsv(COLUMNS, [])).toEqual(['address,count,note_on_it']);
  });

  test.each([
    ['scan', 'scan'],
    ['a,b', '"a,b"'],
    ['say "hi"', '"say ""hi"""'],
    ['', ''],
    ['two\nlines', String.raw`two\u000alines`],
  ])('writes %j as %s', (note, cell) => {
    expect(csv(note)).toBe(`203.0.113.9,7,${cell}`);
  });

  test.each(['=1+1', '+1', '-1', '@SUM(A1)', '=cmd|" /C calc"!A0', '\t=1', '\r=1'])(
    'writes %j so that a spreadsheet does not evaluate it',
    (note) => {
      const cell = csv(note).slice('203.0.113.9,7,'.length).replace(/^"/, '');
      expect(cell).not.toMatch(/^[=+\-@\t\r]/);
    },
  );

  test('is parsed unchanged according to RFC 4180', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', ',', '"', ' ', "'", ';'), { maxLength: 12 }),
        (letters) => {
          const note = letters.join('');
          const cells = Array.from(
            csv(note).matchAll(/(?:^|,)(?:"((?:[^"]|"")*)"|([^,"]*))/g),
            ([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain,
          );
          expect(cells).toEqual(['203.0.113.9', '7', note]);
        },
      ),
    );
  });
});
