// Parses the JSON output of nft. Ignores everything outside our table.
import { parseExactNetwork, type Address } from '../../model/address.ts';
import { AppError } from '../../model/errors.ts';
import type { Ran, View, HeldAddress, Rule, Snapshot } from '../backend.ts';
import {
  CHAIN,
  FORMER_CHAINS,
  FORMER_PRIORITY,
  maskOf,
  matchOf,
  PRIORITY,
  SET_NAME,
  TABLE,
} from './text.ts';

/**
 * The state of an element. `present`: its timeout is unknown. `kept`: it has the requested timeout. `doubtful`: it was
 * checked in a long list, and at least one element of the list differs. `unverified`: it was changed and must be checked.
 */
export type Entry = 'absent' | 'present' | 'kept' | 'doubtful' | 'unverified';

export interface NftablesView extends View {
  /** The elements by address. The state of an address without a key is unknown. */
  readonly entries: ReadonlyMap<string, Entry>;
  /**
   * The sets of our table. The value is true if a rule of our chain drops their elements. null if the table was not
   * inspected.
   */
  readonly sets: ReadonlyMap<string, boolean> | null;
  /** True if our table exists; false also if it was not inspected. */
  readonly hasTable: boolean;
  /** True if our table has chains, sets or maps of other programs. */
  readonly hasForeign: boolean;
  /** True if `entries` has every element. */
  readonly complete: boolean;
  /** True if the view was read after a change of this run: every element then has the requested timeout. */
  readonly changed: boolean;
  /** True if the state is trusted: sets and rules are then checked together with the elements. */
  readonly trusted: boolean;
  /** True if a listing of all tables could not be parsed. From then on, only our table is listed. */
  readonly onlyOurs: boolean;
}

/** The error messages of nft for a full set (ENFILE) and for an existing element (EEXIST). */
export const FULL = 'Too many open files in system';
const EXISTS = 'File exists';

export function readLook(
  output: string,
  { command, status, stderr, before }: Ran<NftablesView>,
): NftablesView {
  const { part = [] } = command;
  const existing: Entry = before.changed ? 'kept' : 'present';
  if (!command.args.includes('-j')) {
    const answers = part.map(({ address, to }) => {
      if (status !== 0) return [address.text, 'doubtful'] as const;
      return [address.text, to === 'blocked' ? existing : 'absent'] as const;
    });
    return { ...before, entries: new Map([...before.entries, ...answers]) };
  }
  const unknown = { ...before, entries: new Map(), sets: null, trusted: false };
  const isQuestion = command.answers !== undefined && !command.args.includes('list');
  // A table or set in a question does not exist. nft stops before it lists, so the view is unknown.
  if (isQuestion && output.trim() === '') return unknown;
  const isTableMissing = !isQuestion && status !== 0;
  const listing = isTableMissing ? EMPTY_LISTING : listingOf(output, before);
  if (listing === null) return { ...unknown, onlyOurs: true };
  const { hasTable, hasForeign } = listing;
  const hasElements = !command.args.includes('-t');
  const complete = hasElements || before.complete;
  const seen = { ...before, sets: setsThatDrop(listing), hasTable, hasForeign, complete };
  if (!isQuestion) {
    // An element that a later part of a long list refreshes still has its old timeout.
    const texts = listing.members.map(({ address: { text } }) => {
      return [text, before.entries.get(text) === 'present' ? 'present' : existing] as const;
    });
    return { ...seen, entries: new Map([...(hasElements ? [] : before.entries), ...texts]) };
  }
  // An existing element needs no room. If lack of room is the only error, none of the elements exists.
  const unexpected = stderr.includes(FULL) && !stderr.includes(EXISTS) ? 'absent' : 'present';
  const entries = part.map(({ address, to }) => {
    const expected = to === 'blocked' ? 'present' : 'absent';
    const is = status === 0 ? expected : to === 'blocked' ? 'absent' : unexpected;
    return [address.text, is === 'present' ? existing : is] as const;
  });
  return { ...seen, entries: new Map([...before.entries, ...entries]) };
}

interface Member {
  readonly set: string;
  readonly address: Address;
  readonly packets: number;
  readonly bytes: number;
}

interface Listing {
  readonly hasTable: boolean;
  readonly hasForeign: boolean;
  readonly sets: readonly string[];
  readonly members: readonly Member[];
  /** Our rules. Each drops the elements of a set, in a chain with the hook and priority that we use. */
  readonly ourRules: readonly { readonly chain: string; readonly set: string }[];
}

/** The listing of a host without our table. */
const EMPTY_LISTING: Listing = {
  hasTable: false,
  hasForeign: false,
  sets: [],
  members: [],
  ourRules: [],
};

/** Parses a listing. Returns null if a listing of all tables can't be parsed. */
function listingOf(output: string, { onlyOurs }: NftablesView): Listing | null {
  try {
    return readListing(output);
  } catch (error) {
    if (onlyOurs) throw error;
    return null;
  }
}

