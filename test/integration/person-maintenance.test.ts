// Checks the commands that make state and kernel agree (flush, expire, restore, reconcile), and protected addresses.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { runOnTerminal, seen } from '../support/terminal.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';
import { collectLines, eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const C = '203.0.113.100';
const A6 = '2001:db8:ffff::7';
const USAGE = 64;
const BAD_DATA = 65;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function rule(...words: readonly string[]): void {
  victim.host.must(['iptables', '-w', ...words]);
}

function addresses(): string[] {
  return victim.bans().map(({ address }) => address);
}

describe('flush', () => {
  const onTerminal = (typed: string): ReturnType<typeof runOnTerminal> => {
    const answer = { to: '[y/N] ', typed: `${typed}\n` };
    return runOnTerminal(victim.host, [victim.agent.program(), 'flush'], { columns: 80, answer });
  };

  test('asks on a terminal, unblocks everything after a yes, and nothing after any other answer', async () => {
    victim.add(A);
    victim.person(['add', B, A6]);
    for (const answer of ['n', '', 'yesterday']) {
      const screen = await onTerminal(answer);
      expect(screen.status).toBe(USAGE);
      expect(screen.output).toContain('nothing was released');
      expect(addresses()).toEqual([A, B, A6]);
    }
    expect(victim.allRules()).toHaveLength(6);
    const screen = await onTerminal('Yes');
    expect(screen.status).toBe(0);
    expect(screen.output).toContain('Release 3 bans? [y/N] ');
    expect(seen(screen).at(-1)).toBe('3 released');
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
    expect(victim.log().slice(-3).join()).toMatch(/ delete .* delete .* delete /);
  });

  test('treats Ctrl-D as no, and reports it on a separate line', async () => {
    victim.person(['add', A]);
    const argv = [victim.agent.program(), 'flush'];
    const answer = { to: '[y/N] ', typed: '\u0004' };
    const screen = await runOnTerminal(victim.host, argv, { columns: 80, answer });
    expect(screen.status).toBe(USAGE);
    expect(seen(screen).at(-1)).toMatch(/^firewall-drop: nothing was released/);
    expect(addresses()).toEqual([A]);
  });

  test('refuses to run without --yes if there is no terminal, and does not ask with it', async () => {
    victim.person(['add', A]);
    const argv = [victim.agent.program(), 'flush'];
    const { status, stdout, stderr } = victim.host.run(argv, { input: 'y\n' });
    expect({ status, stdout }).toEqual({ status: USAGE, stdout: '' });
    expect(stderr).toContain('--yes');
    expect(victim.rules(A)).toHaveLength(2);
    // On a slow machine, a progress bar appears and disappears before the line.
    const screen = await runOnTerminal(victim.host, [...argv, '--yes']);
    expect(screen.output).not.toContain('?');
    expect(seen(screen)).toEqual(['1 released']);
    expect(seen(await onTerminal('y')).at(-1)).toBe('0 released');
  });

  test('with --origin manual keeps addresses that Wazuh holds, and prints their number', () => {
    victim.add(A);
    victim.person(['add', A, B]);
    victim.ossec({ srcip: C });
    const { stdout, lines } = victim.person(['flush', '--origin', 'manual', '--yes']);
    expect(stdout).toBe('1 released\n1 still blocked: other origins hold them\n');
    expect(lines.join('\n')).toMatch(/ kept - 203\.0\.113\.7 [^]* delete - 203\.0\.113\.8 /);
    expect(addresses()).toEqual([A, C]);
    expect(victim.banOn(A)?.holds.map(({ origin }) => origin)).toEqual(['wazuh']);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.rules(B)).toEqual([]);
  });

  test('leaves foreign rules in place, and succeeds if nothing is blocked', () => {
    rule('-A', 'INPUT', '-s', C, '-j', 'DROP');
    victim.person(['add', A]);
    expect(victim.person(['flush', '--yes']).stdout).toBe('1 released\n');
    expect(victim.allRules()).toEqual([`-A INPUT -s ${C}/32 -j DROP`]);
    expect(victim.person(['flush', '--yes'])).toMatchObject({ status: 0, stdout: '0 released\n' });
  });
});

