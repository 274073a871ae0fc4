// Reads the network configuration of the host in the formats of the kernel and the resolver.
import { networkInterfaces } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import { contains } from '../../../src/model/address.ts';
import {
  defaultGateways,
  ownAddresses,
  ownAddressesOf,
  readFibTrie,
  readIfInet6,
  readLocalRoutes6,
  readPrintedRoutes,
  readResolvers,
  readRoutes4,
  readRoutes6,
} from '../../../src/system/net.ts';

const gateways = (found: readonly { address: { text: string }; interfaceName: string }[]) =>
  found.map(({ address, interfaceName }) => `${address.text} ${interfaceName}`);

describe('/proc/net/route', () => {
  const HEAD =
    'Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT';
  const route = (name: string, destination: string, gateway: string, mask: string): string =>
    `${name}\t${destination}\t${gateway}\t0003\t0\t0\t100\t${mask}\t0\t0\t0`;

  test('gives the next hop of the default route, whose bytes are in reverse order', () => {
    const table = [HEAD, route('eth0', '00000000', '016433C6', '00000000'), ''].join('\n');
    expect(gateways(readRoutes4(table))).toEqual(['198.51.100.1 eth0']);
  });

  test('gives every default route', () => {
    const table = [
      HEAD,
      route('eth0', '00000000', '016433C6', '00000000'),
      route('wlan0', '00000000', 'FE0200C0', '00000000'),
    ].join('\n');
    expect(gateways(readRoutes4(table))).toEqual(['198.51.100.1 eth0', '192.0.2.254 wlan0']);
  });

  test('gives no next hops of other routes and of default routes without one', () => {
    const table = [
      HEAD,
      route('eth0', '006433C6', '016433C6', '00FFFFFF'),
      route('tun0', '00000000', '00000000', '00000000'),
      route('tun0', '00000000', '016433C6', '000000C0'),
    ].join('\n');
    expect(readRoutes4(table)).toEqual([]);
  });

  test('gives the next hop of a default route in two halves, as VPN software creates it', () => {
    const table = [
      HEAD,
      route('tun0', '00000000', '016433C6', '00000080'),
      route('tun0', '00000080', '026433C6', '00000080'),
    ].join('\n');
    expect(gateways(readRoutes4(table))).toEqual(['198.51.100.1 tun0', '198.51.100.2 tun0']);
  });
});

describe('/proc/net/ipv6_route', () => {
  const ZEROS = '0'.repeat(32);
  const route = (destination: string, length: string, gateway: string, name: string): string =>
    `${destination} ${length} ${ZEROS} 00 ${gateway} 00000064 00000001 00000000 00000003 ${name.padStart(8)}`;

  test('gives the next hop of the default route', () => {
    const table = route(ZEROS, '00', '20010db8000000000000000000000001', 'eth0');
    expect(gateways(readRoutes6(`${table}\n`))).toEqual(['2001:db8::1 eth0']);
  });

  test('gives link-local next hops, as router advertisements set them', () => {
    const table = route(ZEROS, '00', 'fe800000000000000000000000000001', 'eth0');
    expect(gateways(readRoutes6(table))).toEqual(['fe80::1 eth0']);
  });

  test.each([
    [ZEROS, '01'],
    [`8${ZEROS.slice(1)}`, '01'],
    [`2${ZEROS.slice(1)}`, '03'],
  ])('gives the next hop of a part of the default route, %s/%s', (destination, length) => {
    const table = route(destination, length, '20010db8000000000000000000000001', 'tun0');
    expect(gateways(readRoutes6(table))).toEqual(['2001:db8::1 tun0']);
  });

  test('gives addresses and whole networks that are routed to this host itself', () => {
    const local = (destination: string, length: string, flags: string): string =>
      `${destination} ${length} ${ZEROS} 00 ${ZEROS} 00000000 00000002 00000000 ${flags} lo`;
    const table = [
      local('20010db8000000000000000000000007', '80', '80200001'),
      local('20010db8000100000000000000000000', '40', '80200001'),
      local('20010db8000200000000000000000000', '40', '00200001'),
      // A local route to a transparent proxy is not an address.
      local(ZEROS, '00', '80200001'),
    ].join('\n');
    expect(readLocalRoutes6(table).map(({ address }) => address.text)).toEqual([
      '2001:db8::7',
      '2001:db8:1::/64',
    ]);
  });

  test('gives no next hops of other and unreachable routes', () => {
    const table = [
      route('20010db8000000000000000000000000', '20', '20010db8000000000000000000000001', 'eth0'),
      route(ZEROS, '00', ZEROS, 'lo'),
      route(ZEROS, '60', '20010db8000000000000000000000001', 'eth0'),
    ].join('\n');
    expect(readRoutes6(table)).toEqual([]);
  });
});

