// Collects the addresses that must never be blocked on this host from all their sources.
import { CONFIG_FILE, LARGEST_FILE } from '../config/read.ts';
import type { GroupPolicy } from '../config/group-policy.ts';
import type { Config } from '../config/schema.ts';
import { parseNetwork, type Address, type Family } from '../model/address.ts';
import { describeError } from '../model/errors.ts';
import { readRegularFile } from '../system/files.ts';
import { ownAddresses, ownAddressesOf, resolvers } from '../system/net.ts';
import { findGateways, resolveNames, type Inquiry } from './inquiries.ts';
import { CLOUD_METADATA, entriesFrom, universalEntries, type ProtectedEntry } from './protected.ts';

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
