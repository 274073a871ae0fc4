// Checks that only the kernel decides about success: both variants and families, busy locks, broken programs, foreign
// rules.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { IptablesVariant } from '../support/host.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const A6 = '2001:db8:ffff::7';
const FIREWALL = 69;
const FAKE = '/var/tmp/fake-restore';

let victim: Victim;

function inHost(script: string): string {
  return victim.host.must(['bash', '-c', script]);
}

/** Returns all rules without counters, which change by themselves, and without comments, which contain the time. */
function savedRules(): string {
  return inHost('iptables-save; ip6tables-save').replace(/\[\d+:\d+\]|^#.*\n/gm, '');
}

/** Foreign rules that differ from ours in one respect, in our chains and in others. */
const FOREIGN = `*filter
:OTHER - [0:0]
-A INPUT -s ${A} -j REJECT
-A INPUT -s ${A} -p tcp -j DROP
-A INPUT -s ${A} -i eth9 -j DROP
-A INPUT -d ${A} -j DROP
-A INPUT ! -s ${A} -p udp --dport 9 -j DROP
-A INPUT -s ${A}/24 -j DROP
-A INPUT -s ${A} -m comment --comment "-s ${A} -j DROP" -j DROP
-A INPUT -s ${A} -j OTHER
-A FORWARD -s 203.0.113.70 -j DROP
-A FORWARD -s ${A} -g OTHER
-A OUTPUT -s ${A} -j DROP
-A OTHER -s ${A} -j DROP
COMMIT
*mangle
-A PREROUTING -s ${A} -j DROP
COMMIT
`;

describe.each<IptablesVariant>(['nft', 'legacy'])('iptables-%s', (variant) => {
  beforeAll(async () => {
    victim = await createVictim({ variant });
  });
  afterEach(() => {
    victim.reset();
  });
  afterAll(() => victim.dispose());

  test('blocks an address of each family with the first rule of each chain, and removes both', () => {
    expect(victim.person(['add', A, A6]).status).toBe(0);
    for (const [address, source] of [
      [A, `${A}/32`],
      [A6, `${A6}/128`],
    ] as const) {
      expect(victim.host.rulesFor(address, { variant })).toEqual([
        `-A INPUT -s ${source} -j DROP`,
        `-A FORWARD -s ${source} -j DROP`,
      ]);
    }
    expect(victim.allRules()).toHaveLength(4);
    expect(victim.person(['delete', A, A6]).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });

  test('leaves foreign rules unchanged and in place', () => {
    victim.host.must(['iptables-restore', '--noflush'], { input: FOREIGN });
    const before = savedRules();
    expect(victim.add(A).status).toBe(0);
    expect(victim.add(A).status).toBe(0);
    const own = `-A \\w+ -s ${A}/32 -j DROP\\n`;
    const during = savedRules().replace(new RegExp(`^${own}`, 'gm'), '');
    expect(during).toBe(before.replace(new RegExp(`^${own}`, 'gm'), ''));
    expect(victim.delete(A).status).toBe(0);
    expect(savedRules()).toBe(before);
    inHost('iptables -w -F OTHER; iptables -w -t mangle -F; iptables -w -F; iptables -w -X OTHER');
  });

  test('leaves 3,000 foreign rules in place', () => {
    const rules = Array.from({ length: 3000 }, (_, index) => {
      return `-A INPUT -s 198.18.${Math.floor(index / 250)}.${index % 250} -p tcp --dport 22 -j ACCEPT`;
    });
    const input = ['*filter', ...rules, 'COMMIT', ''].join('\n');
    victim.host.must(['iptables-restore', '--noflush'], { input });
    for (const act of [() => victim.add(A), () => victim.add(A), () => victim.delete(A)]) {
      expect(act().status).toBe(0);
    }
    expect(victim.allRules()).toHaveLength(3000);
  });

  test('fails at once without the privilege to change the firewall', () => {
    const drop = ['setpriv', '--bounding-set', '-net_admin', '--inh-caps', '-net_admin'];
    const program = victim.agent.program();
    const { status } = victim.host.run([...drop, program, 'add', '-', A, '1628597593.1', '5710']);
    expect(status).toBe(FIREWALL);
    expect(victim.log()).toEqual([expect.stringMatching(ossecLine('failed', A))]);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('the xtables lock of iptables-legacy', () => {
  beforeAll(async () => {
    victim = await createVictim({ variant: 'legacy' });
  });
  afterEach(() => {
    victim.reset();
  });
  afterAll(() => victim.dispose());

  const holdLock = async (seconds: number): Promise<() => void> => {
    const script = `exec 9>/run/xtables.lock; flock 9; echo held; exec sleep ${seconds}`;
    const holder = victim.host.spawn(['bash', '-c', script]);
    let said = '';
    holder.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await eventually('the lock to be held', () => said.includes('held'));
    return () => holder.kill('SIGKILL');
  };

  test('delays a change while it is held for three seconds', async () => {
    await holdLock(3);
    const response = victim.add(A);
    expect(response.status).toBe(0);
    expect(response.durationMs).toBeGreaterThan(1500);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('makes an add fail in bounded time if it is held forever, with nothing blocked', async () => {
    victim.configure('[firewall]\nlock_wait_seconds = 1\n');
    const release = await holdLock(3600);
    const response = victim.add(A);
    release();
    expect(response.status).toBe(FIREWALL);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
    expect(response.stderr).toMatch(/lock/i);
    expect(victim.allRules()).toEqual([]);
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.bans()).toEqual([]);
  });

  test('leaves a delete pending for the next run if it is held forever', async () => {
    victim.add(A);
    victim.configure('[firewall]\nlock_wait_seconds = 1\n');
    const release = await holdLock(3600);
    const response = victim.delete(A);
    release();
    expect(response.status).toBe(FIREWALL);
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });
});

describe('a broken iptables-restore', () => {
  const real = '/usr/sbin/iptables-nft-restore';
  const changes = '[[ $input == *-I* || $input == *-D* ]]';

  beforeAll(async () => {
    victim = await createVictim({ variant: 'nft' });
  });
  afterEach(() => {
    victim.host.useIptables('nft');
    victim.reset();
    inHost('rm -f /var/tmp/count /var/tmp/leak; true');
  });
  afterAll(() => victim.dispose());

  const breakWith = (script: string): void => {
    const text = `#!/bin/bash\ninput=$(cat)\nwork() { ${real} "$@" <<<"$input"; }\n${script}\n`;
    victim.host.writeFile(FAKE, text, { mode: '0755' });
    victim.host.symlink(FAKE, '/etc/alternatives/iptables-restore');
  };
  /** Checks that the exit status is 0 if and only if the kernel was changed. */
  const isHonest = (status: number | null, asked: 'blocked' | 'released'): void => {
    const count = victim.rules(A).length;
    const done = count === (asked === 'blocked' ? 2 : 0);
    expect({ status: status === 0, done }).toEqual({ status: done, done });
  };
  /** Checks that any run makes state and kernel agree after the program was repaired. */
  const healsLater = (): void => {
    victim.host.useIptables('nft');
    expect(victim.person(['expire']).status).toBe(0);
    const ban = victim.banOn(A);
    expect(ban?.phase ?? 'blocked').toBe('blocked');
    expect(victim.rules(A)).toHaveLength(ban === undefined ? 0 : 2);
    if (ban !== undefined) expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  };

  const failures: readonly (readonly [string, string, RegExp])[] = [
    ['always fails', 'echo "no such table" >&2; exit 1', /no such table/],
    ['fails for changes', `${changes} && { echo refused >&2; exit 2; }; work "$@"`, /refused/],
    ['fails for FORWARD', '[[ $input == *FORWARD\\ * ]] && exit 1; work "$@"', /status 1/],
    ['is killed', 'kill -9 $$', /SIGKILL/],
    ['crashes', 'kill -SEGV $$', /SIGSEGV/],
    ['reports success and does nothing', 'exit 0', /./],
    [
      'lists and never changes',
      `input=$'*filter\\n-S\\nCOMMIT'; work "$@"`,
      /the kernel never showed the result/,
    ],
    ['is missing its interpreter', '', /./],
  ];

  test.each(failures)(
    'that %s makes an add fail with status 69, a line `failed` and its message, and nothing is blocked',
    (what, script, complaint) => {
      breakWith(script);
      if (what.includes('interpreter')) {
        victim.host.writeFile(FAKE, '#!/no/such/interpreter\n', { mode: '0755' });
      }
      const response = victim.add(A);
      expect(response.status).toBe(FIREWALL);
      expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
      expect(response.stderr).toMatch(complaint);
      expect(victim.troubles().join('\n')).toMatch(complaint);
      isHonest(response.status, 'blocked');
      healsLater();
    },
  );

  test.each(failures.slice(0, 4))(
    'that %s makes a delete fail, and the next run completes it',
    (_, script) => {
      victim.add(A);
      breakWith(script);
      const response = victim.delete(A);
      isHonest(response.status, 'released');
      expect(response.status).toBe(FIREWALL);
      expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
      healsLater();
      expect(victim.log().filter((line) => line.includes(' delete '))).not.toEqual([]);
    },
  );

  test('that crashes after its work counts as a success, because the kernel has the rule', () => {
    breakWith(`work "$@"; ${changes} && kill -SEGV $$; exit 0`);
    const response = victim.add(A);
    expect(response.status).toBe(0);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
    isHonest(response.status, 'blocked');
    const released = victim.delete(A);
    expect(released.status).toBe(0);
    isHonest(released.status, 'released');
  });

  test('that also crashes when it only lists counts as a failure, and the next run completes the change', () => {
    breakWith('work "$@"; kill -SEGV $$');
    expect(victim.add(A).status).toBe(FIREWALL);
    healsLater();
  });

  test('that is busy twice runs again', () => {
    breakWith(
      `n=$(cat /var/tmp/count 2>/dev/null || echo 0); echo $((n + 1)) >/var/tmp/count; ((n < 2)) && exit 4; work "$@"`,
    );
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test.each([
    ['hangs', 'exec sleep 600'],
    ['hangs and ignores TERM', 'trap "" TERM INT HUP; while :; do sleep 1; done'],
    ['hangs after its work', 'work "$@"; exec sleep 600'],
  ])('that %s is ended in bounded time', (_, script) => {
    victim.configure('[firewall]\nprogram_timeout_seconds = 1\n');
    breakWith(script);
    const response = victim.add(A);
    expect(response.status).toBe(FIREWALL);
    expect(response.stderr).toMatch(/did not end within 1\.0 s/);
    healsLater();
  });

  test('that leaves its pipes to a child is judged by its exit status, at its deadline', () => {
    victim.configure('[firewall]\nprogram_timeout_seconds = 2\n');
    breakWith('sleep 600 & echo $! >>/var/tmp/leak; work "$@"');
    const response = victim.add(A);
    expect(response).toMatchObject({ status: 0, stderr: '' });
    isHonest(response.status, 'blocked');
    const lied = victim.delete(A);
    expect(lied.status).toBe(0);
    isHonest(lied.status, 'released');
    inHost('kill $(cat /var/tmp/leak)');
    healsLater();
  });

  test('that hangs with the real program as its child leaves no process that could change the kernel later', async () => {
    victim.configure('[firewall]\nprogram_timeout_seconds = 1\n');
    breakWith('(echo $BASHPID >/var/tmp/leak; sleep 600; work "$@") & wait');
    expect(victim.add(A).status).toBe(FIREWALL);
    await eventually('the child to be gone', () => {
      return /gone|Z/.exec(
        inHost('grep -s ^State: /proc/$(cat /var/tmp/leak)/status || echo gone'),
      );
    });
    healsLater();
  });

  test('that hangs delays a run by at most limits.total_seconds, whatever its own timeout', () => {
    victim.configure('[limits]\ntotal_seconds = 8\n');
    breakWith('exec sleep 600');
    for (const act of [() => victim.add(A), () => victim.delete(A)]) {
      const response = act();
      expect(response.status).toBe(FIREWALL);
      expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
      expect(victim.troubles().join('\n')).toMatch(/did not end within/);
    }
    healsLater();
  });

  const flood = 'head -c 10485760 /dev/zero | tr "\\0" x';
  test.each([
    ['10 MB of complaints and fails', `${flood} >&2; exit 1`, FIREWALL],
    ['10 MB of nonsense and fails', `${flood}; exit 1`, FIREWALL],
    ['10 MB of complaints and works', `${flood} >&2; work "$@"`, 0],
    ['10 MB of nonsense and works', `${flood}; echo; work "$@"`, 0],
  ])('that prints %s does not fill the log', (_, script, status) => {
    breakWith(script);
    const response = victim.add(A);
    expect(response.status).toBe(status);
    isHonest(response.status, 'blocked');
    expect(response.stderr.length).toBeLessThan(4000);
    expect(victim.troubles().join('').length).toBeLessThan(4000);
  });

  test('for IPv6 does not affect IPv4', () => {
    victim.person(['add', A6]);
    const complaint = "ip6tables-restore v1.8: can't initialize: Table does not exist";
    victim.host.writeFile(FAKE, `#!/bin/sh\necho "${complaint}" >&2; exit 3\n`, { mode: '0755' });
    victim.host.symlink(FAKE, '/etc/alternatives/ip6tables-restore');

    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(victim.rules(A)).toHaveLength(2);
    const six = victim.add('2001:db8:ffff::8');
    expect(six.status).toBe(FIREWALL);
    expect(six.stderr).toContain('Table does not exist');
    expect(victim.delete(A).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });

  test('for IPv6 does not prevent `restore` from blocking IPv4', () => {
    victim.person(['add', A6, A]);
    victim.flushRules();
    victim.host.writeFile(FAKE, '#!/bin/sh\nexit 3\n', { mode: '0755' });
    victim.host.symlink(FAKE, '/etc/alternatives/ip6tables-restore');
    expect(victim.person(['restore']).status).toBe(FIREWALL);
    expect(victim.rules(A)).toHaveLength(2);
  });
});
