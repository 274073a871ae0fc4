// Checks lists of addresses: from files and pipes, with thousands of entries, and with mistakes.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { runOnTerminal, seen } from '../support/terminal.ts';
import {
  createVictim,
  ossecLine,
  withoutEnds,
  type Response,
  type Victim,
} from '../support/victim.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const A6 = '2001:db8:ffff::7';
const BAD_DATA = 65;
const USAGE = 64;
const LIST = '/var/tmp/list.txt';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function withList(verb: 'add' | 'delete', lines: readonly string[], ...more: string[]): Response {
  victim.host.writeFile(LIST, lines.map((line) => `${line}\n`).join(''));
  return victim.person([verb, '--file', LIST, ...more]);
}

/** Returns `count` addresses of 10.0.0.0/8. */
function addresses(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `10.1.${index >> 8}.${index & 255}`);
}

describe('a list', () => {
  test('can have blank lines, comments, and white space around its addresses', () => {
    const response = withList('add', ['# ours', '', `  ${A}  `, `${A6}\t# scans`, `${B}\r`, '#']);
    expect(response).toMatchObject({ status: 0, stderr: '' });
    expect(withoutEnds(response.stdout)).toBe(`${A} blocked\n${A6} blocked\n${B} blocked\n`);
  });

  test('can come from standard input', () => {
    const argv = [victim.agent.program(), 'add', '--file', '-'];
    const { status, stdout } = victim.host.run(argv, { input: `${A}\n\n# more\n${A6}` });
    expect({ status, stdout: withoutEnds(stdout) }).toEqual({
      status: 0,
      stdout: `${A} blocked\n${A6} blocked\n`,
    });
    expect(victim.allRules()).toHaveLength(4);
  });

  test('is added together with the arguments', () => {
    expect(withoutEnds(withList('add', [A6], A).stdout)).toBe(`${A} blocked\n${A6} blocked\n`);
  });

  test('with mistakes is processed as far as possible, with the line of each mistake and status 65', () => {
    const response = withList('add', ['# a', A, 'attacker.example', '', '203.0.113.9/24', A6]);
    expect(response.status).toBe(BAD_DATA);
    expect(withoutEnds(response.stdout)).toBe(`${A} blocked\n${A6} blocked\n`);
    expect(response.stderr.trimEnd().split('\n')).toEqual([
      expect.stringContaining(`${LIST}:3: "attacker.example"`),
      expect.stringMatching(
        /list\.txt:5: "203\.0\.113\.9\/24" .* did you mean 203\.0\.113\.0\/24\?/,
      ),
    ]);
    expect(victim.allRules()).toHaveLength(4);
  });

  test('on standard input also has its mistakes reported with their lines', () => {
    const argv = [victim.agent.program(), 'add', '--file', '-'];
    const { status, stderr } = victim.host.run(argv, { input: `${A}\nx\n` });
    expect(status).toBe(BAD_DATA);
    expect(stderr).toContain('standard input:2: "x"');
  });

  test('with an address twice, or in two notations, blocks it once', () => {
    const { stdout, lines } = withList('add', [A, `${A}/32`, `::ffff:${A}`, A], A);
    expect(withoutEnds(stdout)).toBe(`${A} blocked\n`);
    expect(lines).toHaveLength(1);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test.each([['add'], ['delete']] as const)(
    'without an address is no error for %s, which reports it',
    (verb) => {
      const stderr = 'firewall-drop: note: the list contains no addresses\n';
      const nothing = { status: 0, stdout: '', stderr, lines: [] };
      expect(withList(verb, ['# nobody', ''])).toMatchObject(nothing);
      expect(victim.allRules()).toEqual([]);
    },
  );

  test('that is missing is named, and nothing is changed', () => {
    const response = victim.person(['add', A, '--file', '/var/tmp/none.txt']);
    expect(response).toMatchObject({ status: BAD_DATA, stdout: '', lines: [] });
    expect(response.stderr).toContain('/var/tmp/none.txt');
    expect(victim.allRules()).toEqual([]);
  });

  test('of bytes that are not text is refused line by line, with one line of output each', () => {
    victim.host.writeFile(LIST, Buffer.from([0, 27, 91, 50, 74, 255, 10, 7, 10]));
    const { status, stderr } = victim.person(['add', '--file', LIST]);
    expect(status).toBe(BAD_DATA);
    expect(stderr.trimEnd().split('\n')).toHaveLength(2);
    // eslint-disable-next-line no-control-regex -- checks for control characters
    expect(stderr.replaceAll('\n', '')).not.toMatch(/[\u0000-\u001f]/);
  });

  test('with mistakes is unblocked as far as possible', () => {
    victim.person(['add', A, B, A6]);
    const response = withList('delete', [A, 'x', A6, '# done']);
    expect(response.status).toBe(BAD_DATA);
    expect(response.stdout).toBe(`${A} released\n${A6} released\n`);
    expect(response.stderr).toContain(`${LIST}:2: "x"`);
    expect(victim.bans()).toMatchObject([{ address: B }]);
  });

  test('with --dry-run is shown, and nothing is changed', () => {
    const response = withList('add', [A, 'x'], '--dry-run');
    expect(response.status).toBe(BAD_DATA);
    expect(response.stdout).toContain(`-I INPUT 1 -s ${A}/32 -j DROP`);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('a protected address', () => {
  test('in a list is named and left out, and the others are blocked', () => {
    const response = withList('add', [A, '127.0.0.1', A6]);
    expect(response.status).toBe(BAD_DATA);
    expect(withoutEnds(response.stdout)).toBe(`${A} blocked\n${A6} blocked\n`);
    expect(response.stderr).toContain('127.0.0.1 is protected (127.0.0.0/8: loopback)');
    expect(victim.host.rulesFor('127.0.0.1')).toEqual([]);
  });

  test('among the arguments prevents all of them from being blocked', () => {
    const response = victim.person(['add', A, '127.0.0.1', A6]);
    expect(response).toMatchObject({ status: BAD_DATA, stdout: '' });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('refused', '127.0.0.1'))]);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });
});

describe('a network', () => {
  test.each([
    ['198.0.0.0/15', '198.0.0.0/16', '/16'],
    ['2001:d00::/31', '2001:db8::/32', '/32'],
  ])('%s needs --force, %s does not', (wide, narrow, widest) => {
    const refused = victim.person(['add', wide]);
    expect(refused).toMatchObject({ status: BAD_DATA, stdout: '', lines: [] });
    expect(refused.stderr).toContain(`wider than ${widest}; --force`);
    expect(victim.person(['add', narrow]).status).toBe(0);
    expect(victim.person(['add', wide, '--force']).status).toBe(0);
    expect(victim.bans().map(({ address }) => address)).toEqual([narrow, wide]);
  });

  test('that contains a loopback or own address is refused even with --force, and the address is named', () => {
    const response = victim.person(['add', '0.0.0.0/0', '--force']);
    expect(response).toMatchObject({ status: BAD_DATA, stdout: '' });
    expect(response.stderr).toMatch(
      /0\.0\.0\.0\/0 contains a protected address \([\d./]+: [^)]+\); even --force/,
    );
    expect(victim.allRules()).toEqual([]);
  });

  test.each([
    ['an address in a block of the same list', [], ['203.0.113.0/24', A], A],
    ['an address in a block that is blocked already', ['203.0.113.0/24'], [A], A],
    ['a network around an address that is blocked already', [A], ['203.0.113.0/24'], A],
    ['a block in a block', ['203.0.113.0/24'], ['203.0.113.0/25'], '203.0.113.0/25'],
  ])('that overlaps another is reported, and both are blocked (%s)', (_, before, now, inner) => {
    if (before.length > 0) victim.person(['add', ...before]);
    const response = victim.person(['add', ...now]);
    expect(response.status).toBe(0);
    expect(response.stderr).toBe(`firewall-drop: note: ${inner} is part of 203.0.113.0/24\n`);
    expect(victim.allRules()).toHaveLength(4);
  });

  test('next to another does not overlap it', () => {
    victim.person(['add', '203.0.112.0/24']);
    expect(victim.person(['add', '203.0.113.0/24', A6, '2001:db8::/48']).stderr).toBe('');
  });

  test('that contains an unblocked address is named, and continues to block it', () => {
    victim.person(['add', A, '203.0.113.0/24']);
    const response = victim.person(['delete', A]);
    expect(response).toMatchObject({ status: 0, stdout: `${A} released\n` });
    expect(response.stderr).toContain(`${A} stays blocked by 203.0.113.0/24`);
    expect(response.stderr).toContain('firewall-drop delete 203.0.113.0/24');
    expect(victim.host.rules(4)).toContain('-A INPUT -s 203.0.113.0/24 -j DROP');
  });
});

test('an add without arguments and list is a usage error', () => {
  expect(victim.person(['add', '--timeout', '1h'])).toMatchObject({ status: USAGE, stdout: '' });
  expect(victim.person(['delete'])).toMatchObject({ status: USAGE, stdout: '' });
});

test('thousands of networks are compared', () => {
  const blocks = Array.from({ length: 4000 }, (_, n) => `10.${n >> 8}.${n & 255}.0/24`);
  const response = withList('add', blocks, '--dry-run');
  expect(response).toMatchObject({ status: 0, stderr: '' });
});

describe('ten thousand addresses as plain rules', () => {
  beforeEach(() => {
    victim.configure('[firewall]\nbackend = "iptables"\n');
  });

  const MANY = 10_000;
  const STARTED = '/var/tmp/started';

  /** Makes every start of a program that changes or lists rules write a line. */
  function countStarts(): void {
    for (const program of ['iptables', 'ip6tables']) {
      for (const suffix of ['', '-restore', '-save']) {
        const wrapper = `/var/tmp/counted-${program}${suffix}`;
        const script = `#!/bin/bash\necho ${program}${suffix} >>${STARTED}\nexec /usr/sbin/${program}-nft${suffix} "$@"\n`;
        victim.host.writeFile(wrapper, script, { mode: '0755' });
        victim.host.symlink(wrapper, `/etc/alternatives/${program}${suffix}`);
      }
    }
  }

  function starts(): string[] {
    return victim.host.readFile(STARTED).trimEnd().split('\n');
  }

  afterEach(() => {
    victim.host.useIptables('nft');
    victim.host.remove(STARTED);
  });

  test('of two families are blocked with one program for each family and one line each, and can be unblocked completely', () => {
    countStarts();
    const six = Array.from({ length: 20 }, (_, index) => `2001:db8:ffff::${index + 1}`);
    const all = [...addresses(MANY), ...six];
    const response = withList('add', all);
    const blocked = starts();
    expect(response).toMatchObject({ status: 0, stderr: '' });
    expect(withoutEnds(response.stdout)).toBe(`${all.length} blocked\n`);
    expect(blocked).toEqual(['iptables-restore', 'ip6tables-restore']);
    expect(new Set(response.lines).size).toBe(all.length);
    expect(victim.host.must(['bash', '-c', 'iptables-save | grep -c "INPUT.*DROP"'])).toBe(
      `${MANY}\n`,
    );
    victim.host.useIptables('nft');
    const released = withList('delete', all);
    expect(released).toMatchObject({
      status: 0,
      stdout: `${all.length} released\n`,
      stderr: '',
    });
    expect(released.lines).toHaveLength(all.length);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });
});

describe('work of more than half a second', () => {
  beforeEach(() => {
    const script = '#!/bin/bash\nsleep 0.7\nexec /usr/sbin/iptables-nft-restore "$@"\n';
    victim.host.writeFile('/var/tmp/slow-restore', script, { mode: '0755' });
    victim.host.symlink('/var/tmp/slow-restore', '/etc/alternatives/iptables-restore');
  });
  afterEach(() => {
    victim.host.useIptables('nft');
  });

  test.each(['add', 'delete'])(
    'shows a progress bar on a terminal, and clears it at the end (%s)',
    async (verb) => {
      if (verb === 'delete') victim.person(['add', A, B]);
      const argv = [victim.agent.program(), verb, A, B];
      const screen = await runOnTerminal(victim.host, argv, { columns: 80 });
      const done = verb === 'add' ? 'blocked' : 'released';
      expect(screen.status).toBe(0);
      expect(screen.output).toMatch(/\[#+\.*\] \d+\/\d+/);
      const lines = withoutEnds(seen(screen).join('\n')).split('\n');
      expect(lines).toEqual([`${A} ${done}`, `${B} ${done}`]);
    },
  );

  test('shows no progress bar in a pipe', () => {
    expect(victim.person(['add', A, B])).toMatchObject({ status: 0, stderr: '' });
  });
});

test('a command for a few addresses shows no progress bar', async () => {
  const { output } = await runOnTerminal(victim.host, [victim.agent.program(), 'add', A, B]);
  expect(withoutEnds(output)).toBe(`${A} blocked\n${B} blocked\n`);
});
