// What this host says about its network: own addresses, gateways, resolvers. Reads; changes nothing.
import { networkInterfaces } from 'node:os';
import {
  makeAddress,
  parseAddress,
  parseNetwork,
  lastAddress,
  type Address,
} from '../model/address.ts';
import { readRegularFile } from './files.ts';

const LARGEST_TABLE = 4 * 1024 * 1024;
const RESOLVER_FILES = ['/etc/resolv.conf', '/run/systemd/resolve/resolv.conf'];

export interface InterfaceAddress {
  readonly address: Address;
  readonly interfaceName: string;
  readonly kind: 'own' | 'broadcast';
}

/** Every address of every interface, and the broadcast address of every IPv4 network that has one. */
export function ownAddresses(): InterfaceAddress[] {
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

export interface Gateway {
  readonly address: Address;
  readonly interfaceName: string;
}

/** The next hops of all default routes. */
export function defaultGateways(): Gateway[] {
  return [
    ...readRoutes4(readTable('/proc/net/route')),
    ...readRoutes6(readTable('/proc/net/ipv6_route')),
  ];
}

/** `/proc/net/route`: addresses are hexadecimal in the host's byte order, which is little-endian wherever we run. */
export function readRoutes4(table: string): Gateway[] {
  return table.split('\n').flatMap((line) => {
    const [interfaceName = '', destination, gateway = '', , , , , mask] = line.split('\t');
    if (destination !== '00000000' || mask !== '00000000') return [];
    const value = gateway.match(/../g)?.reverse().join('') ?? '0';
    return gatewayFrom(4, value, interfaceName);
  });
}

/** `/proc/net/ipv6_route`: addresses are hexadecimal in network byte order. */
export function readRoutes6(table: string): Gateway[] {
  return table.split('\n').flatMap((line) => {
    const columns = line.trim().split(/\s+/);
    const [destination, prefixLength, , , gateway = '0'] = columns;
    if (!/^0{32}$/.test(destination ?? '') || prefixLength !== '00') return [];
    return gatewayFrom(6, gateway, columns[9] ?? '');
  });
}

function gatewayFrom(family: 4 | 6, hex: string, interfaceName: string): Gateway[] {
  const value = BigInt(`0x${hex}`);
  return value === 0n ? [] : [{ address: makeAddress(family, value), interfaceName }];
}

/** Name servers of the resolver and, where systemd-resolved stands between, of its upstream. */
export function resolvers(): Address[] {
  return RESOLVER_FILES.flatMap((file) => readResolvers(readTable(file)));
}

export function readResolvers(text: string): Address[] {
  return text.split('\n').flatMap((line) => {
    const server = /^\s*nameserver\s+([0-9a-fA-F:.]+)/.exec(line)?.[1];
    const address = server === undefined ? null : parseAddress(server);
    return address === null ? [] : [address];
  });
}

function readTable(path: string): string {
  try {
    return readRegularFile(path, LARGEST_TABLE).toString('latin1');
  } catch {
    // No such protocol or no resolver on this host: nothing to protect from there.
    return '';
  }
}

/** Loopback has IPv6 wherever the kernel does; only other addresses can be reached. */
export function hasIpv6(): boolean {
  return ownAddresses().some(({ address, interfaceName }) => {
    return address.family === 6 && interfaceName !== 'lo';
  });
}
