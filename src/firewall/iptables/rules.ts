// Builds commands that edit and list rules at the head of our chains, and parses rules as printed by `iptables -S` and
// `iptables-save -c`, and as stored in files of iptables-save.
//
// The input of iptables-restore can have several sections for one table. Ours has two: the change, which is committed
// atomically, and a section that only lists the table and so prints what the kernel holds after the commit. One process
// thus changes and verifies, with iptables-nft and iptables-legacy alike.
import { noteLacks, type HeldAddress, type Rule, type Snapshot } from '../backend.ts';
import { type Family, parseExactNetwork, type Address } from '../../model/address.ts';
import type { ForeignRules } from '../../model/ban.ts';
import { AppError } from '../../model/errors.ts';
import type { Command } from '../../system/exec.ts';

export interface IptablesOptions {
  /** The program to use: `auto` is the default of the distribution, the others name one of the two. */
  readonly variant: 'auto' | 'nft' | 'legacy';
  /** Our chains that must exist. */
  readonly chains: readonly string[];
  /** Our chains that get rules only if they exist. */
  readonly optionalChains: readonly string[];
  /** The time that the program waits for the xtables lock, in seconds. */
  readonly lockWaitSeconds: number;
}

/** The positions of rules in one chain. Our rules are identified by their keys. */
interface Chain {
  readonly places: ReadonlyMap<string, Places>;
  /** The index of the first rule that is not ours; Infinity if there is none. */
  readonly firstForeign: number;
}

interface Places {
  readonly count: number;
  readonly first: number;
}

/** The existing chains among ours, by name. */
export type Chains = ReadonlyMap<string, Chain>;

/** A rule that must be first, and only once, in each of our chains; or that must be in none of them. */
export interface RuleWish {
  /** The key that `readChains` gives the rule. */
  readonly key: string;
  /** The matches and the target in the syntax of iptables-restore. */
  readonly spec: string;
  readonly wanted: boolean;
  /** The number of foreign rules with the same text, by chain. */
  readonly foreign?: ForeignRules;
}

export type Table = 'filter' | 'raw';

/** The edits of one table, and the tables to list after them. */
export interface TableEdits {
  readonly table: Table;
  readonly edits: readonly string[];
  readonly listed: readonly Table[];
}

/** Returns a command that makes the edits and prints the resulting rules. */
export function editRules(
  family: Family,
  options: IptablesOptions,
  edits: readonly string[],
): Command {
  return editTable(family, options, { table: 'filter', edits, listed: ['filter'] });
}

export function editTable(
  family: Family,
  options: IptablesOptions,
  { table, edits, listed }: TableEdits,
): Command {
  const change = edits.length === 0 ? [] : [`*${table}`, ...edits, 'COMMIT'];
  const listings = listed.flatMap((one) => [`*${one}`, '-S', 'COMMIT']);
  return {
    program: iptablesProgram(family, options, 'restore'),
    args: ['-w', String(options.lockWaitSeconds), '--noflush'],
    input: [...change, ...listings, ''].join('\n'),
  };
}

/** Returns a command that prints every rule of a table with its counters. */
export function listRules(
  family: Family,
  options: IptablesOptions,
  table: Table = 'filter',
): Command {
  return {
    program: iptablesProgram(family, options, 'save'),
    args: ['-c', '-t', table],
    input: '',
  };
}

function iptablesProgram(
  family: Family,
  { variant }: IptablesOptions,
  task: 'restore' | 'save',
): string {
  const base = family === 4 ? 'iptables' : 'ip6tables';
  return variant === 'auto' ? `${base}-${task}` : `${base}-${variant}-${task}`;
}

export function extrasOf(
  chains: Chains,
  { optionalChains }: Pick<IptablesOptions, 'optionalChains'>,
): string[] {
  return optionalChains.filter((chain) => chains.has(chain));
}

/** Returns the edits that bring all of our chains to the wishes; an empty list if there is nothing to do. */
export function editsFor(
  chains: Chains,
  { chains: required, optionalChains }: Pick<IptablesOptions, 'chains' | 'optionalChains'>,
  wishes: readonly RuleWish[],
): string[] {
  const present = optionalChains.filter((chain) => chains.has(chain));
  return [...required, ...present].flatMap((chain) =>
    editsOf(chain, chains.get(chain) ?? chainOf([]), wishes),
  );
}

function editsOf(
  chain: string,
  { places, firstForeign }: Chain,
  wishes: readonly RuleWish[],
): string[] {
  const removals: { readonly first: number; readonly edits: readonly string[] }[] = [];
  const insertions: string[] = [];
  for (const { key, spec, wanted, foreign: others = {} } of wishes) {
    const { count: found, first } = places.get(key) ?? { count: 0, first: 0 };
    // Foreign rules may be gone by now. `-D` deletes the first of equal rules, which is ours.
    const count = found - Math.min(others[chain] ?? 0, found);
    // A rule that accepts the packet must not come first: only our own drops may stand before ours.
    if (wanted && count === 1 && first < firstForeign) continue;
    if (count > 0)
      removals.push({ first, edits: Array<string>(count).fill(`-D ${chain} ${spec}`) });
    if (wanted) insertions.push(`-I ${chain} 1 ${spec}`);
  }
  // iptables searches for each rule from the head of the chain. In chain order, it finds the next one at once.
  removals.sort((a, b) => a.first - b.first);
  return [...removals.flatMap(({ edits }) => edits), ...insertions];
}

/** Builds a chain from the keys of its rules, in order. The key of a rule that is not ours is null. */
export function chainOf(keys: readonly (string | null)[]): Chain {
  const places = new Map<string, Places>();
  keys.forEach((key, index) => {
    if (key === null) return;
    const { count, first } = places.get(key) ?? { count: 0, first: index };
    places.set(key, { count: count + 1, first });
  });
  const foreign = keys.indexOf(null);
  return { places, firstForeign: foreign < 0 ? Infinity : foreign };
}

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
