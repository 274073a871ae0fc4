// Finds the [[policy]] entry that matches an alert. Pure.
import type { PolicyEntry } from '../config/policy.ts';
import { contains, parseNetwork, type Address } from '../model/address.ts';

/** The parts of an alert that conditions of entries can test; null if the alert lacks one. */
export interface AlertFacts {
  readonly ruleId: string | null;
  readonly level: number | null;
  readonly groups: readonly string[];
  readonly agent: string | null;
  /** Returns the text or number at a dotted path. */
  readonly field: (path: string) => string | null;
}

/** An entry and its name for people: `[[policy]] 2 of /etc/firewall-drop/config.toml`. */
export interface FoundEntry {
  readonly entry: PolicyEntry;
  readonly name: string;
}

/** Returns the first entry whose conditions are all met; null if there is none. */
export function findEntry(
  entries: readonly PolicyEntry[],
  file: string,
  subject: { readonly address: Address; readonly alert: AlertFacts },
): FoundEntry | null {
  const index = entries.findIndex((entry) => isMet(entry, subject.address, subject.alert));
  const entry = entries[index];
  return entry === undefined ? null : { entry, name: `[[policy]] ${index + 1} of ${file}` };
}

function isMet(entry: PolicyEntry, address: Address, alert: AlertFacts): boolean {
  const { ruleId, levelMin, group, agent, field } = entry;
  return (
    isAmong(ruleId, alert.ruleId) &&
    (levelMin === 0 || (alert.level ?? -1) >= levelMin) &&
    (group.length === 0 || group.some((name) => alert.groups.includes(name))) &&
    isAmong(agent, alert.agent) &&
    isInNetworks(entry.address, address) &&
    field.every((condition) => hasValue(condition, alert))
  );
}

function isAmong(list: readonly string[], value: string | null): boolean {
  return list.length === 0 || (value !== null && list.includes(value));
}

function isInNetworks(networks: readonly string[], address: Address): boolean {
  if (networks.length === 0) return true;
  return networks.some((text) => {
    const network = parseNetwork(text);
    return network !== null && contains(network, address);
  });
}

function hasValue(condition: string, alert: AlertFacts): boolean {
  const at = condition.indexOf('=');
  return alert.field(condition.slice(0, at)) === condition.slice(at + 1);
}
