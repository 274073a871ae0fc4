// A table of our own, whose sets hold what is blocked and whose chains are asked before the filter tables of others.
//
// Single addresses are in one set, and blocks in one for each prefix length, asked by the masked source address: plain
// hash sets, which take overlapping blocks and which no change has to be read back for. (Interval sets refuse overlaps,
// and nft reads the whole set before each change of one.) A change is one `nft -f`, taken whole or not at all. The proof
// is one `nft --check`: the kernel is asked to remove what shall be there and to create what shall not, says whether it
// could, and does neither; the same process lists chains and rules. `nft get element` would read the whole set first.
import { makeAddress, parseBlock, type Address, type Family } from '../../model/address.ts';
import { AppError } from '../../model/errors.ts';
import type {
  Backend,
  Snapshot,
  Change,
  HeldAddress,
  PlannedCommand,
  Ran,
  Rule,
  View,
} from '../backend.ts';

export interface NftablesOptions {
  /** How many entries a set may hold. */
  readonly maxEntries: number;
}

const TABLE = 'inet firewall_drop';
/** Hooks that a packet to this host or through it meets. */
const HOOKS = ['input', 'forward'] as const;
/** The filter tables of others, iptables' among them, are at 0: what they accept was dropped by us before. */
const PRIORITY = -10;

/** `kept`: present, and with the end that was asked for. */
type Entry = 'absent' | 'present' | 'kept';

export interface NftablesView extends View {
  /** By address; what is not a key is not known. */
  readonly entries: ReadonlyMap<string, Entry>;
  /** The sets of our table, and in how many of our chains each is asked; null: not looked at. */
  readonly sets: ReadonlyMap<string, number> | null;
  /** Whether our table is there; false where it was not looked at. */
  readonly hasTable: boolean;
  /** Whether `entries` has all that there is. */
  readonly complete: boolean;
  /** Whether a change of ours came before what is known: what is present then has the end that it gave. */
  readonly changed: boolean;
  /** The books are taken at their word: that there are sets and rules is found out with the entries. */
  readonly trusted: boolean;
}

const NOTHING_KNOWN: NftablesView = {
  entries: new Map(),
  sets: null,
  hasTable: false,
  complete: false,
  changed: false,
  trusted: false,
  extras: [],
};
/** Up to so many changes are asked for one by one; a listing of all entries answers for more. */
const FEW = 50;
/** What the kernel says of a set without room (ENFILE). */
const FULL = 'Too many open files in system';

export function createNftables(options: NftablesOptions): Backend<NftablesView> {
  return {
    name: 'nftables',
    mostReleases: Infinity,
    inspect: () => list(['-t']),
    read(output, ran) {
      const before = ran?.before ?? NOTHING_KNOWN;
      return ran?.command.effect === 'look'
        ? readLook(output, ran, before)
        : { ...before, entries: new Map(), sets: null, complete: false, changed: true };
    },
    expect: (changes, extras) => ({
      ...NOTHING_KNOWN,
      entries: entriesOf(changes, ({ to }) => (to === 'blocked' ? 'absent' : 'present')),
      extras,
      trusted: true,
    }),
    plan: (_family, view, changes) => plan(view, changes, options),
    simulate: (view, _command, changes) => ({
      ...view,
      entries: entriesOf(changes, ({ to }) => (to === 'blocked' ? 'kept' : 'absent')),
      sets: new Map(changes.map((change) => [setNameOf(change.address), HOOKS.length])),
    }),
    planRemoval: (family, view) => planRemoval(family, view),
    snapshot: () => list([]),
    readSnapshot: (output) => readSnapshot(output),
    advice: (complaint) => (complaint.includes(FULL) ? adviceForFull(options) : ''),
  };
}

function adviceForFull({ maxEntries }: NftablesOptions): string {
  return `a set is full: raise firewall.max_entries (now ${maxEntries}), then nft delete table ${TABLE} and firewall-drop restore; or release what is no longer needed`;
}

function entriesOf(
  changes: readonly Change[],
  entryOf: (change: Change) => Entry,
): Map<string, Entry> {
  return new Map(changes.map((change) => [change.address.text, entryOf(change)]));
}

/** `blocked4_32`: the family, and the length of what its entries have in common. */
function setNameOf({ family, prefixLength }: Address): string {
  return `blocked${family}_${prefixLength}`;
}

const SET_NAME = /^blocked([46])_([0-9]{1,3})$/;

