// What this host says about its network: own addresses, gateways, resolvers. Reads; changes nothing.
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

/** Every address of this host, and every IPv4 broadcast address. libuv knows the names of the links that run. */
export function ownAddresses(): InterfaceAddress[] {
  const found = [...runningLinks(), ...ownAddressesOf(4), ...ownAddressesOf(6)];
  // In reverse, so that of each address the first, which has its interface, stays.
  return [...new Map(found.toReversed().map((own) => [own.address.text, own])).values()].reverse();
}

/** The same by the kernel's tables: those of links without carrier too, and networks that are local as a whole. */
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

/** A local route to more than this is no address: it takes everything to a transparent proxy. */
const SHORTEST_LOCAL_PREFIX = 8;

/**
 * `/proc/net/fib_trie`: a line `|-- ADDRESS`, below it `/LENGTH SCOPE TYPE`, for each table. The addresses of a link in a
 * VRF are in the table of that.
 */
export function readFibTrie(trie: string): InterfaceAddress[] {
  const found = new Map<string, InterfaceAddress>();
  let text = '';
  for (const line of trie.split('\n')) {
    const [mark = '', second = '', type] = line.trim().split(' ');
    if (mark === '|--') text = second;
    else if (type === 'LOCAL' || type === 'BROADCAST') {
      const network = `${text}${mark}`;
      // Without tables of one's own, main and local are one, and all is printed twice.
      const address = found.has(network) ? null : parseNetwork(network);
      if (address === null || address.prefixLength < SHORTEST_LOCAL_PREFIX) continue;
      const kind = type === 'LOCAL' ? 'own' : 'broadcast';
      found.set(network, { address, interfaceName: 'local table', kind });
    }
  }
  return [...found.values()];
}

/** `/proc/net/if_inet6`: the address in hexadecimal comes first, its interface last. */
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

/** `/proc/net/ipv6_route` has the local routes of all tables. */
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
 * A default route may come in pieces: VPN software writes 0.0.0.0/1 and 128.0.0.0/1 in the place of 0.0.0.0/0, and
 * 2000::/3, or 2000::/4 and 3000::/4, is all of IPv6 that is in use.
 */
const LONGEST_DEFAULT_PREFIX = { 4: 1, 6: 4 } as const;

/** The next hops of default routes: for IPv4 the first of each, in the main table only; nothing else is in /proc. */
export function defaultGateways(family: Family): Gateway[] {
  return family === 4
    ? readRoutes4(textOrEmpty('/proc/net/route'))
    : readRoutes6(textOrEmpty('/proc/net/ipv6_route'));
}

/** `/proc/net/route`: addresses are hexadecimal in the host's byte order, which is little-endian wherever we run. */
export function readRoutes4(table: string): Gateway[] {
  return table.split('\n').flatMap((line) => {
    const [interfaceName = '', , gateway = '', , , , , mask] = line.split('\t');
    // The masks of /0 and /1.
    if (mask !== '00000000' && mask !== '00000080') return [];
    const value = gateway.match(/../g)?.reverse().join('') ?? '0';
    return gatewayFrom(4, value, interfaceName);
  });
}

/** `/proc/net/ipv6_route`: addresses are hexadecimal in network byte order. */
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

/** A route, or a next hop of one, as ip(8) prints it with `-j`. */
interface PrintedHop {
  readonly dst?: unknown;
  readonly dev?: unknown;
  readonly gateway?: unknown;
  /** A next hop of the other family. */
  readonly via?: { readonly host?: unknown };
  readonly nexthops?: readonly PrintedHop[];
}

/** The next hops of all default routes, of every table, in what `LIST_ROUTES` printed. Throws at what is no such list. */
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

/** Name servers of the resolver and, where systemd-resolved stands between, of its upstream. */
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

/** Loopback has IPv6 wherever the kernel does; only other addresses can be reached. */
export function hasIpv6(): boolean {
  return ownAddresses().some(({ address, interfaceName }) => {
    return address.family === 6 && interfaceName !== 'lo';
  });
}

/** Whether the kernel runs without IPv6 (ipv6.disable=1, or none built in), which nothing but a boot changes. */
export function isIpv6Absent(): boolean {
  return existsSync('/proc/net/dev') && !existsSync('/proc/net/if_inet6');
}
