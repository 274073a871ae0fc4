// When the agent stops, execd releases all addresses, one after another. systemd allows about 30 s for it.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { effort } from '../support/effort.ts';
import { startExecd } from '../support/execd-client.ts';
import { importBans } from '../support/imported.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';

const OFFENDERS = Array.from({ length: effort(24) }, (_, index) => {
  return `198.51.${100 + Math.floor(index / 250)}.${1 + (index % 250)}`;
});

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim({ variant: 'nft' });
});
afterAll(() => victim.dispose());

test('all deletes of a stopping agent succeed, one after another', async () => {
  victim.configure('[firewall]\npromote_at = 10\n');
  const execd = await startExecd(victim.host);
  const [first = '', second = '', ...others] = OFFENDERS;
  for (const offender of [first, second]) {
    const report = await execd.alert(offender, { timeoutSeconds: 3600 });
    expect(report).toMatchObject({ status: 0, answer: 'continue' });
  }
  importBans(victim, others, 3660);
  await execd.know(others, 3600);
  expect(victim.bans()).toHaveLength(OFFENDERS.length);
  const beganMs = performance.now();
  const releases = await execd.stop();
  const tookMs = performance.now() - beganMs;
  process.stderr.write(`${OFFENDERS.length} deletes in ${(tookMs / 1000).toFixed(1)} s\n`);
  expect(releases.filter(({ status }) => status === 0)).toHaveLength(OFFENDERS.length);
  expect(victim.bans()).toEqual([]);
  // So many bans are in sets, which stay until a flush.
  expect(victim.host.must(['ipset', 'save'])).not.toMatch(/^add/m);
  const told = victim.log().slice(OFFENDERS.length);
  expect(told).toEqual(
    OFFENDERS.map((offender) => expect.stringMatching(ossecLine('delete', offender))),
  );
});
