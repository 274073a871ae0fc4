// Builds commands that edit and list rules at the head of our chains.
//
// The input of iptables-restore can have several sections for one table. Ours has two: the change, which is committed
// atomically, and a section that only lists the table and so prints what the kernel holds after the commit. One process
// thus changes and verifies, with iptables-nft and iptables-legacy alike.
import type { ForeignRules } from '../../model/ban.ts';
import type { Family } from '../../model/address.ts';
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
