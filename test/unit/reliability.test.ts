// The table of faults names tests that are there, and its document is the one that it makes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { INVARIANTS, ROWS } from '../fault/rows.ts';

const read = (path: string): string => readFileSync(join(__dirname, '../..', path), 'utf8');
const EVIDENCE = [...ROWS, ...INVARIANTS].flatMap(({ held }) => held);

test('every test that the table names exists', () => {
  const missing = EVIDENCE.filter(({ file, title }) => !read(`test/${file}`).includes(title));
  expect(missing).toEqual([]);
});

test('each invariant of the architecture names the tests that hold it, in its order', () => {
  const chapter = read('docs/architecture.md').split('## What always holds')[1]?.split('\n## ')[0];
  const names = Array.from((chapter ?? '').matchAll(/^\d\. \*\*(.+?)[.*]/gm), ([, name]) => name);
  expect(INVARIANTS.map(({ name }) => name)).toEqual(names);
  expect(INVARIANTS.filter(({ held }) => held.length === 0)).toEqual([]);
});

test('docs/reliability.md has every row: npm run reliability', () => {
  const text = read('docs/reliability.md').replace(/ +/g, ' ');
  const rows = ROWS.map(({ provoke, outcome }) => `| ${provoke} | ${outcome} |`);
  expect(rows.filter((row) => !text.includes(row))).toEqual([]);
});
