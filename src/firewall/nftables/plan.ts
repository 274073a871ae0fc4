// Plans changes in a table of our own. Its sets hold the blocked addresses, and its chain comes before the tables of
// other programs.
//
// A change is one nft command, which is atomic. It is verified with one `nft --check`: nft tries to delete the elements
// that must exist and to create those that must not, reports whether it could, and changes nothing. The same process
// lists chains and rules. `nft get element` would read the whole set first.
import type { Family } from '../../model/address.ts';
import { byAddress, type Backend, type Change, type PlannedCommand } from '../backend.ts';
import { FULL, readLook, readSnapshot, type Entry, type NftablesView } from './parse.ts';
import {
  bareText,
  edit,
  emptyTable,
  makeTable,
  SET_NAME,
  setNameOf,
  TABLE,
  transaction,
} from './text.ts';

export type { NftablesView } from './parse.ts';

export interface NftablesOptions {
  /** The largest number of entries in a set. */
  readonly maxEntries: number;
}

const NOTHING_KNOWN: NftablesView = {
  entries: new Map(),
  sets: null,
  hasTable: false,
  hasForeign: false,
  complete: false,
  changed: false,
  trusted: false,
  onlyOurs: false,
  extras: [],
};
/** Up to this many changes are checked together with a listing of the rules: the length of an argument is limited. */
const FEW = 50;
/** The longest list in one command, in characters. Linux allows arguments of 2 MiB by default (execve(2)). */
const LONGEST_LIST = 1_750_000;
const SEPARATOR = ', '.length;
const LONGEST_OPTION = ' timeout 99999999s'.length;
/** The failure of a check, for whatever reason the kernel gives. */
const REFUSED = { status: 1, complaint: '' };
const NO_TABLE = { status: 1, complaint: 'No such file or directory' };
/** nft 0.9.3 does not know the `counter` of a set. */
const TOO_OLD = 'syntax error, unexpected counter';
const ADVICE_TOO_OLD =
  'nft 0.9.8 or later is needed (nft --version): install it, or set firewall.backend to "ipset" or "iptables"';

export function createNftables(options: NftablesOptions): Backend<NftablesView> {
  return {
    name: 'nftables',
    mostReleases: Infinity,
    nothingKnown: NOTHING_KNOWN,
    read(output, ran) {
      if (ran.command.effect === 'look') return readLook(output, ran);
      if (ran.command.answers !== undefined && ran.status !== 0) return NOTHING_KNOWN;
      const unverified = byAddress<Entry>(ran.command.part ?? [], () => 'unverified');
      const entries = new Map([...ran.before.entries, ...unverified]);
      return { ...ran.before, entries, sets: null, changed: true };
    },
    expect: (changes, extras) => ({
      ...NOTHING_KNOWN,
      entries: byAddress(changes, ({ to }) => (to === 'blocked' ? 'absent' : 'present')),
      extras,
      trusted: true,
    }),
    plan: (_family, view, changes) => plan(view, changes, options),
    simulate: (view, command, changes) => ({
      ...view,
      entries: new Map([
        ...view.entries,
        ...byAddress(command.part ?? changes, ({ to }) => (to === 'blocked' ? 'kept' : 'absent')),
      ]),
      sets: new Map(changes.map((change) => [setNameOf(change.address), true])),
    }),
    planRemoval,
    snapshot: () => [listOurs([])],
    readSnapshot: ([output = '']) => readSnapshot(output),
    advice: (complaint) => {
      if (complaint.includes(TOO_OLD)) return ADVICE_TOO_OLD;
      return complaint.includes(FULL) ? adviceForFull(options) : '';
    },
  };
}

function adviceForFull({ maxEntries }: NftablesOptions): string {
  return `a set is full: raise firewall.max_entries (now ${maxEntries}), then nft delete table ${TABLE} and firewall-drop restore; or unblock addresses that no longer need a ban`;
}

function plan(
  view: NftablesView,
  changes: readonly Change[],
  options: NftablesOptions,
): PlannedCommand | null {
  const entryOf = ({ address }: Change): Entry | undefined => {
    const known = view.entries.get(address.text);
    if (known !== undefined) return known === 'unverified' ? undefined : known;
    const isSetMissing = view.sets?.has(setNameOf(address)) === false;
    return view.complete || isSetMissing ? 'absent' : undefined;
  };
  const unfinished = changes.filter((change) => !isDone(change, entryOf(change)));
  if (unfinished.some((change) => entryOf(change) === 'doubtful')) return listOurs([]);
  const unseen = unfinished.filter((change) => entryOf(change) === undefined);
  const isLong = unseen.length > FEW;
  const areRulesUnknown = view.sets === null && (isLong || !view.trusted);
  if (unseen.length > 0 && areRulesUnknown) return listRules(view);
  if (unseen.length > 0) return isLong ? check(firstPart(unseen, () => 1)) : probe(unseen, view);
  const setup = setupFor(view, changes, options);
  if (unfinished.length === 0 && setup.length === 0) return null;
  const isRefresh =
    setup.length === 0 &&
    unfinished.every((change) => change.to === 'blocked' && entryOf(change) === 'present');
  // See `edits`: a release names the address twice, and a new timeout three times.
  const part = firstPart(unfinished, (change) => {
    return change.to === 'released' ? 2 : entryOf(change) === 'present' ? 3 : 1;
  });
  const lines = transaction([...setup, ...edits(part, entryOf)]);
  // After a setup alone, verify all changes.
  const command = { ...lines, part: part.length === 0 ? changes : part };
  if (isRefresh) return { ...command, effect: 'refresh' };
  // Another run can make the table before it is inspected. The same command is then planned again and must not count as
  // a second failure.
  return view.trusted && !view.changed ? { ...command, answers: NO_TABLE } : command;
}

