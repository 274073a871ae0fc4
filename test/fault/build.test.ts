// Checks that the released binary has no switch that could kill it midway.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from '@jest/globals';
import { builtBinary } from '../support/binary.ts';
import { createHost } from '../support/host.ts';
import { CLEAN_ENVIRONMENT } from '../support/namespaces.ts';
import { STEPS } from './steps.ts';

const ROOT = join(__dirname, '../..');
const SWITCHES = ['FIREWALL_DROP_DIE_AT', 'FIREWALL_DROP_CLOCK', 'dies at '];

const found = (binary: string, needles: readonly string[]): string[] => {
  const content = readFileSync(join(ROOT, 'bin', binary));
  return needles.filter((needle) => content.includes(needle));
};

test('the released binary has neither the switch nor the name of any step', () => {
  expect(STEPS.length).toBeGreaterThan(20);
  expect(new Set(STEPS).size).toBe(STEPS.length);
  expect(found('firewall-drop', [...SWITCHES, ...STEPS])).toEqual([]);
});

test('the fault build has the switch and the names of all steps', () => {
  expect(found('firewall-drop-fault', [...SWITCHES, ...STEPS])).toEqual([...SWITCHES, ...STEPS]);
});

test.each(['1', STEPS[0] ?? ''])(
  'the released binary ignores a request to die at %s',
  async (at) => {
    await using host = await createHost();
    const agent = host.installAgent({ binary: builtBinary() });
    const env = { ...CLEAN_ENVIRONMENT, FIREWALL_DROP_DIE_AT: at };
    expect(host.run([agent.program(), 'add', '203.0.113.9'], { env })).toMatchObject({ status: 0 });
    expect(host.run([agent.program(), 'delete', '203.0.113.9'], { env })).toMatchObject({
      status: 0,
    });
  },
);
