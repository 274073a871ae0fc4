// One set for each family, whose entries the kernel itself ends, and one rule for it first in each of our chains.
//
// `ipset -` reads commands as a person would type them: it goes on after one that failed, tests and lists between them,
// and always exits with status 0. So one process both changes and shows what the kernel holds. Many entries go in by
// `ipset restore`, which is twice as fast and says nothing, and the set is listed after it.
import { parseBlock, type Address, type Family } from '../../model/address.ts';
import { AppError } from '../../model/errors.ts';
import type { Command } from '../../system/exec.ts';
import type {
  Backend,
  Snapshot,
  Change,
  HeldAddress,
  PlannedCommand,
  Ran,
  View,
} from '../backend.ts';
import {
  countsOf,
  droppedSource,
  foreignRules,
  heldBy,
  MOST_PLAIN_AT_ONCE,
  wishOf,
} from '../iptables/plan.ts';
import {
  editRules,
  editsFor,
  extrasOf,
  listRules,
  readChains,
  readRules,
  type ChainRules,
  type IptablesOptions,
  type RuleWish,
} from '../iptables/rules.ts';

export interface IpsetOptions extends IptablesOptions {
  /** The set of IPv4 is this with `-4`, that of IPv6 with `-6`. */
  readonly setName: string;
  /** How many entries a set may hold. */
  readonly maxEntries: number;
}

/**
 * What is known of an entry. `present`: it or a block around it is there, and its end is not known. `doubtful`: it was
 * taken out and the kernel still matches it, which a block around it explains, as a listing will tell.
 */
type Entry = 'absent' | 'present' | 'doubtful' | { readonly timeoutSeconds: number | null };

/** What a listing says of the whole set. */
interface Listing {
  readonly entries: number;
  readonly maxEntries: number;
}

export interface IpsetView extends View {
  /** Null where the rules were not looked at. */
  readonly chains: ChainRules | null;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Not null where `entries` has all of the set; null inside where there is no set. */
  readonly listing: { readonly set: Listing | null } | null;
  /** The books were taken at their word: of what is only to be released the rules need not be looked at. */
  readonly trusted: boolean;
}

/** The kernel counts the time in 32 bits of milliseconds, half of them. What is longer is ended by the books. */
const LONGEST_TIMEOUT_SECONDS = 2_147_483;
/** Up to so many changes are asked for one by one; a listing of the whole set answers for more. */
const FEW = 50;
/** A listing comes this much later than what it shows was asked for. */
const SLACK_SECONDS = 5;
/** The key of the set's rule; no address has this text. */
const SET_RULE = '@set';

export function createIpset(options: IpsetOptions): Backend<IpsetView> {
  const ours = [...options.chains, ...options.optionalChains];
  const keyOf = keyFor(options);
  return {
    name: 'ipset',
    mostReleases: Infinity,
    inspect: (family, changes = []) => {
      const name = setNameOf(family, options);
      return isFew(changes) ? ask(changes.map((change) => test(name, change))) : list(name);
    },
    read(output, ran) {
      const before = ran?.before ?? NOTHING_KNOWN;
      if (ran?.command.program === 'ipset') return readSet(output, ran, before);
      const chains = readChains(output, options, keyOf);
      return { ...before, chains, extras: extrasOf(chains, options) };
    },
    expect: (changes, extras) => ({
      ...NOTHING_KNOWN,
      entries: entriesOf(changes, ({ to }) => (to === 'blocked' ? 'absent' : 'present')),
      extras,
      trusted: true,
    }),
    plan: (family, view, changes) => {
      refuseEverybody(changes);
      return (
        planEntries(family, view, changes, options) ?? planRules(family, view, changes, options)
      );
    },
    // A plain rule for a ban that is new here is somebody else's; for an older ban it is ours, from before there was a set.
    foreignOf: ({ chains }, change, made) => {
      if (chains === null) return null;
      const isKnown = made || typeof change.foreign === 'object';
      return isKnown ? foreignRules(countsOf(chains, change.address.text), change, 0) : {};
    },
    simulate: (view, command, changes) =>
      command.program === 'ipset'
        ? { ...view, entries: entriesOf(changes, obeyed), listing: null }
        : {
            ...view,
            chains: new Map([...(view.chains ?? [])].map(([chain]) => [chain, [SET_RULE]])),
          },
    planRemoval: (family, view) => planRemoval(family, view, options),
    snapshot: (family) => listRules(family, options),
    snapshotOfSet: (family) => list(setNameOf(family, options)),
    readSnapshot: (output, outputOfSet = '') => readSnapshot(output, outputOfSet, { ours, keyOf }),
    advice: (complaint) => (isFull(complaint) ? adviceForFull(options.maxEntries) : ''),
  };
}

