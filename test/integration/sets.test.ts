// Checks bans in sets, in addition to the tests for every backend (main-job.test.ts): the kernel ends entries by
// itself, and there can be many.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { createHost, type IptablesVariant } from '../support/host.ts';
import { flushKernel } from '../support/kernel.ts';
import { connectHosts } from '../support/network.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const B = '203.0.113.9';
const A6 = '2001:db8:ffff::7';
const FIREWALL = 69;
const BACKENDS = ['ipset', 'nftables'] as const;
type SetBackend = (typeof BACKENDS)[number];

/** Our rules in the output of `iptables -t raw -S`. */
const OURS = /^-A \S+ -m set --match-set firewall-drop-\S+ src -j DROP\n/gm;

let victim: Victim;

const use = (backend: SetBackend, more = ''): void => {
  victim.configure(`[firewall]\nbackend = "${backend}"\n${more}`);
};
const inHost = (script: string): string => victim.host.must(['bash', '-c', script]);
const listOf = (count: number): string => {
  const address = (i: number): string => `198.${18 + (i >> 16)}.${(i >> 8) & 255}.${i & 255}`;
  return Array.from({ length: count }, (_, i) => `${address(i)}\n`).join('');
};

/** Returns the entries of our sets with their remaining seconds; 0 if they never end. */
function entries(backend: SetBackend): Map<string, number> {
  return backend === 'ipset' ? ipsetEntries() : nftEntries();
}

function ipsetEntries(): Map<string, number> {
  const saved = inHost('ipset save firewall-drop-4; ipset save firewall-drop-6; true');
  const found = saved.matchAll(/^add \S+ (\S+) timeout (\d+)/gm);
  return new Map(Array.from(found, ([, address = '', timeout]) => [address, Number(timeout)]));
}

function nftEntries(): Map<string, number> {
  const json = JSON.parse(inHost('nft -j list ruleset')) as {
    nftables: {
      set?: { name: string; elem?: ({ elem?: { val: string; expires?: number } } | string)[] };
    }[];
  };
  const found = json.nftables.flatMap(({ set }) => {
    const length = set?.name.split('_')[1] ?? '';
    return (set?.elem ?? []).map((one): [string, number] => {
      const { val, expires = 0 } =
        typeof one === 'string' ? { val: one } : (one.elem ?? { val: '' });
      return [['32', '128'].includes(length) ? val : `${val}/${length}`, expires];
    });
  });
  return new Map(found);
}

