// The addresses that must never be blocked, with reasons, collected from all their sources on this host. A block would
// cut off the host or lock out its administrator.
import type { GroupPolicy } from '../config/group-policy.ts';
import { CONFIG_FILE, LARGEST_FILE } from '../config/read.ts';
import type { Config } from '../config/schema.ts';
import { overlaps, parseNetwork, type Address, type Family } from '../model/address.ts';
import { describeError } from '../model/errors.ts';
import { readRegularFile } from '../system/files.ts';
import { ownAddresses, ownAddressesOf, resolvers } from '../system/net.ts';
import { findGateways, resolveNames, type Inquiry } from './inquiries.ts';

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
const CLOUD_METADATA: readonly string[] = ['169.254.169.254', 'fd00:ec2::254'];

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

export interface ProtectionSources extends Inquiry {
  readonly config: Config;
  /** Returns the managers and the white list of the agent's ossec.conf. */
  readonly settings: () => {
    readonly managers: readonly string[];
    readonly whiteList: readonly string[];
  };
  /** Returns the policy that the manager sends to this agent's group; `groupFile` is the file it arrives in. */
  readonly groupPolicy: () => GroupPolicy;
  readonly groupFile: string;
}

/**
 * Returns all protected entries. With a family, returns at least those that an address of that family can match, and
 * omits the interface names of the host's own addresses.
 */
export function collectProtected(sources: ProtectionSources, family?: Family): ProtectedEntry[] {
  const { config, settings, groupPolicy, groupFile, warn } = sources;
  const families = family === undefined ? ([4, 6] as const) : [family];
  const { protect } = config;
  return [
    ...universalEntries(),
    ...ownEntries(family),
    ...entriesFrom(CLOUD_METADATA, 'cloud metadata service'),
    ...(protect.gateways ? gatewayEntries(sources, families) : []),
    ...(protect.resolvers ? resolvers().map((address) => entry(address, 'resolver')) : []),
    ...(protect.manager ? managerEntries(sources) : []),
    ...(protect.whiteList ? entriesFrom(settings().whiteList, 'white_list of ossec.conf') : []),
    ...entriesFrom(protect.allow, `protect.allow of ${CONFIG_FILE}`),
    ...entriesFrom(groupPolicy().allow, `protect.allow of ${groupFile}`),
    ...protect.allowFiles.flatMap((file) => allowFileEntries(file, warn)),
  ];
}

function entry(network: Address, why: string, always = false): ProtectedEntry {
  return { network, why, always };
}

function ownEntries(family?: Family): ProtectedEntry[] {
  const own = family === undefined ? ownAddresses() : ownAddressesOf(family);
  return own.map(({ address, interfaceName, kind }) => {
    const what = kind === 'own' ? 'own address' : 'broadcast address';
    return entry(address, `${what} (${interfaceName})`, true);
  });
}

function gatewayEntries(sources: ProtectionSources, families: readonly Family[]): ProtectedEntry[] {
  return findGateways(sources, families).map(({ address, interfaceName }) => {
    return entry(address, `default gateway (${interfaceName})`);
  });
}

export function managerReason(manager: string): string {
  return `Wazuh manager ${manager}`;
}

function managerEntries(sources: ProtectionSources): ProtectedEntry[] {
  const { managers } = sources.settings();
  const names = managers.filter((manager) => parseNetwork(manager) === null);
  const addresses = resolveNames(names, sources);
  return managers.flatMap((manager) => {
    return entriesFrom(addresses.get(manager) ?? [manager], managerReason(manager));
  });
}

/** Reads one address or network per line. Blank lines and text after `#` are ignored. */
function allowFileEntries(file: string, warn: (message: string) => void): ProtectedEntry[] {
  try {
    const lines = readRegularFile(file, LARGEST_FILE).toString('utf8').split('\n');
    const texts = lines.map((line) => line.replace(/#.*/, '').trim()).filter((line) => line !== '');
    for (const text of texts.filter((candidate) => parseNetwork(candidate) === null)) {
      warn(`${file}: ${JSON.stringify(text)} is neither an address nor a network`);
    }
    return entriesFrom(texts, `allow file ${file}`);
  } catch (error) {
    warn(`${file}: the allow file can't be read: ${describeError(error)}`);
    return [];
  }
}
