// Reads config.toml on each run. The previous content of [protect] applies while the file is unusable.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, expect, test } from '@jest/globals';
import { readConfig } from '../../../src/config/read.ts';
import type { Config } from '../../../src/config/schema.ts';
import { DEFAULT_CONFIG } from '../../../src/config/schema.ts';
import { Store } from '../../../src/state/store.ts';
import { NOON_MS } from '../support/workshop.ts';
import { ownDirectory } from '../support/directory.ts';

const directory = ownDirectory();
let problems: string[] = [];
let reminders: string[] = [];
beforeEach(() => {
  problems = [];
  reminders = [];
});

/** Returns the addresses that a run protects with a file of this text. */
function protectBy(text: string): Config['protect'] {
  const path = join(directory, 'config.toml');
  writeFileSync(path, text, { mode: 0o644 });
  const warn = (problem: string): number => problems.push(problem);
  const options = { directory: join(directory, 'state'), mayRepair: true, nowMs: NOON_MS };
  const store = new Store(options, warn);
  const remind = (problem: string): number => reminders.push(problem);
  const { protect } = readConfig({ store, warn, remind, mayWait: false }, path);
  store.close();
  return protect;
}

test.each([
  ['is a text with semicolons instead of a list', 'allow = "198.51.100.1; 198.51.100.2"'],
  ['is a number', 'allow = 5'],
  ['has invalid entries only', 'allow = ["198.51.100.1/99"]'],
  ['is misspelt', 'alow = ["192.0.2.10"]'],
])('an allowed address stays protected while the list %s', (_, line) => {
  protectBy('[protect]\nallow = ["192.0.2.10"]\n');
  for (const again of [1, 2]) {
    expect([again, protectBy(`[protect]\n${line}\n`).allow]).toEqual([again, ['192.0.2.10']]);
  }
  expect(problems).toHaveLength(1);
});

test('a mistake is reported by the first run that finds it, and again if it returns after a correction', () => {
  const wrong = '[limits]\ntotal_seconds = "long"\n';
  for (const text of [wrong, wrong, '', wrong, wrong]) protectBy(text);
  expect([problems.length, reminders.length]).toEqual([2, 2]);
  expect(new Set([...problems, ...reminders]).size).toBe(1);
});

test('an allowed address stays protected while the table is misspelt or the file is not valid TOML', () => {
  protectBy('[protect]\nallow = ["192.0.2.10"]\n');
  expect(protectBy('[protct]\nallow = ["192.0.2.10"]\n').allow).toEqual(['192.0.2.10']);
  expect(protectBy('[protect\nallow = []\n').allow).toEqual(['192.0.2.10']);
  expect(problems).toHaveLength(2);
});

test('valid entries are protected in addition to the previous ones', () => {
  protectBy('[protect]\nallow = ["192.0.2.10"]\n');
  const { allow } = protectBy('[protect]\nallow = ["198.51.100.7", "192.0.2"]\n');
  expect(allow).toEqual(['192.0.2.10', '198.51.100.7']);
});

test('entries from a list with a mistake are kept through the next mistake', () => {
  protectBy('[protect]\nallow = ["198.51.100.7", "192.0.2"]\n');
  expect(protectBy('[protect]\nallow = 5\n').allow).toEqual(['198.51.100.7']);
});

test('an invalid switch keeps its previous value', () => {
  protectBy('[protect]\ngateways = false\n');
  expect(protectBy('[protect]\ngateways = "no"\n').gateways).toBe(false);
  expect(protectBy('[protect]\ngateways = true\n').gateways).toBe(true);
  expect(protectBy('[protect]\ngateways = 0\n').gateways).toBe(true);
});

test('a corrected list replaces the previous entries', () => {
  protectBy('[protect]\nallow = ["192.0.2.10"]\n');
  protectBy('[protect]\nallow = 5\n');
  expect(protectBy('[protect]\nallow = ["192.0.2.11"]\n').allow).toEqual(['192.0.2.11']);
  expect(protectBy('').allow).toEqual([]);
});

test('an address that is removed from [protect] is unprotected despite a mistake in another table', () => {
  protectBy('[protect]\nallow = ["192.0.2.10"]\n');
  expect(protectBy('[log]\nlevel = "loud"\n').allow).toEqual([]);
});

test('a first file with a mistake protects like the defaults', () => {
  expect(protectBy('[protect]\nallow = 5\nresolvers = 5\n')).toEqual(DEFAULT_CONFIG.protect);
});
