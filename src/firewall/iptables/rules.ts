// Edits of the rules at the head of our chains of the filter table, whatever they drop.
//
// A restore may hold several tables' worth of input. Ours holds two: the change, which is committed atomically, and an
// empty change of the same table with a listing, which prints what the kernel holds after the commit. One process so
// both changes and verifies, with nft and legacy alike.
import type { ForeignRules } from '../../model/ban.ts';
import type { Family } from '../../model/address.ts';
import type { Command } from '../../system/exec.ts';

export interface IptablesOptions {
  /** Which program: the distribution's choice, or one of the two by name. */
  readonly variant: 'auto' | 'nft' | 'legacy';
  /** Chains that must exist. */
  readonly chains: readonly string[];
  /** Chains that get our rules only where they exist. */
  readonly optionalChains: readonly string[];
  /** How long the program may wait for the xtables lock. */
  readonly lockWaitSeconds: number;
}

/** What is in a chain: the places of the rules that are ours, by their keys. */
interface Chain {
  readonly places: ReadonlyMap<string, Places>;
  /** Of the first rule that is not ours; Infinity: there is none. */
  readonly firstForeign: number;
}

interface Places {
  readonly count: number;
  readonly first: number;
}

/** Those of our chains that exist. */
export type Chains = ReadonlyMap<string, Chain>;

/** A rule that shall stand first, once, in each of our chains; or in none of them. */
export interface RuleWish {
  /** What `readChains` calls it. */
  readonly key: string;
  /** Matches and target, as iptables-restore reads them. */
  readonly spec: string;
  readonly wanted: boolean;
  /** How many rules of the same words are somebody else's, by chain. */
  readonly foreign?: ForeignRules;
}

export type Table = 'filter' | 'raw';

/** Edits of one table, and the tables that are listed after them. */
export interface TableEdits {
  readonly table: Table;
  readonly edits: readonly string[];
  readonly listed: readonly Table[];
}

/** A command that makes the edits, and prints what the kernel holds after them. */
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

/** A command that prints every rule of a table with its counters. */
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

/** The edits that bring all of our chains to the wishes; none where they are as wished. */
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
    // Somebody else's may have gone meanwhile. `-D` takes the first of equal rules, and ours stands first.
    const count = found - Math.min(others[chain] ?? 0, found);
    // Nothing that accepts the packet may be asked earlier: before ours stand only drops of ours.
    if (wanted && count === 1 && first < firstForeign) continue;
    if (count > 0)
      removals.push({ first, edits: Array<string>(count).fill(`-D ${chain} ${spec}`) });
    if (wanted) insertions.push(`-I ${chain} 1 ${spec}`);
  }
  // iptables looks for each rule from the chain's head: in the chain's order it finds the next one at once.
  removals.sort((a, b) => a.first - b.first);
  return [...removals.flatMap(({ edits }) => edits), ...insertions];
}

/** From the keys of its rules, in order; null for one that is not ours. */
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
