// Parses rules as printed by `iptables -S` and `iptables-save -c`, and as stored in files of iptables-save.
import { parseExactNetwork, type Address } from '../../model/address.ts';
import { AppError } from '../../model/errors.ts';
import { noteLacks, type HeldAddress, type Rule, type Snapshot } from '../snapshot.ts';
import { chainOf, type Chains, type IptablesOptions } from './rules.ts';

const TABLE_LINE = /^\*(\S+)/;
/** Matches `:INPUT ACCEPT [12:3400]`. */
const POLICY_LINE = /^:(\S+) (\S+)/;
/** Matches `-A INPUT -j DROP`, with `[5:300] ` in front if packets and bytes are printed. */
const RULE_LINE = /^(?:\[([0-9]+):([0-9]+)\] )?-A (\S+) (.+)$/;

/**
 * Parses lines such as `-P INPUT ACCEPT`, `-N DOCKER-USER` and `-A INPUT -j DROP`. Uses no regular expressions, which
 * would be compiled at every start. Throws `FIREWALL` if the output lists no chain, because such output proves nothing.
 */
export function readChains(
  output: string,
  { chains: required, optionalChains }: Pick<IptablesOptions, 'chains' | 'optionalChains'>,
  keyOf: (spec: string) => string | null,
): Chains {
  const ours = [...required, ...optionalChains];
  const chains = new Map<string, (string | null)[]>();
  let listed = false;
  for (const line of output.split('\n')) {
    const [option, chain = ''] = line.split(' ', 2);
    if (option === '-A') chains.get(chain)?.push(keyOf(line.slice(`-A ${chain} `.length)));
    if (option !== '-P' && option !== '-N') continue;
    listed = true;
    if (ours.includes(chain)) chains.set(chain, []);
  }
  if (!listed) throw new AppError('FIREWALL', 'the listing of a table has no chain');
  return new Map(Array.from(chains, ([chain, keys]) => [chain, chainOf(keys)]));
}

/** Returns the rules of the tables `filter` and `raw`, in order, and the policies of their chains. */
export function readRules(text: string): {
  readonly rules: readonly Rule[];
  readonly policies: ReadonlyMap<string, string>;
} {
  const policies = new Map<string, string>();
  const rules: Rule[] = [];
  let table = 'filter';
  for (const line of text.split('\n')) {
    table = TABLE_LINE.exec(line)?.[1] ?? table;
    if (table !== 'filter' && table !== 'raw') continue;
    const nameOf = (chain: string): string => (table === 'raw' ? `raw ${chain}` : chain);
    const [, built, policy] = POLICY_LINE.exec(line) ?? [];
    if (built !== undefined && policy !== undefined) policies.set(nameOf(built), policy);
    const [, packets = 0, bytes = 0, name, spec] = RULE_LINE.exec(line) ?? [];
    if (name === undefined || spec === undefined) continue;
    const counted = { packets: Number(packets), bytes: Number(bytes) };
    rules.push({ chain: nameOf(name), spec: spec.trimEnd(), ...counted });
  }
  return { rules, policies };
}

const SOURCE = '-s ';
const DROP = ' -j DROP';

/** Returns the text of the address that a plain rule drops; null for any other rule. */
export function droppedSource(spec: string): string | null {
  return droppedAddress(spec)?.text ?? null;
}

function droppedAddress(spec: string): Address | null {
  if (!spec.startsWith(SOURCE) || !spec.endsWith(DROP)) return null;
  return parseExactNetwork(spec.slice(SOURCE.length, -DROP.length));
}

export function readSnapshot(output: string, ours: readonly string[]): Snapshot {
  const { rules, policies } = readRules(output);
  const wanted = ours.filter((chain) => policies.has(chain));
  return { held: noteLacks(heldBy(rules, ours), wanted), rules, policies };
}

/** Returns the addresses that plain rules of our chains drop. */
export function heldBy(rules: readonly Rule[], ours: readonly string[]): Map<string, HeldAddress> {
  const held = new Map<string, HeldAddress>();
  for (const { chain, spec, packets, bytes } of rules) {
    const address = ours.includes(chain) ? droppedAddress(spec) : null;
    if (address === null) continue;
    const known = held.get(address.text) ?? { address, chains: [], packets: 0, bytes: 0 };
    held.set(address.text, {
      address,
      chains: [...known.chains, chain],
      packets: known.packets + packets,
      bytes: known.bytes + bytes,
    });
  }
  return held;
}
