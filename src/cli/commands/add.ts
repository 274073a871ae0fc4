// `add`: a person blocks addresses or blocks of them.
import { isSingle, type Address } from '../../model/address.ts';
import { alertRefAt, type Outcome } from '../../model/ban.ts';
import { blockAll } from '../../bans/block.ts';
import {
  describeProtection,
  entriesFrom,
  findProtection,
  type ProtectedEntry,
} from '../../policy/protected.ts';
import { EXIT_STATUS } from '../../model/errors.ts';
import type { Context } from '../../context.ts';
import { readReason } from '../../wazuh/request.ts';
import { findOverlaps, readAddresses, widerBlocks } from '../addresses.ts';
import { defineCommand } from '../command.ts';
import { readTimeout } from '../output/duration.ts';
import { printBlock } from '../plan.ts';
import { enterForChange, sayWhatInterruptionLeaves, type Person } from '../session.ts';

/** Wider blocks shut out whole providers: IPv4 and IPv6 prefix lengths. */
const WIDEST_PREFIX = { 4: 16, 6: 32 } as const;

export const add = defineCommand({
  name: 'add',
  summary: 'Block addresses or CIDR blocks',
  details:
    'Each address is blocked until its timeout is over or somebody releases it. All of them go to the kernel in one transaction for each address family. What is typed is done whole or not at all. Of a list, lines that can not be read or may not be blocked are named, the others are done, and the exit status is 65.',
  positional: { name: 'address', describe: 'IPv4, IPv6, or a CIDR block', count: 'any' },
  options: {
    timeout: {
      kind: 'text',
      value: 'DURATION',
      default: 'never',
      describe: 'how long: 90m, 1h30m, 2d, never',
    },
    reason: { kind: 'text', value: 'TEXT', default: '', describe: 'a note for people' },
    file: {
      kind: 'text',
      value: 'LIST',
      describe: 'one address a line, blank lines and # comments allowed; - is standard input',
    },
    force: {
      kind: 'flag',
      describe:
        'also protected addresses, except loopback and own ones, and blocks wider than /16 or /32',
    },
    'dry-run': { kind: 'flag', describe: 'print what would be run, and change nothing' },
  },
  examples: [
    ['add 203.0.113.9 --timeout 2h', 'one address for two hours'],
    ['add 203.0.113.0/24 --reason "scans our shop"', 'a network, until released'],
    ['add --file list.txt --timeout 7d', 'a list'],
  ],
  needsRoot: true,
  run(words, options, person) {
    const timeoutSeconds = readTimeout(options.timeout);
    const { addresses, mistakes } = readAddresses(words, options.file);
    mistakes.forEach(person.complain);
    const context = options['dry-run']
      ? person.createContext({ readOnly: true })
      : enterForChange(person);
    const entries = protectedFrom(options.force, context, person);
    const allowed = addresses.filter((address) =>
      isAllowed(address, { ...options, entries }, context, person),
    );
    const complete = mistakes.length === 0 && allowed.length === addresses.length;
    // Of a list what can be done is done; what was typed is done whole or not at all.
    if (complete || options.file !== undefined)
      carryOut(allowed, { ...options, timeoutSeconds }, context, person);
    return complete ? 0 : EXIT_STATUS.BAD_DATA;
  },
});

interface Order {
  readonly timeoutSeconds: number | null;
  readonly reason: string;
  readonly force: boolean;
  readonly 'dry-run': boolean;
}

function carryOut(
  addresses: readonly Address[],
  order: Order,
  context: Context,
  person: Person,
): void {
  sayOverlaps(addresses, context, person);
  const { timeoutSeconds } = order;
  if (order['dry-run']) {
    printBlock(addresses, { origin: 'manual', timeoutSeconds }, context, person);
    return;
  }
  const alertRef = alertRefAt(context.now());
  const reason = readReason(order.reason);
  sayWhatInterruptionLeaves(addresses.length, person);
  // Many go into sets at once, rather than by way of as many rules.
  context.migrate(addresses.length);
  const forced = order.force;
  blockAll(addresses, { origin: 'manual', timeoutSeconds, alertRef, reason, forced }, context);
  sayBlocked(addresses, person);
  context.expire();
}

/** Put together once: a list may have a hundred thousand addresses, and a white list thousands of entries. */
function protectedFrom(
  force: boolean,
  context: Context,
  person: Person,
): readonly ProtectedEntry[] {
  const own = person.loggedInFrom === null ? [] : [person.loggedInFrom];
  const entries = [
    ...context.protectedEntries(),
    ...entriesFrom(own, 'the address that you are logged in from'),
  ];
  return force ? entries.filter(({ always }) => always) : entries;
}

interface Caution {
  readonly force: boolean;
  readonly 'dry-run': boolean;
  readonly entries: readonly ProtectedEntry[];
}

/** Says why not, where it is not. */
function isAllowed(address: Address, caution: Caution, context: Context, person: Person): boolean {
  const { force, entries } = caution;
  const protection = findProtection(address, entries);
  if (protection === null) return isNarrowEnough(address, force, person);
  const reason = describeProtection(protection);
  const way = protection.always ? '' : '; --force blocks it all the same';
  person.complain(`${address.text} is protected (${reason})${way}`);
  if (!caution['dry-run']) noteRefusal(address, reason, context);
  return false;
}

function isNarrowEnough(address: Address, force: boolean, { complain }: Person): boolean {
  const widest = WIDEST_PREFIX[address.family];
  if (force || address.prefixLength >= widest) return true;
  complain(`${address.text} is wider than /${widest}; --force blocks it all the same`);
  return false;
}

function noteRefusal(address: Address, reason: string, context: Context): void {
  const outcome: Outcome = { verb: 'refused', address, alertRef: alertRefAt(context.now()) };
  context.responseLog.write([outcome]);
  context.store.history.record([{ atMs: context.now(), outcome, origin: 'manual', reason }]);
}

function sayOverlaps(addresses: readonly Address[], context: Context, { complain }: Person): void {
  const overlaps = findOverlaps(addresses, knownAround(addresses, context));
  for (const [inner, outer] of overlaps.slice(0, MOST_NAMED)) {
    complain(`note: ${inner.text} lies in ${outer.text}`);
  }
  const more = overlaps.length - MOST_NAMED;
  if (more > 0) complain(`note: ${more} more lie in wider blocks`);
}

/** The bans that may contain an address or lie in it: only a block can have others in it. */
function knownAround(addresses: readonly Address[], { store }: Context): Address[] {
  const [only, ...more] = addresses;
  const bans =
    only !== undefined && more.length === 0 && isSingle(only)
      ? [...store.bans.findAll(widerBlocks(only)).values()]
      : store.bans.list();
  return bans.map((ban) => ban.address);
}

/** Few are named, many are counted. */
const MOST_NAMED = 20;

function sayBlocked(addresses: readonly Address[], { print }: Person): void {
  if (addresses.length > MOST_NAMED) print(`${addresses.length} blocked`);
  else for (const { text } of addresses) print(`${text} blocked`);
}
