// Plans for ipset: one set for each family, whose entries the kernel itself ends, and one rule for it, first in PREROUTING
// of the table `raw`. Where the kernel has no such table, it is first in each of our chains of the filter table.
import type { Family } from '../../model/address.ts';
import type { ForeignRules } from '../../model/ban.ts';
import { AppError } from '../../model/errors.ts';
import type { Backend, Change, PlannedCommand } from '../backend.ts';
import { droppedSource } from '../iptables/parse.ts';
import { countsOf, foreignRules, MOST_PLAIN_AT_ONCE, wishOf } from '../iptables/plan.ts';
import { chainOf, editsFor, type Chains, type RuleWish, type Table } from '../iptables/rules.ts';
import {
  ask,
  creation,
  edit,
  editRules,
  kernelTimeout,
  list,
  listAll,
  lookAtRules,
  restore,
  setNameOf,
  setRuleOf,
  test,
  type IpsetOptions,
} from './commands.ts';
import {
  isFull,
  RAW,
  readSet,
  readSnapshot,
  readTables,
  SET_RULE,
  type Entry,
  type IpsetView,
  type SetRules,
} from './parse.ts';

export type { IpsetOptions } from './commands.ts';
export type { IpsetView } from './parse.ts';

/** Up to so many changes are asked for one by one; a listing of the whole set answers for more. */
const FEW = 50;
/** A listing comes this much later than what it shows was asked for. */
const SLACK_SECONDS = 5;

export function createIpset(options: IpsetOptions): Backend<IpsetView> {
  const ours = [...options.chains, ...options.optionalChains];
  const keyOf = keyFor(options);
  return {
    name: 'ipset',
    mostReleases: Infinity,
    nothingKnown: NOTHING_KNOWN,
    read(output, ran) {
      if (ran.command.program === 'ipset') return readSet(output, ran);
      return { ...ran.before, ...readTables(output, options, keyOf) };
    },
    expect: (changes, extras) => ({
      ...NOTHING_KNOWN,
      entries: before(changes),
      extras,
      trusted: true,
    }),
    plan: (family, view, changes) =>
      planEntries(family, view, changes, options) ?? planRules(family, view, changes, options),
    foreignOf,
    simulate,
    planRemoval: (family, view) => planRemoval(family, view, options),
    snapshot: (family) => listAll(family, options),
    readSnapshot: (outputs) => readSnapshot(outputs, { ours, keyOf }),
    advice: (complaint) => (isFull(complaint) ? adviceForFull(options.maxEntries) : ''),
  };
}

const NOTHING_KNOWN: IpsetView = {
  rules: null,
  entries: new Map(),
  listing: null,
  extras: [],
  trusted: false,
};

const NONE: ForeignRules = {};

/** What the state says that the set holds before the changes. */
function before(changes: readonly Change[]): Map<string, Entry> {
  return entriesOf(changes, ({ to }) => (to === 'blocked' ? 'absent' : 'present'));
}

/** Every plain rule is somebody else's. Of a ban from before there was a set it is ours: a change of it says so. */
function foreignOf({ rules }: IpsetView, change: Change): ForeignRules | null {
  if (rules === null) return null;
  const { text } = change.address;
  // Of a long list most have no plain rule.
  if (!isDropped(text, rules.filter)) return NONE;
  return foreignRules(countsOf(rules.filter, text), change, 0);
}

function simulate(view: IpsetView, command: PlannedCommand, changes: readonly Change[]): IpsetView {
  if (command.program === 'ipset') {
    return { ...view, entries: entriesOf(changes, entryAfter), listing: null };
  }
  if (view.rules === null) return view;
  const { filter, raw } = view.rules;
  const rules = command.input.startsWith('*raw\n')
    ? { filter, raw: allWith([SET_RULE], raw) }
    : { filter: allWith(raw === null ? [SET_RULE] : [], filter), raw };
  return { ...view, rules };
}

function allWith(keys: readonly string[], chains: Chains | null): Chains {
  return new Map(Array.from(chains ?? [], ([chain]) => [chain, chainOf(keys)] as const));
}

/** A plain drop of ours is known too: it is removed once the set has its address. */
function keyFor(options: IpsetOptions): (spec: string) => string | null {
  const rules = ([4, 6] as const).map((family) => setRuleOf(family, options));
  return (spec) => (rules.includes(spec) ? SET_RULE : droppedSource(spec));
}

function isFew(changes: readonly Change[]): boolean {
  return changes.length <= FEW;
}

function entriesOf(
  changes: readonly Change[],
  entryOf: (change: Change) => Entry,
): Map<string, Entry> {
  return new Map(changes.map((change) => [change.address.text, entryOf(change)]));
}

function entryAfter(change: Change): Entry {
  return change.to === 'blocked' ? { timeoutSeconds: kernelTimeout(change) } : 'absent';
}

// Entries

