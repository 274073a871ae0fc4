// Plans plain iptables rules: `-s ADDRESS -j DROP`, first in INPUT and FORWARD, and in DOCKER-USER if it exists.
import type { ForeignRules } from '../../model/ban.ts';
import { withPrefix } from '../../model/address.ts';
import type { Backend, Change, View } from '../backend.ts';
import {
  chainOf,
  editRules,
  editsFor,
  extrasOf,
  listRules,
  type Chains,
  type IptablesOptions,
  type RuleWish,
  droppedSource,
  readChains,
  readSnapshot,
} from './rules.ts';

export type { IptablesOptions } from './rules.ts';

/** The rules of the filter table. The key of a rule is the canonical text of its address. */
export interface IptablesView extends View {
  /** null if the chains were not inspected. */
  readonly chains: Chains | null;
}

/**
 * The largest number of plain rules to delete with one command. For each deletion, iptables-nft walks from the head of
 * the chain past every rule that the command has already deleted, so the time is quadratic. The newest blocks are at
 * the head.
 */
export const MOST_PLAIN_AT_ONCE = 1000;

export function createIptables(options: IptablesOptions): Backend<IptablesView> {
  const ours = [...options.chains, ...options.optionalChains];
  return {
    name: 'iptables',
    mostReleases: MOST_PLAIN_AT_ONCE,
    nothingKnown: { chains: null, extras: [] },
    read(output) {
      const chains = readChains(output, options, droppedSource);
      return { chains, extras: extrasOf(chains, options) };
    },
    expect: (changes, extras) => {
      return viewOf([...options.chains, ...extras], changes, 'released', extras);
    },
    plan(family, { chains }, changes) {
      if (chains === null) return { ...editRules(family, options, []), effect: 'look' };
      const edits = editsFor(chains, options, changes.map(wishOf));
      return edits.length === 0 ? null : editRules(family, options, edits);
    },
    foreignOf: ({ chains }, change, made) => {
      if (chains === null) return null;
      const counts = countsOf(chains, change.address.text);
      // Our rules are made in all chains at once. If a chain has none, all rules in the others are foreign.
      return foreignRules(counts, change, made ? 1 : Math.min(1, ...counts.values()));
    },
    simulate: (view, _command, changes) =>
      viewOf([...options.chains, ...view.extras], changes, 'blocked', view.extras),
    snapshot: (family) => [listRules(family, options)],
    readSnapshot: ([output = '']) => readSnapshot(output, ours),
  };
}

/** Returns the rule for an address, in the form that runbooks and `iptables -D` expect. */
export function wishOf({ address, to, foreign }: Change): RuleWish {
  return {
    key: address.text,
    spec: `-s ${withPrefix(address)} -j DROP`,
    wanted: to === 'blocked',
    ...(typeof foreign === 'object' && { foreign }),
  };
}

/** Returns the number of plain rules for an address in each of our chains. */
export function countsOf(chains: Chains, key: string): Map<string, number> {
  return new Map(Array.from(chains, ([chain, { places }]) => [chain, places.get(key)?.count ?? 0]));
}

/**
 * Returns the foreign rules of a change. If the change names some, returns those that still exist; otherwise all but
 * `own` per chain.
 */
export function foreignRules(
  counts: ReadonlyMap<string, number>,
  { foreign }: Change,
  own: number,
): ForeignRules {
  const others = Array.from(counts, ([chain, count]): [string, number] => [
    chain,
    typeof foreign === 'object' ? Math.min(foreign[chain] ?? 0, count) : count - own,
  ]);
  return Object.fromEntries(others.filter(([, count]) => count > 0));
}

/** Returns a view with the rules of the changes whose `to` is `held`, and no others. */
function viewOf(
  chains: readonly string[],
  changes: readonly Change[],
  held: Change['to'],
  extras: readonly string[],
): IptablesView {
  const holding = changes.filter(({ to }) => to === held);
  const keysOf = (chain: string): string[] => {
    return holding.flatMap(({ address, foreign }) => {
      const others = typeof foreign === 'object' ? (foreign[chain] ?? 0) : 0;
      return Array<string>(1 + others).fill(address.text);
    });
  };
  return { chains: new Map(chains.map((chain) => [chain, chainOf(keysOf(chain))])), extras };
}
