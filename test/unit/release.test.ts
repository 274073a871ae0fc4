// scripts/release builds only committed files.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');

let checkout = '';
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'release-'));
  mkdirSync(join(checkout, 'scripts'));
  for (const file of ['scripts/release', 'package.json', '.gitignore']) {
    cpSync(join(ROOT, file), join(checkout, file));
  }
  // Replaces the part that takes minutes, and shows that it was reached.
  writeFileSync(join(checkout, 'scripts/setup'), '#!/bin/sh\necho made; exit 9\n', { mode: 0o755 });
  git('init', '--quiet');
  git('add', '--all');
  git('commit', '--quiet', '--message', 'all');
});
afterEach(() => {
  rmSync(checkout, { recursive: true });
});

function git(...args: readonly string[]): void {
  const who = ['-c', 'user.name=a', '-c', 'user.email=a@example.org'];
  const { status, stderr } = spawnSync('git', [...who, ...args], {
    cwd: checkout,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`git ${args.join(' ')}: ${stderr}`);
}

function release(...args: readonly string[]): {
  readonly status: number | null;
  readonly said: string;
} {
  const { status, stdout, stderr } = spawnSync('scripts/release', args, {
    cwd: checkout,
    encoding: 'utf8',
  });
  return { status, said: stdout + stderr };
}

test('builds a clone of a clean checkout', () => {
  expect(release().said).toContain('\nmade\n');
});

test.each([
  ['a changed file', 'package.json'],
  ['an untracked file', 'new.ts'],
])('%s stops the release before anything is built', (_what, file) => {
  writeFileSync(join(checkout, file), '{}');
  const { status, said } = release();
  expect(status).toBe(1);
  expect(said).toContain(file);
  expect(said).not.toContain('made');
});

test('refuses an output directory that exists', () => {
  mkdirSync(join(checkout, 'dist/release'), { recursive: true });
  expect(release('dist/release').said).toContain('dist/release is there already');
});

test.each([['--force'], ['one', 'two']])('rejects the arguments %s', (...args) => {
  expect(release(...args).said).toContain('usage');
});