function plan(
  view: NftablesView,
  changes: readonly Change[],
  options: NftablesOptions,
): PlannedCommand | null {
  const entryOf = ({ address }: Change): Entry | undefined => {
    const isSetMissing = view.sets?.has(setNameOf(address)) === false;
    return view.entries.get(address.text) ?? (view.complete || isSetMissing ? 'absent' : undefined);
  };
  const wanting = changes.filter((change) => {
    return entryOf(change) !== (change.to === 'blocked' ? 'kept' : 'absent');
  });
  const unseen = wanting.filter((change) => entryOf(change) === undefined);
  if (unseen.length > FEW) return list([]);
  if (unseen.length > 0) return view.sets === null && !view.trusted ? list(['-t']) : probe(unseen);
  const setup = setupFor(view, changes, options);
  if (wanting.length === 0 && setup.length === 0) return null;
  const lines = [...setup, ...edits(wanting, entryOf)];
  const isRefresh =
    setup.length === 0 &&
    wanting.every((change) => change.to === 'blocked' && entryOf(change) === 'present');
  const command = { program: 'nft', args: ['-f', '-'], input: [...lines, ''].join('\n') };
  return isRefresh ? { ...command, effect: 'refresh' } : command;
}

/** All that makes a set be asked, where one that is needed is not. Only what is looked at can be found wanting. */
function setupFor(
  { sets }: NftablesView,
  changes: readonly Change[],
  { maxEntries }: NftablesOptions,
): string[] {
  const needed = changes
    .filter(({ to }) => to === 'blocked')
    .map(({ address }) => setNameOf(address));
  if (sets === null || needed.every((name) => sets.get(name) === HOOKS.length)) return [];
  const names = [...new Set([...sets.keys(), ...needed])].filter((name) => SET_NAME.test(name));
  const ofNames = names.map((name) => {
    const type = name.startsWith('blocked4') ? 'ipv4_addr' : 'ipv6_addr';
    return `add set ${TABLE} ${name} { type ${type}; flags timeout; size ${maxEntries}; counter; }`;
  });
  const ofHooks = HOOKS.flatMap((hook) => [
    `add chain ${TABLE} ${hook} { type filter hook ${hook} priority ${PRIORITY}; policy accept; }`,
    `flush chain ${TABLE} ${hook}`,
    ...names.map((name) => `add rule ${TABLE} ${hook} ${matchOf(name)} drop`),
  ]);
  return [`add table ${TABLE}`, ...ofNames, ...ofHooks];
}

function matchOf(name: string): string {
  const [, family, length] = SET_NAME.exec(name) ?? [];
  const source = family === '4' ? 'ip saddr' : 'ip6 saddr';
  const mask = maskOf(family === '4' ? 4 : 6, Number(length));
  return mask === null ? `${source} @${name}` : `${source} & ${mask} == @${name}`;
}

function maskOf(family: Family, prefixLength: number): string | null {
  const width = family === 4 ? 32 : 128;
  if (prefixLength === width) return null;
  const all = (1n << BigInt(width)) - 1n;
  return bareText(makeAddress(family, all, prefixLength));
}

/** An element has no length: its set has. */
function bareText({ text }: Address): string {
  return text.replace(/\/.*/, '');
}

/** Each of these does what it says whatever was there: what is added twice is there once, and can then be deleted. */
function edits(
  changes: readonly Change[],
  entryOf: (change: Change) => Entry | undefined,
): string[] {
  const groups = Map.groupBy(changes, (change) => {
    return [setNameOf(change.address), change.to, entryOf(change) ?? ''].join(' ');
  });
  return Array.from(groups.values()).flatMap((group) => {
    const [first] = group;
    if (first === undefined) return [];
    const name = setNameOf(first.address);
    const bare = group.map(({ address }) => bareText(address));
    const away = [element('add', name, bare), element('delete', name, bare)];
    if (first.to === 'released') return away;
    const added = element('add', name, group.map(elementWithTimeout));
    // Kernels before 6.12 keep an entry's old end when it is added again.
    return entryOf(first) === 'present' ? [...away, added] : [added];
  });
}

function element(verb: 'add' | 'delete', name: string, elements: readonly string[]): string {
  return `${verb} element ${TABLE} ${name} { ${elements.join(', ')} }`;
}

function elementWithTimeout({ address, timeoutSeconds = null }: Change): string {
  const bare = bareText(address);
  return timeoutSeconds === null
    ? bare
    : `${bare} timeout ${Math.max(1, Math.ceil(timeoutSeconds))}s`;
}

/**
 * As an argument: nft with JSON out opens `/dev/stdin` anew, which fails where standard input is a socket, as that of our
 * children is; and of a pipe it reads nothing and says status 0.
 */