describe('/proc/net/fib_trie', () => {
  const trie = (name: string, leaf: string, kind: string): string =>
    `${name}:\n  +-- 0.0.0.0/0 3 0 5\n     |-- ${leaf}\n        ${kind}\n`;
  const found = (text: string): string[] =>
    readFibTrie(text).map(({ address, kind }) => `${address.text} ${kind}`);

  test('gives own and broadcast addresses, including those of links without carrier', () => {
    const text =
      trie('Main', '172.17.0.0', '/16 link UNICAST') +
      trie('Local', '172.17.0.1', '/32 host LOCAL') +
      trie('Local', '172.17.255.255', '/32 link BROADCAST');
    expect(found(text)).toEqual(['172.17.0.1 own', '172.17.255.255 broadcast']);
  });

  test('gives whole local networks', () => {
    expect(found(trie('Local', '192.0.2.0', '/24 host LOCAL'))).toEqual(['192.0.2.0/24 own']);
  });

  test('gives each kind of one leaf', () => {
    const text = trie('Local', '127.0.0.0', '/32 link BROADCAST\n        /8 host LOCAL');
    expect(found(text)).toEqual(['127.0.0.0 broadcast', '127.0.0.0/8 own']);
  });

  test('gives addresses in the table of a VRF', () => {
    expect(found(trie('Id 10', '192.0.2.7', '/32 host LOCAL'))).toEqual(['192.0.2.7 own']);
  });

  test('gives no address for a route that sends all traffic to a transparent proxy', () => {
    const proxy = trie('Id 100', '0.0.0.0', '/0 host LOCAL');
    expect(found(proxy)).toEqual([]);
    expect(found(proxy + trie('Local', '192.0.2.7', '/32 host LOCAL'))).toEqual(['192.0.2.7 own']);
    expect(found(trie('Local', '0.0.0.0', '/0 host LOCAL'))).toEqual([]);
  });
});

test('/proc/net/if_inet6 gives the addresses of every interface', () => {
  const table =
    '20010db8000000000000000000000007 04 40 00 80     eth0\n00000000000000000000000000000001 01 80 10 80       lo\n';
  expect(gateways(readIfInet6(table))).toEqual(['2001:db8::7 eth0', '::1 lo']);
});

describe('ip route', () => {
  const hops = (...routes: readonly unknown[]): string[] =>
    gateways(readPrintedRoutes(JSON.stringify(routes)));

  test('gives the next hop of a default route of any table', () => {
    expect(
      hops(
        { dst: 'default', gateway: '192.0.2.1', dev: 'eth0', flags: [] },
        { dst: 'default', gateway: '192.0.2.2', dev: 'eth1', table: '100', flags: [] },
        { dst: 'default', gateway: 'fe80::1', dev: 'eth0', metric: 1024 },
      ),
    ).toEqual(['192.0.2.1 eth0', '192.0.2.2 eth1', 'fe80::1 eth0']);
  });

  test('gives all next hops of a multipath route', () => {
    const nexthops = [
      { gateway: '192.0.2.1', dev: 'eth0', weight: 1 },
      { gateway: '192.0.2.2', dev: 'eth1', weight: 1 },
    ];
    expect(hops({ dst: 'default', nexthops })).toEqual(['192.0.2.1 eth0', '192.0.2.2 eth1']);
  });

  test('gives a next hop of the other address family', () => {
    const via = { family: 'inet6', host: 'fe80::1' };
    expect(hops({ dst: 'default', via, dev: 'eth0' })).toEqual(['fe80::1 eth0']);
  });

  test('gives the next hops of a split default route, and none of other routes', () => {
    expect(
      hops(
        { dst: '0.0.0.0/1', gateway: '192.0.2.1', dev: 'tun0' },
        { dst: '128.0.0.0/1', gateway: '192.0.2.1', dev: 'tun0' },
        { dst: '2000::/3', gateway: '2001:db8::1', dev: 'tun0' },
        { dst: '203.0.113.0/24', gateway: '192.0.2.3', dev: 'eth0' },
        { dst: '203.0.113.1', gateway: '192.0.2.3', dev: 'eth0' },
        { type: 'unreachable', dst: 'default', dev: 'lo' },
      ),
    ).toEqual(['192.0.2.1 tun0', '192.0.2.1 tun0', '2001:db8::1 tun0']);
  });
});

test.each([
  ['empty', ''],
  ['a line cut short', 'eth0\t00000000'],
  ['plain text', 'not a table\nof any kind'],
])('a table that is %s has no gateways', (_, table) => {
  expect([readRoutes4(table), readRoutes6(table)]).toEqual([[], []]);
});

describe('resolv.conf', () => {
  test('gives its name servers', () => {
    const text =
      '# made by hand\nnameserver 192.0.2.53\n  nameserver\t2001:db8::53\nsearch example\n';
    expect(readResolvers(text).map((address) => address.text)).toEqual([
      '192.0.2.53',
      '2001:db8::53',
    ]);
  });

  test('gives a link-local name server without its zone', () => {
    expect(readResolvers('nameserver fe80::1%eth0')[0]?.text).toBe('fe80::1');
  });

  test.each([
    '#nameserver 192.0.2.53',
    ';nameserver 192.0.2.53',
    'nameserver',
    'nameserver dns',
    'domain 192.0.2.53',
  ])('gives no name server for %j', (line) => {
    expect(readResolvers(line)).toEqual([]);
  });
});

describe('this host', () => {
  test('has every address of every interface among its own addresses', () => {
    const own = ownAddresses().map(({ address }) => address.text);
    const expected = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
    expect(expected.length).toBeGreaterThan(0);
    for (const { address } of expected) expect(own).toContain(address.replace(/%.*/, ''));
  });

  test('has the same addresses according to the kernel’s tables only', () => {
    const tables = ([4, 6] as const).flatMap(ownAddressesOf).map(({ address }) => address);
    for (const { address } of ownAddresses()) {
      if (!address.text.startsWith('127.'))
        expect(tables.some((own) => contains(own, address))).toBe(true);
    }
  });

  test('has a broadcast address for each IPv4 network and none for IPv6', () => {
    const broadcasts = ownAddresses().filter(({ kind }) => kind === 'broadcast');
    expect(broadcasts.every(({ address }) => address.family === 4)).toBe(true);
  });

  test('returns its gateways without an error, with any protocols', () => {
    expect(() => ([4, 6] as const).flatMap(defaultGateways)).not.toThrow();
  });
});
