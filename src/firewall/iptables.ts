// Plain iptables rules: `-s ADDRESS -j DROP`, first in INPUT and FORWARD, and in DOCKER-USER where it exists.
//
// A restore may hold several tables' worth of input. Ours holds two: the change, which is committed atomically, and an
// empty change of the same table with a listing, which prints what the kernel holds after the commit. One process so
// both changes and verifies, with nft and legacy alike.
import { parseBlock, withPrefix, type Address, type Family } from '../ban/address.ts';
import { AppError } from '../errors.ts';
import type { Command } from '../os/run.ts';
import type { Backend, Census, Change, HeldAddress, Rule, View } from './backend.ts';

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
 * The rules of each of our chains, in order: the canonical address of a plain DROP rule, or null for any other rule.
 * A chain that is not a key does not exist.
 */
export interface IptablesView extends View {
  readonly chains: ReadonlyMap<string, readonly (string | null)[]>;
}

const PLAIN_DROP = /^-s (\S+) -j DROP$/;
const CHAIN_LINE = /^-[PN] (\S+)/;
const RULE_LINE = /^-A (\S+) (.+)$/;

export function createIptables(options: IptablesOptions): Backend<IptablesView> {
  const ours = [...options.chains, ...options.optionalChains];
  const commandOf = (family: Family, edits: readonly string[]): Command => ({
    program: programName(family, options.variant, 'restore'),
    args: ['-w', String(options.lockWaitSeconds), '--noflush'],
    input: restoreInput(edits),
  });
  return {
    name: 'iptables',
    inspect: (family) => commandOf(family, []),
    read: (output) => readListing(output, ours, options.optionalChains),
    expect: (changes, extras) => expectedView([...options.chains, ...extras], changes, extras),
    plan(family, view, changes) {
      const chains = ours.filter((chain) => mustHold(chain, view, options.optionalChains));
      const edits = chains.flatMap((chain) =>
        editsOf(chain, view.chains.get(chain) ?? [], changes),
      );
      return edits.length === 0 ? null : commandOf(family, edits);
    },
    census: (family) => ({
      program: programName(family, options.variant, 'save'),
      args: ['-c', '-t', 'filter'],
      input: '',
    }),
    readCensus: (output) => readCensus(output, ours),
  };
}

function programName(
  family: Family,
  variant: IptablesOptions['variant'],
  task: 'restore' | 'save',
): string {
  const base = family === 4 ? 'iptables' : 'ip6tables';
  return variant === 'auto' ? `${base}-${task}` : `${base}-${variant}-${task}`;
}

function restoreInput(edits: readonly string[]): string {
  const change = edits.length === 0 ? [] : ['*filter', ...edits, 'COMMIT'];
  return [...change, '*filter', '-S', 'COMMIT', ''].join('\n');
}

function mustHold(chain: string, view: IptablesView, optional: readonly string[]): boolean {
  return view.chains.has(chain) || !optional.includes(chain);
}

function readListing(
  output: string,
  ours: readonly string[],
  optional: readonly string[],
): IptablesView {
  const chains = new Map<string, (string | null)[]>();
  let listed = false;
  for (const line of output.split('\n')) {
    const chain = CHAIN_LINE.exec(line)?.[1];
    listed ||= chain !== undefined;
    if (chain !== undefined && ours.includes(chain)) chains.set(chain, []);
    const rule = RULE_LINE.exec(line);
    if (rule !== null) chains.get(rule[1] ?? '')?.push(droppedSource(rule[2] ?? ''));
  }
  if (!listed) throw new AppError('FIREWALL', 'the listing of the filter table has no chain');
  return { chains, extras: optional.filter((chain) => chains.has(chain)) };
}

const POLICY_LINE = /^:(\S+) (\S+)/;
const COUNTED_RULE_LINE = /^\[([0-9]+):([0-9]+)\] -A (\S+) (.+)$/;

function readCensus(output: string, ours: readonly string[]): Census {
  const policies = new Map<string, string>();
  const rules: Rule[] = [];
  for (const line of output.split('\n')) {
    const policy = POLICY_LINE.exec(line);
    if (policy !== null) policies.set(policy[1] ?? '', policy[2] ?? '');
    const [, packets, bytes, chain, spec] = COUNTED_RULE_LINE.exec(line) ?? [];
    if (chain === undefined || spec === undefined) continue;
    rules.push({ chain, spec, packets: Number(packets), bytes: Number(bytes) });
  }
  return { held: heldBy(rules, ours), rules, policies };
}

function heldBy(rules: readonly Rule[], ours: readonly string[]): Map<string, HeldAddress> {
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

function droppedSource(rule: string): string | null {
  return droppedAddress(rule)?.text ?? null;
}

function droppedAddress(rule: string): Address | null {
  const source = PLAIN_DROP.exec(rule)?.[1];
  return source === undefined ? null : parseBlock(source);
}

function expectedView(
  chains: readonly string[],
  changes: readonly Change[],
  extras: readonly string[],
): IptablesView {
  const held = changes.filter((change) => change.to === 'released').map((c) => c.address.text);
  return { chains: new Map(chains.map((chain) => [chain, held])), extras };
}

function editsOf(
  chain: string,
  rules: readonly (string | null)[],
  changes: readonly Change[],
): string[] {
  const places = placesOf(rules);
  const foreign = rules.indexOf(null);
  const removals: { readonly first: number; readonly edits: readonly string[] }[] = [];
  const insertions: string[] = [];
  for (const { address, to } of changes) {
    const { count, first } = places.get(address.text) ?? { count: 0, first: 0 };
    // Nothing that accepts the packet may be asked earlier: before ours stand only plain drops.
    const isFirst = foreign < 0 || first < foreign;
    if (to === 'blocked' && count === 1 && isFirst) continue;
    const rule = `-s ${withPrefix(address)} -j DROP`;
    if (count > 0)
      removals.push({ first, edits: Array<string>(count).fill(`-D ${chain} ${rule}`) });
    if (to === 'blocked') insertions.push(`-I ${chain} 1 ${rule}`);
  }
  // iptables looks for each rule from the chain's head: in the chain's order it finds the next one at once.
  removals.sort((a, b) => a.first - b.first);
  return [...removals.flatMap(({ edits }) => edits), ...insertions];
}

/** Looked up once a chain, since a list of changes may be as long as the chain. */
function placesOf(
  rules: readonly (string | null)[],
): Map<string, { readonly count: number; readonly first: number }> {
  const places = new Map<string, { count: number; first: number }>();
  rules.forEach((source, index) => {
    if (source === null) return;
    const known = places.get(source);
    if (known === undefined) places.set(source, { count: 1, first: index });
    else known.count += 1;
  });
  return places;
}