describe.each<IptablesVariant>(['nft', 'legacy'])('ipset beside iptables-%s', (variant) => {
  beforeAll(async () => {
    victim = await createVictim({ variant });
  });
  beforeEach(() => {
    use('ipset');
  });
  afterEach(() => {
    victim.reset();
  });
  afterAll(() => victim.dispose());

  const ruleOf = (address: string): string => {
    const set = `firewall-drop-${address.includes(':') ? 6 : 4}`;
    return `-m set --match-set ${set} src -j DROP`;
  };

  test('blocks all addresses of a family with one rule in the table raw, and no rule per address', () => {
    for (const address of [A, A6]) {
      expect(victim.add(address)).toMatchObject({ status: 0, stderr: '' });
    }
    expect(victim.person(['add', '203.0.113.8', '2001:db8:ffff::8']).status).toBe(0);
    for (const address of [A, A6]) {
      expect(victim.rules(address)).toEqual([]);
      expect(victim.allRules()).toContain(`-A PREROUTING ${ruleOf(address)}`);
    }
    expect(victim.allRules()).toHaveLength(2);
  });

  test('removes rules of an earlier version from the filter table with the first block, and these drop until then', () => {
    victim.person(['add', A, A6]);
    inHost(`for program in iptables ip6tables; do
        rule=$($program -w -t raw -S PREROUTING | sed -n 's/^-A PREROUTING //p')
        $program -w -t raw -F
        for chain in INPUT FORWARD; do $program -w -I $chain $rule; done
      done`);
    expect(victim.allRules()).toHaveLength(4);
    expect(victim.person(['status', A]).stdout).toContain('(INPUT: -m set ');
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(1);
    victim.person(['add', '203.0.113.8', '2001:db8:ffff::8']);
    expect(victim.allRules().every((rule) => rule.startsWith('-A PREROUTING '))).toBe(true);
    expect(victim.allRules()).toHaveLength(2);
    expect(victim.person(['status', A]).stdout).toContain('(raw PREROUTING: -m set ');
  });

  test('neither changes nor destroys a foreign set with our name', () => {
    use('ipset', 'set_name = "theirs"\n');
    inHost('ipset create theirs-4 hash:ip && ipset add theirs-4 198.51.100.7');
    victim.host.writeFile('/var/tmp/list', listOf(60));
    expect(victim.person(['add', A]).status).toBe(FIREWALL);
    for (const args of [
      ['add', '--file', '/var/tmp/list'],
      ['flush', '--yes'],
    ]) {
      expect(victim.person(args)).toMatchObject({
        status: FIREWALL,
        stderr: expect.stringContaining('choose another name for firewall.set_name'),
      });
    }
    expect(inHost('ipset save theirs-4 | grep -c ^add')).toBe('1\n');
  });

  test('reports and repairs an entry that another program has changed to `nomatch`, which drops nothing', () => {
    use('ipset');
    victim.add(A);
    inHost(`ipset -exist add firewall-drop-4 ${A} nomatch`);
    const look = victim.person(['reconcile', '--dry-run']);
    expect(look.status).toBe(1);
    expect(look.stdout).toContain(`${A}: banned, but no rule in the kernel`);
    expect(victim.person(['reconcile']).status).toBe(0);
    expect(inHost(`ipset test firewall-drop-4 ${A} 2>&1`)).toContain(`${A} is in set`);
  });

  test('reports a full set with the setting to raise, and takes more entries after that', () => {
    use('ipset', 'max_entries = 1024\n');
    victim.host.writeFile('/var/tmp/list', listOf(1024));
    expect(victim.person(['add', '--file', '/var/tmp/list'])).toMatchObject({ status: 0 });
    const full = victim.add(A);
    expect(full.status).toBe(FIREWALL);
    expect(full.stderr).toContain('raise firewall.max_entries (now 1024)');
    expect(entries('ipset').has(A)).toBe(false);
    use('ipset', 'max_entries = 2048\n');
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(entries('ipset').size).toBe(1025);
    expect(inHost('ipset list -n')).toBe('firewall-drop-4\n');
  });
});

describe('ipset on a kernel without the module of the table raw', () => {
  const PROGRAM = '/usr/sbin/xtables-legacy-multi';
  /** Behaves like iptables-legacy 1.8.9 on such a kernel. */
  const WITHOUT_RAW = `#!/bin/bash
    six=; [[ $0 == *ip6* ]] && six=6
    case $0 in
      *-restore)
        input=$(cat)
        exec -a "$0" /var/tmp/real "$@" <<<"\${input%%'*raw'*}" &
        wait $! || exit
        [[ $input != *'*raw'* ]] && exit
        echo "ip\${six}tables-restore v1.8.9 (legacy): ip\${six}tables-restore: unable to initialize table 'raw'" >&2
        exit 2 ;;
      *-save)
        [[ $* != *raw* ]] && exec -a "$0" /var/tmp/real "$@"
        echo "ip\${six}tables-save v1.8.9 (legacy): Cannot initialize: Table does not exist (do you need to insmod?)" >&2
        exit 1 ;;
    esac
    exec -a "$0" /var/tmp/real "$@"\n`;

  beforeAll(async () => {
    victim = await createVictim({ variant: 'legacy' });
    inHost(`cp ${PROGRAM} /var/tmp/real`);
    victim.host.writeFile('/var/tmp/fake', WITHOUT_RAW, { mode: '0755' });
    victim.host.bind('/var/tmp/fake', PROGRAM);
  });
  afterAll(() => victim.dispose());

  test('has its rule first in INPUT and FORWARD, and doctor reports it', () => {
    use('ipset');
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    const rule = '-m set --match-set firewall-drop-4 src -j DROP';
    const rules = (): string[] => victim.allRules().filter((line) => !line.includes('OUTPUT'));
    expect(rules()).toEqual([`-A INPUT ${rule}`, `-A FORWARD ${rule}`]);
    expect(victim.person(['status', A]).stdout).toContain(`(INPUT: ${rule})`);
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
    expect(victim.person(['doctor']).stdout).toContain('the kernel has no raw table for IPv4');
    inHost('iptables -w -I INPUT -j ACCEPT');
    expect(victim.person(['reconcile']).status).toBe(0);
    expect(victim.person(['status', A]).status).toBe(0);
    expect(victim.delete(A)).toMatchObject({ status: 0, stderr: '' });
    inHost('iptables -w -D INPUT -j ACCEPT');
    victim.person(['flush', '--yes']);
    expect(rules()).toEqual([]);
  });
});

