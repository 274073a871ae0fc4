// Bans in sets: what holds of plain rules holds of them, and the kernel ends them by itself.
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  jest,
  test,
} from '@jest/globals';
import { createHost, type Host, type IptablesVariant } from '../support/host.ts';
import { connectThrough, type RoutedAddresses } from '../support/network.ts';
import { canPing } from '../support/traffic.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

jest.setTimeout(120_000);

const A = '203.0.113.7';
const A6 = '2001:db8:ffff::7';
const FIREWALL = 69;

let victim: Victim;

const useIpset = (more = ''): void => {
  victim.configure(`[firewall]\nbackend = "ipset"\n${more}`);
};
const inHost = (script: string): string => victim.host.must(['bash', '-c', script]);
const setOf = (address: string): string => `firewall-drop-${address.includes(':') ? 6 : 4}`;
/** Entries of a set as the kernel prints them, by address. */
function entries(name: string): Map<string, string> {
  const { stdout } = victim.host.run(['ipset', 'save', name]);
  const lines = stdout.split('\n').map((line) => line.split(' '));
  return new Map(
    lines
      .filter(([verb]) => verb === 'add')
      .map(([, , address = '', ...rest]) => [address, rest.join(' ')]),
  );
}
const timeoutOf = (address: string): number | undefined => {
  const seconds = /timeout (\d+)/.exec(entries(setOf(address)).get(address) ?? '')?.[1];
  return seconds === undefined ? undefined : Number(seconds);
};
const resetSets = (): void => {
  victim.reset();
  inHost('ipset destroy; true');
};

describe.each<IptablesVariant>(['nft', 'legacy'])('ipset beside iptables-%s', (variant) => {
  beforeAll(async () => {
    victim = await createVictim({ variant });
  });
  afterEach(resetSets);
  afterAll(() => victim.dispose());

  test.each([A, A6])('%s: an entry, and one rule for all in each chain', (address) => {
    useIpset();
    const rule = `-m set --match-set ${setOf(address)} src -j DROP`;
    const response = victim.add(address);
    expect(response).toMatchObject({ status: 0, stderr: '' });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', address))]);
    expect(victim.add('203.0.113.8').status).toBe(0);
    expect(victim.add('2001:db8:ffff::8').status).toBe(0);
    expect(victim.rules(address)).toEqual([]);
    expect(victim.allRules().filter((line) => line.endsWith(rule))).toEqual([
      `-A INPUT ${rule}`,
      `-A FORWARD ${rule}`,
    ]);
    expect(entries(setOf(address)).has(address)).toBe(true);
    const released = victim.delete(address);
    expect(released.status).toBe(0);
    expect(released.lines).toEqual([expect.stringMatching(ossecLine('delete', address))]);
    expect(entries(setOf(address)).has(address)).toBe(false);
  });

  test('our rule is first, and put first again', () => {
    useIpset();
    inHost('iptables -w -A INPUT -j ACCEPT');
    victim.add(A);
    expect(victim.host.rules(4).find((rule) => rule.startsWith('-A INPUT'))).toContain('match-set');
    inHost('iptables -w -I INPUT -j ACCEPT');
    victim.add('203.0.113.8');
    expect(victim.host.rules(4).find((rule) => rule.startsWith('-A INPUT'))).toContain('match-set');
  });
});