describe('expire', () => {
  test('unblocks addresses that are due, prints and logs them, and leaves the others blocked', () => {
    victim.person(['add', A, B, '--timeout', '1h']);
    victim.person(['add', C]);
    victim.endTime(A);
    const response = victim.person(['expire']);
    expect(response).toMatchObject({ status: 0, stdout: `${A} released\n`, stderr: '' });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    expect(addresses()).toEqual([B, C]);
    expect(victim.rules(A)).toEqual([]);
    expect(victim.person(['history', A, '--json']).stdout).toContain('"reason":"expired"');
  });

  test('fails if the kernel does not change, and the ban stays due', () => {
    victim.person(['add', A, '--timeout', '1h']);
    victim.endTime(A);
    victim.host.useIptables('none');
    const failed = victim.person(['expire']);
    victim.host.useIptables('nft');
    expect(failed.status).toBe(69);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });
});

describe('expire --watch', () => {
  const children: ChildProcess[] = [];
  afterEach(() => {
    for (const child of children.splice(0)) child.kill('SIGKILL');
  });
  const watch = (launcher = [victim.agent.program()]): ChildProcess => {
    const child = victim.host.spawn([...launcher, 'expire', '--watch'], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    children.push(child);
    return child;
  };
  const linesOf = ({ stdout }: ChildProcess): string[] => {
    if (stdout === null) throw new Error('stdout is not a pipe');
    return collectLines(stdout);
  };
  const errorsOf = ({ stderr }: ChildProcess): string[] => {
    if (stderr === null) throw new Error('stderr is not a pipe');
    return collectLines(stderr);
  };
  /** Waits for the end of the first round, after which the program waits for events. It does so nowhere else. */
  const asleep = (child: ChildProcess): Promise<unknown> => {
    return eventually('the watch to sleep', () => {
      return /epoll|ep_poll/.test(victim.host.readFile(`/proc/${String(child.pid)}/wchan`));
    });
  };

  test('unblocks an address at its deadline without another run', async () => {
    victim.person(['add', A, '--timeout', '2s']);
    const lines = linesOf(watch());
    await eventually('the release', () => lines.includes(`${A} released`));
    expect(victim.rules(A)).toEqual([]);
    expect(victim.log().at(-1)).toMatch(ossecLine('delete', A));
  });

  test('unblocks an address that was blocked while it slept', async () => {
    const child = watch();
    const lines = linesOf(child);
    await asleep(child);
    victim.add(B);
    victim.person(['add', A, '--timeout', '1s']);
    await eventually('the release', () => lines.includes(`${A} released`));
    expect(addresses()).toEqual([B]);
  });

  test('holds no lock while it sleeps', async () => {
    await asleep(watch());
    const response = victim.person(['add', A]);
    expect(response).toMatchObject({ status: 0, stderr: '' });
    victim.host.must(['flock', '--nonblock', '/run/firewall-drop/lock', 'true']);
  });

  test.each(['SIGTERM', 'SIGINT'] as const)('ends cleanly on %s', async (signal) => {
    const child = watch();
    await asleep(child);
    const complaints = errorsOf(child);
    const ended = once(child, 'close');
    child.kill(signal);
    await ended;
    expect({ status: child.exitCode, signal: child.signalCode, complaints }).toEqual({
      status: 0,
      signal: null,
      complaints: [],
    });
  });

  test('continues after a round that failed', async () => {
    victim.person(['add', A, '--timeout', '1h']);
    victim.endTime(A);
    victim.host.useIptables('none');
    const complaints = errorsOf(watch());
    await eventually('the failure', () => complaints.length > 0);
    victim.host.useIptables('nft');
    await eventually('the line', () => ossecLine('delete', A).test(victim.log().at(-1) ?? ''));
    expect(victim.rules(A)).toEqual([]);
  });

  test('works after it has run for hours', async () => {
    // Runs the bundle of the executable with an old start time.
    const dist = join(__dirname, '../../dist');
    const old = '/var/tmp/old.cjs';
    victim.host.writeFile(
      old,
      `const { uptime } = process;
       process.uptime = () => uptime() + 7200;
       require('node:sea').getRawAsset = (name) => {
         const file = require('node:fs').readFileSync(${JSON.stringify(dist)} + '/' + name);
         return file.buffer.slice(file.byteOffset, file.byteOffset + file.length);
       };`,
    );
    victim.person(['add', A, '--timeout', '1h']);
    victim.endTime(A);
    const child = watch([process.execPath, '--require', old, `${dist}/loader.cjs`]);
    const complaints = errorsOf(child);
    const lines = linesOf(child);
    await eventually('a release or a complaint', () => lines[0] ?? complaints[0]);
    expect(complaints).toEqual([]);
    expect(lines).toEqual([`${A} released`]);
  });
});

describe('restore', () => {
  test('blocks addresses of both families again after a reboot, and prints their number', () => {
    victim.add(A);
    victim.person(['add', B, A6]);
    victim.flushRules();
    expect(victim.person(['restore'])).toMatchObject({
      status: 0,
      stdout: '3 bans restored\n',
      lines: [],
    });
    expect(victim.allRules()).toHaveLength(6);
  });

  test('does not restore an expired ban', () => {
    victim.person(['add', A, '--timeout', '1h']);
    victim.person(['add', B]);
    victim.endTime(A);
    victim.flushRules();
    const { stdout, lines } = victim.person(['restore']);
    expect(stdout).toContain('1 ban restored\n');
    expect(lines).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    expect(victim.rules(A)).toEqual([]);
  });

  test('unblocks addresses that have become protected, and reports them', () => {
    victim.person(['add', A, B]);
    victim.configure(`[protect]\nallow = ["${A}"]\n`);
    expect(victim.person(['restore']).stdout).toBe(
      `${A} released: it is protected\n1 ban already in place\n`,
    );
    expect(victim.rules(A)).toEqual([]);
    expect(addresses()).toEqual([B]);
  });
});

describe('reconcile', () => {
  const CASES: [string, () => void, RegExp | null][] = [
    [
      'a rule that is gone',
      () => {
        rule('-D', 'INPUT', '-s', A, '-j', 'DROP');
      },
      /^203\.0\.113\.7: banned, but no rule in INPUT$/m,
    ],
    [
      'a ban without any rule',
      () => {
        for (const chain of ['INPUT', 'FORWARD']) rule('-D', chain, '-s', A, '-j', 'DROP');
      },
      /^203\.0\.113\.7: banned, but no rule in the kernel$/m,
    ],
    [
      'a rule that is twice',
      () => {
        rule('-I', 'INPUT', '-s', A, '-j', 'DROP');
      },
      null,
    ],
    [
      'a rule behind one that accepts',
      () => {
        rule('-I', 'INPUT', '-s', '203.0.113.0/24', '-j', 'ACCEPT');
      },
      null,
    ],
  ];

  test.each(CASES)(
    'shows %s with --dry-run and status 1 without changing anything, and repairs it without --dry-run',
    (_, disturb, said) => {
      victim.person(['add', A, B]);
      disturb();
      const before = victim.allRules();
      const dry = victim.person(['reconcile', '--dry-run']);
      expect(dry).toMatchObject({ status: 1, lines: [] });
      if (said !== null) expect(dry.stdout).toMatch(said);
      expect(dry.stdout).toContain(`-I INPUT 1 -s ${A}/32 -j DROP`);
      expect(victim.allRules()).toEqual(before);
      const { status, stdout } = victim.person(['reconcile']);
      expect(status).toBe(0);
      if (said !== null) expect(stdout).toMatch(said);
      expect(stdout).toContain('2 bans restored\n');
      expect(victim.rules(A)).toHaveLength(2);
      expect(JSON.parse(victim.person(['status', A, '--json']).stdout)).toMatchObject({
        blocked: true,
        cause: 'exact',
      });
    },
  );

  test('has nothing to do if state and kernel agree, and --dry-run exits with 0', () => {
    victim.person(['add', A, A6]);
    const { status, stdout } = victim.person(['reconcile', '--dry-run']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^nothing to do/);
    expect(victim.person(['reconcile']).stdout).toBe('2 bans already in place\n');
  });

  test('shows a drop rule without a ban, and leaves it in place', () => {
    rule('-A', 'INPUT', '-s', C, '-j', 'DROP');
    victim.person(['add', A]);
    const { status, stdout } = victim.person(['reconcile']);
    expect(status).toBe(0);
    expect(stdout).toContain(`${C}: dropped in INPUT without a ban\n`);
    expect(victim.rules(C)).toHaveLength(1);
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
  });
});

describe('protect', () => {
  test('check names the entry and its source, and exits with 0', () => {
    victim.configure('[protect]\nallow = ["203.0.113.0/28"]\n');
    victim.setOssecConf('<global><white_list>198.51.100.9</white_list></global>');
    const check = (address: string): [number | null, string] => {
      const { status, stdout } = victim.person(['protect', 'check', address]);
      return [status, stdout];
    };
    expect(check(A)).toEqual([
      0,
      `${A} is protected (203.0.113.0/28: protect.allow of /etc/firewall-drop/config.toml)\n`,
    ]);
    expect(check('198.51.100.9')).toEqual([
      0,
      '198.51.100.9 is protected (198.51.100.9: white_list of ossec.conf)\n',
    ]);
    expect(check('::ffff:127.0.0.1')).toEqual([
      0,
      '127.0.0.1 is protected (127.0.0.0/8: loopback)\n',
    ]);
  });

  test('check of a network that contains a protected address exits with 0, and names it', () => {
    victim.configure(`[protect]\nallow = ["${A}"]\n`);
    const { status, stdout } = victim.person(['protect', 'check', '203.0.113.0/24']);
    expect(status).toBe(0);
    expect(stdout).toContain(`203.0.113.0/24 is protected (${A}: `);
  });

  test('check exits with 1 for an address that is not protected', () => {
    expect(victim.person(['protect', 'check', A])).toMatchObject({
      status: 1,
      stdout: `${A} is not protected\n`,
      lines: [],
    });
  });

  test.each([
    ['check', USAGE],
    ['check example.com', BAD_DATA],
    ['', USAGE],
    ['chekc', USAGE],
  ])('exits for the arguments %s with %d', (words, status) => {
    const args = ['protect', ...words.split(' ').filter(Boolean)];
    expect(victim.person(args)).toMatchObject({ status, stdout: '' });
  });

  test('list names every entry that check uses, and marks those that --force does not override', () => {
    victim.configure(`[protect]\nallow = ["${A}"]\n`);
    const { status, stdout } = victim.person(['protect', 'list']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/^127\.0\.0\.0\/8 +yes +loopback$/m);
    expect(stdout).toMatch(/^203\.0\.113\.7 +no +protect\.allow of /m);
    expect(victim.person(['add', A, '--force']).status).toBe(0);
    expect(victim.person(['add', '127.0.0.1', '--force']).status).toBe(BAD_DATA);
  });
});

describe('the address that a person is logged in from', () => {
  const ssh = (address: string): string => `${address} 50022 198.51.100.2 22`;

  test('is refused, with the reason and the way to override it', () => {
    const env = { SSH_CONNECTION: ssh(A) };
    const refused = victim.person(['add', A], { env });
    expect(refused).toMatchObject({ status: BAD_DATA, stdout: '' });
    expect(refused.stderr).toContain('the address that you are logged in from); --force');
    expect(victim.person(['add', A, '--force'], { env }).status).toBe(0);
  });

  test('is found in a network', () => {
    const env = { SSH_CONNECTION: ssh(A6) };
    const { status, stderr } = victim.person(['add', '2001:db8:ffff::/48'], { env });
    expect(status).toBe(BAD_DATA);
    expect(stderr).toContain(A6);
  });

  test('is found even if only the environment of a parent process has it, as after sudo', () => {
    const inner = `env --ignore-environment PATH="$PATH" bash -c '"$0" add ${A}; exit $?' "$0"; exit $?`;
    const { status, stderr } = victim.host.run(['bash', '-c', inner, victim.agent.program()], {
      env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SSH_CONNECTION: ssh(A) },
    });
    expect(status).toBe(BAD_DATA);
    expect(stderr).toContain('logged in from');
    expect(victim.allRules()).toEqual([]);
  });

  test('can be unblocked, and Wazuh can block it', () => {
    const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SSH_CONNECTION: ssh(A) };
    expect(victim.add(A, { env }).status).toBe(0);
    expect(victim.person(['delete', A], { env }).stdout).toBe(`${A} released\n`);
  });
});
