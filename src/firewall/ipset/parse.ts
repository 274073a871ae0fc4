// Parses what ipset prints: the listing of a set, and answers to tests.
import { parseExactNetwork, type Address } from '../../model/address.ts';
import { AppError } from '../../model/errors.ts';
import { type Ran, type View, noteLacks, type HeldAddress, type Snapshot } from '../backend.ts';
import {
  extrasOf,
  type Chains,
  type IptablesOptions,
  heldBy,
  readChains,
  readRules,
} from '../iptables/rules.ts';

/** The key of the rule for our set. No address has this text. */
export const SET_RULE = '@set';

/**
 * The state of an entry. `present`: a test matched, through the entry or a network that contains the address, so the
 * timeout is unknown. `doubtful`: the entry was deleted and a test still matches, probably because of a network that
 * contains the address; only a listing can tell. An object: the entry is in the set, with this timeout.
 */
export type Entry = 'absent' | 'present' | 'doubtful' | { readonly timeoutSeconds: number | null };

/** The chains that hold the rule for the set, or that held it in earlier versions. */
export interface SetRules {
  /**
   * Our chains in the filter table. They hold plain rules. They also hold the rule for the set if the kernel has no
   * `raw` table, or had none when the rule was made.
   */
  readonly filter: Chains;
  /** The chain `PREROUTING` of the table `raw`; null if the kernel has no such table. */
  readonly raw: Chains | null;
}

export interface IpsetView extends View {
  /** null if the rules were not inspected. */
  readonly rules: SetRules | null;
  readonly entries: ReadonlyMap<string, Entry>;
  /**
   * The listing that `entries` comes from; null if `entries` is incomplete. `maxEntries` is the size of the set; null
   * if there is no set.
   */
  readonly listing: { readonly maxEntries: number | null } | null;
  /** True if the state is trusted. Rules are then not inspected for changes that only unblock. */
  readonly trusted: boolean;
}

export function readSet(output: string, { command, stderr, before }: Ran<IpsetView>): IpsetView {
  // `ipset restore` does not print what the set holds now.
  if (command.args.includes('restore')) return { ...before, entries: new Map(), listing: null };
  const asked = command.input.trimEnd().split('\n');
  if (asked.some((line) => line.startsWith('list '))) {
    // A foreign rule matches the set, so the set can't be destroyed and stays empty.
    if (stderr.includes('in use by a kernel component')) {
      return { ...before, listing: { maxEntries: null }, entries: new Map() };
    }
    const { maxEntries, entries } = readListing(output, stderr);
    return { ...before, listing: { maxEntries }, entries };
  }
  return { ...before, listing: null, entries: readAnswers(asked, stderr) };
}

/** Matches the header of a set with the options of ours, and captures its size. */
const HEADER = /^Header: (?=.* timeout 0\b)(?=.* counters\b)(?=.* comment\b).* maxelem ([0-9]+)\b/m;

/**
 * Calls `take` for each member line, such as `203.0.113.9 timeout 7199 packets 3 bytes 252`, with the canonical text of
 * the address and the text after `timeout`. Skips entries with `nomatch`, which another program made and which let
 * packets pass.
 */
function forEachMember(output: string, take: (text: string, rest: string) => void): void {
  for (let from = 0; from < output.length;) {
    const end = output.indexOf(' ', from);
    const next = output.indexOf('\n', from) + 1 || output.length + 1;
    if (output.startsWith(' timeout ', end) && end < next) {
      const printed = output.slice(from, end);
      // ipset prints IPv4 in canonical form, but IPv6 in several forms.
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

/** Parses the answers to tests, which come in the order of the tests. */
function readAnswers(asked: readonly string[], stderr: string): Map<string, Entry> {
  // The set is full. A listing shows whether a larger set can replace it.
  if (isFull(stderr)) return new Map();
  const lines = stderr.split('\n').map((line) => line.replace(/\.$/, ''));
  const answers = lines.flatMap((line) => {
    const answer = ANSWER.exec(line);
    return answer === null ? [] : [answer[1] === undefined];
  });
  const tests = asked.filter((line) => line.startsWith('test '));
  const missing = answers.length === 0 && isMissing(stderr);
  if (answers.length !== tests.length && !missing)
    throw failure('it did not answer every test', stderr);
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

function entryAfter(line: string, isMember: boolean, stderr: string): Entry {
  const [verb, , text = '', , timeout = '0'] = line.split(' ');
  if (verb === 'test') return isMember ? 'present' : 'absent';
  if (verb === 'del') return isMember ? 'doubtful' : 'absent';
  if (!isMember) throw failure(`${text} is not in its set`, stderr);
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
    `the set ${name} was made by another program and is not used: choose another name for firewall.set_name`,
  );
}

function failure(what: string, stderr: string): AppError {
  const lines = stderr.split('\n').filter((line) => line.startsWith('ipset v'));
  return new AppError('FIREWALL', `ipset: ${what}: ${lines.join('; ').slice(0, 500)}`);
}

/** The chain for the rule that matches our set. Packets dropped here are neither tracked nor routed. */
export const RAW = { chains: ['PREROUTING'], optionalChains: [] };

/**
 * Parses the listings of `filter` and `raw`, printed one after the other. Only `raw` has a chain PREROUTING with a
 * policy.
 */
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

/** Adds the counters of the plain rule that an address can have as well during a migration. */
function heldBySet(one: HeldAddress, held: ReadonlyMap<string, HeldAddress>): HeldAddress {
  const plain = held.get(one.address.text);
  if (plain === undefined) return one;
  const { packets, bytes } = plain;
  return { ...one, packets: one.packets + packets, bytes: one.bytes + bytes };
}