describe('a set', () => {
  beforeAll(async () => {
    victim = await createVictim({ variant: 'nft' });
  });
  beforeEach(() => {
    useIpset();
  });
  afterEach(resetSets);
  afterAll(() => victim.dispose());

  test('gives each entry its ban’s latest end, and none to one without', () => {
    victim.setTimeouts(600);
    victim.add(A);
    expect(timeoutOf(A)).toBeGreaterThan(650);
    victim.person(['add', A, '--timeout', '1h']);
    expect(timeoutOf(A)).toBeGreaterThan(3590);
    victim.person(['add', A]);
    expect(timeoutOf(A)).toBe(0);
    victim.person(['add', A6, '--timeout', '30d']);
    expect(timeoutOf(A6)).toBe(0);
  });

  test('lets go of an entry in time even if nothing of ours runs', async () => {
    victim.person(['add', A, '--timeout', '2s']);
    expect(entries(setOf(A)).has(A)).toBe(true);
    await eventually('the kernel to end the block', () => !entries(setOf(A)).has(A));
    expect(victim.banOn(A)).toBeDefined();
    const { status, lines } = victim.person(['expire']);
    expect(status).toBe(0);
    expect(lines).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    expect(victim.books()).toEqual([]);
  });

  test('has its entry’s end moved by an abort, which is no news', () => {
    victim.setTimeouts(600);
    victim.add(A);
    inHost(`ipset -exist add firewall-drop-4 ${A} timeout 5`);
    expect(victim.add(A, { answer: 'abort' })).toMatchObject({ status: 0, lines: [] });
    expect(timeoutOf(A)).toBeGreaterThan(650);
    inHost(`ipset del firewall-drop-4 ${A}`);
    const again = victim.add(A, { answer: 'abort' });
    expect(again.lines).toEqual([expect.stringMatching(ossecLine('reapplied', A))]);
  });

  test('keeps a block and an address in it apart', () => {
    victim.person(['add', '203.0.113.0/24']);
    victim.person(['add', A]);
    expect(victim.delete('203.0.113.9').status).toBe(0);
    const { status, stderr } = victim.person(['delete', A]);
    expect(status).toBe(0);
    expect(stderr).toContain('stays blocked by 203.0.113.0/24');
    expect([...entries(setOf(A)).keys()]).toEqual(['203.0.113.0/24']);
    expect(victim.person(['status', A]).stdout).toContain('by our rule for a block around it');
  });

  test('is made again with all bans after everything was thrown away', () => {
    victim.person(['add', A, A6]);
    inHost('iptables -w -F; ip6tables -w -F; ipset destroy');
    expect(victim.person(['status', A]).status).toBe(1);
    expect(victim.person(['restore'])).toMatchObject({ status: 0 });
    expect(victim.person(['status', A]).status).toBe(0);
    expect(victim.person(['status', A6]).status).toBe(0);
    inHost('iptables -w -F; ip6tables -w -F; ipset destroy');
    expect(victim.delete(A).status).toBe(0);
    expect(victim.add('203.0.113.8').status).toBe(0);
    expect(victim.allRules()).toHaveLength(2);
  });

  test('that is full says so and what to do, and takes more once it may', () => {
    useIpset('max_entries = 1024\n');
    const list = Array.from({ length: 1024 }, (_, i) => `198.18.${i >> 8}.${i & 255}\n`).join('');
    victim.host.writeFile('/var/tmp/list', list);
    expect(victim.person(['add', '--file', '/var/tmp/list'])).toMatchObject({ status: 0 });
    const full = victim.add(A);
    expect(full.status).toBe(FIREWALL);
    expect(full.stderr).toContain('raise firewall.max_entries (now 1024)');
    expect(entries('firewall-drop-4').has(A)).toBe(false);
    useIpset('max_entries = 2048\n');
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(entries('firewall-drop-4').size).toBe(1025);
    expect(inHost('ipset list -n')).toBe('firewall-drop-4\n');
  });

  test('of everybody is refused', () => {
    const { status } = victim.person(['add', '0.0.0.0/0', '--force']);
    expect(status).not.toBe(0);
  });

  test('counts what it dropped for `list`, and is one with the books for `status`', () => {
    victim.person(['add', A, A6]);
    expect(victim.person(['list']).stdout).toMatch(/203\.0\.113\.7 .* ipset .* yes/);
    expect(victim.person(['status']).stdout).toMatch(/drift +none\n/);
    expect(victim.person(['reconcile', '--dry-run'])).toMatchObject({ status: 0 });
  });

  test('of others, and their rules, stay as they are', () => {
    inHost(`ipset create other hash:ip; ipset add other ${A}; ipset create firewall-drop-5 hash:ip
      iptables -w -A INPUT -m set --match-set other src -j DROP
      iptables -w -A INPUT -m set --match-set other src -p tcp -j DROP`);
    const before = inHost(
      'ipset save other firewall-drop-5 2>/dev/null; ipset save other; iptables -S',
    );
    victim.add(A);
    victim.delete(A);
    const after = inHost(
      'ipset save other firewall-drop-5 2>/dev/null; ipset save other; iptables -S',
    );
    expect(after.replace(/^.*firewall-drop-4 src.*\n/gm, '')).toBe(before);
    inHost('iptables -F');
  });

  test.each([10_000, 100_000])(
    'takes and releases %i addresses in a bounded number of processes',
    (count) => {
      const list = Array.from(
        { length: count },
        (_, i) => `198.${18 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}\n`,
      );
      victim.host.writeFile('/var/tmp/list', list.join(''));
      const added = victim.person(['add', '--file', '/var/tmp/list', '--timeout', '2h']);
      expect(added).toMatchObject({ status: 0, stderr: '' });
      expect(entries('firewall-drop-4').size).toBe(count);
      const one = victim.add(A);
      expect(one.status).toBe(0);
      expect(one.durationMs).toBeLessThan(2000);
      expect(victim.person(['flush', '--yes'])).toMatchObject({ status: 0 });
      expect(entries('firewall-drop-4').size).toBe(0);
    },
  );
});

describe('real packets', () => {
  let attacker: Host;
  let server: Host;
  let network: RoutedAddresses;
  beforeAll(async () => {
    [attacker, victim, server] = await Promise.all([
      createHost('attacker'),
      createVictim({ variant: 'nft', name: 'victim' }),
      createHost('server'),
    ]);
    network = connectThrough(attacker, victim.host, server);
  });
  afterEach(resetSets);
  afterAll(async () => {
    await Promise.all([attacker.dispose(), victim.dispose(), server.dispose()]);
  });

  test.each(['ipv4', 'ipv6'] as const)(
    '%s: neither to the host nor through it, and again after',
    (family) => {
      useIpset();
      const own = network.a[family];
      const targets = [network.routerNearA[family], network.b[family]];
      const reached = (): boolean[] => targets.map((target) => canPing(attacker, target));
      expect(reached()).toEqual([true, true]);
      expect(victim.add(own).status).toBe(0);
      expect(reached()).toEqual([false, false]);
      const { bans } = JSON.parse(victim.person(['list', '--json']).stdout) as {
        bans: { kernel: string; packets: number }[];
      };
      expect(bans[0]?.kernel).toBe('yes');
      expect(bans[0]?.packets).toBeGreaterThanOrEqual(2);
      expect(victim.delete(own).status).toBe(0);
      expect(reached()).toEqual([true, true]);
    },
  );
});
