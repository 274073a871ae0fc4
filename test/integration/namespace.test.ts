/** Checks a state directory that two network namespaces share: only runs in the namespace of the bans change them. */
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { ATTACKER, answerTo, wazuh4Message } from '../support/alerts.ts';
import type { RunResult } from '../support/host.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';

const A = ATTACKER;
const B = '198.51.100.9';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterAll(() => victim.dispose());
beforeEach(() => {
  victim.reset();
});

/** Runs a script in another network namespace, which ends with the script. */
function elsewhere(script: string, input = ''): RunResult {
  const { home } = victim.agent;
  return victim.host.run(['unshare', '--net', 'bash', '-c', script], { cwd: home, input });
}

test('execd’s add and delete change nothing from another namespace, and give the reason', () => {
  victim.add(A);
  const message = wazuh4Message({ srcip: B });
  const add = elsewhere(
    'active-response/bin/firewall-drop; echo $? $(iptables -S INPUT | grep -c DROP) >&2',
    message + answerTo(message, 'continue'),
  );
  expect(add.stderr).toMatch(/nothing was changed.*net:\[\d+\] \(process \d+\).*\n69 0\n$/s);
  const remove = elsewhere(
    'exec active-response/bin/firewall-drop',
    wazuh4Message({ srcip: A, command: 'delete' }),
  );
  expect(remove.status).toBe(69);
  expect(victim.bans().map(({ address }) => address)).toEqual([A]);
  expect(victim.rules(A)).toHaveLength(2);
  expect(victim.log().slice(1)).toEqual([
    expect.stringMatching(ossecLine('failed', B)),
    expect.stringMatching(ossecLine('failed', A)),
  ]);
});

test('the commands of a person change nothing from another namespace, and doctor reports a problem', () => {
  victim.add(A);
  for (const args of [`delete ${A}`, `add ${B}`, 'expire', 'restore', 'flush --yes']) {
    const { status, stderr } = elsewhere(`exec active-response/bin/firewall-drop ${args}`);
    expect({ args, status, stderr }).toEqual({
      args,
      status: 69,
      stderr: expect.stringContaining('nothing was changed') as unknown,
    });
  }
  expect(elsewhere('exec active-response/bin/firewall-drop doctor').stdout).toMatch(
    /problem +namespace/,
  );
  expect(victim.person(['doctor']).stdout).not.toMatch(/namespace/);
  expect(victim.person(['delete', A]).status).toBe(0);
});

test('a run takes over the bans of a namespace that is gone, such as that of a restarted container', () => {
  elsewhere(`exec active-response/bin/firewall-drop add ${A}`);
  const { stderr, stdout, status } = victim.person(['restore']);
  expect(stderr).toMatch(/net:\[\d+\] is gone/);
  expect({ stdout, status }).toEqual({ stdout: '1 ban restored\n', status: 0 });
  expect(victim.rules(A)).toHaveLength(2);
});
