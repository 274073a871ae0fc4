/** Reads what each backend has in a host's kernel, without the program under test. */
import type { TestHost } from './host.ts';

export const BACKENDS = ['iptables', 'ipset', 'nftables'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** The number of entries of each address in each backend. */
export interface Kernel {
  readonly iptables: ReadonlyMap<string, number>;
  readonly ipset: ReadonlyMap<string, number>;
  readonly nftables: ReadonlyMap<string, number>;
  /** The chains of rules that refer to our sets, by family, sorted. */
  readonly setRules: Readonly<Record<'4' | '6', readonly string[]>>;
  readonly hasSets: boolean;
  readonly hasTable: boolean;
}

const LISTING = [
  'iptables-save',
  'ip6tables-save',
  'ipset save',
  'nft list table inet firewall_drop 2>/dev/null; true',
].join('; echo ----; ');

export function readKernel(host: TestHost): Kernel {
  const text = host.must(['bash', '-c', LISTING]);
  const [four = '', six = '', sets = '', table = ''] = text.split('----\n');
  return {
    iptables: countOf(`${four}${six}`, /^-A \S+ -s (\S+)\/(?:32|128) -j DROP$/gm),
    ipset: countOf(sets, /^add firewall-drop-[46] (\S+)/gm),
    nftables: countOf(table, /((?:203\.0\.113|198\.51\.100)\.\d+|2001:db8:[0-9a-f:]+)/g),
    setRules: { '4': setRulesOf(four), '6': setRulesOf(six) },
    hasSets: sets.includes('create firewall-drop-'),
    hasTable: table.includes('table'),
  };
}

function countOf(text: string, pattern: RegExp): Map<string, number> {
  const counts = new Map<string, number>();
  for (const [, address = ''] of text.matchAll(pattern)) {
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

function setRulesOf(rules: string): string[] {
  const pattern = /^-A (\S+) -m set --match-set firewall-drop-[46] src -j DROP$/gm;
  return Array.from(rules.matchAll(pattern), ([, chain = '']) => chain).sort();
}

/** Removes every rule of the tables that firewall-drop uses, including foreign rules. */
export const FLUSH_RULES =
  'iptables -w -F; ip6tables -w -F; iptables -w -t raw -F; ip6tables -w -t raw -F';

/** Removes all rules, sets and tables. Flushing nft also removes the rules of iptables-nft, in a third of the time. */
const FLUSH_KERNEL = `
  if [[ /etc/alternatives/iptables -ef /usr/sbin/xtables-legacy-multi ]]; then ${FLUSH_RULES}; fi
  nft flush ruleset; ipset destroy`;

/** Removes all rules, sets and tables. */
export function flushKernel(host: TestHost): void {
  host.must(['bash', '-c', FLUSH_KERNEL]);
}
