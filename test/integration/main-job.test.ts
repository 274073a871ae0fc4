// Checks the main job for every backend, both families and every invocation: after execd's add, packets to the host and
// through it are dropped; after execd's delete they pass, and nothing is left.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { startExecd } from '../support/execd-client.ts';
import type { Mode } from '../support/execd-protocol.ts';
import { createHost, type TestHost, type IptablesVariant } from '../support/host.ts';
import { connectThrough, type RoutedAddresses } from '../support/network.ts';
import { canConnectToEach, canPingEach, listen, openConnection } from '../support/traffic.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const PORT = 8080;
const MODES: readonly Mode[] = ['wazuh4', 'wazuh5', 'ossec'];
const FAMILIES = ['ipv4', 'ipv6'] as const;
type Family = (typeof FAMILIES)[number];

interface Way {
  readonly name: string;
  readonly backend: 'iptables' | 'ipset' | 'nftables';
  readonly variant: IptablesVariant;
}
const WAYS: readonly Way[] = [
  { name: 'plain rules of iptables-nft', backend: 'iptables', variant: 'nft' },
  { name: 'plain rules of iptables-legacy', backend: 'iptables', variant: 'legacy' },
  { name: 'ipset with iptables-nft', backend: 'ipset', variant: 'nft' },
  { name: 'ipset with iptables-legacy', backend: 'ipset', variant: 'legacy' },
  { name: 'nftables', backend: 'nftables', variant: 'nft' },
];

let attacker: TestHost;
let victim: Victim;
let server: TestHost;
let network: RoutedAddresses;

beforeAll(async () => {
  [attacker, victim, server] = await Promise.all([
    createHost('attacker'),
    createVictim(),
    createHost('server'),
  ]);
  network = connectThrough(attacker, victim.host, server);
  await Promise.all([listen(victim.host, PORT), listen(server, PORT)]);
});
afterAll(async () => {
  await Promise.all([attacker, victim, server].map((one) => one.dispose()));
});

const inVictim = (script: string): string => victim.host.must(['bash', '-c', script]);
const tablesOf = (family: Family): string => (family === 'ipv4' ? 'iptables' : 'ip6tables');

/** Reports whether pings of each family reach the victim, and the server behind it. */
function reached(): { to: boolean[]; through: boolean[] } {
  const to = FAMILIES.map((family) => network.routerNearA[family]);
  const answered = canPingEach(attacker, [...to, ...FAMILIES.map((family) => network.b[family])]);
  return { to: answered.slice(0, to.length), through: answered.slice(to.length) };
}
const ALL_FLOWS = { to: [true, true], through: [true, true] };
const ALL_STOPPED = { to: [false, false], through: [false, false] };

/** Counts in each chain the rules that drop an address: rules for it, or for a set that contains it. */
function places(address: string, { backend }: Way): Record<string, number> {
  const chains =
    backend === 'nftables' ? nftPlaces(address) : iptablesPlaces(address, backend === 'ipset');
  const counts = Map.groupBy(chains, (chain) => chain);
  return Object.fromEntries(Array.from(counts, ([chain, all]) => [chain, all.length]));
}

function iptablesPlaces(address: string, inSet: boolean): string[] {
  const set = `firewall-drop-${address.includes(':') ? 6 : 4}`;
  const length = address.includes(':') ? 128 : 32;
  const rule = inSet ? `-m set --match-set ${set} src -j DROP` : `-s ${address}/${length} -j DROP`;
  const isHeld = !inSet || inVictim(`ipset save ${set} || true`).includes(`add ${set} ${address} `);
  return victim.allRules().flatMap((line) => {
    const [, chain, spec] = /^-A (\S+) (.+)$/.exec(line) ?? [];
    return isHeld && chain !== undefined && spec === rule ? [chain] : [];
  });
}

function nftPlaces(address: string): string[] {
  const listing = inVictim('nft list table inet firewall_drop 2>/dev/null || true');
  const set = address.includes(':') ? 'blocked6_128' : 'blocked4_32';
  const elements = new RegExp(String.raw`set ${set} \{[^}]*elements = \{([^}]*)\}`).exec(listing);
  if (!elements?.[1]?.split(/[\s,]+/).includes(address)) return [];
  return Array.from(listing.matchAll(/chain (\w+) \{([^}]*)\}/g)).flatMap(
    ([, hook = '', rules]) => {
      return rules?.match(new RegExp(`@${set} drop`, 'g'))?.map(() => hook.toUpperCase()) ?? [];
    },
  );
}

