// Reads what nft prints as JSON: all of it that is in our table.
import { parseExactNetwork, type Address } from '../../model/address.ts';
import { AppError } from '../../model/errors.ts';
import type { PlannedCommand, Ran, View } from '../backend.ts';
import type { HeldAddress, Rule, Snapshot } from '../snapshot.ts';
import {
  CHAIN,
  FORMER_CHAINS,
  FORMER_PRIORITY,
  maskOf,
  matchOf,
  PRIORITY,
  SET_NAME,
  TABLE,
  textOf,
} from './text.ts';

/** `kept`: present, and with the end that was asked for. `doubtful`: of many asked for at once not all are as asked. */
export type Entry = 'absent' | 'present' | 'kept' | 'doubtful';

export interface NftablesView extends View {
  /** By address; what is not a key is not known. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** The sets of our table, and whether a rule of our chain drops what is in it; null: not looked at. */
  readonly sets: ReadonlyMap<string, boolean> | null;
  /** Whether our table is there; false where it was not looked at. */
  readonly hasTable: boolean;
  /** Whether somebody else has put a chain or set into it. */
  readonly hasOthers: boolean;
  /** Whether `entries` has all that there is. */
  readonly complete: boolean;
  /** Whether a change of ours came before what is known: what is present then has the end that it gave. */
  readonly changed: boolean;
  /** The state is trusted: that there are sets and rules is found out with the entries. */
  readonly trusted: boolean;
  /** A listing of all tables could not be read: from now on ours alone is listed. */
  readonly onlyOurs: boolean;
}

/** What the kernel says of a set without room (ENFILE), and of an entry that is there (EEXIST). */
export const FULL = 'Too many open files in system';
const IS_THERE = 'File exists';

export function readLook(
  output: string,
  { command, status, stderr, before }: Ran<NftablesView>,
): NftablesView {
  const isThere: Entry = before.changed ? 'kept' : 'present';
  if (!command.args.includes('-j')) {
    const answers = answersTo(command, status === 0 ? isThere : 'doubtful');
    return { ...before, entries: new Map([...before.entries, ...answers]) };
  }
  const unknown = { ...before, entries: new Map(), sets: null, trusted: false };
  const isQuestion = command.answers !== undefined && !command.args.includes('list');
  // A table or set that a question names is missing: nft stops before it lists, and nothing is known any more.
  if (isQuestion && output.trim() === '') return unknown;
  const isTableMissing = !isQuestion && status !== 0;
  const listing = isTableMissing ? NOTHING : listingOf(output, before);
  if (listing === null) return { ...unknown, onlyOurs: true };
  const { hasTable, hasOthers } = listing;
  const complete = !command.args.includes('-t');
  const seen = { ...before, sets: askedSets(listing), hasTable, hasOthers, complete };
  if (!isQuestion) {
    const texts = listing.members.map(({ address }) => [address.text, isThere] as const);
    return { ...seen, entries: new Map(texts) };
  }
  // An entry that is there needs no room: where only room was missing, none of them is.
  const unexpected = stderr.includes(FULL) && !stderr.includes(IS_THERE) ? 'absent' : 'present';
  const entries = questionsOf(command).map(({ text, expects }) => {
    const is = status === 0 ? expects : expects === 'present' ? 'absent' : unexpected;
    return [text, is === 'present' ? isThere : is] as const;
  });
  return { ...seen, entries: new Map([...before.entries, ...entries]) };
}

const QUESTION = /^(create|delete) element \S+ \S+ (\S+) \{ (.*) \}$/;

/** Of a check of many, which prints nothing; `is` is what it found of those that shall be there. */
function answersTo(command: PlannedCommand, is: Entry): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const line of textOf(command).split('\n')) {
    const [, verb, set = '', elements = ''] = QUESTION.exec(line) ?? [];
    const found = verb === 'create' && is !== 'doubtful' ? 'absent' : is;
    for (const bare of elements === '' ? [] : elements.split(', ')) {
      const address = addressIn(set, bare);
      if (address !== null) entries.set(address.text, found);
    }
  }
  return entries;
}

