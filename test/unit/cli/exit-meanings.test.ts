// The program, its help, its manual page and the documentation share one table of exit statuses.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { EXIT_MEANINGS } from '../../../src/cli/help.ts';
import { formatManualPage } from '../../../src/cli/man.ts';
import { EXIT_STATUS } from '../../../src/model/errors.ts';

const DOCUMENT = readFileSync(join(__dirname, '../../../docs/exit-statuses.md'), 'utf8');

test('docs/exit-statuses.md holds the same table', () => {
  const rows = Array.from(
    DOCUMENT.matchAll(/^\| (\d+) +\| (.*?) +\|$/gm),
    ([, status, meaning]) => {
      return [Number(status), meaning];
    },
  );
  expect(rows).toEqual(EXIT_MEANINGS);
});

test('every exit status of an error has a meaning', () => {
  const known = EXIT_MEANINGS.map(([status]) => status);
  for (const status of Object.values(EXIT_STATUS)) expect(known).toContain(status);
});

test('every meaning belongs to an error, except those of 0 and 1', () => {
  const given = new Set<number>([0, 1, 70, ...Object.values(EXIT_STATUS)]);
  for (const [status] of EXIT_MEANINGS) expect(given).toContain(status);
});

test('every status is listed once, in ascending order', () => {
  const statuses = EXIT_MEANINGS.map(([status]) => status);
  expect(statuses).toEqual([...new Set(statuses)].toSorted((a, b) => a - b));
});

test('the manual page holds the same table', () => {
  const [, part = ''] = /^\.SH EXIT STATUS\n([^]*?)^\.SH/m.exec(formatManualPage(COMMANDS)) ?? [];
  const entries = Array.from(part.matchAll(/^\.TP\n\.B (\d+)\n(.*)$/gm), ([, status, meaning]) => {
    return [Number(status), meaning?.replaceAll(String.raw`\-`, '-')];
  });
  expect(entries).toEqual(EXIT_MEANINGS);
});

describe('statuses follow sysexits(3)', () => {
  test.each([
    ['USAGE', 64],
    ['BAD_DATA', 65],
    ['FIREWALL', 69],
    ['STORE', 74],
    ['LOCK_BUSY', 75],
    ['NOT_ROOT', 77],
    ['CONFIG', 78],
  ] as const)('%s is %d', (code, status) => {
    expect(EXIT_STATUS[code]).toBe(status);
  });
});
