// Checks bans by persons: their ends, repeated adds, the recorded names, and moving them to another host.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { eventually } from '../support/wait.ts';
import { createVictim, ossecLine, withoutEnds, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const A6 = '2001:db8:ffff::7';
const USAGE = 64;
const BAD_DATA = 65;
const INTERRUPTED = 130;
const DAY_MS = 86_400_000;
const LIST = '/var/tmp/list.txt';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

interface Hold {
  readonly origin: string;
  readonly since: string;
  readonly expires: string | null;
  readonly reason: string;
}

function manualHold(address = A): Hold | undefined {
  const holds = (victim.banOn(address)?.holds ?? []) as unknown as readonly Hold[];
  return holds.find(({ origin }) => origin === 'manual');
}

/** Returns the length of a hold; NaN if there is no hold or no end. */
function lengthMs(hold: Hold | undefined): number {
  return Date.parse(hold?.expires ?? '') - Date.parse(hold?.since ?? '');
}

function historyOf(address: string): Record<string, unknown>[] {
  const { stdout } = victim.person(['history', address, '--json']);
  const lines = stdout.trimEnd().split('\n').filter(Boolean);
  return lines.map((line) => JSON.parse(line) as Record<string, unknown>);
}

describe('without --timeout', () => {
  test('an address is blocked for 24 hours', () => {
    victim.person(['add', A]);
    expect(lengthMs(manualHold())).toBe(DAY_MS);
  });

  test('an address is blocked for manual.timeout', () => {
    victim.configure('[manual]\ntimeout = "2h"\n');
    victim.person(['add', A]);
    expect(lengthMs(manualHold())).toBe(DAY_MS / 12);
    victim.configure('[manual]\ntimeout = "never"\n');
    expect(victim.person(['add', B]).stdout).toBe(`${B} blocked until released\n`);
  });
});

test('--until sets the end, and an end in the past is refused', () => {
  const end = new Date(Date.now() + 5 * DAY_MS).toISOString().slice(0, 10);
  expect(victim.person(['add', A, '--until', end]).stdout).toContain(`until ${end} 00:00 UTC`);
  expect(manualHold()?.expires).toMatch(new RegExp(`^${end}T00:00:0`));
  const late = victim.person(['add', B, '--until', '2026-01-01']);
  expect(late).toMatchObject({ status: USAGE, stdout: '' });
  expect(victim.rules(B)).toEqual([]);
});

describe('an address that is added again', () => {
  test.each([['7d'], ['1h'], ['never']])(
    'keeps its end and its reason if it was added for %s',
    (timeout) => {
      victim.person(['add', A, '-t', timeout, '-r', 'scans']);
      const before = manualHold();
      const { status, stdout } = victim.person(['add', A]);
      expect(status).toBe(0);
      expect(stdout).toMatch(/^203\.0\.113\.7 was already blocked until /);
      expect(manualHold()).toMatchObject({ expires: before?.expires, reason: 'scans' });
    },
  );

  test('gets the end that the command names, and the former end is printed', () => {
    victim.person(['add', A, '-t', 'never', '-r', 'scans']);
    const { stdout } = victim.person(['add', A, '-t', '2h']);
    expect(stdout).toMatch(/^203\.0\.113\.7 blocked until .* \(2h\); previously until released\n$/);
    expect(manualHold()).toMatchObject({ reason: 'scans' });
  });

  test('starts over with --replace', () => {
    victim.person(['add', A, '-t', 'never', '-r', 'scans']);
    victim.person(['add', A, '--replace']);
    expect(manualHold()?.reason).toBe('');
    expect(lengthMs(manualHold())).toBe(DAY_MS);
  });

  test('writes nothing to the log or the history if its end stays', () => {
    victim.person(['add', A]);
    expect(victim.person(['add', A])).toMatchObject({ status: 0, lines: [] });
    expect(historyOf(A)).toMatchObject([{ verb: 'add' }]);
  });

  test('writes to the history alone if its end or reason changes', () => {
    victim.add(A);
    for (const words of [
      ['-t', '2h'],
      ['-t', '4h'],
      ['-r', 'scans'],
    ]) {
      expect(victim.person(['add', A, ...words])).toMatchObject({ status: 0, lines: [] });
    }
    const held = { verb: 'held', origin: 'manual', by: 'root' };
    expect(historyOf(A)).toMatchObject([{ verb: 'add' }, held, held, { ...held, reason: 'scans' }]);
  });

  test('by a list moves its end, and writes to neither, because a list can be added every hour', () => {
    victim.host.writeFile(LIST, `${A}\n`);
    victim.person(['add', '-f', LIST, '-t', '2h']);
    const before = manualHold()?.expires;
    expect(victim.person(['add', '-f', LIST, '-t', '4h'])).toMatchObject({ status: 0, lines: [] });
    expect(historyOf(A)).toMatchObject([{ verb: 'add' }]);
    expect(manualHold()?.expires).not.toBe(before);
  });

  test('is blocked again if the kernel has lost its rules, and the log has a line', () => {
    victim.person(['add', A, B]);
    victim.host.must(['iptables', '-F']);
    const { status, lines } = victim.person(['add', A, B]);
    expect(status).toBe(0);
    expect(lines).toEqual([A, B].map((one) => expect.stringMatching(ossecLine('reapplied', one))));
    for (const address of [A, B]) expect(victim.rules(address)).toHaveLength(2);
  });

  test('is reported as held by Wazuh, too, if it is', () => {
    victim.add(A);
    expect(victim.person(['add', A]).stdout).toMatch(/; wazuh holds it until /);
  });
});

describe('extend', () => {
  test('moves the end of any ban, and changes no rule', () => {
    victim.person(['add', A, '-t', '1h', '-r', 'scans']);
    const before = Date.parse(manualHold()?.expires ?? '');
    const rules = victim.rules(A);
    const { status, stdout } = victim.person(['extend', A, '2h']);
    expect({ status, changed: victim.rules(A) }).toEqual({ status: 0, changed: rules });
    expect(stdout).toMatch(/blocked until .*; previously until /);
    expect(Date.parse(manualHold()?.expires ?? '') - before).toBe(7_200_000);
    expect(manualHold()?.reason).toBe('scans');
  });

  test.each([
    ['an address that is not blocked', [A, '2h'], 'is not blocked: firewall-drop add'],
    ['no duration', [A], 'followed by a duration'],
  ])('with %s changes nothing and says what to do', (_, words, said) => {
    const { status, stderr } = victim.person(['extend', ...words]);
    expect([USAGE, BAD_DATA]).toContain(status);
    expect(stderr).toContain(said);
    expect(victim.allRules()).toEqual([]);
  });

  test('says that a block without an end has none', () => {
    victim.person(['add', A, '-t', 'never']);
    const { status, stderr } = victim.person(['extend', A, '2h']);
    expect({ status, said: stderr.includes('has no end to extend') }).toEqual({
      status: BAD_DATA,
      said: true,
    });
  });
});

test('the history records who ran a command, and why', () => {
  const program = victim.agent.program();
  victim.host.must(['env', 'SUDO_USER=alice', program, 'add', A]);
  victim.host.must(['env', 'SUDO_USER=alice', program, 'delete', A, '-r', 'a customer']);
  victim.host.must(['env', 'SUDO_USER=bad\nname', program, 'add', A]);
  expect(historyOf(A)).toMatchObject([
    { verb: 'add', origin: 'manual', by: 'alice' },
    { verb: 'delete', origin: 'manual', by: 'alice', reason: 'a customer' },
    { verb: 'add', origin: 'manual', by: expect.stringMatching(/^[\w.-]+$/) },
  ]);
  victim.add(B);
  expect(historyOf(B)).toMatchObject([{ verb: 'add', origin: 'wazuh', by: null }]);
});

describe('is-blocked', () => {
  test('answers by its status and prints nothing', () => {
    victim.person(['add', A]);
    expect(victim.person(['is-blocked', A])).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(victim.person(['is-blocked', B])).toMatchObject({ status: 1, stdout: '', stderr: '' });
  });
});

describe('status', () => {
  test('of several addresses is 0 only if all are blocked', () => {
    victim.person(['add', A, A6]);
    const both = victim.person(['status', A, A6]);
    expect(both.status).toBe(0);
    expect(both.stdout).toContain(`${A} is blocked`);
    expect(both.stdout).toContain(`${A6} is blocked`);
    expect(victim.person(['status', A, B]).status).toBe(1);
    const documents = victim.person(['status', A, B, '-o', 'json']).stdout.trimEnd().split('\n');
    expect(documents.map((line) => JSON.parse(line) as unknown)).toMatchObject([
      { address: A, blocked: true },
      { address: B, blocked: false },
    ]);
  });

  test('without an address is 1 if rules are missing, and 0 once they are back', () => {
    victim.person(['add', A]);
    expect(victim.person(['status']).status).toBe(0);
    victim.host.must(['iptables', '-w', '-D', 'INPUT', '-s', A, '-j', 'DROP']);
    expect(victim.person(['status']).status).toBe(1);
    victim.person(['reconcile']);
    expect(victim.person(['status']).status).toBe(0);
  });
});

describe('a forced block', () => {
  test('is kept by restore and reconcile, and marked as forced in the list', () => {
    victim.configure(`[protect]\nallow = ["${A}"]\n`);
    expect(victim.person(['add', A]).status).toBe(BAD_DATA);
    expect(victim.person(['add', A, '--force', '-r', 'mine']).status).toBe(0);
    victim.person(['restore']);
    victim.person(['reconcile']);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.person(['list']).stdout).toContain('(forced) mine');
    expect(victim.banOn(A)?.holds).toMatchObject([{ forced: true }]);
  });
});

