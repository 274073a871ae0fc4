// Checks migrations between backends: no packet gets through, nothing is left behind, and the next run completes a
// migration that was killed.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHost, type TestHost, type IptablesVariant } from '../support/host.ts';
import { connectThrough, type RoutedAddresses } from '../support/network.ts';
import { FLUSH_RULES } from '../support/kernel.ts';
import { readState } from '../support/state.ts';
import { createVictim, ossecLine, STATE_DIRECTORY, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const A6 = '2001:db8:ffff::7';
const B = '203.0.113.8';
const BLOCK = '198.51.100.0/24';
const FIREWALL = 69;
const BACKENDS = ['iptables', 'ipset', 'nftables'] as const;
type Name = (typeof BACKENDS)[number];
const PAIRS = BACKENDS.flatMap((from) =>
  BACKENDS.filter((to) => to !== from).map((to) => [from, to] as const),
);
/** Each backend once as the old and once as the new one. */
const ROUND = [
  ['iptables', 'ipset'],
  ['ipset', 'nftables'],
  ['nftables', 'iptables'],
] as const;

let victim: Victim;

const inHost = (script: string): string => victim.host.must(['bash', '-c', script]);
const configure = (toml: string): void => {
  victim.configure(`[firewall]\n${toml}\n`);
};
/** Configures a backend, and migrates to it with a run of the timer. */
const use = (name: string): ReturnType<Victim['person']> => {
  configure(`backend = "${name}"`);
  return victim.person(['expire']);
};
const listOf = (count: number): string =>
  Array.from({ length: count }, (_, i) => `198.18.${i >> 8}.${i & 255}\n`).join('');
const addMany = (count: number, ...more: readonly string[]): void => {
  victim.host.writeFile('/var/tmp/list', listOf(count));
  const args = ['add', '--file', '/var/tmp/list', ...more];
  expect(victim.person(args)).toMatchObject({ status: 0 });
};

/** Returns the backends that have a rule, a set or a table of ours in the kernel. */
function holders(): Name[] {
  const rules = victim.allRules();
  const plain = rules.some((rule) => / -s \S+ -j DROP$/.test(rule));
  const sets = inHost('ipset list -n').trim() !== '' || rules.some((rule) => rule.includes('set'));
  const table = inHost('nft list tables').includes('firewall_drop');
  return BACKENDS.filter((name) => ({ iptables: plain, ipset: sets, nftables: table })[name]);
}

function stateOf(): Record<string, unknown> {
  return JSON.parse(victim.person(['backend', '--json']).stdout) as Record<string, unknown>;
}

/**
 * Reports whether a rule, a set or our table has an address. person-views.test.ts compares `status` with real packets.
 */
function isBlocked(address: string): boolean {
  const kernel = inHost('iptables -w -S; ip6tables -w -S; ipset save; nft list ruleset');
  return kernel.split(/[\s,/]+/).includes(address);
}

describe.each<IptablesVariant>(['nft', 'legacy'])('with iptables-%s', (variant) => {
  beforeAll(async () => {
    victim = await createVictim({ variant });
  });
  afterEach(() => {
    victim.reset();
  });
  afterAll(() => victim.dispose());

  // For migrations between sets, the variant matters only for the rule of a set, which sets.test.ts checks.
  const isPlain = (pair: readonly [Name, Name]): boolean => pair.includes('iptables');
  test.each(variant === 'nft' ? PAIRS : ROUND.filter(isPlain))(
    'the next expire migrates all bans from %s to %s with their remaining time, and no alert does',
    (from, to) => {
      configure(`backend = "${from}"`);
      victim.person(['add', A, A6, '--timeout', '1h']);
      victim.person(['add', BLOCK, '203.0.113.9', '--timeout', 'never']);
      configure(`backend = "${to}"`);
      expect(victim.add('203.0.113.21')).toMatchObject({ status: 0, stderr: '' });
      expect(holders()).toEqual([from]);
      expect(use(to)).toMatchObject({ status: 0, stderr: '', stdout: '', lines: [] });
      expect(holders()).toEqual([to]);
      const all = [A, A6, '203.0.113.9', '203.0.113.21', '198.51.100.0'];
      expect(all.filter((address) => !isBlocked(address))).toEqual([]);
      if (to !== 'iptables') {
        const left = /203\.0\.113\.7\b.*(?:timeout (\d+)|expires (\d+)m)/;
        const kernel = inHost('ipset save; nft list ruleset');
        const [, seconds, minutes = '0'] = left.exec(kernel) ?? [];
        expect(Number(seconds ?? Number(minutes) * 60)).toBeGreaterThan(3000);
      }
      expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
      expect(victim.person(['delete', A]).status).toBe(0);
      expect(isBlocked(A)).toBe(false);
      expect(isBlocked(A6)).toBe(true);
      expect(victim.person(['flush', '--yes']).status).toBe(0);
      expect(holders()).toEqual([]);
    },
  );

  test('an alert beyond promote_at migrates all plain rules to sets', () => {
    configure('promote_at = 2');
    const offenders = ['203.0.113.1', '203.0.113.3'];
    expect(victim.person(['add', ...offenders]).status).toBe(0);
    expect(holders()).toEqual(['iptables']);
    expect(victim.add(A6)).toMatchObject({ status: 0, stderr: '' });
    expect(holders()).toEqual(['ipset']);
    expect([...offenders, A6].every(isBlocked)).toBe(true);
    expect(victim.troubles()).toEqual([
      expect.stringContaining('migrated all bans to sets of ipset: 3 are more than'),
    ]);
    // The bans do not migrate back when there are few, and do not migrate again.
    expect(victim.person(['delete', ...offenders]).status).toBe(0);
    victim.person(['expire']);
    expect(holders()).toEqual(['ipset']);
    expect(victim.troubles()).toHaveLength(1);
    victim.person(['flush', '--yes']);
    expect(holders()).toEqual([]);
    victim.add(A);
    expect(holders()).toEqual(['iptables']);
  });
});

describe('on a host with all backends', () => {
  beforeAll(async () => {
    victim = await createVictim({ variant: 'nft' });
  });
  afterEach(() => {
    victim.host.useIptables('nft');
    inHost('umount /usr/sbin/ipset /usr/sbin/nft /usr/sbin/ipset /usr/sbin/nft || true');
    victim.reset();
  });
  afterAll(() => victim.dispose());

  const BROKEN = '#!/bin/sh\necho broken >&2\nexit 1\n';
  const breakProgram = (path: string, script = BROKEN): void => {
    victim.host.writeFile('/var/tmp/fake', script);
    inHost('chmod 755 /var/tmp/fake');
    victim.host.bind('/var/tmp/fake', path);
  };
  const uninstall = (path: string): void => {
    victim.host.bind('/dev/null', path);
  };

  /** Adds as many bans as stay plain rules. */
  const addTwo = (): void => {
    configure('promote_at = 2');
    expect(victim.person(['add', '203.0.113.1', '203.0.113.2']).status).toBe(0);
  };

  test('another backend in the configuration is used at once if there are no bans', () => {
    configure('backend = "ipset"');
    victim.add(A);
    victim.delete(A);
    configure('backend = "nftables"');
    victim.add(A);
    expect(holders()).toEqual(['nftables']);
  });

  test.each([
    ['chains', 'chains = ["INPUT", "FORWARD"]', 'chains = ["FORWARD"]'],
    ['docker', 'docker = true', 'docker = false'],
    ['variant', 'variant = "nft"', 'variant = "legacy"'],
    ['set_name', 'backend = "ipset"\nset_name = "one"', 'backend = "ipset"\nset_name = "two"'],
  ])(
    'a ban is released where it was made, even if firewall.%s has changed since',
    (_, before, after) => {
      inHost('iptables -N DOCKER-USER');
      configure(before);
      victim.person(['add', A, A6, B]);
      configure(after);
      expect(victim.person(['expire']).status).toBe(0);
      expect([A, A6].every(isBlocked)).toBe(true);
      expect(victim.person(['reconcile', '--dry-run'])).toMatchObject({ status: 0 });
      expect(victim.person(['delete', A, A6]).status).toBe(0);
      const held = `${victim.allRules().join('\n')}\n${inHost('ipset save')}`;
      expect(held).toContain(B);
      expect(held).not.toContain(A);
      expect(held).not.toContain(A6);
      expect(victim.person(['flush', '--yes']).status).toBe(0);
      expect(holders()).toEqual([]);
      // There are no bans any more, so the new configuration applies.
      victim.person(['add', A]);
      expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
      if (after.startsWith('chains')) expect(victim.rules(A).join()).not.toContain('INPUT');
    },
  );

  test.each(ROUND)(
    'a migration from %s to %s with programs that fail changes nothing',
    (from, to) => {
      configure(`backend = "${from}"`);
      victim.person(['add', A, A6]);
      // The new backend works for IPv4, and fails for IPv6.
      const [path, six] = {
        iptables: ['/usr/sbin/ip6tables-restore', 'exit 1'],
        ipset: ['/usr/sbin/ipset', 'cat | grep -q -e "-6" && exit 1; true'],
        nftables: ['/usr/sbin/nft', 'cat | grep -q 2001 && exit 1; echo "{\\"nftables\\":[]}"'],
      }[to];
      breakProgram(path ?? '', `#!/bin/sh\n${six ?? ''}\n`);
      expect(use(to).stderr).toContain('could not be migrated to another backend');
      configure(`backend = "${from}"`);
      inHost(`umount ${path ?? ''}`);
      expect(victim.person(['expire']).status).toBe(0);
      expect([A, A6].every(isBlocked)).toBe(true);
      expect(holders()).toEqual([from]);
      expect(victim.person(['delete', A, A6]).status).toBe(0);
      expect(holders()).toEqual(from === 'iptables' ? [] : [from]);
    },
  );

  test('bans migrate to sets of nftables if ipset is missing', () => {
    uninstall('/usr/sbin/ipset');
    addTwo();
    expect(victim.add('203.0.113.3').status).toBe(0);
    inHost('umount /usr/sbin/ipset');
    expect(holders()).toEqual(['nftables']);
  });

  test('bans migrate to sets of nftables if the kernel does not support ipset', () => {
    breakProgram('/usr/sbin/ipset');
    addTwo();
    expect(victim.add('203.0.113.3').status).toBe(0);
    inHost('umount /usr/sbin/ipset');
    expect(holders()).toEqual(['nftables']);
  });

  test('plain rules stay if both are missing, which is logged once and shown by `status`', () => {
    uninstall('/usr/sbin/ipset');
    uninstall('/usr/sbin/nft');
    addTwo();
    for (const n of [3, 4]) expect(victim.add(`203.0.113.${n}`).status).toBe(0);
    expect(victim.troubles()).toEqual([expect.stringContaining('bans stay plain rules')]);
    expect(victim.person(['status']).stdout).toContain('neither ipset nor nft is installed');
    expect(stateOf()).toMatchObject({ inUse: 'iptables', beyond: null, tools: { nft: false } });
    inHost('umount /usr/sbin/ipset /usr/sbin/nft');
    expect(holders()).toEqual(['iptables']);
    victim.add('203.0.113.5');
    expect(holders()).toEqual(['ipset']);
  });

  test('bans start in a table of nftables if iptables is missing', () => {
    victim.host.useIptables('none');
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(stateOf()).toMatchObject({ inUse: 'nftables', why: 'iptables is not installed' });
    victim.host.useIptables('nft');
    expect(holders()).toEqual(['nftables']);
  });

  test('an alert fails with status 69 and a `failed` line if no firewall program is installed', () => {
    victim.host.useIptables('none');
    uninstall('/usr/sbin/ipset');
    uninstall('/usr/sbin/nft');
    const response = victim.add(A);
    inHost('umount /usr/sbin/ipset /usr/sbin/nft');
    victim.host.useIptables('nft');
    expect(response.status).toBe(FIREWALL);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('failed', A))]);
    expect(holders()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });

  describe('beside firewalld', () => {
    /** The link by which systemd marks an active unit. */
    const LINK = '/run/systemd/units/invocation:firewalld.service';
    const startFirewalld = (): void => {
      inHost(`mkdir -p /run/systemd/units; ln -s 4f1e ${LINK}`);
    };
    /** Does what a reload of firewalld 1.3.3 does to foreign rules: see docs/firewalls.md. */
    const reload = (): void => {
      inHost(FLUSH_RULES);
    };
    afterEach(() => {
      inHost(`rm -f ${LINK}; umount -q /usr/sbin/nft; true`);
    });

    test('bans migrate in the run of the first alert to a table that its reloads leave alone', () => {
      startFirewalld();
      expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
      expect(victim.add(A6)).toMatchObject({ status: 0, stderr: '' });
      expect(holders()).toEqual(['nftables']);
      expect(stateOf()).toMatchObject({ inUse: 'nftables' });
      expect(stateOf()['why']).toContain('firewalld');
      reload();
      expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
      expect([A, A6].every(isBlocked)).toBe(true);
      expect(victim.person(['doctor']).stdout).toContain('its reloads do not touch our table');
    });

    test.each(['iptables', 'ipset'] as const)(
      'the timer migrates bans of %s that were made before firewalld started',
      (name) => {
        configure('promote_at = 2');
        addMany(name === 'ipset' ? 3 : 2);
        expect(holders()).toEqual([name]);
        startFirewalld();
        expect(victim.person(['doctor']).stdout).toMatch(/warning +neighbours +firewalld found/);
        expect(victim.person(['expire']).status).toBe(0);
        expect(holders()).toEqual(['nftables']);
      },
    );

    test('bans are also made without nft, and a warning says once that a reload removes them', () => {
      startFirewalld();
      uninstall('/usr/sbin/nft');
      expect(victim.add(A).status).toBe(0);
      expect(victim.add('203.0.113.8').status).toBe(0);
      expect(victim.troubles()).toEqual([
        'blocks stay iptables rules, which firewalld removes at each reload: nft is not installed',
      ]);
      inHost('umount /usr/sbin/nft');
      expect(holders()).toEqual(['iptables']);
    });

    test('plain rules are used if the configuration names them', () => {
      startFirewalld();
      use('iptables');
      victim.add(A);
      expect(holders()).toEqual(['iptables']);
      use('auto');
      expect(holders()).toEqual(['nftables']);
    });
  });

  test('a list longer than promote_at goes into sets at once', () => {
    addMany(300);
    expect(holders()).toEqual(['ipset']);
  });

  test.each(['ipset', 'nftables'])(
    'entries in sets of %s are shown and released after the state was lost',
    (name) => {
      if (name === 'nftables') uninstall('/usr/sbin/ipset');
      addMany(300, '--timeout', 'never');
      victim.host.remove(STATE_DIRECTORY);
      const why = expect.stringContaining('the state does not say why');
      expect(stateOf()).toMatchObject({ inUse: name, why });
      expect(victim.person(['expire']).status).toBe(0);
      expect(stateOf()).toMatchObject({ inUse: name });
      expect(victim.person(['reconcile', '--dry-run']).stdout).toContain('198.18.0.7: dropped in');
      expect(victim.person(['delete', '198.18.0.7']).status).toBe(0);
      expect([isBlocked('198.18.0.7'), isBlocked('198.18.0.8')]).toEqual([false, true]);
      expect(victim.person(['flush', '--yes']).status).toBe(0);
      inHost('umount /usr/sbin/ipset || true');
      expect(holders()).toEqual([]);
    },
  );

  test.each(['ipset', 'nftables'])(
    'entries in sets of %s that an older backup of the state lacks are reported, and removed by `reconcile`',
    (name) => {
      if (name === 'nftables') uninstall('/usr/sbin/ipset');
      addTwo();
      const shell = (script: string): string => inHost(`cd ${STATE_DIRECTORY} && ${script}`);
      shell('mkdir -p /var/tmp/old && cp state.db* /var/tmp/old');
      addMany(300, '--timeout', 'never');
      inHost('umount /usr/sbin/ipset || true');
      expect(holders()).toEqual([name]);
      shell('rm state.db* && cp /var/tmp/old/* .');
      expect(victim.person(['doctor']).stdout).toContain('belong to no ban');
      const look = victim.person(['reconcile', '--dry-run']);
      expect(look).toMatchObject({
        status: 1,
        stdout: expect.stringContaining(`${name} has sets`),
      });
      expect(victim.person(['reconcile']).status).toBe(0);
      expect(holders()).toEqual(['iptables']);
      expect(victim.bans().map(({ address }) => address)).toEqual(['203.0.113.1', '203.0.113.2']);
      expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
    },
  );

  test.each(BACKENDS)('flush leaves nothing of %s, and no foreign rule is changed', (name) => {
    configure(`backend = "${name}"`);
    inHost('iptables -w -A INPUT -p tcp --dport 81 -j ACCEPT; nft add table inet other');
    victim.person(['add', A, A6, BLOCK]);
    victim.person(['flush', '--yes']);
    expect(holders()).toEqual([]);
    expect(victim.allRules()).toHaveLength(1);
    expect(inHost('nft list tables')).toContain('inet other');
  });

  test('flush empties a set that a foreign rule refers to, and keeps it', () => {
    configure('backend = "ipset"');
    victim.person(['add', A]);
    inHost('iptables -w -A INPUT -p tcp -m set --match-set firewall-drop-4 src -j ACCEPT');
    expect(victim.person(['flush', '--yes'])).toMatchObject({ status: 0, stderr: '' });
    expect(inHost('ipset save')).not.toContain('add');
    expect(victim.allRules()).toHaveLength(1);
  });

  test.each(PAIRS.map(([from, to], index) => ({ from, to, index })))(
    'a migration killed between $from and $to is completed by the next run of any kind',
    async ({ from, to, index }) => {
      const next = [
        () => victim.person(['expire']),
        () => victim.add('203.0.113.99'),
        () => use(to),
        () => victim.person(['restore']),
      ];
      configure(`backend = "${from}"`);
      addMany(60, A, A6);
      // The first program that changes the new backend, or the old one, never ends.
      const hanging = { iptables: 'ip6tables-restore', ipset: 'ipset', nftables: 'nft' }[
        index % 2 === 0 ? from : to
      ];
      const path = `/usr/sbin/${hanging}`;
      inHost(`cp ${path} /var/tmp/${hanging}`);
      breakProgram(
        path,
        `#!/bin/bash
          input=$(cat)
          [[ "$*"$'\\n'$input =~ (^|$'\\n')(-[ID]|add|destroy|delete) ]] && { : > /run/hangs; exec sleep 600; }
          exec /var/tmp/${hanging} "$@" <<< "$input"\n`,
      );
      configure(`backend = "${to}"`);
      const migration = victim.start(['expire']);
      await eventually('the migration to hang', () => victim.host.exists('/run/hangs'));
      migration.child.kill('SIGKILL');
      await migration.ended;
      inHost(`rm /run/hangs; umount ${path}`);
      // `backend --json` shows all migrations alike, so one is enough.
      const shown = (): unknown => stateOf()['unfinishedMove'];
      const kept = (): string => readState(victim.host.pid).metadata.get('backend move') ?? '';
      expect(index === 0 ? shown() : JSON.parse(kept())).toEqual({ from, to });
      expect(isBlocked(A)).toBe(true);
      expect(next[index % next.length]?.().status).toBe(0);
      expect(holders()).toEqual([to]);
      expect(index === 0 ? (shown() ?? '') : kept()).toBe('');
      expect(readState(victim.host.pid).metadata.get('backend')).toBe(to);
      expect(isBlocked(A)).toBe(true);
    },
  );

  test('an address that is unblocked during an interrupted migration is unblocked in both backends', async () => {
    victim.setTimeouts(600);
    victim.add(A);
    victim.add(A6);
    inHost('cp /usr/sbin/ip6tables-restore /var/tmp/real; touch /run/may-hang');
    breakProgram(
      '/usr/sbin/ip6tables-restore',
      `#!/bin/bash
        [[ $0 == *ip6tables-restore ]] || exec -a "$0" /var/tmp/real "$@"
        rm /run/may-hang || exit 1
        : > /run/hangs
        exec sleep 600\n`,
    );
    configure('backend = "ipset"');
    const migration = victim.start(['expire']);
    await eventually('the migration to hang', () => victim.host.exists('/run/hangs'));
    migration.child.kill('SIGKILL');
    await migration.ended;
    // IPv6 still fails, so that the migration can't end.
    inHost('rm /run/hangs');
    expect(holders()).toEqual(['iptables', 'ipset']);
    expect(victim.delete(A).status).toBe(0);
    inHost('umount /usr/sbin/ip6tables-restore');
    expect(inHost('ipset save')).not.toContain(A);
    expect(victim.person(['expire']).status).toBe(0);
    expect(holders()).toEqual(['ipset']);
    expect([A, A6].map(isBlocked)).toEqual([false, true]);
  });
});

