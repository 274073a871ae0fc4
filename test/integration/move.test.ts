// Moves between backends: nothing gets through meanwhile, nothing stays behind, and whoever dies is finished.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHost, type TestHost, type IptablesVariant } from '../support/host.ts';
import { connectThrough, type RoutedAddresses } from '../support/network.ts';
import { FLUSH_RULES } from '../support/kernel.ts';
import { readState } from '../support/state.ts';
import { createVictim, STATE_DIRECTORY, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const A6 = '2001:db8:ffff::7';
const B = '203.0.113.8';
const BLOCK = '198.51.100.0/24';
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
/** From the next run of a person or timer on. */
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

/** Which backends have anything of ours in the kernel: a rule, a set, a table. */
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

/** Whether a rule, a set or our table names it: `status` is held to real packets by person-views.test.ts. */
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

  // Between the two kinds of sets the variant plays no part but in the rule for a set: sets.test.ts.
  const isPlain = (pair: readonly [Name, Name]): boolean => pair.includes('iptables');
  test.each(variant === 'nft' ? PAIRS : ROUND.filter(isPlain))(
    'from %s to %s the next expire migrates all bans with their remaining time, and no alert does',
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
      expect.stringContaining('migrated all bans into sets of ipset: 3 are more than'),
    ]);
    // Not back when there are few again, and not again.
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

  /** As many as stay plain rules. */
  const addTwo = (): void => {
    configure('promote_at = 2');
    expect(victim.person(['add', '203.0.113.1', '203.0.113.2']).status).toBe(0);
  };

  test('another backend in the configuration is used at once where nothing is blocked', () => {
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
    'a ban is released where it was made, though firewall.%s was changed since',
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
      // Nothing is banned any more: from here on it is as configured.
      victim.person(['add', A]);
      expect(victim.person(['reconcile', '--dry-run']).status).toBe(0);
      if (after.startsWith('chains')) expect(victim.rules(A).join()).not.toContain('INPUT');
    },
  );

  test.each(ROUND)(
    'a migration from %s to %s with programs that fail leaves all as it was',
    (from, to) => {
      configure(`backend = "${from}"`);
      victim.person(['add', A, A6]);
      // The new one works for IPv4 and not for IPv6.
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

  test('the sets are those of nftables where ipset is missing', () => {
    uninstall('/usr/sbin/ipset');
    addTwo();
    expect(victim.add('203.0.113.3').status).toBe(0);
    inHost('umount /usr/sbin/ipset');
    expect(holders()).toEqual(['nftables']);
  });

  test('the sets are those of nftables where the kernel does not support ipset', () => {
    breakProgram('/usr/sbin/ipset');
    addTwo();
    expect(victim.add('203.0.113.3').status).toBe(0);
    inHost('umount /usr/sbin/ipset');
    expect(holders()).toEqual(['nftables']);
  });

  test('plain rules stay where there is neither, which is logged once and shown by `status`', () => {
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

  test('bans begin in a table of nftables where iptables is missing', () => {
    victim.host.useIptables('none');
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(stateOf()).toMatchObject({ inUse: 'nftables', why: 'iptables is not installed' });
    victim.host.useIptables('nft');
    expect(holders()).toEqual(['nftables']);
  });

  describe('beside firewalld', () => {
    /** systemd's sign of an active unit. */
    const LINK = '/run/systemd/units/invocation:firewalld.service';
    const startFirewalld = (): void => {
      inHost(`mkdir -p /run/systemd/units; ln -s 4f1e ${LINK}`);
    };
    /** What a reload of firewalld 1.3.3 does to others: docs/firewalls.md. */
    const reload = (): void => {
      inHost(FLUSH_RULES);
    };
    afterEach(() => {
      inHost(`rm -f ${LINK}; umount -q /usr/sbin/nft; true`);
    });

    test('bans are made where its reloads leave them, in the run of the first alert', () => {
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
      'the timer migrates bans of %s that were made before it started',
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

    test('bans are made without nft too, and a warning says once that a reload removes them', () => {
      startFirewalld();
      uninstall('/usr/sbin/nft');
      expect(victim.add(A).status).toBe(0);
      expect(victim.add('203.0.113.8').status).toBe(0);
      expect(victim.troubles()).toEqual([
        'blocks stay rules of iptables, which firewalld takes away at each reload: nft is not installed',
      ]);
      inHost('umount /usr/sbin/nft');
      expect(holders()).toEqual(['iptables']);
    });

    test('plain rules are used where the configuration asks for them', () => {
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
    'where the state was lost, what sets of %s hold is shown and released',
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
    'what sets of %s hold is found beside a state from before them, and removed by `reconcile`',
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

  test.each(BACKENDS)('flush leaves nothing of %s but what rules of others refer to', (name) => {
    configure(`backend = "${name}"`);
    inHost('iptables -w -A INPUT -p tcp --dport 81 -j ACCEPT; nft add table inet other');
    victim.person(['add', A, A6, BLOCK]);
    victim.person(['flush', '--yes']);
    expect(holders()).toEqual([]);
    expect(victim.allRules()).toHaveLength(1);
    expect(inHost('nft list tables')).toContain('inet other');
  });

  test('a set that a rule of others refers to stays, empty', () => {
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
      // What first changes something for the new one, or for the old one, never ends.
      const hanging = { iptables: 'ip6tables-restore', ipset: 'ipset', nftables: 'nft' }[
        index % 2 === 0 ? from : to
      ];
      const path = `/usr/sbin/${hanging}`;
      inHost(`cp ${path} /var/tmp/${hanging}`);
      breakProgram(
        path,
        `#!/bin/bash
          input=$(cat)
          [[ $input =~ (^|$'\\n')(-[ID]|add|destroy|delete) ]] && { : > /run/hangs; exec sleep 600; }
          exec /var/tmp/${hanging} "$@" <<< "$input"\n`,
      );
      configure(`backend = "${to}"`);
      const move = victim.start(['expire']);
      await eventually('the move to come that far', () => victim.host.exists('/run/hangs'));
      move.child.kill('SIGKILL');
      await move.ended;
      inHost(`rm /run/hangs; umount ${path}`);
      // What `backend --json` shows of it is the same for all.
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

  test('an address that is unblocked between a killed migration and its end is unblocked in both', async () => {
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
    const move = victim.start(['expire']);
    await eventually('the move to come that far', () => victim.host.exists('/run/hangs'));
    move.child.kill('SIGKILL');
    await move.ended;
    // IPv6 is still out of order, so that the move can't end.
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

describe('real packets', () => {
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

  test('not one packet of a flood gets through during migrations between all backends', async () => {
    configure('backend = "iptables"');
    addMany(300, network.a.ipv4);
    const flood = attacker.spawn(['ping', '-n', '-q', '-i', '0.002', '-w', '600', network.b.ipv4]);
    let said = '';
    flood.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    const began = performance.now();
    // A round may be over before there were many packets.
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
