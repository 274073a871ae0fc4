// What the host says of its own network, in the formats of the kernel and the resolver.
import { networkInterfaces } from 'node:os';
import { describe, expect, test } from '@jest/globals';
import {
  defaultGateways,
  ownAddresses,
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

  test('gives the next hop of the default route, whose bytes come in reverse', () => {
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

  test('gives no next hop of other routes, nor of one that has none', () => {
    const table = [
      HEAD,
      route('eth0', '006433C6', '016433C6', '00FFFFFF'),
      route('tun0', '00000000', '00000000', '00000000'),
      route('tun0', '00000000', '016433C6', '00000080'),
    ].join('\n');
    expect(readRoutes4(table)).toEqual([]);
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

  test('gives link-local next hops, as router advertisements leave them', () => {
    const table = route(ZEROS, '00', 'fe800000000000000000000000000001', 'eth0');
    expect(gateways(readRoutes6(table))).toEqual(['fe80::1 eth0']);
  });

  test('gives none of other routes, nor of unreachable ones', () => {
    const table = [
      route('20010db8000000000000000000000000', '20', '20010db8000000000000000000000001', 'eth0'),
      route(ZEROS, '00', ZEROS, 'lo'),
      route(ZEROS, '60', '20010db8000000000000000000000001', 'eth0'),
    ].join('\n');
    expect(readRoutes6(table)).toEqual([]);
  });
});

test.each([
  ['nothing', ''],
  ['a line cut short', 'eth0\t00000000'],
  ['words', 'not a table\nof any kind'],
])('a table of %s has no gateways', (_, table) => {
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

  test('gives a link-local one without its zone', () => {
    expect(readResolvers('nameserver fe80::1%eth0')[0]?.text).toBe('fe80::1');
  });

  test.each([
    '#nameserver 192.0.2.53',
    ';nameserver 192.0.2.53',
    'nameserver',
    'nameserver dns',
    'domain 192.0.2.53',
  ])('gives none for %j', (line) => {
    expect(readResolvers(line)).toEqual([]);
  });
});

describe('this host', () => {
  test('has every address of every interface among its own', () => {
    const own = ownAddresses().map(({ address }) => address.text);
    const expected = Object.values(networkInterfaces()).flatMap((entries) => entries ?? []);
    expect(expected.length).toBeGreaterThan(0);
    for (const { address } of expected) expect(own).toContain(address.replace(/%.*/, ''));
  });

  test('has a broadcast address for each IPv4 network, and none for IPv6', () => {
    const broadcasts = ownAddresses().filter(({ kind }) => kind === 'broadcast');
    expect(broadcasts.every(({ address }) => address.family === 4)).toBe(true);
  });

  test('is asked for its gateways without an error, whatever protocols it has', () => {
    expect(() => defaultGateways()).not.toThrow();
  });
});
