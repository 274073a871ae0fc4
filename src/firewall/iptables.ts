// Plain iptables rules: `-s ADDRESS -j DROP`, first in INPUT and FORWARD, and in DOCKER-USER where it exists.
//
// A restore may hold several tables' worth of input. Ours holds two: the change, which is committed atomically, and an
// empty change of the same table with a listing, which prints what the kernel holds after the commit. One process so
// both changes and verifies, with nft and legacy alike.
import { parseBlock, withPrefix, type Address, type Family } from '../ban/address.ts';
import { AppError } from '../errors.ts';
import type { Command } from '../os/run.ts';
import type { Backend, Change, View } from './backend.ts';

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
    program: programName(family, options.variant),
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
        changes.flatMap((change) => editsOf(chain, view.chains.get(chain) ?? [], change)),
      );
      return edits.length === 0 ? null : commandOf(family, edits);
    },
  };
}

function programName(family: Family, variant: IptablesOptions['variant']): string {
  const base = family === 4 ? 'iptables' : 'ip6tables';
  return variant === 'auto' ? `${base}-restore` : `${base}-${variant}-restore`;
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

function droppedSource(rule: string): string | null {
  const source = PLAIN_DROP.exec(rule)?.[1];
  return source === undefined ? null : (parseBlock(source)?.text ?? null);
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
  { address, to }: Change,
): string[] {
  if (to === 'blocked' && isFirstAndOnly(rules, address)) return [];
  const rule = `-s ${withPrefix(address)} -j DROP`;
  const copies = rules.filter((source) => source === address.text).length;
  const removals = Array<string>(copies).fill(`-D ${chain} ${rule}`);
  return to === 'blocked' ? [...removals, `-I ${chain} 1 ${rule}`] : removals;
}

/** One copy, and only plain drops before it: nothing that accepts the packet is asked earlier. */
function isFirstAndOnly(rules: readonly (string | null)[], address: Address): boolean {
  const first = rules.indexOf(address.text);
  if (first < 0 || rules.includes(address.text, first + 1)) return false;
  return !rules.slice(0, first).includes(null);
}