/** Which address each question of a probe was about, and what its success says. */
function questionsOf({ args }: PlannedCommand): { text: string; expects: 'absent' | 'present' }[] {
  return commandsIn(args.at(-1) ?? '').flatMap((command) => {
    const verb = 'delete' in command ? 'delete' : 'create';
    const subject = recordOf(recordOf(command[verb])['element']);
    const elements = subject['elem'];
    if (!Array.isArray(elements)) return [];
    const address = addressIn(String(subject['name']), String(elements[0]));
    if (address === null) return [];
    return [{ text: address.text, expects: verb === 'delete' ? 'present' : 'absent' }];
  });
}

interface Member {
  readonly set: string;
  readonly address: Address;
  readonly packets: number;
  readonly bytes: number;
}

interface Listing {
  readonly hasTable: boolean;
  readonly hasOthers: boolean;
  readonly sets: readonly string[];
  readonly members: readonly Member[];
  /** Our rules: each drops what is in a set, in a chain that is hooked as ours are. */
  readonly asked: readonly { readonly chain: string; readonly set: string }[];
}

/** Of a host without our table. */
const NOTHING: Listing = { hasTable: false, hasOthers: false, sets: [], members: [], asked: [] };

/** Null where a listing of all tables can't be read. */
function listingOf(output: string, { onlyOurs }: NftablesView): Listing | null {
  try {
    return readListing(output);
  } catch (error) {
    if (onlyOurs) throw error;
    return null;
  }
}

/** Reads nft's JSON: all of it that is in our table. Throws `FIREWALL` for what is none. */
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
    hasOthers:
      ofKind('map').length > 0 ||
      ofKind('set').length > sets.length ||
      chains.some(({ name }) => ![CHAIN, ...FORMER_CHAINS].includes(String(name))),
    sets: sets.map((set) => String(set['name'])),
    members: sets.flatMap(membersOf),
    asked: askedBy(ofKind('rule').filter((rule) => hooked.includes(rule['chain']))),
  };
}

/** What somebody else put before a rule of ours may let a packet go on that ours would drop. */
function askedBy(rules: readonly Record<string, unknown>[]): Listing['asked'] {
  const passed = new Set<unknown>();
  return rules.flatMap(({ chain, expr }) => {
    const set = setAskedBy(expr);
    if (set === null && mayLetPass(expr)) passed.add(chain);
    return set === null || passed.has(chain) ? [] : [{ chain: String(chain), set }];
  });
}

const PASSING = ['accept', 'return', 'jump', 'goto', 'queue', 'vmap'];

function mayLetPass(expressions: unknown): boolean {
  if (!Array.isArray(expressions)) return false;
  return expressions.some((one) => PASSING.some((verdict) => verdict in recordOf(one)));
}

/** Of a chain of ours, where it has to be hooked. */
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

/** The set of a rule that is exactly one of ours: this match, this verdict, nothing else. */
function setAskedBy(expressions: unknown): string | null {
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

function askedSets({ sets, asked }: Listing): Map<string, boolean> {
  const dropped = asked.filter(({ chain }) => chain === CHAIN).map(({ set }) => set);
  return new Map(sets.map((name) => [name, dropped.includes(name)]));
}

export function readSnapshot(output: string): Snapshot {
  const { members, asked } = output === '' ? NOTHING : readListing(output);
  const ofSets = Map.groupBy(members, ({ set }) => set);
  const held = members.flatMap(({ set, address, packets, bytes }): [string, HeldAddress][] => {
    const chains = asked.filter((rule) => rule.set === set).map(({ chain }) => `${TABLE} ${chain}`);
    return chains.length === 0 ? [] : [[address.text, { address, chains, packets, bytes }]];
  });
  return {
    held: new Map(held),
    rules: asked.map(({ chain, set }) => ruleOf(chain, set, ofSets.get(set) ?? [])),
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
