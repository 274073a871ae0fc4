// Checks input, output and exit statuses of the command line, for persons, timers and scripts.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../src/cli/commands.ts';
import { builtBinary } from '../support/binary.ts';
import { createVictim, ossecLine, withoutEnds, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const A6 = '2001:db8:ffff::7';
const USAGE = 64;
const BAD_DATA = 65;
const FIREWALL = 69;
const NOT_ROOT = 77;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

describe('add', () => {
  test('blocks the address, reports it, and logs a line without a rule', () => {
    const response = victim.person(['add', A]);
    expect(response).toMatchObject({ status: 0, stderr: '' });
    expect(response.stdout).toMatch(
      /^203\.0\.113\.7 blocked until [-\d]{10} \d\d:\d\d UTC \(1d\)\n$/,
    );
    expect(response.lines).toEqual([
      expect.stringMatching(ossecLine('add', A, { alertId: '1\\d{9}\\.\\d{6}', ruleId: '0' })),
    ]);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('blocks several of both families at once', () => {
    expect(withoutEnds(victim.person(['add', A, A6, B]).stdout)).toBe(
      `${A} blocked\n${A6} blocked\n${B} blocked\n`,
    );
    expect(victim.allRules()).toHaveLength(6);
  });

  // test/unit/cli/output/duration.test.ts checks every form of a duration, and many invalid ones.
  test.each([
    ['1h30m', 5400],
    ['never', null],
  ])('blocks with --timeout %s for %s seconds', (text, seconds) => {
    expect(victim.person(['add', A, '--timeout', text]).status).toBe(0);
    const [hold] = victim.banOn(A)?.holds ?? [];
    expect(hold?.timeoutSeconds).toBe(seconds);
    const lasts = hold?.expires && Date.parse(hold.expires) - Date.parse(hold.since);
    expect(lasts ?? null).toBe(seconds === null ? null : seconds * 1000);
  });

  test.each(['-1h', ''])('refuses --timeout %j, and says what to write instead', (text) => {
    const response = victim.person(['add', A, `--timeout=${text}`]);
    expect(response).toMatchObject({ status: USAGE, stdout: '', lines: [] });
    expect(response.stderr).toContain('90m, 1h30m, 2d, never');
    expect(victim.allRules()).toEqual([]);
  });

  test('moves the deadline and keeps one rule when it runs again with another --timeout', () => {
    victim.person(['add', A, '--timeout', '1h']);
    victim.person(['add', A, '--timeout', '2h', '--reason', 'again']);
    expect(victim.banOn(A)?.holds).toMatchObject([{ timeoutSeconds: 7200, reason: 'again' }]);
    expect(victim.rules(A)).toHaveLength(2);
  });

  // test/unit/model/address.test.ts and test/unit/cli/addresses.test.ts check all kinds of invalid addresses.
  test.each([
    ['203.0.113.7/24', '203.0.113.0/24'],
    [' 203.0.113.7', '203.0.113.9'],
    ['', '203.0.113.9'],
  ])('refuses %j, and suggests %s', (text, suggestion) => {
    const response = victim.person(['add', A, text]);
    expect(response).toMatchObject({ status: BAD_DATA, stdout: '' });
    expect(response.stderr).toContain(suggestion);
    // Either all addresses are blocked or none.
    expect(victim.allRules()).toEqual([]);
  });
});

test('a message shortens a mistake of 60,000 letters', () => {
  const response = victim.person(['add', '9'.repeat(60_000)]);
  expect(response.status).toBe(BAD_DATA);
  expect(response.stderr.length).toBeLessThan(1000);
});

describe('delete', () => {
  test('unblocks several addresses of any origin', () => {
    victim.add(A);
    victim.person(['add', A6]);
    const response = victim.person(['delete', A, A6]);
    expect(response).toMatchObject({ status: 0, stdout: `${A} released\n${A6} released\n` });
    expect(response.lines).toHaveLength(2);
    expect(victim.allRules()).toEqual([]);
  });

  test('removes a foreign rule if its address is named, and reports it', () => {
    victim.host.must(['iptables', '-w', '-I', 'INPUT', '-s', A, '-j', 'DROP']);
    const response = victim.person(['delete', A]);
    expect(response.status).toBe(0);
    expect(response.stdout).toBe(
      `${A} released: a rule that another program or a person had added was removed\n`,
    );
    expect(victim.allRules()).toEqual([]);
  });
});

describe('networks', () => {
  test.each([
    ['203.0.113.0/24', '203.0.113.0/24'],
    ['2001:DB8:FFFF::/48', '2001:db8:ffff::/48'],
    ['::ffff:203.0.113.0/120', '203.0.113.0/24'],
  ])('block %s with one rule per chain, and can be unblocked', (written, block) => {
    expect(withoutEnds(victim.person(['add', written]).stdout)).toBe(`${block} blocked\n`);
    expect(victim.allRules()).toEqual([
      `-A INPUT -s ${block} -j DROP`,
      `-A FORWARD -s ${block} -j DROP`,
    ]);
    expect(victim.banOn(block)).toMatchObject({ phase: 'blocked' });
    expect(victim.person(['delete', written]).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });

  test('stay blocked when one of their addresses is unblocked', () => {
    victim.person(['add', '203.0.113.0/24']);
    victim.add(A);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toHaveLength(2);
    expect(victim.bans()).toHaveLength(1);
  });

  test('with the prefix lengths 32 and 128 are single addresses', () => {
    victim.person(['add', `${A}/32`, `${A6}/128`]);
    expect(
      victim
        .bans()
        .map((ban) => ban.address)
        .toSorted(),
    ).toEqual([A6, A].toSorted());
    expect(victim.person(['delete', A, A6]).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('list', () => {
  test('says that nothing is blocked', () => {
    expect(victim.person(['list'])).toMatchObject({ status: 0, stdout: 'nothing is blocked\n' });
    expect(JSON.parse(victim.person(['list', '--json']).stdout)).toEqual({ schema: 1, bans: [] });
  });

  test('shows address, time left, origin, rule, alert and reason', () => {
    victim.add(A);
    victim.person(['add', B, '--timeout', '2h', '--reason', 'port scan']);
    const [heading, first, second, ...rest] = victim.person(['list']).stdout.trimEnd().split('\n');
    expect(rest).toEqual([]);
    expect(heading).toMatch(
      /^ADDRESS +SINCE UTC +EXPIRES IN +ORIGIN +RULE +ALERT +BACKEND +KERNEL +REASON$/,
    );
    expect(first).toMatch(
      /^203\.0\.113\.7 +20\d\d-\d\d-\d\d [\d:]{8} +never +wazuh +5710 +1628597593\.1234567 +iptables +yes +sshd: /,
    );
    expect(second).toMatch(
      /^203\.0\.113\.8 .* (?:2h|1h 59m) +manual +0 +\d+\.\d+ +iptables +yes +port scan$/,
    );
  });

  test('prints with --json one line with exactly the documented keys, and times in ISO 8601', () => {
    victim.setTimeouts(600);
    victim.add(A);
    const { stdout } = victim.person(['list', '--json']);
    expect(stdout.match(/\n/g)).toHaveLength(1);
    const time = expect.stringMatching(/^20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$/) as unknown;
    const hold = {
      origin: 'wazuh',
      since: time,
      expires: time,
      timeoutSeconds: 660,
      alertId: '1628597593.1234567',
      ruleId: '5710',
      forced: false,
      reason: 'sshd: Attempt to login using a non-existent user',
    };
    const kernel = { backend: 'iptables', kernel: 'yes', packets: 0, bytes: 0 };
    const known = { address: A, family: 4, phase: 'blocked', since: time, escalation: null };
    const ban = { ...known, ...kernel, holds: [hold] };
    expect(JSON.parse(stdout)).toEqual({ schema: 1, bans: [ban] });
  });

  test.each([
    ['line ends', 'first\nsecond\r\nthird'],
    ['escape sequences', '\u001b[2J\u009b31m'],
  ])('keeps a reason with %s in its row', (_, reason) => {
    expect(victim.person(['add', A, '--reason', reason]).status).toBe(0);
    const { stdout } = victim.person(['list']);
    expect(stdout.trimEnd().split('\n')).toHaveLength(2);
    // eslint-disable-next-line no-control-regex -- checks for control characters
    expect(stdout.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f\u007f-\u009f]/);
  });
});

describe('--dry-run', () => {
  const unchanged = (): void => {
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
    expect(victim.log()).toEqual([]);
  };

  test('prints the programs of an add with their input, and changes nothing', () => {
    const response = victim.person(['add', A, A6, '--dry-run']);
    expect(response.status).toBe(0);
    expect(response.stdout).toMatch(/^iptables-restore .*--noflush/m);
    expect(response.stdout).toMatch(/^ip6tables-restore .*--noflush/m);
    for (const chain of ['INPUT', 'FORWARD']) {
      expect(response.stdout).toContain(`-I ${chain} 1 -s ${A}/32 -j DROP`);
      expect(response.stdout).toContain(`-I ${chain} 1 -s ${A6}/128 -j DROP`);
    }
    unchanged();
  });

  test('prints what a delete would remove, and removes nothing', () => {
    victim.person(['add', A]);
    const response = victim.person(['delete', A, '--dry-run']);
    expect(response).toMatchObject({ status: 0, lines: [] });
    expect(response.stdout).toContain(`-D INPUT -s ${A}/32 -j DROP`);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.bans()).toHaveLength(1);
  });

  test('says that there is nothing to do if the kernel needs no change', () => {
    expect(victim.person(['delete', A, '--dry-run']).stdout).toMatch(/^nothing to do/);
    unchanged();
  });

  test.each([['127.0.0.1'], ['203.0.113.7/24']])(
    'refuses add %s as a real run does, without a line in the log',
    (text) => {
      const response = victim.person(['add', text, '--dry-run']);
      expect(response).toMatchObject({ status: BAD_DATA, stdout: '' });
      expect(response.stderr).toContain(text);
      unchanged();
    },
  );
});

describe('expire and restore', () => {
  test('print nothing if there is nothing to do', () => {
    expect(victim.person(['expire'])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(victim.person(['restore'])).toMatchObject({
      status: 0,
      stdout: '0 bans already in place\n',
    });
  });
});

describe('help', () => {
  test('lists every command and exit status, and exits with 0', () => {
    const { status, stdout, stderr } = victim.person(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const word of [
      'add',
      'delete',
      'list',
      'expire',
      'restore',
      '64',
      '65',
      '69',
      '75',
      '77',
    ]) {
      expect(stdout).toMatch(new RegExp(`\\b${word}\\b`));
    }
  });

  test('includes --version, which prints three numbers', () => {
    expect(victim.person(['--version'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) as unknown,
    });
  });
});

describe('a usage error', () => {
  test.each([
    ['an unknown command', ['ad', A], 'add'],
    ['an unknown option', ['add', A, '--tiemout', '1h'], 'tiemout'],
    ['no address to release', ['delete'], 'name addresses'],
    ['an option without its value', ['add', A, '--timeout'], 'timeout'],
    ['something after list', ['list', 'all'], 'all'],
    ['a timeout given twice', ['add', A, '--timeout', '1h', '--timeout', '2h'], 'timeout'],
  ])('such as %s exits with 64, gives the reason, and changes nothing', (_, args, word) => {
    const response = victim.person(args);
    expect(response).toMatchObject({ status: USAGE, stdout: '', lines: [] });
    expect(response.stderr).toContain(word);
    expect(response.stderr).not.toMatch(/\bat .*:\d+:\d+/);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('in an unusual environment', () => {
  const run = (script: string): string =>
    victim.host.must(['bash', '-c', script, victim.agent.program()]);

  test.each([
    ['whose reader is gone', `"$0" add ${A} ${B} | true; echo "\${PIPESTATUS[0]}"`],
    ['that is closed', `"$0" add ${A} ${B} >&- 2>&-; echo $?`],
  ])('an output %s does not stop a block, and the status is that of the block', (_, script) => {
    expect(run(script)).toBe('0\n');
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.rules(B)).toHaveLength(2);
  });

  test('an output on a full disk does not stop a block, and the status is 74', () => {
    expect(run(`"$0" add ${A} ${B} 2>&1 >/dev/full; echo $?`)).toMatch(
      /^firewall-drop: can't write to standard output: no space left on device\n74\n$/,
    );
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.rules(B)).toHaveLength(2);
  });

  test.each(['list --json', 'metrics'])(
    '`%s` exits with 74 if its output is full, and with 0 if its reader has closed the pipe',
    (command) => {
      victim.person(['add', A]);
      expect(run(`"$0" ${command} 2>&- >/dev/full; echo $?`)).toBe('74\n');
      expect(run(`"$0" ${command} 2>&1 | true; echo "\${PIPESTATUS[0]}"`)).toBe('0\n');
    },
  );

  test('a removed working directory does not stop a block', () => {
    const script = `mkdir /var/tmp/gone; cd /var/tmp/gone; rmdir ../gone; "$0" add ${A}`;
    expect(withoutEnds(run(script))).toBe(`${A} blocked\n`);
    expect(victim.rules(A)).toHaveLength(2);
  });
});

describe('a mistake in the first of several addresses', () => {
  test.each([['add'], ['delete']])(
    'of %s is reported, and the other addresses are not taken for OSSEC’s arguments',
    (verb) => {
      victim.ossec({ srcip: B });
      const response = victim.person([verb, '203.0.113.7x', B]);
      expect(response).toMatchObject({ status: BAD_DATA, stdout: '', lines: [] });
      expect(response.stderr).toContain('203.0.113.7x');
      expect(victim.allRules()).toHaveLength(2);
      expect(victim.bans()).toMatchObject([{ address: B, holds: [{ origin: 'ossec' }] }]);
    },
  );
});

describe('a user who is not root', () => {
  test('can use only the commands that neither change anything nor read the state', () => {
    const free = COMMANDS.filter(({ needsRoot }) => !needsRoot).map(({ name }) => name);
    expect(free.toSorted()).toEqual([
      'completion',
      'config check',
      'config snippet',
      'config validate',
      'explain',
      'man',
      'test-alert',
      'version',
    ]);
  });

  test.each([['add', A], ['add', A, '--dry-run'], ['list']])(
    'gets status 77 from %s %s, with a suggestion to use sudo',
    (...args) => {
      const become = ['setpriv', '--reuid', '1001', '--regid', '1001', '--clear-groups'];
      const result = victim.host.run([...become, builtBinary(), ...args]);
      expect(result).toMatchObject({ status: NOT_ROOT, stdout: '' });
      expect(result.stderr).toMatch(/^firewall-drop: .*sudo/);
    },
  );

  test.each(['--help', '--version'])('can use %s', (option) => {
    const become = ['setpriv', '--reuid', '1001', '--regid', '1001', '--clear-groups'];
    expect(victim.host.run([...become, builtBinary(), option]).status).toBe(0);
  });
});

describe('on a host without iptables', () => {
  beforeEach(() => {
    victim.host.useIptables('none');
    // "auto" would choose nftables.
    victim.configure('[firewall]\nbackend = "iptables"\n');
  });
  afterEach(() => {
    victim.host.useIptables('nft');
  });
  const nothingIsBlocked = (): void => {
    expect(victim.host.rules(4, { variant: 'nft' }).join()).not.toContain('DROP');
  };

  test.each([
    ['a person', () => victim.person(['add', A])],
    ['Wazuh 4', () => victim.add(A)],
    ['Wazuh 5', () => victim.enable(A)],
    ['OSSEC', () => victim.ossec({ srcip: A })],
  ])(
    'an add by %s fails with status 69 and a line `failed`, and names the missing program',
    (_, add) => {
      const response = add();
      expect(response.status).toBe(FIREWALL);
      expect(response.stderr).toContain('iptables-restore');
      expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
      nothingIsBlocked();
    },
  );

  test('a delete fails too, and the next run with iptables completes it', () => {
    victim.host.useIptables('nft');
    victim.add(A);
    victim.host.useIptables('none');
    const response = victim.delete(A);
    expect(response.status).toBe(FIREWALL);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
    victim.host.useIptables('nft');
    expect(victim.person(['expire']).lines).toEqual([
      expect.stringMatching(ossecLine('delete', A)),
    ]);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });
});