function planEntries(
  family: Family,
  view: IpsetView,
  changes: readonly Change[],
  options: IpsetOptions,
): PlannedCommand | null {
  const name = setNameOf(family, options);
  const entryOf = (change: Change): Entry | undefined => {
    return view.entries.get(change.address.text) ?? (view.listing === null ? undefined : 'absent');
  };
  const wanting = changes.filter((change) => !isDone(change, entryOf(change)));
  if (wanting.length === 0) return null;
  const states = new Set(wanting.map(entryOf));
  if (view === NOTHING_KNOWN && isFew(changes)) {
    return ask(changes.map((change) => test(name, change)));
  }
  // What was only asked for may be there as a part of a network, and then there is nothing to release.
  const isAsked =
    !view.trusted && wanting.some((one) => one.to === 'released' && entryOf(one) === 'present');
  if (states.has(undefined) || states.has('doubtful') || isAsked) return list(name);
  const added = wanting.filter((change) => {
    return change.to === 'blocked' && entryOf(change) === 'absent';
  });
  const larger = makeRoom(family, view, added.length, options);
  if (larger !== null) return restore(larger);
  const blocks = wanting.filter(({ to }) => to === 'blocked');
  const edits = [
    // A set that is there may differ from ours in size, and `create` would then fail.
    ...(blocks.length > 0 && (view.listing?.maxEntries ?? null) === null
      ? [creation(name, family, options)]
      : []),
    ...wanting.map((change) => edit(name, change)),
  ];
  const command = isFew(wanting)
    ? ask([...edits, ...wanting.map((change) => test(name, change))])
    : restore(edits);
  const isRefresh = added.length === 0 && blocks.length === wanting.length;
  return isRefresh ? { ...command, effect: 'refresh' } : command;
}

function isDone(change: Change, entry: Entry | undefined): boolean {
  if (change.to === 'released') return entry === 'absent';
  if (typeof entry !== 'object') return false;
  if (change.keepsEnd === true) return true;
  const wanted = kernelTimeout(change);
  const found = entry.timeoutSeconds;
  if (wanted === null || found === null) return wanted === found;
  return found >= wanted - SLACK_SECONDS;
}

/** A set that is too small by itself is replaced in one go by a larger one, if we may have one. */
function makeRoom(
  family: Family,
  { listing, entries }: IpsetView,
  added: number,
  options: IpsetOptions,
): string[] | null {
  const name = setNameOf(family, options);
  const most = listing?.maxEntries ?? null;
  // The kernel may hold a few more than the set's size: what is to be released needs no room.
  if (most === null || added === 0 || entries.size + added <= most) return null;
  if (entries.size + added > options.maxEntries) {
    throw new AppError(
      'FIREWALL',
      `${name} holds ${entries.size} of ${options.maxEntries} entries and has no room for ${added} more; ${adviceForFull(options.maxEntries)}`,
    );
  }
  const next = `${name}-new`;
  const copies = Array.from(entries, ([text, entry]) => {
    const left = typeof entry === 'object' ? entry.timeoutSeconds : null;
    return `add ${next} ${text} timeout ${left ?? 0}`;
  });
  const swap = [`swap ${next} ${name}`, `destroy ${next}`];
  return [creation(next, family, options), `flush ${next}`, ...copies, ...swap];
}

function adviceForFull(maxEntries: number): string {
  return `raise firewall.max_entries (now ${maxEntries}), or release what is no longer needed`;
}

// Rules

function planRules(
  family: Family,
  { rules, trusted }: IpsetView,
  changes: readonly Change[],
  options: IpsetOptions,
): PlannedCommand | null {
  const blocks = changes.some(({ to }) => to === 'blocked');
  if (rules === null) return blocks || !trusted ? lookAtRules(family, options) : null;
  const { filter, raw } = rules;
  const plain = plainRulesToGo(filter, changes);
  const wish = { key: SET_RULE, spec: setRuleOf(family, options) };
  const ofSet = (wanted: boolean): RuleWish[] => (blocks ? [{ ...wish, wanted }] : []);
  const wishes = { raw: ofSet(true), filter: [...ofSet(raw === null), ...plain] };
  return planEdits(family, rules, wishes, options);
}

/** What stands in the filter table from before goes once the rule in `raw` was seen: there is no moment without one. */
function planEdits(
  family: Family,
  { filter, raw }: SetRules,
  wishes: Readonly<Record<Table, readonly RuleWish[]>>,
  options: IpsetOptions,
): PlannedCommand | null {
  const inRaw = raw === null ? [] : editsFor(raw, RAW, wishes.raw);
  if (inRaw.length > 0) return editRules(family, options, { table: 'raw', edits: inRaw });
  const inFilter = editsFor(filter, options, wishes.filter);
  if (inFilter.length === 0) return null;
  return editRules(family, options, { table: 'filter', edits: inFilter });
}

/** Plain rules from before there was a set, for addresses that the set holds now. */
function plainRulesToGo(chains: Chains, changes: readonly Change[]): RuleWish[] {
  return changes
    .filter(({ address }) => isDropped(address.text, chains))
    .slice(-MOST_PLAIN_AT_ONCE)
    .map((change) => ({ ...wishOf(change), wanted: false }));
}

/** Whether a plain rule drops an address. */
function isDropped(text: string, chains: Chains): boolean {
  return [...chains.values()].some(({ places }) => places.has(text));
}

// Removal of everything

/** No rule asks a set that is not there, so that a host without ip6tables is not asked for its rules in vain. */
function planRemoval(
  family: Family,
  view: IpsetView,
  options: IpsetOptions,
): PlannedCommand | null {
  const name = setNameOf(family, options);
  const isThere = `list ${name} -terse`;
  if (view.listing === null) return ask([isThere]);
  if (view.listing.maxEntries === null) return null;
  if (view.rules === null) return lookAtRules(family, options);
  const gone: RuleWish = { key: SET_RULE, spec: setRuleOf(family, options), wanted: false };
  const removal = planEdits(family, view.rules, { raw: [gone], filter: [gone] }, options);
  return removal ?? ask([`flush ${name}`, `destroy ${name}`, `destroy ${name}-new`, isThere]);
}
