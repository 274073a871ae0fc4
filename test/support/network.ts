/** Connects temporary hosts, with documentation addresses only. */
import type { TestHost } from './host.ts';

export interface Subnet {
  /** The first three bytes of a /24. */
  readonly ipv4: string;
  /** The groups of a /64 except the last. */
  readonly ipv6: string;
}

export interface Addresses {
  readonly ipv4: string;
  readonly ipv6: string;
}

export const NEAR: Subnet = { ipv4: '198.51.100', ipv6: '2001:db8:1:' };
const FAR: Subnet = { ipv4: '192.0.2', ipv6: '2001:db8:2:' };

/** Connects two hosts with a veth pair. The first gets address 1 of the subnet, the second address 2. */
export function connectHosts(
  a: TestHost,
  b: TestHost,
  subnet: Subnet = NEAR,
): [Addresses, Addresses] {
  const atA = interfaceTo(b);
  const atB = interfaceTo(a);
  const peer = ['peer', 'name', atB, 'netns', String(b.pid)];
  a.must(['ip', 'link', 'add', atA, 'type', 'veth', ...peer]);
  return [plugIn(a, atA, address(subnet, 1)), plugIn(b, atB, address(subnet, 2))];
}

export interface RoutedAddresses {
  readonly a: Addresses;
  readonly b: Addresses;
  readonly routerNearA: Addresses;
  readonly routerNearB: Addresses;
}

/** Connects two hosts through a third that forwards between them. */
export function connectThrough(a: TestHost, router: TestHost, b: TestHost): RoutedAddresses {
  const [addressOfA, routerNearA] = connectHosts(a, router, NEAR);
  const [routerNearB, addressOfB] = connectHosts(router, b, FAR);
  router.writeFile('/proc/sys/net/ipv4/ip_forward', '1');
  router.writeFile('/proc/sys/net/ipv6/conf/all/forwarding', '1');
  for (const [host, gateway] of [
    [a, routerNearA],
    [b, routerNearB],
  ] as const) {
    host.route('0.0.0.0/0', gateway.ipv4);
    host.route('::/0', gateway.ipv6);
  }
  return { a: addressOfA, b: addressOfB, routerNearA, routerNearB };
}

// The kernel allows names of up to fifteen characters.
function interfaceTo(host: TestHost): string {
  return `to-${host.name}`.slice(0, 15);
}

function address(subnet: Subnet, last: number): Addresses {
  return { ipv4: `${subnet.ipv4}.${last}`, ipv6: `${subnet.ipv6}:${last}` };
}

function plugIn(host: TestHost, device: string, addresses: Addresses): Addresses {
  const commands = [
    `address add ${addresses.ipv4}/24 dev ${device}`,
    `address add ${addresses.ipv6}/64 dev ${device} nodad`,
    `link set ${device} up`,
  ];
  host.must(['ip', '-batch', '-'], { input: commands.join('\n') });
  return addresses;
}