/** Returns the whole firewall, ours and foreign, without values that change by themselves. */
function everything(): string {
  const saved = inVictim(`iptables-save; ip6tables-save; ipset save
    nft list tables | grep -vE ' (filter|raw)$'; nft list table inet other_ipv4; nft list table inet other_ipv6`);
  const text = saved.replace(/\[\d+:\d+\]|^#.*\n/gm, '');
  // A table that was used once stays without rules.
  return text.replace(/^\*raw\n(?::\w+ ACCEPT \n)*COMMIT\n/gm, '');
}

/** Adds foreign rules, a set and a table that differ from ours in one respect. */
function addOthers(address: string, family: Family): void {
  const [tables, inet, type] =
    family === 'ipv4' ? ['iptables', 'inet', 'ipv4_addr'] : ['ip6tables', 'inet6', 'ipv6_addr'];
  inVictim(`ipset create other-${family} hash:ip family ${inet}; ipset add other-${family} ${address}
    for rule in "INPUT -s ${address} -p tcp --dport 9 -j DROP" \
      "INPUT -s ${address} -i eth9 -j DROP" \
      "FORWARD -s ${address} -m comment --comment mine -j REJECT" \
      "OUTPUT -d ${address} -p udp --dport 9 -j DROP" \
      "INPUT -m set --match-set other-${family} src -p udp -j DROP"
    do ${tables} -w -A $rule; done
    nft -f - <<END
table inet other_${family} {
  set blocked { type ${type}; elements = { ${address} }; }
  chain input { type filter hook input priority 0; ip saddr 203.0.113.250 drop; }
}
END`);
}

/** Compares lines without the date: `add` comes before `delete`, and IPv4 before this subnet of IPv6. */
const byVerbAndFamily = (a: string, b: string): number =>
  a.slice(a.indexOf('/')) < b.slice(b.indexOf('/')) ? -1 : 1;

describe.each(WAYS)('an attacker blocked with $name', (way) => {
  const oneEach = way.backend === 'iptables' ? { INPUT: 1, FORWARD: 1 } : { PREROUTING: 1 };
  /** True if the backend drops in prerouting, before the rules of INPUT, FORWARD and Docker. */
  const isBefore = way.backend !== 'iptables';

  beforeEach(() => {
    victim.host.useIptables(way.variant);
    victim.configure(`[firewall]\nbackend = "${way.backend}"\n`);
  });
  afterEach(() => {
    victim.reset();
    inVictim('for each in iptables ip6tables; do $each -w -X; done');
  });

  // Invocations use all backends in the same way, so all of them are tested only with plain rules.
  test.each(way === WAYS[0] ? MODES : MODES.slice(0, 1))(
    'loses its packets until the delete of execd (%s)',
    async (mode) => {
      const targets = FAMILIES.flatMap((family) => {
        return [network.routerNearA[family], network.b[family]].map((address) => {
          return { address, port: PORT };
        });
      });
      const open = (): boolean[] => canConnectToEach(attacker, targets);
      const offenders = FAMILIES.map((family) => network.a[family]);
      const execd = await startExecd(victim.host, { mode, checkEveryMs: 100 });
      // IPv6 routers need a moment to find their neighbours.
      await eventually('all connections to open', () => open().every(Boolean));

      for (const offender of offenders) {
        const report = await execd.alert(offender, { timeoutSeconds: 3600 });
        if (mode !== 'ossec') expect(report).toMatchObject({ status: 0 });
      }
      await eventually('the add lines', () => victim.log().length === 2);
      expect(open()).toEqual([false, false, false, false]);
      for (const offender of offenders) expect(places(offender, way)).toEqual(oneEach);

      execd.expire();
      await eventually('the delete lines', () => victim.log().length === 4);
      expect(open()).toEqual([true, true, true, true]);
      for (const offender of offenders) expect(places(offender, way)).toEqual({});
      await execd.stop();

      // ossec-execd does not wait for its children, so two simultaneous deletes end in any order.
      expect(victim.log().toSorted(byVerbAndFamily)).toEqual(
        ['add', 'delete'].flatMap((verb) =>
          offenders.map((offender) => expect.stringMatching(ossecLine(verb, offender))),
        ),
      );
    },
  );

  test('loses a connection that was open before the block', async () => {
    const offender = network.a.ipv4;
    const target = { address: network.routerNearA.ipv4, port: PORT };
    const connection = await openConnection(attacker, target);
    expect(await connection.exchange('hello', { timeoutMs: 600_000 })).toBe(true);
    expect(victim.add(offender).status).toBe(0);
    expect(await connection.exchange('still there?')).toBe(false);
    await connection.close();
  });

  const offenders = (): string[] => FAMILIES.map((family) => network.a[family]);
  const expectPlaces = (expected: Record<string, number>): void => {
    for (const offender of offenders()) expect(places(offender, way)).toEqual(expected);
  };
  const inBoth = (script: (tables: string) => string): void => {
    inVictim(FAMILIES.map((family) => script(tablesOf(family))).join('\n'));
  };

  test('has one entry per family after two adds, before rules that accept everything, and none after a delete', () => {
    const all = (verb: string, addresses = offenders()): void => {
      expect(victim.person([verb, ...addresses])).toMatchObject({ status: 0, stderr: '' });
    };
    const accept = (verb: string): void => {
      const chains = way.backend === 'ipset' ? ['PREROUTING -t raw'] : ['INPUT', 'FORWARD'];
      inBoth((tables) =>
        chains.map((chain) => `${tables} -w ${verb} ${chain} -j ACCEPT`).join('\n'),
      );
    };
    all('add');
    expect(reached()).toEqual(ALL_STOPPED);
    accept('-I');
    // Our own table is evaluated earlier. A rule in the same chain has to become the first again.
    expect(reached()).toEqual(way.backend === 'nftables' ? ALL_STOPPED : ALL_FLOWS);
    for (const offender of offenders()) expect(victim.add(offender.toUpperCase()).status).toBe(0);
    expect(reached()).toEqual(ALL_STOPPED);
    expectPlaces(oneEach);
    all('delete');
    accept('-D');
    expectPlaces({});
    expect(reached()).toEqual(ALL_FLOWS);
    expect(victim.delete(offenders()[1] ?? '').status).toBe(0);
  });

  test('has its foreign rules, and none of ours, after a delete', () => {
    for (const family of FAMILIES) addOthers(network.a[family], family);
    const before = everything();
    expect(victim.person(['add', ...offenders()]).status).toBe(0);
    expectPlaces(oneEach);
    expect(victim.person(['delete', ...offenders()]).status).toBe(0);
    expect(victim.person(['flush', '--yes']).status).toBe(0);
    expect(everything()).toBe(before);
  });

  test('is unblocked at its deadline without execd, with a log line', () => {
    victim.person(['add', ...offenders(), '--timeout', '1h']);
    expect(reached()).toEqual(ALL_STOPPED);
    victim.endTime(...offenders());
    const { stdout, lines } = victim.person(['expire']);
    expect(stdout).toBe(
      offenders()
        .map((offender) => `${offender} released\n`)
        .join(''),
    );
    expect(lines).toEqual(
      offenders().map((offender) => expect.stringMatching(ossecLine('delete', offender))),
    );
    expectPlaces({});
    expect(reached()).toEqual(ALL_FLOWS);
  });

  test('reaches no Docker container, whether Docker or the block was first, and whatever rule precedes ours', () => {
    const through = (): boolean[] => {
      return canPingEach(
        attacker,
        FAMILIES.map((family) => network.b[family]),
      );
    };
    // A blocked IPv6 neighbour cannot be found any more, so it must be in the neighbour table before.
    expect(through()).toEqual([true, true]);
    expect(victim.person(['add', ...offenders()]).status).toBe(0);
    // As dockerd does when it starts: its chains come first in FORWARD, and accept packets for containers.
    inBoth(
      (tables) => `${tables} -w -N DOCKER-USER; ${tables} -w -A DOCKER-USER -j RETURN
        ${tables} -w -I FORWARD -j ACCEPT; ${tables} -w -I FORWARD -j DOCKER-USER`,
    );
    expect(through()).toEqual([!isBefore, !isBefore]);
    expect(victim.person(['restore']).status).toBe(0);
    expect(through()).toEqual([false, false]);
    const all = isBefore ? oneEach : { ...oneEach, 'DOCKER-USER': 1 };
    expectPlaces(all);

    inBoth((tables) => `${tables} -w -I DOCKER-USER -j ACCEPT`);
    expect(victim.person(['reconcile', '--dry-run']).status).toBe(isBefore ? 0 : 1);
    expect(victim.person(['reconcile']).status).toBe(0);
    expect(through()).toEqual([false, false]);
    expectPlaces(all);

    expect(victim.person(['flush', '--yes']).status).toBe(0);
    expectPlaces({});
    for (const family of FAMILIES) {
      expect(inVictim(`${tablesOf(family)} -w -S DOCKER-USER`)).toBe(
        '-N DOCKER-USER\n-A DOCKER-USER -j ACCEPT\n-A DOCKER-USER -j RETURN\n',
      );
    }
  });
});
