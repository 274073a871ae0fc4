// The released binary has nothing by which somebody could end it halfway.
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');
const SOURCES = readdirSync(join(ROOT, 'src'), { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && name !== 'os/fault.ts')
  .map((name) => readFileSync(join(ROOT, 'src', name), 'utf8'));
const STEPS = SOURCES.flatMap((source) =>
  Array.from(source.matchAll(/\bstep\(\s*'([^']+)'/g), ([, name = '']) => name),
);
const SWITCHES = ['FIREWALL_DROP_DIE_AT', 'dies at '];

const found = (binary: string, needles: readonly string[]): string[] => {
  const content = readFileSync(join(ROOT, 'bin', binary));
  return needles.filter((needle) => content.includes(needle));
};

test('the released binary has neither the switch nor the name of any step', () => {
  expect(STEPS.length).toBeGreaterThan(20);
  expect(new Set(STEPS).size).toBe(STEPS.length);
  expect(found('firewall-drop', [...SWITCHES, ...STEPS])).toEqual([]);
});

test('the fault build has all of them, so that their absence elsewhere says something', () => {
  expect(found('firewall-drop-fault', [...SWITCHES, ...STEPS])).toEqual([...SWITCHES, ...STEPS]);
});
