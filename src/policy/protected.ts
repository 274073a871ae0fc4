// The addresses that must never be blocked, with reasons. A block would cut off the host or lock out its administrator.
import { overlaps, parseNetwork, type Address } from '../model/address.ts';

export interface ProtectedEntry {
  readonly network: Address;
  /** The reason for people: `default gateway (eth0)`. */
  readonly why: string;
  /** True if even a person with --force must not block it. */
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

/** The addresses from which a virtual machine gets its credentials and keys in a cloud. */
export const CLOUD_METADATA: readonly string[] = ['169.254.169.254', 'fd00:ec2::254'];

/** Returns the addresses that cannot be an attacker's on any host. */
export function universalEntries(): ProtectedEntry[] {
  return NEVER_A_PEER.flatMap(([text, why]) => entriesFrom([text], why, true));
}

/** Parses entries of one kind and omits texts that are neither an address nor a network. */
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

/** Returns the first entry that overlaps `address`, which can be a network; null if none does. */
export function findProtection(
  address: Address,
  entries: readonly ProtectedEntry[],
): ProtectedEntry | null {
  return entries.find((entry) => overlaps(entry.network, address)) ?? null;
}

/** Describes an entry for people: `198.51.100.1: default gateway (eth0)`. */
export function describeProtection(entry: ProtectedEntry): string {
  return `${entry.network.text}: ${entry.why}`;
}