describe('export and import', () => {
  test('move bans with their ends, reasons and origins', () => {
    victim.add(A);
    victim.person(['add', A, '-t', '2h', '-r', 'scans']);
    victim.person(['add', A6, '-t', 'never', '-r', 'for good']);
    victim.person(['add', B, '--until', '9999-12-31']);
    const holds = victim.bans().map(({ address, holds }) => ({ address, holds }));
    const exported = victim.person(['export']).stdout;
    victim.person(['flush', '--yes']);
    expect(victim.allRules()).toEqual([]);
    victim.host.writeFile(LIST, exported);
    expect(victim.person(['import', LIST])).toMatchObject({
      status: 0,
      stdout: '3 bans imported\n',
      stderr: '',
    });
    const sorted = (all: typeof holds): unknown =>
      all.toSorted((a, b) => a.address.localeCompare(b.address));
    const after = victim.bans().map(({ address, holds }) => ({ address, holds }));
    expect(sorted(after)).toEqual(sorted(holds));
    expect(victim.rules(A)).toHaveLength(2);
    expect(historyOf(A6).at(-1)).toMatchObject({ verb: 'add', by: expect.any(String) });
  });

  test('move the bans that escalation counts, including those of addresses that are not banned', () => {
    const countOf = (address: string): string | undefined => {
      return /escalation: (.*?) of /.exec(victim.person(['status', address]).stdout)?.[1];
    };
    victim.configure('[escalation]\ntimeouts = ["10m", "1h"]\n');
    for (let ban = 1; ban <= 3; ban += 1) {
      victim.add(A);
      if (ban < 3) victim.person(['delete', A]);
    }
    victim.add(B);
    victim.person(['delete', B]);
    expect([countOf(A), countOf(B)]).toEqual(['3 bans', '1 ban']);
    const exported = victim.person(['export']).stdout;
    victim.reset();
    victim.configure('[escalation]\ntimeouts = ["10m", "1h"]\n');
    expect(countOf(A)).toBeUndefined();
    victim.host.writeFile(LIST, exported);
    const stdout = '1 ban imported, 3 earlier bans for escalation\n';
    expect(victim.person(['import', LIST])).toMatchObject({ status: 0, stdout });
    expect([countOf(A), countOf(B)]).toEqual(['3 bans', '1 ban']);
    victim.person(['import', LIST]);
    expect([countOf(A), countOf(B)]).toEqual(['3 bans', '1 ban']);
  });

  test('leave out expired bans, protected addresses and invalid lines', () => {
    victim.person(['add', A, '-t', 'never']);
    const line = victim.person(['export']).stdout;
    const over = line
      .replace(A, B)
      .replace('"expires":null', '"expires":"2026-01-02T00:00:00Z"')
      .replace(/"since":"[^"]*","expires"/, '"since":"2026-01-01T00:00:00Z","expires"');
    victim.host.writeFile(LIST, `${line}${over}x\n${line.replace(A, '127.0.0.1')}`);
    const { status, stdout, stderr } = victim.person(['import', LIST]);
    expect({ status, stdout }).toEqual({
      status: BAD_DATA,
      stdout: '1 ban imported, 1 already expired\n',
    });
    expect(stderr).toContain(`${LIST}:3: not a line of firewall-drop export`);
    expect(stderr).toContain('127.0.0.1 is protected');
  });
});

