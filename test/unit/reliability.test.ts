// docs/reliability.md is written by hand: the tests that it names are there.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');
const PAGE = readFileSync(join(ROOT, 'docs/reliability.md'), 'utf8');

test('each test file that docs/reliability.md names exists', () => {
  const named = PAGE.matchAll(/`((?:unit|integration|fault)\/[^`]+\.ts)`/g);
  const files = Array.from(named, ([, file = '']) => file);
  expect(files.length).toBeGreaterThan(40);
  expect(files.filter((file) => !existsSync(join(ROOT, 'test', file)))).toEqual([]);
});