/** Removes an element before the first check, as another program could. */
const REMOVER = `#!/bin/bash
if [[ $1 == -c && ! -e /run/removed ]]; then
  touch /run/removed
  /run/nft delete element inet firewall_drop blocked4_32 '{ 198.18.0.7 }'
fi
exec -a "$0" /run/nft "$@"
`;

describe('nftables', () => {
  beforeAll(async () => {
    victim = await createVictim({ variant: 'nft' });
  });
  afterEach(() => {
    victim.reset();
  });
  afterAll(() => victim.dispose());

  test('needs no iptables', () => {
    use('nftables');
    victim.host.useIptables('none');
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(victim.person(['status', A]).status).toBe(0);
    victim.host.useIptables('nft');
  });

  test('removes the chains of an earlier version with the first block, and these drop until then', () => {
    use('nftables');
    victim.person(['add', A, A6]);
    inHost(`nft -f - <<END
      delete chain inet firewall_drop prerouting
      table inet firewall_drop {
        chain input { type filter hook input priority -10; ip saddr @blocked4_32 drop; ip6 saddr @blocked6_128 drop; }
        chain forward { type filter hook forward priority -10; ip saddr @blocked4_32 drop; ip6 saddr @blocked6_128 drop; }
      }
END`);
    expect(victim.person(['status', A]).stdout).toContain('(inet firewall_drop input: ip saddr ');
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(1);
    victim.add('203.0.113.8');
    const table = inHost('nft list table inet firewall_drop');
    expect(table.match(/chain \w+/g)).toEqual(['chain prerouting']);
    expect(table).toMatch(/hook prerouting priority -450;/);
    expect(victim.person(['status', A6]).stdout).toContain('(inet firewall_drop prerouting: ip6 ');
  });

  test('restores the priority of its chain with the next block if another program has changed it', () => {
    use('nftables');
    victim.add(A);
    inHost(`nft -f - <<END
      delete chain inet firewall_drop prerouting
      table inet firewall_drop {
        chain prerouting { type filter hook prerouting priority -310; ip saddr @blocked4_32 drop; }
      }
END`);
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(1);
    expect(victim.add('203.0.113.8')).toMatchObject({ status: 0, stderr: '' });
    const table = inHost('nft list table inet firewall_drop');
    expect(table).toMatch(/hook prerouting priority -450;/);
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
  });

  test('drops each fragment of a packet before reassembly', async () => {
    use('nftables');
    const attacker = await createHost('attacker');
    const [near, own] = connectHosts(attacker, victim.host);
    // Connection tracking reassembles fragments.
    inHost('iptables -A INPUT -m conntrack --ctstate ESTABLISHED -j ACCEPT');
    victim.add(near.ipv4);
    attacker.run(['ping', '-n', '-q', '-c', '1', '-W', '0.1', '-s', '4000', own.ipv4]);
    const set = inHost('nft list set inet firewall_drop blocked4_32');
    expect(set).toMatch(/ counter packets 3 bytes 4068 /);
    await attacker.dispose();
  });

  test('adds an address of a list again if another program has removed it before the proof', () => {
    use('nftables');
    const { host } = victim;
    host.must(['cp', '--', '/usr/sbin/nft', '/run/nft']);
    host.writeFile('/run/remover', REMOVER, { mode: '0755' });
    host.bind('/run/remover', '/usr/sbin/nft');
    host.writeFile('/var/tmp/list', listOf(60));
    const added = victim.person(['add', '--file', '/var/tmp/list']);
    host.must(['umount', '/usr/sbin/nft']);
    expect(added).toMatchObject({ status: 0, stderr: '' });
    expect(host.exists('/run/removed')).toBe(true);
    expect(entries('nftables').has('198.18.0.7')).toBe(true);
    expect(entries('nftables').size).toBe(60);
  });

  test.each([1, 60])(
    'reports at once, with the setting to raise, that %i more are too many for a set',
    (count) => {
      use('nftables', 'max_entries = 1024\n');
      victim.host.writeFile('/var/tmp/list', listOf(1024));
      expect(victim.person(['add', '--file', '/var/tmp/list'])).toMatchObject({ status: 0 });
      const more = Array.from({ length: count }, (_, n) => `203.0.113.${n}`);
      const full = victim.person(['add', ...more]);
      expect(full.status).toBe(FIREWALL);
      expect(full.stderr).toContain('raise firewall.max_entries (now 1024)');
      expect(entries('nftables').size).toBe(1024);
      expect(victim.person(['delete', '198.18.0.0', ...more.slice(1)]).status).toBe(0);
      expect(victim.person(['add', A])).toMatchObject({ status: 0, stderr: '' });
    },
  );

  test('works beside dormant foreign tables, at which nft 1.0.6 truncates its JSON', () => {
    use('nftables');
    for (const name of ['a', 'other', 'of_somebody_with_a_long_name', 'last']) {
      inHost(`nft 'add table inet ${name} { flags dormant; }'`);
    }
    victim.host.writeFile('/var/tmp/list', listOf(60));
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    for (const args of [['add', '--file', '/var/tmp/list'], ['restore'], ['status']]) {
      expect(victim.person(args)).toMatchObject({ status: 0, stderr: '' });
    }
    expect(victim.person(['list', '--plain']).stdout).toContain(A);
    expect(victim.delete(A)).toMatchObject({ status: 0, stderr: '' });
    expect(inHost('nft list table inet firewall_drop').match(/198\.18\./g)).toHaveLength(60);
    expect(victim.person(['flush', '--yes'])).toMatchObject({ status: 0, stderr: '' });
    expect(inHost('nft list tables').match(/^table inet \w+/gm)).toHaveLength(4);
  });

  test.each(['accept', 'ip saddr 203.0.113.0/24 return'])(
    'drops again with the next block after another program has inserted `%s` first in its chain',
    (rule) => {
      use('nftables');
      victim.add(A);
      inHost(`nft insert rule inet firewall_drop prerouting ${rule}`);
      expect(victim.person(['is-blocked', A]).status).toBe(1);
      expect(victim.person(['reconcile', '--dry-run']).status).toBe(1);
      expect(victim.add('203.0.113.8')).toMatchObject({ status: 0, stderr: '' });
      const chain = inHost('nft list chain inet firewall_drop prerouting');
      expect(chain.split('\n').map((line) => line.trim())).not.toContain(rule);
      expect(victim.person(['is-blocked', A]).status).toBe(0);
    },
  );

  test('leaves a foreign chain in its table during and after a flush', () => {
    use('nftables');
    victim.add(A);
    inHost(`nft -f - <<END
      add chain inet firewall_drop theirs { type filter hook input priority 5; }
      add rule inet firewall_drop theirs ip saddr @blocked4_32 counter
END`);
    for (const verb of ['first', 'second']) {
      expect([verb, victim.person(['flush', '--yes'])]).toMatchObject([verb, { status: 0 }]);
      const table = inHost('nft list table inet firewall_drop');
      expect(table).toContain('ip saddr @blocked4_32 counter');
      expect(table).not.toMatch(/prerouting|203\.0\.113/);
    }
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(victim.person(['is-blocked', A]).status).toBe(0);
  });

  test('leaves a foreign rule in its chain that lets nothing pass', () => {
    use('nftables');
    victim.add(A);
    inHost('nft insert rule inet firewall_drop prerouting ip saddr @blocked4_32 counter');
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
    victim.add('203.0.113.8');
    expect(inHost('nft list chain inet firewall_drop prerouting')).toContain('counter');
  });

  test('fills its chain again with the next add after a flush', () => {
    use('nftables');
    victim.add(A);
    inHost('nft flush chain inet firewall_drop prerouting');
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(1);
    victim.add('203.0.113.8');
    expect(inHost('nft list chain inet firewall_drop prerouting')).toContain('@blocked4_32 drop');
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
  });
});