/** Returns as many changes from the start of a list as one command can take, which names each address `times` times. */
function firstPart(
  changes: readonly Change[],
  times: (change: Change) => number,
): readonly Change[] {
  let left = LONGEST_LIST;
  const end = changes.findIndex((change) => {
    left -= times(change) * (change.address.text.length + SEPARATOR) + LONGEST_OPTION;
    return left < 0;
  });
  return end === -1 ? changes : changes.slice(0, end);
}

function isDone({ to, keepsEnd = false }: Change, entry: Entry | undefined): boolean {
  if (to === 'released') return entry === 'absent';
  return entry === 'kept' || (keepsEnd && entry === 'present');
}

/** Returns the lines that make all sets drop, if a set that is needed does not; an empty list if `sets` is unknown. */
function setupFor(
  { sets }: NftablesView,
  changes: readonly Change[],
  { maxEntries }: NftablesOptions,
): string[] {
  const needed = changes
    .filter(({ to }) => to === 'blocked')
    .map(({ address }) => setNameOf(address));
  if (sets === null || needed.length === 0) return [];
  // Check all sets: another run that made the chain at the same moment may not have seen a set that this run had just
  // added.
  if ([...needed, ...sets.keys()].every((name) => sets.get(name) === true)) return [];
  const names = [...new Set([...sets.keys(), ...needed])].filter((name) => SET_NAME.test(name));
  return makeTable(names, maxEntries);
}

/**
 * Returns the lines that edit the elements. An `add` before `delete` makes the deletion succeed whether or not the
 * element exists.
 */
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
    const away = [edit('add', name, bare), edit('delete', name, bare)];
    if (first.to === 'released') return away;
    const added = edit('add', name, group.map(elementWithTimeout));
    // Kernels before 6.12 keep the old timeout of an element that is added again.
    return entryOf(first) === 'present' ? [...away, added] : [added];
  });
}

/**
 * The longest timeout of an element: nft reads at most eight digits. For longer timeouts, the program unblocks the
 * address at the deadline in the state.
 */
const LONGEST_TIMEOUT_SECONDS = 99_999_999;

function elementWithTimeout({ address, timeoutSeconds = null }: Change): string {
  const bare = bareText(address);
  return timeoutSeconds === null || timeoutSeconds > LONGEST_TIMEOUT_SECONDS
    ? bare
    : `${bare} timeout ${Math.max(1, Math.ceil(timeoutSeconds))}s`;
}

/** Returns a command that checks a few changes and lists the rules. */
function probe(changes: readonly Change[], { onlyOurs }: NftablesView): PlannedCommand {
  const [family, table] = TABLE.split(' ');
  const questions = changes.map(({ address, to }) => {
    const elem = [bareText(address)];
    const subject = { element: { family, table, name: setNameOf(address), elem } };
    return to === 'blocked' ? { delete: subject } : { create: subject };
  });
  const listed = onlyOurs ? { table: { family, name: table } } : { ruleset: { family: 'inet' } };
  const commands = [...questions, { list: listed }];
  const args = ['-t', '-j', '-c', JSON.stringify({ nftables: commands })];
  return { program: 'nft', args, input: '', effect: 'look', answers: REFUSED, part: changes };
}

/** Returns a command that checks a long list. It lists nothing, and a failure does not tell which element differs. */
function check(changes: readonly Change[]): PlannedCommand {
  const undo = { blocked: 'delete', released: 'create' } as const;
  const lines = (['blocked', 'released'] as const).flatMap((to) => {
    const own = changes.filter((change) => change.to === to);
    const bySet = Map.groupBy(own, ({ address }) => setNameOf(address));
    return Array.from(bySet, ([set, ofSet]) => {
      const bare = ofSet.map(({ address }) => bareText(address));
      return edit(undo[to], set, bare);
    });
  });
  const { program, args, input } = transaction(lines);
  const command = { program, args: ['-c', ...args], input };
  return { ...command, effect: 'look', answers: REFUSED, part: changes };
}

/** Returns the next command that removes the table. One table holds both families, so IPv6 needs no command. */
function planRemoval(family: Family, view: NftablesView): PlannedCommand | null {
  if (family === 6) return null;
  if (view.sets === null) return listRules(view);
  if (!view.hasTable) return null;
  if (view.hasForeign) return view.changed ? null : transaction(emptyTable([...view.sets.keys()]));
  // Another run may have removed the table in the meantime.
  return transaction([`add table ${TABLE}`, `delete table ${TABLE}`]);
}

/**
 * Returns a command that lists sets and rules without elements. nft 1.0.6 stops in the middle of its JSON output, with
 * exit status 0, at any table that is dormant or has an owner. Our table is then listed alone, which is slower: nft
 * reads all elements even if it does not print them.
 */
function listRules({ onlyOurs }: NftablesView): PlannedCommand {
  if (onlyOurs) return listOurs(['-t']);
  const args = ['-t', '-j', 'list', 'ruleset', 'inet'];
  return { program: 'nft', args, input: '', effect: 'look' };
}

/** Returns a command that lists our table. It prints nothing if the table does not exist. */
function listOurs(flags: readonly string[]): PlannedCommand {
  const args = [...flags, '-j', 'list', 'table', ...TABLE.split(' ')];
  return { program: 'nft', args, input: '', effect: 'look', answers: NO_TABLE };
}