function probe(changes: readonly Change[]): PlannedCommand {
  const [family, table] = TABLE.split(' ');
  const questions = changes.map(({ address, to }) => {
    const elem = [bareText(address)];
    const subject = { element: { family, table, name: setNameOf(address), elem } };
    return to === 'blocked' ? { delete: subject } : { create: subject };
  });
  const commands = [...questions, { list: { ruleset: { family: 'inet' } } }];
  const args = ['-t', '-j', '-c', JSON.stringify({ nftables: commands })];
  return { program: 'nft', args, input: '', effect: 'look', answers: true };
}

/** The table is of both families. */
function planRemoval(family: Family, view: NftablesView | null): PlannedCommand | null {
  if (family === 6) return null;
  if ((view?.sets ?? null) === null) return list(['-t']);
  if (view?.hasTable !== true) return null;
  const input = `add table ${TABLE}\ndelete table ${TABLE}\n`;
  return { program: 'nft', args: ['-f', '-'], input };
}

function list(flags: readonly string[]): PlannedCommand {
  return {
    program: 'nft',
    args: [...flags, '-j', 'list', 'ruleset', 'inet'],
    input: '',
    effect: 'look',
  };
}

function readLook(
  output: string,
  { command, status }: Ran<View>,
  before: NftablesView,
): NftablesView {
  // A table or set that a question names is missing: nft stops before it lists, and nothing is known any more.
  if (output.trim() === '') return { ...before, entries: new Map(), sets: null, trusted: false };
  const listing = readListing(output);
  const isThere: Entry = before.changed ? 'kept' : 'present';
  const { hasTable } = listing;
  const complete = !command.args.includes('-t');
  const seen = { ...before, sets: askedSets(listing), hasTable, complete };
  if (command.answers !== true) {
    const texts = listing.members.map(({ address }) => [address.text, isThere] as const);
    return { ...seen, entries: new Map(texts) };
  }
  const entries = questionsOf(command).map(({ text, expects }) => {
    const is = status === 0 ? expects : expects === 'present' ? 'absent' : 'present';
    return [text, is === 'present' ? isThere : is] as const;
  });
  return { ...seen, entries: new Map([...before.entries, ...entries]) };
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
  readonly sets: readonly string[];
  readonly members: readonly Member[];
  /** `input blocked4_32`: a rule of ours asks this set in this chain, which is hooked as ours are. */
  readonly asked: readonly { readonly hook: string; readonly set: string }[];
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
  const hooked = ofKind('chain')
    .filter((chain) => chain['prio'] === PRIORITY && chain['hook'] === chain['name'])
    .map((chain) => chain['name']);
  return {
    hasTable,
    sets: sets.map((set) => String(set['name'])),
    members: sets.flatMap(membersOf),
    asked: ofKind('rule')
      .filter((rule) => hooked.includes(rule['chain']))
      .flatMap((rule) => {
        const set = setAskedBy(rule['expr']);
        return set === null ? [] : [{ hook: String(rule['chain']), set }];
      }),
  };
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
  const address = family === undefined ? null : parseBlock(`${bare}/${length ?? ''}`);
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

/** In how many of our chains each set is asked. */
function askedSets({ sets, asked }: Listing): Map<string, number> {
  return new Map(
    sets.map((name) => {
      const hooks = asked.filter(({ set }) => set === name).map(({ hook }) => hook);
      return [name, HOOKS.filter((hook) => hooks.includes(hook)).length];
    }),
  );
}

function readSnapshot(output: string): Snapshot {
  const { members, asked } = readListing(output);
  const ofSets = Map.groupBy(members, ({ set }) => set);
  const held = members.flatMap(({ set, address, packets, bytes }): [string, HeldAddress][] => {
    const chains = asked.filter((rule) => rule.set === set).map(({ hook }) => hook);
    return chains.length === 0 ? [] : [[address.text, { address, chains, packets, bytes }]];
  });
  return {
    held: new Map(held),
    rules: asked.map(({ hook, set }) => ruleOf(hook, set, ofSets.get(set) ?? [])),
    policies: new Map(),
    sets: new Map([...ofSets].map(([name, own]) => [name, own.map(({ address }) => address)])),
  };
}

/** Under the name that iptables gives the hook's chain, by which the verdict begins. */
function ruleOf(hook: string, set: string, members: readonly Member[]): Rule {
  const sum = (count: (member: Member) => number): number =>
    members.reduce((total, member) => total + count(member), 0);
  return {
    chain: hook.toUpperCase(),
    spec: `${matchOf(set)} drop`,
    packets: sum(({ packets }) => packets),
    bytes: sum(({ bytes }) => bytes),
    dropsSet: set,
  };
}
