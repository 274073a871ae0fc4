// Sets the wall clock with the fault build, between two runs and during one: no ban ends early, and none lasts forever.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { faultBinary } from '../support/binary.ts';
import { BACKENDS, readKernel } from '../support/kernel.ts';
import { CLEAN_ENVIRONMENT } from '../support/namespaces.ts';
import { createVictim, type Victim } from '../support/victim.ts';
import { readState } from '../support/state.ts';
import { disagreements } from './invariants.ts';
import { configOf } from './paths.ts';

const A = '203.0.113.7';
const B = '203.0.113.9';
const ASKED_SECONDS = 3600;
const YEAR_MS = 365 * 24 * 3600 * 1000;
const CLOCKS: readonly (readonly [string, number])[] = [
  ['a year ahead', YEAR_MS],
  ['a year back', -YEAR_MS],
  ['in 1970', 3_600_000 - Date.now()],
  ['after 2038', Date.UTC(2040, 0, 1) - Date.now()],
];

type Env = Readonly<Record<string, string>>;
const clock = (aheadMs: number, step = ''): Env => {
  const at = step === '' ? '' : `@${step}`;
  return { ...CLEAN_ENVIRONMENT, FIREWALL_DROP_CLOCK: `${aheadMs}${at}` };
};

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim({ binary: faultBinary() });
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

/** Returns the remaining time of a ban according to a clock that is `aheadMs` ahead. */
function secondsLeft(address: string, aheadMs: number): number {
  const expires = victim.banOn(address)?.holds[0]?.expires ?? '';
  return (Date.parse(expires) - Date.now() - aheadMs) / 1000;
}

function expectBlockedInTime(address: string, aheadMs: number): void {
  const expired = victim.person(['expire'], { env: clock(aheadMs) });
  expect(expired).toMatchObject({ status: 0, stdout: '' });
  const left = secondsLeft(address, aheadMs);
  expect(left).toBeLessThanOrEqual(ASKED_SECONDS);
  expect(left).toBeGreaterThan(ASKED_SECONDS - 300);
}

describe.each(BACKENDS)('%s', (backend) => {
  const isBlocked = (address: string): boolean => readKernel(victim.host)[backend].has(address);

  // The state follows the clock, not a backend. Backends differ in who ends a block.
  test.each(backend === 'iptables' ? CLOCKS : CLOCKS.slice(0, 2))(
    'a clock that is %s neither unblocks early nor keeps a ban forever',
    (_, aheadMs) => {
      victim.configure(configOf(backend));
      victim.setTimeouts(ASKED_SECONDS);
      expect(victim.add(A).status).toBe(0);
      expectBlockedInTime(A, aheadMs);
      expect(isBlocked(A)).toBe(true);
      expect(victim.add(B, { env: clock(aheadMs) }).status).toBe(0);
      expect(victim.delete(A, { env: clock(aheadMs) }).status).toBe(0);
      expect(isBlocked(A)).toBe(false);
      // The clock is set right again.
      expectBlockedInTime(B, 0);
      expect(isBlocked(B)).toBe(true);
      expect(disagreements(readState(victim.host.pid), readKernel(victim.host), backend)).toEqual(
        [],
      );
      expect(victim.delete(B).status).toBe(0);
      expect(isBlocked(B)).toBe(false);
    },
  );
});

test.each([
  ['ahead', 'run: begun', YEAR_MS],
  ['ahead', 'run: clock followed', YEAR_MS],
  ['ahead', 'journal: recorded', YEAR_MS],
  ['back', 'run: begun', -YEAR_MS],
  ['back', 'run: clock followed', -YEAR_MS],
  ['back', 'journal: lines written', -YEAR_MS],
])(
  'a clock that jumps a year %s at "%s" neither unblocks early nor keeps a ban forever',
  (_, step, aheadMs) => {
    victim.configure(configOf('iptables'));
    victim.setTimeouts(ASKED_SECONDS);
    expect(victim.add(A, { env: clock(aheadMs, step) }).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    expectBlockedInTime(A, aheadMs);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.delete(A, { env: clock(aheadMs) }).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  },
);
