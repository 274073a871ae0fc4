// Which addresses must never be blocked, and why: whoever blocks them locks out the host or its owner.
import { overlaps, parseNetwork, type Address } from '../model/address.ts';

export interface ProtectedEntry {
  readonly network: Address;
  /** For people: `default gateway (eth0)`. */
  readonly why: string;
  /** True where not even a person who insists may block it. */
  readonly always: boolean;
}

const NEVER_A_PEER: readonly (readonly [string, string])[] = [
  ['0.0.0.0/8', 'this network'],
  ['127.0.0.0/8', 'loopback'],
  ['224.0.0.0/4', 'multicast'],
  ['255.255.255.255', 'broadcast'],
  ['240.0.0.0/4', 'reserved'],
  ['::', 'unspecified'],
  ['::1', 'loopback'],
  ['ff00::/8', 'multicast'],
];

/** Where a virtual machine asks the cloud that it runs in for its credentials and keys. */
export const CLOUD_METADATA: readonly string[] = ['169.254.169.254', 'fd00:ec2::254'];

/** Addresses that can't be an attacker's on any host. */
export function universalEntries(): ProtectedEntry[] {
  return NEVER_A_PEER.flatMap(([text, why]) => entriesFrom([text], why, true));
}

/** Entries of one kind from text; what is not an address or network is left out. */
export function entriesFrom(
  texts: readonly string[],
  why: string,
  always = false,
): ProtectedEntry[] {
  return texts.flatMap((text) => {
    const network = parseNetwork(text.trim());
    return network === null ? [] : [{ network, why, always }];
  });
}

/** The first entry that shares an address with `address`; a network that contains a protected address is one too. */
export function findProtection(
  address: Address,
  entries: readonly ProtectedEntry[],
): ProtectedEntry | null {
  return entries.find((entry) => overlaps(entry.network, address)) ?? null;
}

/** `198.51.100.1: default gateway (eth0)`. */
export function describeProtection(entry: ProtectedEntry): string {
  return `${entry.network.text}: ${entry.why}`;
}