test('Ctrl-C ends a long release between two transactions, and the output says what was done', async () => {
  victim.configure('[firewall]\nbackend = "iptables"\n');
  const many = Array.from({ length: 3000 }, (_, n) => `10.1.${n >> 8}.${n & 255}`);
  victim.host.writeFile(LIST, `${many.join('\n')}\n`);
  expect(withoutEnds(victim.person(['add', '-f', LIST]).stdout)).toBe('3000 blocked\n');
  const child = victim.host.spawn([victim.agent.program(), 'delete', '-f', LIST]);
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (piece: string) => (said += piece));
  await eventually(
    'the first part',
    () =>
      victim.host.run(['bash', '-c', 'iptables-save | grep -c "INPUT.*DROP"']).stdout.trim() !==
      '3000',
  );
  child.kill('SIGINT');
  await eventually('the end', () => child.exitCode !== null);
  expect(child.exitCode).toBe(INTERRUPTED);
  const [, done = '', left = ''] =
    /interrupted: (\d+) of 3000 addresses released, (\d+) not; run the command again/.exec(said) ??
    [];
  expect(Number(done) + Number(left)).toBe(3000);
  expect(victim.bans()).toHaveLength(Number(left));
  expect(victim.bans().every(({ phase }) => phase === 'blocked')).toBe(true);
  expect(victim.person(['status']).status).toBe(0);
});