const NOTHING_KNOWN: IpsetView = {
  chains: null,
  entries: new Map(),
  listing: null,
  extras: [],
  trusted: false,
};

export function setNameOf(family: Family, { setName }: IpsetOptions): string {
  return `${setName}-${family}`;
}

/** As iptables prints it. */
export function setRuleOf(family: Family, options: IpsetOptions): string {
  return `-m set --match-set ${setNameOf(family, options)} src -j DROP`;
}

/** A plain drop of ours is known too: it goes once the set has its address. */
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

function obeyed(change: Change): Entry {
  return change.to === 'blocked' ? { timeoutSeconds: kernelTimeout(change) } : 'absent';
}

/** The kernel takes 0 for never, and so does null here. */
function kernelTimeout({ timeoutSeconds = null }: Change): number | null {
  if (timeoutSeconds === null || timeoutSeconds > LONGEST_TIMEOUT_SECONDS) return null;
  return Math.max(1, Math.ceil(timeoutSeconds));
}

function refuseEverybody(changes: readonly Change[]): void {
  const everybody = changes.find(({ address }) => address.prefixLength === 0);
  if (everybody === undefined) return;
  const half = everybody.address.family === 4 ? '0.0.0.0/1 and 128.0.0.0/1' : '::/1 and 8000::/1';
  throw new AppError(
    'FIREWALL',
    `${everybody.address.text}: a set can't hold a block of all addresses; ${half} together mean the same`,
  );
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
  if (states.has(undefined) || states.has('doubtful')) return list(name);
  const added = wanting.filter((change) => {
    return change.to === 'blocked' && entryOf(change) === 'absent';
  });
  const larger = makeRoom(family, view, added.length, options);
  if (larger !== null) return restore(larger);
  const blocks = wanting.filter(({ to }) => to === 'blocked');
  const edits = [
    // A set that is there may differ from ours in size, and `create` would then fail.
    ...(blocks.length > 0 && (view.listing?.set ?? null) === null
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
  const set = listing?.set ?? null;
  if (set === null || entries.size + added <= set.maxEntries) return null;
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

function creation(name: string, family: Family, { maxEntries }: IpsetOptions): string {
  const inet = family === 4 ? 'inet' : 'inet6';
  return `create ${name} hash:net family ${inet} timeout 0 counters comment maxelem ${maxEntries}`;
}

function edit(name: string, change: Change): string {
  const { text } = change.address;
  if (change.to === 'released') return `del ${name} ${text}`;
  return `add ${name} ${text} timeout ${kernelTimeout(change) ?? 0}`;
}

function test(name: string, { address }: Change): string {
  return `test ${name} ${address.text}`;
}

/** Status 0 whatever happens: the answers are what counts. */
function ask(lines: readonly string[]): PlannedCommand {
  const looks = lines.every((line) => /^(?:test|list) /.test(line));
  const command = { program: 'ipset', args: ['-exist', '-'], input: [...lines, ''].join('\n') };
  return looks ? { ...command, effect: 'look' } : command;
}

function restore(lines: readonly string[]): Command {
  return { program: 'ipset', args: ['-exist', 'restore'], input: [...lines, ''].join('\n') };
}

function list(name: string): PlannedCommand {
  return ask([`list ${name}`]);
}

function readSet(output: string, { command, stderr }: Ran<View>, before: IpsetView): IpsetView {
  // A restore tells nothing of what is there now.
  if (command.args.includes('restore')) return { ...before, entries: new Map(), listing: null };
  const asked = command.input.trimEnd().split('\n');
  if (asked.some((line) => line.startsWith('list '))) {
    // Somebody else's rule asks it: it stays, empty.
    if (stderr.includes('in use by a kernel component')) {
      return { ...before, listing: { set: null }, entries: new Map() };
    }
    const { set, entries } = readListing(output, stderr);
    return { ...before, listing: { set }, entries };
  }
  return { ...before, listing: null, entries: readAnswers(asked, stderr) };
}

const SET_SIZE = /^Header: .* maxelem ([0-9]+) /m;
const MEMBER = /^(\S+) timeout ([0-9]+)(?: packets ([0-9]+) bytes ([0-9]+))?/;

interface Member {
  readonly timeoutSeconds: number | null;
  readonly packets: number;
  readonly bytes: number;
}

/** By the canonical text of what is a member. */
function readMembers(output: string): Map<string, Member> {
  const members = new Map<string, Member>();
  for (const line of output.split('\n')) {
    const [, printed = '', timeout, packets = '0', bytes = '0'] = MEMBER.exec(line) ?? [];
    if (timeout === undefined) continue;
    // IPv4 is printed as we do; of IPv6 there are several ways.
    const text = printed.includes(':') ? (parseBlock(printed)?.text ?? printed) : printed;
    const timeoutSeconds = timeout === '0' ? null : Number(timeout);
    members.set(text, { timeoutSeconds, packets: Number(packets), bytes: Number(bytes) });
  }
  return members;
}

function readListing(
  output: string,
  stderr: string,
): { readonly set: Listing | null; readonly entries: ReadonlyMap<string, Member> } {
  const maxEntries = SET_SIZE.exec(output)?.[1];
  if (maxEntries === undefined) {
    if (isMissing(stderr)) return { set: null, entries: new Map() };
    throw complained('the set could not be listed', stderr);
  }
  const entries = readMembers(output);
  return { set: { entries: entries.size, maxEntries: Number(maxEntries) }, entries };
}

const ANSWER = /^(?:Warning: )?\S+ is (NOT )?in set \S+$/;

/** Answers come in the order of the questions. */
function readAnswers(asked: readonly string[], stderr: string): Map<string, Entry> {
  // Whether there is room is told by a listing.
  if (isFull(stderr)) return new Map();
  const lines = stderr.split('\n').map((line) => line.replace(/\.$/, ''));
  const answers = lines.flatMap((line) => {
    const answer = ANSWER.exec(line);
    return answer === null ? [] : [answer[1] === undefined];
  });
  const tests = asked.filter((line) => line.startsWith('test '));
  const missing = answers.length === 0 && isMissing(stderr);
  if (answers.length !== tests.length && !missing) throw complained('no answer', stderr);
  const edits = new Map(
    asked.filter((line) => !tests.includes(line)).map((line) => [thirdWord(line), line]),
  );
  return new Map(
    tests.map((line, index) => {
      const text = thirdWord(line);
      return [text, entryAfter(edits.get(text) ?? line, answers[index] ?? false, stderr)];
    }),
  );
}

function thirdWord(line: string): string {
  return line.split(' ')[2] ?? '';
}

function entryAfter(line: string, isThere: boolean, stderr: string): Entry {
  const [verb, , text = '', , timeout = '0'] = line.split(' ');
  if (verb === 'test') return isThere ? 'present' : 'absent';
  if (verb === 'del') return isThere ? 'doubtful' : 'absent';
  if (!isThere) throw complained(`${text} is not in its set`, stderr);
  return { timeoutSeconds: timeout === '0' ? null : Number(timeout) };
}

function isMissing(stderr: string): boolean {
  return stderr.includes('set with the given name does not exist');
}

function isFull(complaint: string): boolean {
  return complaint.includes('Hash is full');
}

function adviceForFull(maxEntries: number): string {
  return `raise firewall.max_entries (now ${maxEntries}), or release what is no longer needed`;
}

function complained(what: string, stderr: string): AppError {
  const said = stderr.split('\n').filter((line) => line.startsWith('ipset v'));
  return new AppError('FIREWALL', `ipset: ${what}: ${said.join('; ').slice(0, 500)}`);
}

// Rules

function planRules(
  family: Family,
  view: IpsetView,
  changes: readonly Change[],
  options: IpsetOptions,
): PlannedCommand | null {
  const blocks = changes.some(({ to }) => to === 'blocked');
  if (view.chains === null) {
    return blocks || !view.trusted ? { ...editRules(family, options, []), effect: 'look' } : null;
  }
  const ofSet: RuleWish = { key: SET_RULE, spec: setRuleOf(family, options), wanted: true };
  const edits = editsFor(view.chains, options, [
    ...(blocks ? [ofSet] : []),
    ...plainRulesToGo(view.chains, changes),
  ]);
  return edits.length === 0 ? null : editRules(family, options, edits);
}

/** Plain rules for what the set holds, from before there was one, have become its doubles. */
function plainRulesToGo(chains: ChainRules, changes: readonly Change[]): RuleWish[] {
  const present = new Set([...chains.values()].flat());
  return changes
    .filter(({ address }) => present.has(address.text))
    .slice(-MOST_PLAIN_AT_ONCE)
    .map((change) => ({ ...wishOf(change), wanted: false }));
}

// All of it

/** No rule asks a set that is not there, so that a host without ip6tables is not asked for its rules in vain. */
function planRemoval(
  family: Family,
  view: IpsetView | null,
  options: IpsetOptions,
): PlannedCommand | null {
  const name = setNameOf(family, options);
  const isThere = `list ${name} -terse`;
  if ((view?.listing ?? null) === null) return ask([isThere]);
  if (view === null || view.listing?.set === null) return null;
  if (view.chains === null) return { ...editRules(family, options, []), effect: 'look' };
  const ofSet: RuleWish = { key: SET_RULE, spec: setRuleOf(family, options), wanted: false };
  const edits = editsFor(view.chains, options, [ofSet]);
  if (edits.length > 0) return editRules(family, options, edits);
  return ask([`flush ${name}`, `destroy ${name}`, `destroy ${name}-new`, isThere]);
}

// For people

interface Reading {
  readonly ours: readonly string[];
  readonly keyOf: (spec: string) => string | null;
}

function readSnapshot(output: string, outputOfSet: string, { ours, keyOf }: Reading): Snapshot {
  const { rules: printed, policies } = readRules(output);
  const rules = printed.map((rule) => {
    const dropsSet =
      keyOf(rule.spec) === SET_RULE ? /--match-set (\S+)/.exec(rule.spec)?.[1] : undefined;
    return dropsSet === undefined ? rule : { ...rule, dropsSet };
  });
  const ofSet = rules.filter((rule) => ours.includes(rule.chain) && 'dropsSet' in rule);
  const chains = ofSet.map(({ chain }) => chain);
  const held = heldBy(rules, ours);
  const members: Address[] = [];
  for (const [text, { packets, bytes }] of readMembers(outputOfSet)) {
    const address = parseBlock(text);
    if (address === null) continue;
    members.push(address);
    if (chains.length > 0) held.set(text, heldBySet({ address, chains, packets, bytes }, held));
  }
  const name = rules.find((rule) => 'dropsSet' in rule)?.dropsSet;
  return { held, rules, policies, sets: new Map(name === undefined ? [] : [[name, members]]) };
}

/** An address may have a plain rule as well, while it moves. */
function heldBySet(one: HeldAddress, held: ReadonlyMap<string, HeldAddress>): HeldAddress {
  const plain = held.get(one.address.text);
  if (plain === undefined) return one;
  const { packets, bytes } = plain;
  return { ...one, packets: one.packets + packets, bytes: one.bytes + bytes };
}
