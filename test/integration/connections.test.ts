// Checks firewall.kill_connections: the kernel drops the open connections of a blocked address, to the host and through
// it.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHost, type TestHost } from '../support/host.ts';
import { connectThrough, type RoutedAddresses } from '../support/network.ts';
import { listen, openConnection, type Connection } from '../support/traffic.ts';
import { createVictim, type Victim } from '../support/victim.ts';

const PORT = 8080;
const PROGRAM = '/usr/sbin/conntrack';
const KILL = '[firewall]\nkill_connections = true\n';

let attacker: TestHost;
let server: TestHost;
let victim: Victim;
let network: RoutedAddresses;
let open: Connection[] = [];

beforeAll(async () => {
  [attacker, victim, server] = await Promise.all([
    createHost('attacker'),
    createVictim({ variant: 'nft' }),
    createHost('server'),
  ]);
  network = connectThrough(attacker, victim.host, server);
  await Promise.all([listen(attacker, PORT), listen(victim.host, PORT), listen(server, PORT)]);
});
afterEach(async () => {
  await Promise.all(open.map((connection) => connection.close()));
  open = [];
  victim.host.run(['umount', PROGRAM]);
  victim.host.run(['conntrack', '-F']);
  victim.reset();
});
afterAll(async () => {
  await Promise.all([attacker.dispose(), victim.dispose(), server.dispose()]);
});

/** Makes the kernel track connections, with a rule that accepts open connections, as usual firewalls have. */
function trackConnections(): void {
  for (const program of ['iptables', 'ip6tables']) {
    for (const chain of ['INPUT', 'FORWARD']) {
      const rule = ['-m', 'conntrack', '--ctstate', 'ESTABLISHED', '-j', 'ACCEPT'];
      victim.host.must([program, '-w', '-A', chain, ...rule]);
    }
  }
}

/** Opens connections to the victim, through it, and from it. */
async function openAll(family: 'ipv4' | 'ipv6'): Promise<void> {
  const targets: readonly (readonly [TestHost, string])[] = [
    [attacker, network.routerNearA[family]],
    [attacker, network.b[family]],
    [victim.host, network.a[family]],
  ];
  for (const [from, address] of targets) {
    const connection = await openConnection(from, { address, port: PORT });
    open.push(connection);
    expect(await connection.exchange('hello', { timeoutMs: 600_000 })).toBe(true);
  }
}

/** Returns the tracked flows of an address. */
function flowsOf(address: string): string[] {
  const family = address.includes(':') ? 'ipv6' : 'ipv4';
  const listing = victim.host.must(['conntrack', '-L', '-f', family, '-p', 'tcp']);
  return listing.split('\n').filter((line) => line.split(' ').includes(`src=${address}`));
}

describe.each(['ipv4', 'ipv6'] as const)('%s', (family) => {
  test('cuts an address’s connections to, through and from the host when it is blocked', async () => {
    victim.configure(KILL);
    trackConnections();
    await openAll(family);
    expect(flowsOf(network.a[family])).toHaveLength(3);
    expect(victim.add(network.a[family])).toMatchObject({ status: 0, stderr: '' });
    expect(flowsOf(network.a[family])).toEqual([]);
    expect(await open[1]?.exchange('still there?')).toBe(false);
  });
});

test('leaves connections of other addresses open, and by default those of the address, too', async () => {
  trackConnections();
  await openAll('ipv4');
  expect(victim.add(network.a.ipv4).status).toBe(0);
  expect(flowsOf(network.a.ipv4)).toHaveLength(3);
  expect(victim.person(['doctor']).stdout).not.toContain('connections');
  victim.configure(KILL);
  expect(victim.add('203.0.113.7')).toMatchObject({ status: 0, stderr: '' });
  expect(flowsOf(network.a.ipv4)).toHaveLength(3);
});

test('restoring a block cuts the connections that were opened in the meantime', async () => {
  victim.configure(KILL);
  trackConnections();
  victim.add(network.a.ipv4);
  victim.flushRules();
  trackConnections();
  await openAll('ipv4');
  expect(victim.add(network.a.ipv4, { answer: 'abort' }).status).toBe(0);
  expect(flowsOf(network.a.ipv4)).toEqual([]);
  victim.flushRules();
  trackConnections();
  await openAll('ipv4');
  expect(victim.person(['restore']).status).toBe(0);
  expect(flowsOf(network.a.ipv4)).toEqual([]);
});

test('blocking a network or a list cuts the connections of each of its addresses, and --dry-run shows the commands', async () => {
  victim.configure(KILL);
  trackConnections();
  await openAll('ipv6');
  const dry = victim.person(['add', '--dry-run', '203.0.113.7', '2001:db8:1::/127']);
  expect(dry.stdout).toContain('conntrack -D -f ipv4 -s 203.0.113.7\n');
  expect(dry.stdout).toContain('conntrack -L -f ipv6\n');
  expect(flowsOf(network.a.ipv6)).toHaveLength(3);
  expect(victim.person(['add', '2001:db8:1::/127'])).toMatchObject({ status: 0, stderr: '' });
  expect(flowsOf(network.a.ipv6)).toEqual([]);
});

describe('a conntrack program', () => {
  test('that is missing does not stop a block, and is reported once', () => {
    victim.configure(KILL);
    victim.host.bind('/dev/null', PROGRAM);
    const first = victim.add('203.0.113.7');
    expect(first.status).toBe(0);
    expect(first.stderr).toContain('conntrack is not installed');
    expect(victim.add('203.0.113.8')).toMatchObject({ status: 0, stderr: '' });
    expect(victim.rules('203.0.113.8')).toHaveLength(2);
    expect(victim.troubles()).toHaveLength(1);
    expect(victim.person(['doctor']).stdout).toMatch(
      /warning +connections +firewall\.kill_connections is true, but conntrack is not installed/,
    );
  });

  test.each([
    ['broken', 'echo "no such table" >&2; exit 1', 'no such table'],
    ['hanging', 'exec sleep 600', 'did not end within 1.0 s'],
  ])('%s does not stop a block, and is reported', (_, script, complaint) => {
    victim.configure(`${KILL}program_timeout_seconds = 1\n`);
    victim.host.writeFile('/var/tmp/fake', `#!/bin/bash\n${script}\n`, { mode: '0755' });
    victim.host.bind('/var/tmp/fake', PROGRAM);
    const response = victim.add('203.0.113.7');
    expect(response.status).toBe(0);
    expect(response.lines).toHaveLength(1);
    expect(response.stderr).toContain(complaint);
    expect(victim.rules('203.0.113.7')).toHaveLength(2);
  });
});
