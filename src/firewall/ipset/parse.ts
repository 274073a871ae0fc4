// Reads what ipset prints: listings of a set, and answers to tests.
import { parseExactNetwork, type Address } from '../../model/address.ts';
import { AppError } from '../../model/errors.ts';
import type { Ran, View } from '../backend.ts';
import { noteLacks, type HeldAddress, type Snapshot } from '../snapshot.ts';
import { heldBy, readChains, readRules } from '../iptables/parse.ts';
import { extrasOf, type Chains, type IptablesOptions } from '../iptables/rules.ts';

/** The key of the set's rule; no address has this text. */
export const SET_RULE = '@set';

/**
 * What is known of an entry. `present`: it or a network that contains it is there, and its end is not known. `doubtful`: it was
 * taken out and the kernel still matches it, which a network that contains it explains, as a listing will show.
 */
export type Entry = 'absent' | 'present' | 'doubtful' | { readonly timeoutSeconds: number | null };

/** Where a rule for the set stands, or once stood. */
export interface SetRules {
  /** Our chains of the filter table: plain rules, and that of the set where there is no raw table or once was none. */
  readonly filter: Chains;
  /** `PREROUTING`; null: the kernel has no table `raw`. */
  readonly raw: Chains | null;
}

export interface IpsetView extends View {
  /** Null where the rules were not looked at. */
  readonly rules: SetRules | null;
  readonly entries: ReadonlyMap<string, Entry>;
  /** Not null where `entries` has all of the set: how many it may have; null inside where there is no set. */
  readonly listing: { readonly maxEntries: number | null } | null;
  /** The state is trusted: of what is only to be released the rules need not be looked at. */
  readonly trusted: boolean;
}

export function readSet(output: string, { command, stderr, before }: Ran<IpsetView>): IpsetView {
  // A restore prints nothing of what is there now.
  if (command.args.includes('restore')) return { ...before, entries: new Map(), listing: null };
  const asked = command.input.trimEnd().split('\n');
  if (asked.some((line) => line.startsWith('list '))) {
    // Somebody else's rule asks it: it stays, empty.
    if (stderr.includes('in use by a kernel component')) {
      return { ...before, listing: { maxEntries: null }, entries: new Map() };
    }
    const { maxEntries, entries } = readListing(output, stderr);
    return { ...before, listing: { maxEntries }, entries };
  }
  return { ...before, listing: null, entries: readAnswers(asked, stderr) };
}

/** As a set of ours is made: its size, and what it keeps of each entry. */
const HEADER = /^Header: (?=.* timeout 0\b)(?=.* counters\b)(?=.* comment\b).* maxelem ([0-9]+)\b/m;

/**
 * `203.0.113.9 timeout 7199 packets 3 bytes 252`: by its canonical text, and what comes after `timeout`. Where that is
 * `0 nomatch packets …` somebody else made the entry, and its packets pass.
 */
function forEachMember(output: string, take: (text: string, rest: string) => void): void {
  for (let from = 0; from < output.length;) {
    const end = output.indexOf(' ', from);
    const next = output.indexOf('\n', from) + 1 || output.length + 1;
    if (output.startsWith(' timeout ', end) && end < next) {
      const printed = output.slice(from, end);
      // IPv4 is printed as we do; of IPv6 there are several ways.
      const text = printed.includes(':') ? (parseExactNetwork(printed)?.text ?? printed) : printed;
      const rest = output.slice(end + ' timeout '.length, next - 1);
      if (!rest.includes(' nomatch')) take(text, rest);
    }
    from = next;
  }
}

function readListing(
  output: string,
  stderr: string,
): { readonly maxEntries: number | null; readonly entries: ReadonlyMap<string, Entry> } {
  const maxEntries = HEADER.exec(output)?.[1];
  if (maxEntries === undefined) {
    if (isMissing(stderr)) return { maxEntries: null, entries: new Map() };
    const name = /Name: (\S+)/.exec(output)?.[1];
    if (name !== undefined) throw notOurs(name);
    throw failure('the set could not be listed', stderr);
  }
  const entries = new Map<string, Entry>();
  forEachMember(output, (text, rest) => {
    entries.set(text, { timeoutSeconds: Number.parseInt(rest, 10) || null });
  });
  return { maxEntries: Number(maxEntries), entries };
}

