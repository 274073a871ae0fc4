// Reads the network configuration of this host: its own addresses, gateways and resolvers. Changes nothing.
import { existsSync } from 'node:fs';
import type * as Os from 'node:os';
import {
  makeAddress,
  parseAddress,
  parseNetwork,
  lastAddress,
  type Address,
  type Family,
} from '../model/address.ts';
import type { Command } from './exec.ts';
import { textOrEmpty } from './files.ts';

const RESOLVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

export interface InterfaceAddress {
  readonly address: Address;
  readonly interfaceName: string;
  readonly kind: 'own' | 'broadcast';
}

/** Returns every address of this host and every IPv4 broadcast address, with the interface name if the link is up. */
export function ownAddresses(): InterfaceAddress[] {
  const found = [...runningLinks(), ...ownAddressesOf(4), ...ownAddressesOf(6)];
  // The first entry of each address has the interface name. The reversal makes the map keep that one.
  return [...new Map(found.toReversed().map((own) => [own.address.text, own])).values()].reverse();
}

/** Reads own addresses from the kernel's tables, including those of links without carrier and whole local networks. */
export function ownAddressesOf(family: Family): InterfaceAddress[] {
  if (family === 4) return readFibTrie(textOrEmpty('/proc/net/fib_trie'));
  return [
    ...readIfInet6(textOrEmpty('/proc/net/if_inet6')),
    ...readLocalRoutes6(textOrEmpty('/proc/net/ipv6_route')),
  ];
}

function runningLinks(): InterfaceAddress[] {
  const { networkInterfaces } = require('node:os') as typeof Os;
  const found: InterfaceAddress[] = [];
  for (const [interfaceName, entries] of Object.entries(networkInterfaces())) {
    for (const { address, cidr } of entries ?? []) {
      const own = parseAddress(address.replace(/%.*$/, ''));
      if (own !== null) found.push({ address: own, interfaceName, kind: 'own' });
      const network = cidr === null ? null : parseNetwork(cidr);
      if (network !== null && network.family === 4 && network.prefixLength < 31) {
        found.push({ address: lastAddress(network), interfaceName, kind: 'broadcast' });
      }
    }
  }
  return found;
}

/** A local route with a shorter prefix is not an own address: it sends all traffic to a transparent proxy. */
const SHORTEST_LOCAL_PREFIX = 8;

/**
 * Parses `/proc/net/fib_trie`: for each table, lines `|-- ADDRESS`, each followed by lines `/LENGTH SCOPE TYPE`. The
 * addresses of a link in a VRF are in the table of the VRF. Without policy routing rules, the main and the local table
 * are one table, which the kernel prints twice.
 */
export function readFibTrie(trie: string): InterfaceAddress[] {
  const found = new Map<string, InterfaceAddress>();
  let text = '';
  for (const line of trie.split('\n')) {
    const [mark = '', second = '', type] = line.trim().split(' ');
    if (mark === '|--') text = second;
    else if (type === 'LOCAL' || type === 'BROADCAST') {
      const network = `${text}${mark}`;
      // The kernel prints a merged main and local table twice.
      const address = found.has(network) ? null : parseNetwork(network);
      if (address === null || address.prefixLength < SHORTEST_LOCAL_PREFIX) continue;
      const kind = type === 'LOCAL' ? 'own' : 'broadcast';
      found.set(network, { address, interfaceName: 'local table', kind });
    }
  }
  return [...found.values()];
}

/** Parses `/proc/net/if_inet6`: the first column is the address in hexadecimal, the last one its interface. */
export function readIfInet6(table: string): InterfaceAddress[] {
  return table.split('\n').flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const [hex = '', , , , , interfaceName = ''] = columns;
    if (!/^[0-9a-f]{32}$/i.test(hex)) return [];
    return [{ address: makeAddress(6, BigInt(`0x${hex}`)), interfaceName, kind: 'own' }];
  });
}

/** RTF_LOCAL of linux/ipv6_route.h. */
const LOCAL_ROUTE = 0x80000000n;

/** Returns the local routes of all tables in `/proc/net/ipv6_route`. */
export function readLocalRoutes6(table: string): InterfaceAddress[] {
  return routes6(table).flatMap(({ destination, prefixLength, flags, interfaceName }) => {
    if ((flags & LOCAL_ROUTE) === 0n || prefixLength < SHORTEST_LOCAL_PREFIX) return [];
    return [{ address: makeAddress(6, destination, prefixLength), interfaceName, kind: 'own' }];
  });
}

export interface Gateway {
  readonly address: Address;
  readonly interfaceName: string;
}

