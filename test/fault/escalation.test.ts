// Makes bans of one address with escalation, and kills runs at random steps: the count and the length of bans are the
// same as without kills.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { randomFrom } from '../fuzz/mutate.ts';
import { effort } from '../support/effort.ts';
import { readKernel } from '../support/kernel.ts';
import { readState } from '../support/state.ts';
import type { Run } from '../support/victim.ts';
import { disagreements } from './invariants.ts';
import { asPerson, createStage, type Stage, wazuhAdd, wazuhDelete } from './stage.ts';

const A = '203.0.113.7';
const TIMEOUTS = ['10m', '1h', '24h'];
const SECONDS = [600, 3600, 86_400];
/** About the number of steps of a run. */
const STEPS = 12;

let stage: Stage;
beforeAll(async () => {
  stage = await createStage();
});
afterAll(() => stage.victim.dispose());

/** Kills a run at a step if it has so many, and completes pending changes. Returns the step at which it died. */
function killed(run: Run, dieAt: number): string {
  const { stderr } = stage.victim.run(run, { env: { FIREWALL_DROP_DIE_AT: String(dieAt) } });
  stage.victim.do(asPerson('expire'));
  return /dies at (.*)\n/.exec(stderr)?.[1] ?? 'no step';
}

const holds = (): string[] => {
  const all = stage.victim.banOn(A)?.holds ?? [];
  return all.map(({ origin, timeoutSeconds }) => `${origin} ${timeoutSeconds ?? 'never'}`).sort();
};

const counted = (): number => {
  const { stdout } = stage.victim.person(['status', A]);
  return Number(/escalation: (\d+) bans?/.exec(stdout)?.[1] ?? 0);
};

function expectAgreement(): void {
  const { host } = stage.victim;
  expect(disagreements(readState(host.pid), readKernel(host), 'iptables')).toEqual([]);
}

test('each ban counts once and lasts as long as its number requires, whichever runs are killed', () => {
  const seed = Number(process.env['FAULT_SEED'] ?? Date.now() % 2 ** 31);
  const random = randomFrom(seed);
  const dieAt = (): number => 1 + random(STEPS);
  const told: string[] = [`FAULT_SEED=${seed}`];
  stage.victim.setTimeouts(300);
  stage.victim.configure(
    `[firewall]\nbackend = "iptables"\n[escalation]\ntimeouts = ${JSON.stringify(TIMEOUTS)}\n`,
  );
  let bans = 0;
  let alerts = 0;
  const offence = (): { srcip: string; alertId: string } => {
    return { srcip: A, alertId: `1700000000.${(alerts += 1)}` };
  };
  try {
    while (bans < effort(3)) {
      const began = killed(wazuhAdd(offence()), dieAt());
      const isBanned = stage.victim.banOn(A) !== undefined;
      if (isBanned) bans += 1;
      told.push(`add killed at ${began}: ${holds().join(', ') || 'no ban'}`);
      expect(counted()).toBe(bans);
      expectAgreement();
      if (!isBanned) continue;
      const repeat = `repeat ${SECONDS[Math.min(bans, SECONDS.length) - 1]}`;
      expect(holds()).toEqual([repeat, 'wazuh 360']);
      told.push(`another killed at ${killed(wazuhAdd(offence(), 'abort'), dieAt())}`);
      told.push(`delete killed at ${killed(wazuhDelete(offence()), dieAt())}: ${holds().join()}`);
      expect(holds()).toContain(repeat);
      expect(counted()).toBe(bans);
      expectAgreement();
      told.push(`release killed at ${killed(asPerson('delete', A), dieAt())}: ${holds().join()}`);
      if (stage.victim.banOn(A) !== undefined) stage.victim.do(asPerson('delete', A));
      expect(counted()).toBe(bans);
      expectAgreement();
    }
  } finally {
    process.stderr.write(`${told.join('\n')}\n`);
  }
});
