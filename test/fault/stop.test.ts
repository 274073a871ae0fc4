// The agent stops: execd has everything released, one after another, before it ends.
import { afterAll, beforeAll, expect, jest, test } from '@jest/globals';
import { startExecd } from '../support/execd-client.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';
import { countProvoked } from './provoked.ts';

jest.setTimeout(300_000);

const OFFENDERS = Array.from({ length: 300 }, (_, index) => {
  return `198.51.${100 + Math.floor(index / 250)}.${1 + (index % 250)}`;
});
/** systemd kills an agent that has not stopped after about 30 s; a machine that is busy with other tests is given more. */
const BOUND_MS = 120_000;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim({ variant: 'nft' });
});
afterAll(() => victim.dispose());

test('300 deletes one after another are done before the agent is killed', async () => {
  const execd = await startExecd(victim.host);
  for (const offender of OFFENDERS) {
    const report = await execd.alert(offender, { timeoutSeconds: 3600, patienceMs: 30_000 });
    expect(report).toMatchObject({ status: 0, answer: 'continue' });
  }
  expect(victim.books()).toHaveLength(OFFENDERS.length);
  const beganMs = performance.now();
  const releases = await execd.stop();
  const tookMs = performance.now() - beganMs;
  process.stderr.write(`300 deletes in ${(tookMs / 1000).toFixed(1)} s\n`);
  countProvoked(releases.length);
  expect(releases.filter(({ status }) => status === 0)).toHaveLength(OFFENDERS.length);
  expect(victim.books()).toEqual([]);
  // So many are in sets, which stay until a flush.
  expect(victim.host.must(['ipset', 'save'])).not.toMatch(/^add/m);
  const told = victim.log().slice(OFFENDERS.length);
  expect(told).toEqual(
    OFFENDERS.map((offender) => expect.stringMatching(ossecLine('delete', offender))),
  );
  expect(tookMs).toBeLessThan(BOUND_MS);
});