describe.each(BACKENDS)('%s', (backend) => {
  beforeAll(async () => {
    victim = await createVictim({ variant: 'nft' });
  });
  beforeEach(() => {
    use(backend);
  });
  afterEach(() => {
    victim.reset();
  });
  afterAll(() => victim.dispose());

  test('has an entry for a blocked address of each family, and writes a line for each change', () => {
    const linesOf = (verb: string): unknown[] => {
      return [A, A6].map((address) => expect.stringMatching(ossecLine(verb, address)) as unknown);
    };
    const response = victim.person(['add', A, A6]);
    expect(response).toMatchObject({ status: 0, stderr: '' });
    expect(response.lines).toEqual(linesOf('add'));
    expect([...entries(backend).keys()]).toEqual([A, A6]);
    const released = victim.person(['delete', A, A6]);
    expect(released).toMatchObject({ status: 0, stderr: '' });
    expect(released.lines).toEqual(linesOf('delete'));
    expect([...entries(backend).keys()]).toEqual([]);
    expect(victim.delete(A).status).toBe(0);
  });

  test('ends an entry with the latest hold of its ban, and never if a hold has no end', () => {
    victim.setTimeouts(600);
    victim.add(A);
    expect(entries(backend).get(A)).toBeGreaterThan(650);
    victim.person(['add', A, '--timeout', '1h']);
    expect(entries(backend).get(A)).toBeGreaterThan(3590);
    victim.person(['add', A, '--timeout', 'never']);
    expect(entries(backend).get(A)).toBe(0);
  });

  test('leaves an end that is too late for the kernel to the state', () => {
    expect(victim.person(['add', A, A6, '--until', '9999-12-31'])).toMatchObject({
      status: 0,
      stderr: '',
    });
    expect([...entries(backend)]).toEqual([
      [A, 0],
      [A6, 0],
    ]);
    expect(victim.person(['extend', A, '52w']).status).toBe(0);
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
  });

  test('has the kernel remove an entry on time even if firewall-drop does not run', async () => {
    victim.person(['add', A, '--timeout', '2s']);
    expect(entries(backend).has(A)).toBe(true);
    await eventually('the kernel to end the block', () => !entries(backend).has(A));
    expect(victim.banOn(A)).toBeDefined();
    const { status, lines } = victim.person(['expire']);
    expect(status).toBe(0);
    expect(lines).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    expect(victim.bans()).toEqual([]);
  });

  test('moves an entry’s end at an abort without a line, and restores a lost entry with a line', () => {
    victim.setTimeouts(600);
    victim.person(['add', A, '--timeout', '5s']);
    expect(victim.add(A, { answer: 'abort' })).toMatchObject({ status: 0 });
    expect(entries(backend).get(A)).toBeGreaterThan(650);
    expect(victim.add(A, { answer: 'abort' })).toMatchObject({ status: 0, lines: [] });
    flushKernel(victim.host);
    const again = victim.add(A, { answer: 'abort' });
    expect(again.lines).toEqual([expect.stringMatching(ossecLine('reapplied', A))]);
  });

  test('blocks and unblocks a network and an address in it separately', () => {
    victim.person(['add', '203.0.113.0/24']);
    victim.person(['add', A]);
    expect(victim.delete('203.0.113.9').status).toBe(0);
    expect(victim.person(['add', '203.0.113.0/25']).status).toBe(0);
    expect(victim.person(['delete', '203.0.113.0/25']).status).toBe(0);
    const { status, stderr } = victim.person(['delete', A]);
    expect(status).toBe(0);
    expect(stderr).toContain('stays blocked by 203.0.113.0/24');
    expect([...entries(backend).keys()]).toEqual(['203.0.113.0/24']);
    expect(victim.person(['status', A]).stdout).toContain(
      'by our rule for a network that contains it',
    );
  });

  test('restores everything after all sets and rules were removed', () => {
    victim.person(['add', A, A6, '203.0.113.128/25']);
    flushKernel(victim.host);
    expect(victim.person(['status', A]).status).toBe(1);
    expect(victim.person(['restore'])).toMatchObject({ status: 0, stderr: '' });
    expect(victim.person(['status', A]).status).toBe(0);
    expect(victim.person(['status', A6]).status).toBe(0);
    flushKernel(victim.host);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.add('203.0.113.8').status).toBe(0);
    expect(victim.person(['status', '203.0.113.8']).status).toBe(0);
  });

  test('leaves foreign rules, sets and tables unchanged during add, delete and flush', () => {
    inHost(`ipset create other hash:ip; ipset add other ${A}
      iptables -w -A INPUT -m set --match-set other src -j DROP
      iptables -w -A FORWARD -s ${A} -p tcp -j DROP
      iptables -w -t raw -A PREROUTING -s ${A} -p udp -j DROP
      nft 'add table inet other; add set inet other blocked4_32 { type ipv4_addr; }'
      nft 'add element inet other blocked4_32 { ${A} }'`);
    const theirs = (): string =>
      inHost(
        'ipset save other; iptables -w -S; iptables -w -t raw -S; nft list table inet other',
      ).replace(OURS, '');
    const before = theirs();
    expect(before).toContain('--match-set other');
    for (const args of [
      ['add', A],
      ['add', B],
      ['delete', A],
      ['flush', '--yes'],
    ]) {
      expect(victim.person(args).status).toBe(0);
      expect(theirs()).toBe(before);
    }
  });

  test('refuses the network of all addresses', () => {
    expect(victim.person(['add', '0.0.0.0/0', '--force']).status).not.toBe(0);
  });

  test('shows the entries of the sets in `list` and `status`', () => {
    victim.person(['add', A, A6]);
    expect(victim.person(['list']).stdout).toMatch(
      new RegExp(`203\\.0\\.113\\.7 .* ${backend} .* yes`),
    );
    expect(victim.person(['status']).stdout).toMatch(/drift +none\n/);
    expect(victim.person(['reconcile', '--dry-run'])).toMatchObject({ status: 0 });
  });

  test('shows the commands with `--dry-run`, and runs none of them', () => {
    const { stdout } = victim.person(['add', A, '--dry-run']);
    expect(stdout).toMatch(/add (?:firewall-drop-4|element inet firewall_drop blocked4_32)/);
    expect([...entries(backend).keys()]).toEqual([]);
  });

  test('blocks and unblocks a list of thousands of addresses', () => {
    // ipset adds entries one after another, nft all of them at once.
    const count = backend === 'nftables' ? 30_000 : 5000;
    victim.host.writeFile('/var/tmp/list', listOf(count));
    const added = victim.person(['add', '--file', '/var/tmp/list', '--timeout', '2h']);
    expect(added).toMatchObject({ status: 0, stderr: '' });
    expect(entries(backend).size).toBe(count);
    const one = victim.add(A);
    expect(one.status).toBe(0);
    expect(victim.person(['flush', '--yes'])).toMatchObject({ status: 0 });
    expect(entries(backend).size).toBe(0);
  });
});