describe('config.toml', () => {
  test('is shown with the source of each value, as equivalent TOML', () => {
    victim.configure('[firewall]\n\nbackend = "ipset"\n');
    const { stdout } = victim.person(['config', 'show']);
    expect(stdout).toMatch(/^backend = "ipset" +# \/etc\/firewall-drop\/config\.toml:3$/m);
    expect(stdout).toMatch(/^timeout = "24h" +# default$/m);
    victim.host.writeFile(LIST, stdout);
    expect(victim.person(['config', 'validate', LIST]).stdout).toBe(`${LIST}: 0 mistakes\n`);
  });

  test('is shown with its policy, as equivalent TOML', () => {
    victim.configure('[[policy]]\nrule_id = [5712]\ntimeout = "24h"\n');
    const { stdout } = victim.person(['config', 'show']);
    expect(stdout).toContain('\nrule_id = ["5712"]\ntimeout = "24h"\n');
    victim.configure(stdout);
    const values = (text: string): string[] =>
      text.split('\n').map((line) => line.replace(/ *#.*/, ''));
    expect(values(victim.person(['config', 'show']).stdout)).toEqual(values(stdout));
  });

  test('cannot be validated if the named file is missing', () => {
    const { status, stderr } = victim.person(['config', 'validate', '/nonexistent.toml']);
    expect({ status, stderr }).toEqual({
      status: BAD_DATA,
      stderr: "firewall-drop: /nonexistent.toml can't be read: no such file or directory\n",
    });
  });

  test('is validated, and each mistake is reported with its line', () => {
    victim.host.writeFile(LIST, '[firewall]\nbackend = "ipsets"\npromote = 5\n');
    const { status, stdout } = victim.person(['config', 'validate', LIST]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/list\.txt:2: .*\n.*list\.txt:3: .*\n.*: 2 mistakes\n$/);
  });

  test('with a mistake is logged once, however many runs follow', () => {
    victim.configure('[limits]\ntotal_seconds = "long"\n');
    victim.person(['list']);
    victim.person(['list']);
    for (const address of [A, B]) victim.add(address);
    const log = victim.host.readFile(`${victim.agent.home}/logs/firewall-drop.log`);
    expect(log.split('\n').filter((line) => line.includes('total_seconds'))).toHaveLength(1);
  });
});
