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

/**
 * The rules of each of our chains, in order: the key of a rule that is ours, or null for any other rule. A chain that is
 * not a key does not exist.
 */
export type ChainRules = ReadonlyMap<string, readonly (string | null)[]>;

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
  chains: ChainRules,
  { optionalChains }: Pick<IptablesOptions, 'optionalChains'>,
): string[] {
  return optionalChains.filter((chain) => chains.has(chain));
}

/** The edits that bring all of our chains to the wishes; none where they are as wished. */
export function editsFor(
  chains: ChainRules,
  { chains: required, optionalChains }: Pick<IptablesOptions, 'chains' | 'optionalChains'>,
  wishes: readonly RuleWish[],
): string[] {
  const present = optionalChains.filter((chain) => chains.has(chain));
  return [...required, ...present].flatMap((chain) =>
    editsOf(chain, chains.get(chain) ?? [], wishes),
  );
}

function editsOf(
  chain: string,
  rules: readonly (string | null)[],
  wishes: readonly RuleWish[],
): string[] {
  const places = placesOf(rules);
  const foreign = rules.indexOf(null);
  const removals: { readonly first: number; readonly edits: readonly string[] }[] = [];
  const insertions: string[] = [];
  for (const { key, spec, wanted, foreign: others = {} } of wishes) {
    const { count: found, first } = places.get(key) ?? { count: 0, first: 0 };
    // Somebody else's may have gone meanwhile. `-D` takes the first of equal rules, and ours stands first.
    const count = found - Math.min(others[chain] ?? 0, found);
    // Nothing that accepts the packet may be asked earlier: before ours stand only drops of ours.
    const isFirst = foreign < 0 || first < foreign;
    if (wanted && count === 1 && isFirst) continue;
    if (count > 0)
      removals.push({ first, edits: Array<string>(count).fill(`-D ${chain} ${spec}`) });
    if (wanted) insertions.push(`-I ${chain} 1 ${spec}`);
  }
  // iptables looks for each rule from the chain's head: in the chain's order it finds the next one at once.
  removals.sort((a, b) => a.first - b.first);
  return [...removals.flatMap(({ edits }) => edits), ...insertions];
}

/** Where the rules of a key stand in a chain. */
interface Places {
  readonly count: number;
  readonly first: number;
}

/** By key. Gone through once for each listing, which may be as long as the list of what is looked up in it. */
export function placesOf(rules: readonly (string | null)[]): ReadonlyMap<string, Places> {
  const known = placesByRules.get(rules);
  if (known !== undefined) return known;
  const places = new Map<string, Places>();
  rules.forEach((key, index) => {
    if (key === null) return;
    const { count, first } = places.get(key) ?? { count: 0, first: index };
    places.set(key, { count: count + 1, first });
  });
  placesByRules.set(rules, places);
  return places;
}

const placesByRules = new WeakMap<readonly (string | null)[], ReadonlyMap<string, Places>>();
