// Derives from the rules of a snapshot what the kernel does with packets from an address.
import { contains, overlaps, parseNetwork, type Address } from '../model/address.ts';
import type { Snapshot, Rule } from './backend.ts';

export interface Verdict {
  readonly kind: 'dropped' | 'accepted';
  /** The deciding rule; null if the policy of the chain decides. */
  readonly rule: Rule | null;
  /** Earlier rules that drop some packets of the address, such as those of one protocol, port or interface. */
  readonly partly: readonly Rule[];
}

/** The chains that a packet to this host passes, in order. Each can drop a packet that an earlier one accepted. */
const PATH = [
  'inet firewall_drop prerouting',
  'raw PREROUTING',
  'inet firewall_drop input',
  'INPUT',
] as const;

/** Returns the verdict on packets from an address to this host. It follows jumps to other chains. */
export function findVerdict(address: Address, { rules, policies, sets }: Snapshot): Verdict {
  const chains = Map.groupBy(rules, (rule) => rule.chain);
  const partly: Rule[] = [];
  let last: Rule | null = null;
  for (const chain of PATH) {
    const rule = walk(chain, { address, chains, sets: sets ?? new Map(), partly, depth: 0 });
    const target = rule === null ? (policies.get(chain) ?? 'ACCEPT') : targetOf(rule);
    if (DROPPING.includes(target)) return { kind: 'dropped', rule, partly };
    last = rule;
  }
  return { kind: 'accepted', rule: last, partly };
}

const DROPPING: readonly string[] = ['DROP', 'REJECT'];
const DECIDING: readonly string[] = [...DROPPING, 'ACCEPT'];
/** The limit for nested chains. The kernel refuses loops, but a listing can change while it is read. */
const MAX_DEPTH = 32;

interface Walk {
  readonly address: Address;
  readonly chains: ReadonlyMap<string, readonly Rule[]>;
  readonly sets: NonNullable<Snapshot['sets']>;
  readonly partly: Rule[];
  readonly depth: number;
}

/** Returns the first rule that decides for every packet of the address; null if the chain ends without one. */
function walk(chain: string, state: Walk): Rule | null {
  if (state.depth > MAX_DEPTH) return null;
  const below = { ...state, depth: state.depth + 1 };
  for (const rule of state.chains.get(chain) ?? []) {
    const match = matchSource(rule, state);
    const target = targetOf(rule);
    if (match === 'some') notePartly(rule, target, below);
    if (match !== 'all') continue;
    if (DECIDING.includes(target)) return rule;
    if (target === 'RETURN') return null;
    const inner = walk(inTableOf(chain, target), below);
    // A chain entered by goto does not return to this chain.
    if (inner !== null || isGoto(rule)) return inner;
  }
  return null;
}

/** Records a rule that drops some packets, itself or through the chain that it jumps to. */
function notePartly(rule: Rule, target: string, state: Walk): void {
  if (DROPPING.includes(target)) state.partly.push(rule);
  const decided = walk(inTableOf(rule.chain, target), state);
  if (decided !== null && DROPPING.includes(targetOf(decided))) state.partly.push(decided);
}

/**
 * Returns the name of a target chain, which is always in the table of `chain`: `raw`, which is part of the name, or
 * `filter`.
 */
function inTableOf(chain: string, target: string): string {
  return chain.slice(0, chain.lastIndexOf(' ') + 1) + target;
}

function isGoto({ spec }: Rule): boolean {
  return /(?:^| )-g /.test(spec.replace(COMMENT, ''));
}

function targetOf({ spec, dropsSet }: Rule): string {
  if (dropsSet !== undefined) return 'DROP';
  return /(?:^| )-[jg] (\S+)/.exec(spec.replace(COMMENT, ''))?.[1] ?? '';
}

const SOURCE = /^(! )?-s (\S+) ?/;
const COMMENT = /-m comment --comment (?:"(?:[^"\\]|\\.)*"|\S+) ?/g;

/** Reports whether a rule matches all packets from an address, some of them, or none. */
function matchSource({ spec, dropsSet }: Rule, { address, sets }: Walk): 'all' | 'some' | 'none' {
  if (dropsSet !== undefined) return matchMembers(sets.get(dropsSet) ?? [], address);
  const [whole = '', not, text] = SOURCE.exec(spec) ?? [];
  const source = text === undefined ? null : parseNetwork(text);
  if (source !== null) {
    const inside = contains(source, address);
    const touched = overlaps(source, address);
    if (not === undefined ? !touched : inside) return 'none';
    if (not === undefined ? !inside : touched) return 'some';
  }
  const rest = spec.slice(whole.length).replace(COMMENT, '');
  return /^-[jg] /.test(rest) ? 'all' : 'some';
}

function matchMembers(members: readonly Address[], address: Address): 'all' | 'some' | 'none' {
  if (members.some((member) => contains(member, address))) return 'all';
  return members.some((member) => overlaps(member, address)) ? 'some' : 'none';
}
