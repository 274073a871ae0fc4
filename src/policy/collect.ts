// Collects who must never be blocked on this host, from every place that names them.
import { parseNetwork, type Address } from '../model/address.ts';
import { entriesFrom, universalEntries, type ProtectedEntry } from './protected.ts';
import type { Config } from '../config/config.ts';
import { describeError } from '../model/errors.ts';
import { readRegularFile } from '../system/files.ts';
import { lookUpHost } from '../system/hosts.ts';
import { defaultGateways, ownAddresses, resolvers } from '../system/net.ts';
import { run } from '../system/exec.ts';
import type { Store } from '../state/store.ts';
import type { AgentSettings } from '../wazuh/agent-config.ts';
import { CONFIG_FILE, LARGEST_FILE, type FileReader } from '../agent-files.ts';

export interface ProtectionSources extends FileReader {
  readonly config: Config;
  readonly settings: () => AgentSettings;
  /** Whether names whose addresses were found long ago are asked for again. */
  readonly refreshNames: boolean;
}

export function collectProtected(sources: ProtectionSources): ProtectedEntry[] {
  const { config, settings, warn } = sources;
  const { protect } = config;
  return [
    ...universalEntries(),
    ...ownEntries(),
    ...(protect.gateways ? gatewayEntries() : []),
    ...(protect.resolvers ? resolvers().map((address) => entry(address, 'resolver')) : []),
    ...(protect.manager ? managerEntries(sources) : []),
    ...(protect.whiteList ? entriesFrom(settings().whiteList, 'white_list of ossec.conf') : []),
    ...entriesFrom(protect.allow, `protect.allow of ${CONFIG_FILE}`),
    ...protect.allowFiles.flatMap((file) => allowFileEntries(file, warn)),
  ];
}

function entry(block: Address, why: string, always = false): ProtectedEntry {
  return { block, why, always };
}

function ownEntries(): ProtectedEntry[] {
  return ownAddresses().map(({ address, interfaceName, kind }) => {
    const what = kind === 'own' ? 'own address' : 'broadcast address';
    return entry(address, `${what} (${interfaceName})`, true);
  });
}

function gatewayEntries(): ProtectedEntry[] {
  return defaultGateways().map(({ address, interfaceName }) => {
    return entry(address, `default gateway (${interfaceName})`);
  });
}

function managerEntries(sources: ProtectionSources): ProtectedEntry[] {
  return sources.settings().managers.flatMap((manager) => {
    const literal = parseNetwork(manager);
    const texts = literal === null ? addressesOf(manager, sources) : [manager];
    return entriesFrom(texts, `Wazuh manager ${manager}`);
  });
}

interface KnownName {
  readonly addresses: readonly string[];
  readonly atMs: number;
}

const REFRESH_AFTER_MS = 10 * 60_000;

/** A name's addresses as last found: an alert must not wait for a resolver that is slow or under attack itself. */
function addressesOf(
  name: string,
  { store, warn, refreshNames }: ProtectionSources,
): readonly string[] {
  const known = readKnown(store, name);
  const old = known === null || Date.now() - known.atMs > REFRESH_AFTER_MS;
  if (known !== null && !(old && refreshNames)) return known.addresses;
  const found = findAddresses(name);
  if (found === null)
    warn(`the manager's name ${name} could not be resolved: it is not protected by name`);
  const addresses = found ?? known?.addresses ?? [];
  store.setMetadata(`host ${name}`, JSON.stringify({ addresses, atMs: Date.now() }));
  return addresses;
}

function readKnown(store: Store, name: string): KnownName | null {
  return store.metadataJson(`host ${name}`) as KnownName | null;
}

function findAddresses(name: string): string[] | null {
  try {
    return lookUpHost(name, run)?.map((address) => address.text) ?? null;
  } catch {
    // No getent on this host: the same as a name that nobody knows.
    return null;
  }
}

/** One address or network a line; blank lines and what follows `#` don't count. */
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
