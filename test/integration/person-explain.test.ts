// Checks `explain`: it shows the handling of an alert with reasons, leaves no trace, and works for every user.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import {
  wazuh4Alert,
  wazuh4Message,
  wazuh5Message,
  type Wazuh4Offence,
} from '../support/alerts.ts';
import { builtBinary } from '../support/binary.ts';
import type { RunResult } from '../support/host.ts';
import { runOnTerminal } from '../support/terminal.ts';
import { createVictim, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const BAD_DATA = 65;
const FILE = '/var/tmp/alert.json';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function explain(input: string, ...options: readonly string[]): RunResult {
  return victim.host.run([victim.agent.program(), 'explain', ...options], { input });
}

interface Explanation {
  readonly address: string | null;
  readonly field: string;
  readonly passedOver: readonly string[];
  readonly trouble: string;
  readonly timeoutSeconds: number | null;
  readonly timeoutFrom: string;
}

function explained(input: string): Explanation {
  return JSON.parse(explain(input, '--json').stdout) as Explanation;
}

function alert(offence: Wazuh4Offence = {}): string {
  return JSON.stringify(wazuh4Alert(offence));
}

describe('explain', () => {
  test('reads a whole message of Wazuh 4', () => {
    const { status, stdout, stderr } = explain(wazuh4Message());
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toMatch(/^dialect +Wazuh 4$/m);
    expect(stdout).toMatch(/^action +block$/m);
    expect(stdout).toMatch(/^address +203\.0\.113\.7, from data\.srcip$/m);
    expect(stdout).toMatch(/^alert +1628597593\.1234567$/m);
    expect(stdout).toMatch(/^rule +5710$/m);
    expect(stdout).toMatch(/^protected +no$/m);
    expect(stdout).toContain(`-I INPUT 1 -s ${A}/32 -j DROP`);
  });

  test('reads a whole message of Wazuh 5', () => {
    const { status, stdout } = explain(wazuh5Message());
    expect(status).toBe(0);
    expect(stdout).toMatch(/^dialect +Wazuh 5$/m);
    expect(stdout).toMatch(/^address +203\.0\.113\.7, from source\.ip$/m);
    expect(stdout).toMatch(/^rule +no numeric id: 0 is used instead$/m);
  });

  test('reads an alert alone, such as a line of alerts.json', () => {
    const { status, stdout } = explain(alert({ srcip: B }));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^address +203\.0\.113\.8, from data\.srcip$/m);
  });

  test('reads an alert in a document as shown by the dashboard', () => {
    const document = { _index: 'wazuh-alerts-4.x', _source: wazuh4Alert({ srcip: B }), fields: {} };
    expect(explained(JSON.stringify(document)).address).toBe(B);
    const message = JSON.parse(wazuh5Message({ srcip: B })) as unknown;
    expect(explained(JSON.stringify({ _source: message })).address).toBe(B);
  });

  test.each([[[FILE]], [['-']], [[]]])('reads its input from %j', (words) => {
    victim.host.writeFile(FILE, alert());
    const argv = [victim.agent.program(), 'explain', ...words, '--json'];
    const input = words[0] === FILE ? {} : { input: alert() };
    expect(JSON.parse(victim.host.run(argv, input).stdout)).toMatchObject({ address: A });
  });

  test('shows for a delete how the address is unblocked, but neither protection nor a deadline', () => {
    victim.add(A);
    const { status, stdout } = explain(wazuh4Message({ command: 'delete' }));
    expect(status).toBe(0);
    expect(stdout).toMatch(/^action +unblock$/m);
    expect(stdout).toContain(`-D INPUT -s ${A}/32 -j DROP`);
    expect(stdout).not.toMatch(/^(?:protected|ends)/m);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('shows nothing to do for an address that is blocked already', () => {
    victim.add(A);
    expect(explain(alert()).stdout).toMatch(/^nothing to do/m);
  });

  test.each([
    ['', 'the input is empty'],
    ['not JSON', 'JSON'],
    ['[]', 'object'],
    ['{"version":1,"command":"restart","parameters":{"alert":{}}}', 'command'],
  ])('refuses the input %j with status 65 and a reason', (input, word) => {
    const { status, stdout, stderr } = explain(input);
    expect({ status, stdout }).toEqual({ status: BAD_DATA, stdout: '' });
    expect(stderr).toContain(word);
  });

  test('names a missing file', () => {
    const { status, stderr } = victim.person(['explain', '/var/tmp/none.json']);
    expect(status).toBe(BAD_DATA);
    expect(stderr).toContain('/var/tmp/none.json');
  });
});

describe('the explained address', () => {
  test('is shown with the fields that were skipped', () => {
    victim.configure('[alert]\naddress_fields = ["data.host", "data.srcip"]\n');
    const input = alert({ srcip: A, data: { host: 'attacker.example' } });
    expect(explained(input)).toMatchObject({
      address: A,
      field: 'data.srcip',
      passedOver: ['data.host'],
    });
    expect(explain(input).stdout).toContain(
      `${A}, from data.srcip (skipped, not an IP address: data.host)`,
    );
  });

  test('is shown in its canonical form', () => {
    expect(explained(alert({ srcip: '2001:DB8:0::0007' })).address).toBe('2001:db8::7');
    expect(explained(alert({ srcip: `::ffff:${A}` })).address).toBe(A);
  });

  test.each([
    ['a host name', { srcip: 'attacker.example' }, 'no literal address in data.srcip'],
    ['nothing', { data: {} }, 'none of the fields'],
  ])('is reported as missing with status 65 for %s', (_, offence, trouble) => {
    const { status, stdout } = explain(alert(offence));
    expect(status).toBe(BAD_DATA);
    expect(stdout).toMatch(new RegExp(`^address +none: .*${trouble}`, 'm'));
    expect(stdout).not.toContain('restore');
  });

  test('is shown without steps and with its entry if it is protected', () => {
    victim.setOssecConf('<global><white_list>203.0.113.0/24</white_list></global>');
    const { status, stdout } = explain(alert());
    expect(status).toBe(BAD_DATA);
    expect(stdout).toMatch(
      /^protected +203\.0\.113\.0\/24: white_list of ossec\.conf: it would be refused$/m,
    );
    expect(stdout).not.toContain('restore');
  });
});

describe('the explained deadline', () => {
  test('comes from ar.conf', () => {
    victim.setTimeouts(600, 1800);
    expect(explained(alert())).toMatchObject({
      timeoutSeconds: 1860,
      timeoutFrom: 'the longest timeout in ar.conf (600 s, 1800 s), plus 60 s of grace',
    });
    expect(explain(alert()).stdout).toMatch(/^ends +after 31m: the longest timeout in ar\.conf/m);
  });

  test('comes from repeated_offenders if these are longer', () => {
    victim.setTimeouts(600);
    victim.setOssecConf(
      '<active-response><repeated_offenders>30,60</repeated_offenders></active-response>',
    );
    const { timeoutSeconds, timeoutFrom } = explained(alert());
    expect(timeoutSeconds).toBe(3660);
    expect(timeoutFrom).toContain('repeated_offenders (30, 60 minutes)');
  });

  test('comes from Wazuh 5’s message', () => {
    victim.setTimeouts(600);
    expect(explained(wazuh5Message({ timeoutSeconds: 180 }))).toMatchObject({
      timeoutSeconds: 240,
      timeoutFrom: 'stateful_timeout of the message, plus 60 s of grace',
    });
  });

  test('is never for a stateless message', () => {
    const { timeoutSeconds, timeoutFrom } = explained(wazuh5Message({ type: 'stateless' }));
    expect(timeoutSeconds).toBeNull();
    expect(timeoutFrom).toContain('stateless');
  });

  test.each([
    ['no entry', [], 'ar.conf has no entry for firewall-drop'],
    ['an entry of 0', [0], 'ar.conf has an entry for firewall-drop with timeout 0'],
  ])('is never if ar.conf has %s', (_, timeouts, timeoutFrom) => {
    victim.setTimeouts(...timeouts);
    expect(explained(alert())).toMatchObject({ timeoutSeconds: null, timeoutFrom });
    expect(explain(alert()).stdout).toMatch(/^ends +never: /m);
  });

  test('is the deadline of a real block', () => {
    victim.setTimeouts(600);
    const told = explained(wazuh4Message()).timeoutSeconds;
    victim.add(A);
    expect(victim.banOn(A)?.holds[0]?.timeoutSeconds).toBe(told);
  });
});

describe('the explained steps', () => {
  test('are those of the backend that holds the bans', () => {
    victim.configure('[firewall]\nbackend = "ipset"\n');
    victim.add(B);
    victim.configure('[firewall]\nbackend = "auto"\n');
    victim.setTimeouts(600);
    const { stdout } = explain(alert());
    expect(stdout).toMatch(/add firewall-drop-4 203\.0\.113\.7 timeout 660/);
    expect(stdout).not.toContain(`-s ${A}/32 -j DROP`);
    const dry = victim.person(['add', A, '--timeout', '10m', '--dry-run']).stdout;
    expect(dry).toMatch(/add firewall-drop-4 203\.0\.113\.7 timeout 600/);
  });

  test('of a delete are empty if another origin holds the address', () => {
    victim.add(A);
    victim.person(['add', A]);
    expect(explain(wazuh4Message({ command: 'delete' })).stdout).toContain(
      `${A} stays blocked: another origin holds it`,
    );
  });
});

describe('no trace', () => {
  const PLACES = ['/var/lib', '/run', '/var/ossec/logs', '/var/log'];
  /**
   * Lists every file with its size and modification time. SQLite sets the owner of files that it opens, which changes
   * the inode's time.
   */
  const snapshot = (): string => {
    // The pipes belong to the test. They are made for each input, and removed when it ends.
    victim.host.run(['true'], { input: '.' });
    const pruned = ['-path', '/run/test-pipes', '-prune', '-o'];
    return victim.host.must(['find', ...PLACES, ...pruned, '-printf', '%p %y %s %T@ %i\n']);
  };

  test('is left on a new host', () => {
    const before = snapshot();
    expect(explain(alert()).status).toBe(0);
    expect(explain(alert({ srcip: '127.0.0.1' })).status).toBe(BAD_DATA);
    expect(explain('not JSON').status).toBe(BAD_DATA);
    expect(snapshot()).toBe(before);
    expect(victim.allRules()).toEqual([]);
  });

  test('is left on a host with state, logs and a broken configuration', () => {
    victim.add(B);
    victim.configure('[limits]\nnonsense = 1\n');
    victim.person(['list']);
    const before = snapshot();
    expect(explain(alert()).status).toBe(0);
    expect(snapshot()).toBe(before);
  });
});

describe('a user who is not root', () => {
  const become = ['setpriv', '--reuid', '1002', '--regid', '1002', '--clear-groups'];

  test('sees everything except the steps', () => {
    // This creates the directories that only root can read.
    victim.person(['expire']);
    const argv = [...become, builtBinary(), 'explain'];
    const { status, stdout, stderr } = victim.host.run(argv, { input: alert() });
    expect(status).toBe(0);
    expect(stderr).not.toContain('/run/firewall-drop');
    expect(stdout).toMatch(/^address +203\.0\.113\.7, from data\.srcip$/m);
    expect(stdout).toMatch(/^steps +only root can query the kernel/m);
    expect(stdout).not.toContain('restore');
  });

  test('sees whether the address is protected', () => {
    const argv = [...become, builtBinary(), 'explain'];
    const { status, stdout } = victim.host.run(argv, { input: alert({ srcip: '127.0.0.1' }) });
    expect(status).toBe(BAD_DATA);
    expect(stdout).toMatch(/^protected +127\.0\.0\.0\/8: loopback/m);
  });
});

test('text of an attacker never reaches the terminal as a control sequence', async () => {
  const evil = '\u001b]0;owned\u0007\u001b[2J\u009b31m\u202e';
  const input = JSON.stringify({
    id: evil,
    rule: { id: evil, description: evil },
    data: { srcip: evil, [evil]: evil },
    full_log: evil,
  });
  victim.host.writeFile(FILE, input);
  victim.host.writeFile('/var/tmp/text', evil);
  for (const words of [[FILE], [FILE, '--json'], ['/var/tmp/text'], [`/var/tmp/${evil}`]]) {
    const { output } = await runOnTerminal(
      victim.host,
      [victim.agent.program(), 'explain', ...words],
      { columns: 80 },
    );
    expect(output).not.toBe('');
    // eslint-disable-next-line no-control-regex -- checks for control characters
    expect(output.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e]/);
  }
});