const ANSWER = /^(?:Warning: )?\S+ is (NOT )?in set \S+$/;

/** Answers come in the order of the questions. */
function readAnswers(asked: readonly string[], stderr: string): Map<string, Entry> {
  // Whether there is room is shown by a listing.
  if (isFull(stderr)) return new Map();
  const lines = stderr.split('\n').map((line) => line.replace(/\.$/, ''));
  const answers = lines.flatMap((line) => {
    const answer = ANSWER.exec(line);
    return answer === null ? [] : [answer[1] === undefined];
  });
  const tests = asked.filter((line) => line.startsWith('test '));
  const missing = answers.length === 0 && isMissing(stderr);
  if (answers.length !== tests.length && !missing) throw failure('no answer', stderr);
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
  if (!isThere) throw failure(`${text} is not in its set`, stderr);
  return { timeoutSeconds: timeout === '0' ? null : Number(timeout) };
}

function isMissing(stderr: string): boolean {
  return stderr.includes('set with the given name does not exist');
}

export function isFull(complaint: string): boolean {
  return complaint.includes('Hash is full');
}

function notOurs(name: string): AppError {
  return new AppError(
    'FIREWALL',
    `another program made the set ${name}, which is left alone: choose another name for firewall.set_name`,
  );
}

function failure(what: string, stderr: string): AppError {
  const lines = stderr.split('\n').filter((line) => line.startsWith('ipset v'));
  return new AppError('FIREWALL', `ipset: ${what}: ${lines.join('; ').slice(0, 500)}`);
}

/** The chain that the rule for our set stands in: what it drops is neither tracked nor routed. */
export const RAW = { chains: ['PREROUTING'], optionalChains: [] };

/** Listings of two tables, one after the other: a chain PREROUTING with a policy is in the second alone. */
export function readTables(
  output: string,
  options: Pick<IptablesOptions, 'chains' | 'optionalChains'>,
  keyOf: (spec: string) => string | null,
): Pick<IpsetView, 'rules' | 'extras'> {
  const start = output.search(/^-P PREROUTING /m);
  const filter = readChains(start < 0 ? output : output.slice(0, start), options, keyOf);
  const raw = start < 0 ? null : readChains(output.slice(start), RAW, keyOf);
  return { rules: { filter, raw }, extras: extrasOf(filter, options) };
}

export interface Reading {
  readonly ours: readonly string[];
  readonly keyOf: (spec: string) => string | null;
}

export function readSnapshot(
  [filter = '', raw = '', outputOfSet = '']: readonly string[],
  { ours, keyOf }: Reading,
): Snapshot {
  const { rules: printed, policies } = readRules(filter + raw);
  const rules = printed.map((rule) => {
    const dropsSet =
      keyOf(rule.spec) === SET_RULE ? /--match-set (\S+)/.exec(rule.spec)?.[1] : undefined;
    return dropsSet === undefined ? rule : { ...rule, dropsSet };
  });
  const places = [...RAW.chains.map((chain) => `raw ${chain}`), ...ours];
  const ofSet = rules.filter((rule) => places.includes(rule.chain) && 'dropsSet' in rule);
  const chains = ofSet.map(({ chain }) => chain);
  const held = heldBy(rules, ours);
  const members: Address[] = [];
  forEachMember(outputOfSet, (text, rest) => {
    const address = parseExactNetwork(text);
    if (address === null) return;
    members.push(address);
    const [, , packets = 0, , bytes = 0] = rest.split(' ').map(Number);
    if (chains.length > 0) held.set(text, heldBySet({ address, chains, packets, bytes }, held));
  });
  const name = rules.find((rule) => 'dropsSet' in rule)?.dropsSet;
  const isInRaw = ofSet.some(({ chain }) => !ours.includes(chain));
  const wanted = isInRaw ? [] : ours.filter((chain) => policies.has(chain));
  return {
    held: noteLacks(held, wanted),
    rules,
    policies,
    sets: new Map(name === undefined ? [] : [[name, members]]),
  };
}

/** An address may have a plain rule as well, while it moves. */
function heldBySet(one: HeldAddress, held: ReadonlyMap<string, HeldAddress>): HeldAddress {
  const plain = held.get(one.address.text);
  if (plain === undefined) return one;
  const { packets, bytes } = plain;
  return { ...one, packets: one.packets + packets, bytes: one.bytes + bytes };
}