/**
 * The longest prefix that counts as a default route, because a default route can be split. VPN software replaces
 * 0.0.0.0/0 by 0.0.0.0/1 and 128.0.0.0/1. 2000::/3, or 2000::/4 and 3000::/4, covers all global IPv6 addresses.
 */
const LONGEST_DEFAULT_PREFIX = { 4: 1, 6: 4 } as const;

/** Returns the next hops of default routes in /proc, which for IPv4 has only the first hops in the main table. */
export function defaultGateways(family: Family): Gateway[] {
  return family === 4
    ? readRoutes4(textOrEmpty('/proc/net/route'))
    : readRoutes6(textOrEmpty('/proc/net/ipv6_route'));
}

/** Parses `/proc/net/route`, with hexadecimal addresses in host byte order: little-endian on all supported hosts. */
export function readRoutes4(table: string): Gateway[] {
  return table.split('\n').flatMap((line) => {
    const [interfaceName = '', , gateway = '', , , , , mask] = line.split('\t');
    // These are the masks of /0 and /1.
    if (mask !== '00000000' && mask !== '00000080') return [];
    const value = gateway.match(/../g)?.reverse().join('') ?? '0';
    return gatewayFrom(4, value, interfaceName);
  });
}

/** Parses `/proc/net/ipv6_route`, with hexadecimal addresses in network byte order. */
export function readRoutes6(table: string): Gateway[] {
  return routes6(table).flatMap(({ prefixLength, gateway, interfaceName }) => {
    return prefixLength > LONGEST_DEFAULT_PREFIX[6] ? [] : gatewayFrom(6, gateway, interfaceName);
  });
}

function routes6(table: string) {
  return table.split('\n').flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const [destination, prefixLength, , , gateway = '', , , , flags, interfaceName] = columns;
    if (interfaceName === undefined || !/^[0-9a-f]{32}$/i.test(gateway)) return [];
    return {
      destination: BigInt(`0x${destination}`),
      prefixLength: Number.parseInt(prefixLength ?? '', 16),
      gateway,
      flags: BigInt(`0x${flags}`),
      interfaceName,
    };
  });
}

function gatewayFrom(family: 4 | 6, hex: string, interfaceName: string): Gateway[] {
  const value = BigInt(`0x${hex}`);
  return value === 0n ? [] : [{ address: makeAddress(family, value), interfaceName }];
}

export const LIST_ROUTES: Command = {
  program: 'ip',
  args: ['-j', 'route', 'show', 'table', 'all'],
  input: '',
};

/** A route, or a next hop of a route, as `ip -j` prints it. */
interface PrintedHop {
  readonly dst?: unknown;
  readonly dev?: unknown;
  readonly gateway?: unknown;
  /** A next hop of the other address family. */
  readonly via?: { readonly host?: unknown };
  readonly nexthops?: readonly PrintedHop[];
}

/**
 * Returns the next hops of the default routes of all tables in the output of `LIST_ROUTES`. Throws if it is malformed.
 */
export function readPrintedRoutes(json: string): Gateway[] {
  const routes = JSON.parse(json) as readonly PrintedHop[];
  return routes
    .filter(({ dst }) => isDefault(String(dst)))
    .flatMap((route) => [route, ...(route.nexthops ?? [])])
    .flatMap(({ gateway, via, dev }: PrintedHop) => {
      const address = parseAddress(String(gateway ?? via?.host));
      return address === null ? [] : [{ address, interfaceName: String(dev) }];
    });
}

function isDefault(destination: string): boolean {
  if (destination === 'default') return true;
  const network = parseNetwork(destination);
  return network !== null && network.prefixLength <= LONGEST_DEFAULT_PREFIX[network.family];
}

/** Returns the name servers of the resolver, and those that systemd-resolved forwards to. */
export function resolvers(): Address[] {
  return RESOLVER_FILES.flatMap((file) => readResolvers(textOrEmpty(file)));
}

export function readResolvers(text: string): Address[] {
  return text.split('\n').flatMap((line) => {
    const server = /^\s*nameserver\s+([0-9a-fA-F:.]+)/.exec(line)?.[1];
    const address = server === undefined ? null : parseAddress(server);
    return address === null ? [] : [address];
  });
}

/** Reports whether any interface but loopback has an IPv6 address. Loopback has one whenever the kernel has IPv6. */
export function hasIpv6(): boolean {
  return ownAddresses().some(({ address, interfaceName }) => {
    return address.family === 6 && interfaceName !== 'lo';
  });
}

/** Reports whether the kernel runs without IPv6 (ipv6.disable=1, or not built in). Only a reboot changes that. */
export function isIpv6Absent(): boolean {
  return existsSync('/proc/net/dev') && !existsSync('/proc/net/if_inet6');
}
