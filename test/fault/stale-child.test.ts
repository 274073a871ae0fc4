// Kills a run whose firewall program continues: the program must not undo the changes of the next run.
import { afterAll, afterEach, beforeAll, expect, test } from '@jest/globals';
import { wazuh4Message, answerTo } from '../support/alerts.ts';
import { createVictim, type Running, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const LINK = '/etc/alternatives/iptables-restore';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim({ variant: 'nft' });
});
afterEach(() => {
  victim.host.useIptables('nft');
  victim.host.remove('/run/go');
  victim.reset();
});
afterAll(() => victim.dispose());

/** Makes the next change of the kernel wait for /run/go. */
function makeSlow(): void {
  victim.host.writeFile(
    '/run/slow',
    `#!/bin/bash
      input=$(cat)
      if [[ $input == *-I* ]] && mkdir /run/hangs; then
        until [[ -e /run/go ]]; do sleep 0.05; done
      fi
      exec -a "$0" /usr/sbin/iptables-nft-restore "$@" <<<"$input"\n`,
    { mode: '0755' },
  );
  victim.host.symlink('/run/slow', LINK);
}

async function killWhileSlow(running: Running): Promise<void> {
  await eventually('the change to hang', () => victim.host.exists('/run/hangs'));
  running.child.kill('SIGKILL');
  await running.ended;
  expect(staleChildren()).not.toEqual('');
}

const staleChildren = (): string =>
  victim.host.run(['pgrep', '-f', '^/bin/bash /.*iptables-restore']).stdout;

async function letGo(): Promise<void> {
  victim.host.writeFile('/run/go', '');
  await eventually('the stale child to end', () => staleChildren() === '');
  victim.host.remove('/run/hangs');
}

test('a stale child of an add changes nothing after a delete', async () => {
  makeSlow();
  const running = victim.start();
  const message = wazuh4Message({ srcip: A });
  running.say(message + answerTo(message, 'continue'));
  running.hangUp();
  await killWhileSlow(running);
  expect(victim.delete(A).status).toBe(0);
  await letGo();
  expect(victim.rules(A)).toEqual([]);
});

test('a stale child of a restore, which records no pending change, changes nothing after a delete', async () => {
  victim.add(A);
  victim.flushRules();
  makeSlow();
  await killWhileSlow(victim.start(['restore']));
  expect(victim.delete(A).status).toBe(0);
  await letGo();
  expect(victim.rules(A)).toEqual([]);
});
