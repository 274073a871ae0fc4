// Plans for plain iptables rules: `-s ADDRESS -j DROP`, first in INPUT and FORWARD, and in DOCKER-USER where it exists.
import type { ForeignRules } from '../../model/ban.ts';
import { withPrefix } from '../../model/address.ts';
import type { Backend, Change, View } from '../backend.ts';
import { droppedSource, readChains, readSnapshot } from './parse.ts';
import {
  chainOf,
  editRules,
  editsFor,
  extrasOf,
  listRules,
  type Chains,
  type IptablesOptions,
  type RuleWish,
} from './rules.ts';

export type { IptablesOptions } from './rules.ts';

/** A rule of ours is known by the canonical text of its address. */
export interface IptablesView extends View {
  /** Null: not looked at. */
  readonly chains: Chains | null;
}

/**
 * iptables-nft walks past every rule that the same command has removed already, so many at once take the square of their
 * number; and it walks from the chain's head, where the newest blocks are.
 */
export const MOST_PLAIN_AT_ONCE = 1000;

export function createIptables(options: IptablesOptions): Backend<IptablesView> {
  const ours = [...options.chains, ...options.optionalChains];
  return {
    name: 'iptables',
    mostReleases: MOST_PLAIN_AT_ONCE,
    mostChanges: Infinity,
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
      // Our rules are made in all chains at once: where one has none, all that there are were there before.
      return foreignRules(counts, change, made ? 1 : Math.min(1, ...counts.values()));
    },
    simulate: (view, _command, changes) =>
      viewOf([...options.chains, ...view.extras], changes, 'blocked', view.extras),
    snapshot: (family) => [listRules(family, options)],
    readSnapshot: ([output = '']) => readSnapshot(output, ours),
  };
}

/** The rule of one address: what runbooks and `iptables -D` expect. */
export function wishOf({ address, to, foreign }: Change): RuleWish {
  return {
    key: address.text,
    spec: `-s ${withPrefix(address)} -j DROP`,
    wanted: to === 'blocked',
    ...(typeof foreign === 'object' && { foreign }),
  };
}

/** How many plain drops of an address each of our chains has. */
export function countsOf(chains: Chains, key: string): Map<string, number> {
  return new Map(Array.from(chains, ([chain, { places }]) => [chain, places.get(key)?.count ?? 0]));
}

/** Of rules that are known to be somebody else's, those that are still there; otherwise all but our own. */
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

/** A kernel that holds the rules of those changes that go one way, and no others. */
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