/** Parses the objects of our table. Throws `FIREWALL` if the output is not a listing. */
function readListing(output: string): Listing {
  const objects = commandsIn(output);
  const ofKind = (kind: string): Record<string, unknown>[] =>
    objects
      .map((object) => recordOf(object[kind]))
      .filter((one) => one['table'] === 'firewall_drop' && one['family'] === 'inet');
  const hasTable = objects.some(({ table }) => {
    const { family, name } = recordOf(table);
    return family === 'inet' && name === 'firewall_drop';
  });
  const sets = ofKind('set').filter((set) => SET_NAME.test(String(set['name'])));
  const chains = ofKind('chain');
  const hooked = chains
    .filter((chain) => chain['hook'] === chain['name'] && chain['prio'] === priorityOf(chain))
    .map((chain) => chain['name']);
  return {
    hasTable,
    hasForeign:
      ofKind('map').length > 0 ||
      ofKind('set').length > sets.length ||
      chains.some(({ name }) => ![CHAIN, ...FORMER_CHAINS].includes(String(name))),
    sets: sets.map((set) => String(set['name'])),
    members: sets.flatMap(membersOf),
    ourRules: ourRulesIn(ofKind('rule').filter((rule) => hooked.includes(rule['chain']))),
  };
}

/** Returns our rules, except those after a foreign rule that can let packets pass. */
function ourRulesIn(rules: readonly Record<string, unknown>[]): Listing['ourRules'] {
  const passed = new Set<unknown>();
  return rules.flatMap(({ chain, expr }) => {
    const set = setOfOurRule(expr);
    if (set === null && canLetPass(expr)) passed.add(chain);
    return set === null || passed.has(chain) ? [] : [{ chain: String(chain), set }];
  });
}

const PASSING = ['accept', 'return', 'jump', 'goto', 'queue', 'vmap'];

function canLetPass(expressions: unknown): boolean {
  if (!Array.isArray(expressions)) return false;
  return expressions.some((one) => PASSING.some((verdict) => verdict in recordOf(one)));
}

/** Returns the priority that a chain of ours must have; null for a foreign chain. */
function priorityOf({ name }: Record<string, unknown>): number | null {
  if (name === CHAIN) return PRIORITY;
  return FORMER_CHAINS.includes(String(name)) ? FORMER_PRIORITY : null;
}

function commandsIn(text: string): Record<string, unknown>[] {
  try {
    const all = recordOf(JSON.parse(text))['nftables'];
    if (Array.isArray(all)) return all.map(recordOf);
  } catch (error) {
    throw new AppError('FIREWALL', "nft's listing is not JSON", error);
  }
  throw new AppError('FIREWALL', "nft's listing has no objects");
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};
}

function membersOf(set: Record<string, unknown>): Member[] {
  const elements: unknown = set['elem'];
  if (!Array.isArray(elements)) return [];
  const name = String(set['name']);
  return elements.flatMap((element: unknown) => {
    const inner = recordOf(recordOf(element)['elem']);
    const address = addressIn(name, String(inner['val'] ?? element));
    if (address === null) return [];
    const { packets, bytes } = recordOf(inner['counter']);
    return [{ set: name, address, packets: Number(packets ?? 0), bytes: Number(bytes ?? 0) }];
  });
}

function addressIn(setName: string, bare: string): Address | null {
  const [, family, length] = SET_NAME.exec(setName) ?? [];
  const address = family === undefined ? null : parseExactNetwork(`${bare}/${length ?? ''}`);
  return address?.family === Number(family) ? address : null;
}

/**
 * Returns the set of a rule that is exactly one of ours, with this match, this verdict and nothing else; otherwise
 * null.
 */
function setOfOurRule(expressions: unknown): string | null {
  if (!Array.isArray(expressions) || expressions.length !== 2) return null;
  const match = recordOf(recordOf(expressions[0])['match']);
  const name = typeof match['right'] === 'string' ? match['right'].slice(1) : '';
  const [, family, length] = SET_NAME.exec(name) ?? [];
  if (family === undefined || !('drop' in recordOf(expressions[1]))) return null;
  const payload = { payload: { protocol: family === '4' ? 'ip' : 'ip6', field: 'saddr' } };
  const mask = maskOf(family === '4' ? 4 : 6, Number(length));
  const left = mask === null ? payload : { '&': [payload, mask] };
  const ours = JSON.stringify({ op: '==', left, right: `@${name}` });
  return JSON.stringify(match) === ours ? name : null;
}

function setsThatDrop({ sets, ourRules }: Listing): Map<string, boolean> {
  const dropped = ourRules.filter(({ chain }) => chain === CHAIN).map(({ set }) => set);
  return new Map(sets.map((name) => [name, dropped.includes(name)]));
}

export function readSnapshot(output: string): Snapshot {
  const { members, ourRules } = output === '' ? EMPTY_LISTING : readListing(output);
  const ofSets = Map.groupBy(members, ({ set }) => set);
  const held = members.flatMap(({ set, address, packets, bytes }): [string, HeldAddress][] => {
    const chains = ourRules
      .filter((rule) => rule.set === set)
      .map(({ chain }) => `${TABLE} ${chain}`);
    return chains.length === 0 ? [] : [[address.text, { address, chains, packets, bytes }]];
  });
  return {
    held: new Map(held),
    rules: ourRules.map(({ chain, set }) => ruleOf(chain, set, ofSets.get(set) ?? [])),
    policies: new Map(),
    sets: new Map([...ofSets].map(([name, own]) => [name, own.map(({ address }) => address)])),
  };
}

function ruleOf(chain: string, set: string, members: readonly Member[]): Rule {
  const sum = (count: (member: Member) => number): number =>
    members.reduce((total, member) => total + count(member), 0);
  return {
    chain: `${TABLE} ${chain}`,
    spec: `${matchOf(set)} drop`,
    packets: sum(({ packets }) => packets),
    bytes: sum(({ bytes }) => bytes),
    dropsSet: set,
  };
}
