// Plans changes with ipset: one set per family with timeouts in the kernel, and one rule for the set, first in
// PREROUTING of the table `raw`. If the kernel has no `raw` table, the rule is first in each of our chains of the
// filter table.
import type { Family } from '../../model/address.ts';
import type { ForeignRules } from '../../model/ban.ts';
import { AppError } from '../../model/errors.ts';
import { byAddress, type Backend, type Change, type PlannedCommand } from '../backend.ts';
import { countsOf, foreignRules, MOST_PLAIN_AT_ONCE, wishOf } from '../iptables/plan.ts';
import {
  chainOf,
  editsFor,
  type Chains,
  type RuleWish,
  type Table,
  droppedSource,
} from '../iptables/rules.ts';
import {
  script,
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

/** Up to this many changes are tested one by one. For more, the whole set is listed. */
const FEW = 50;
/** The tolerance for timeouts, in seconds: some time passes between setting an entry and listing it. */
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

/** Returns the entries that the set has before the changes, according to the state. */
function before(changes: readonly Change[]): Map<string, Entry> {
  return byAddress(changes, ({ to }) => (to === 'blocked' ? 'absent' : 'present'));
}

/**
 * Returns the plain rules for an address, which are foreign. A ban that is older than the set has plain rules of ours;
 * `change.foreign` then tells them apart.
 */
function foreignOf({ rules }: IpsetView, change: Change): ForeignRules | null {
  if (rules === null) return null;
  const { text } = change.address;
  // Most addresses of a long list have no plain rule.
  if (!isDropped(text, rules.filter)) return NONE;
  return foreignRules(countsOf(rules.filter, text), change, 0);
}

function simulate(view: IpsetView, command: PlannedCommand, changes: readonly Change[]): IpsetView {
  if (command.program === 'ipset') {
    return { ...view, entries: byAddress(changes, entryAfter), listing: null };
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

/**
 * Returns a function that gives keys to the rule for a set, and to plain rules, which are removed once the set holds
 * their address.
 */
function keyFor(options: IpsetOptions): (spec: string) => string | null {
  const rules = ([4, 6] as const).map((family) => setRuleOf(family, options));
  return (spec) => (rules.includes(spec) ? SET_RULE : droppedSource(spec));
}

function isFew(changes: readonly Change[]): boolean {
  return changes.length <= FEW;
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
  const unfinished = changes.filter((change) => !isDone(change, entryOf(change)));
  if (unfinished.length === 0) return null;
  const states = new Set(unfinished.map(entryOf));
  if (view === NOTHING_KNOWN && isFew(changes)) {
    return script(changes.map((change) => test(name, change)));
  }
  // A test also matches an address in a blocked network, and then there is nothing to release.
  const mayBeInNetwork =
    !view.trusted && unfinished.some((one) => one.to === 'released' && entryOf(one) === 'present');
  if (states.has(undefined) || states.has('doubtful') || mayBeInNetwork) return list(name);
  const added = unfinished.filter((change) => {
    return change.to === 'blocked' && entryOf(change) === 'absent';
  });
  const larger = makeRoom(family, view, added.length, options);
  if (larger !== null) return restore(larger);
  const blocks = unfinished.filter(({ to }) => to === 'blocked');
  const edits = [
    // `create` would fail for an existing set of another size.
    ...(blocks.length > 0 && (view.listing?.maxEntries ?? null) === null
      ? [creation(name, family, options)]
      : []),
    ...unfinished.map((change) => edit(name, change)),
  ];
  const command = isFew(unfinished)
    ? script([...edits, ...unfinished.map((change) => test(name, change))])
    : restore(edits);
  const isRefresh = added.length === 0 && blocks.length === unfinished.length;
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

/**
 * Returns commands that replace a set that is too small by a larger one, in one step; null if the set has room. Throws
 * `FIREWALL` if the configured limit is too low.
 */
function makeRoom(
  family: Family,
  { listing, entries }: IpsetView,
  added: number,
  options: IpsetOptions,
): string[] | null {
  const name = setNameOf(family, options);
  const most = listing?.maxEntries ?? null;
  // The kernel can hold a few entries more than the size of the set. Unblocking needs no room.
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
  return `raise firewall.max_entries (now ${maxEntries}), or unblock addresses that no longer need a ban`;
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
  const plain = plainRulesToRemove(filter, changes);
  const wish = { key: SET_RULE, spec: setRuleOf(family, options) };
  const ofSet = (wanted: boolean): RuleWish[] => (blocks ? [{ ...wish, wanted }] : []);
  const wishes = { raw: ofSet(true), filter: [...ofSet(raw === null), ...plain] };
  return planEdits(family, rules, wishes, options);
}

/**
 * Edits `raw` first. The rule in the filter table is removed only once the rule in `raw` is verified, so that at every
 * moment there is one.
 */
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

/** Returns wishes that remove plain rules of addresses that the set holds now. */
function plainRulesToRemove(chains: Chains, changes: readonly Change[]): RuleWish[] {
  return changes
    .filter(({ address }) => isDropped(address.text, chains))
    .slice(-MOST_PLAIN_AT_ONCE)
    .map((change) => ({ ...wishOf(change), wanted: false }));
}

/** Reports whether a plain rule drops an address. */
function isDropped(text: string, chains: Chains): boolean {
  return [...chains.values()].some(({ places }) => places.has(text));
}

// Removal of everything

/**
 * Returns the next command that removes the set and its rule. Rules are inspected only if the set exists, because no
 * rule can match a missing set, and the host may lack ip6tables.
 */
function planRemoval(
  family: Family,
  view: IpsetView,
  options: IpsetOptions,
): PlannedCommand | null {
  const name = setNameOf(family, options);
  const listing = `list ${name} -terse`;
  if (view.listing === null) return script([listing]);
  if (view.listing.maxEntries === null) return null;
  if (view.rules === null) return lookAtRules(family, options);
  const gone: RuleWish = { key: SET_RULE, spec: setRuleOf(family, options), wanted: false };
  const removal = planEdits(family, view.rules, { raw: [gone], filter: [gone] }, options);
  return removal ?? script([`flush ${name}`, `destroy ${name}`, `destroy ${name}-new`, listing]);
}