describe('with real packets', () => {
  let attacker: TestHost;
  let server: TestHost;
  let network: RoutedAddresses;
  beforeAll(async () => {
    [attacker, victim, server] = await Promise.all([
      createHost('attacker'),
      createVictim({ variant: 'nft', name: 'victim' }),
      createHost('server'),
    ]);
    network = connectThrough(attacker, victim.host, server);
  });
  afterEach(() => {
    victim.reset();
  });
  afterAll(async () => {
    await Promise.all([attacker.dispose(), victim.dispose(), server.dispose()]);
  });

  test('no packet of a flood gets through during migrations between all backends', async () => {
    configure('backend = "iptables"');
    addMany(300, network.a.ipv4);
    const flood = attacker.spawn(['ping', '-n', '-q', '-i', '0.002', '-w', '600', network.b.ipv4]);
    let said = '';
    flood.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const began = performance.now();
    // A round can end before many packets were sent.
    while (performance.now() - began < 2000) {
      for (const to of ['ipset', 'nftables', 'iptables', 'nftables', 'ipset', 'iptables']) {
        use(to);
        expect(holders()).toEqual([to]);
      }
    }
    flood.kill('SIGINT');
    await eventually('the flood to end', () => said.includes('transmitted'));
    expect(said).toMatch(/ 0 received/);
    expect(Number(/(\d+) packets transmitted/.exec(said)?.[1])).toBeGreaterThan(100);
  });
});
