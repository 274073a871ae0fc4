// `add`: blocks addresses or networks on behalf of a person.
import { isSingle, type Address } from '../../model/address.ts';
import type { EachRequest } from '../../bans/block.ts';
import { parseDuration } from '../../model/duration.ts';
import { AppError, EXIT_STATUS } from '../../model/errors.ts';
import type { Context } from '../../context.ts';
import { readReason } from '../../wazuh/request.ts';
import { findOverlaps, MOST_NAMED, readAddresses } from '../addresses.ts';
import { filterAllowed } from '../caution.ts';
import { anyText, CHANGES_LIST, defineCommand, DRY_RUN, FILE, QUIET } from '../command.ts';
import { blockInParts } from '../in-parts.ts';
import { holdsAfter, printBlocked, type Order } from '../manual-hold.ts';
import { TIME_TO_COME, TIMEOUT } from '../output/time.ts';
import { printBlock } from '../plan.ts';
import { enterForChange, type Person } from '../session.ts';

export const add = defineCommand({
  name: 'add',
  aliases: ['ban', 'block'],
  summary: 'Block addresses or networks',
  details:
    'Each address stays blocked until its ban expires or is released. Without --timeout or --until, the ban lasts as long as manual.timeout in the configuration says, 24h by default. An address that is already blocked keeps its end and reason, unless the command changes them, and gets no line in the log; --replace starts over. The kernel is changed in one transaction per address family; lists are split into parts of 50,000. If an argument is invalid or protected, nothing is blocked. In a list, such lines are reported and skipped.',
  positional: {
    name: 'address',
    describe: 'IPv4, IPv6, or a network such as 203.0.113.0/24',
    count: 'any',
  },
  options: {
    timeout: {
      ...TIMEOUT,
      short: 't',
      describe: 'how long the ban lasts: 90m, 1h30m, 2d, never; seconds if it has no unit',
    },
    until: {
      ...TIME_TO_COME,
      describe: 'when the ban ends, in UTC: 14:05, 2026-12-24, "2026-12-24 18:00"',
    },
    reason: { ...anyText('TEXT'), short: 'r', describe: 'a note on why' },
    ...FILE,
    replace: { kind: 'flag', describe: 'ignore the end and the reason of an earlier add' },
    force: {
      kind: 'flag',
      describe:
        "also block protected addresses, except loopback and the host's own, and networks wider than /16 (IPv4) or /32 (IPv6); the ban then lasts until its end although the address is protected",
    },
    ...DRY_RUN,
    ...QUIET,
  },
  examples: [
    ['add 203.0.113.9 -t 2h', 'block one address for two hours'],
    ['add 203.0.113.0/24 -t never -r "scans our shop"', 'block a network until it is released'],
    ['add -f list.txt -t 7d', 'block the addresses of a list'],
  ],
  exits: {
    0: 'all addresses are blocked',
    65: 'an address is invalid or protected',
    ...CHANGES_LIST,
  },
  async run(words, options, person) {
    const { timeout, until, file, force } = options;
    if (timeout !== undefined && until !== undefined) {
      throw new AppError(
        'USAGE',
        '--timeout and --until both set the end of the ban: use only one of them',
      );
    }
    const { addresses, mistakes } = readAddresses(words, file, person);
    const isForReal = !options['dry-run'];
    const context = isForReal ? enterForChange(person) : person.createContext({ readOnly: true });
    const order: Order = {
      timeoutSeconds: until === undefined ? timeout : Math.ceil((until - context.now()) / 1000),
      reason: options.reason === undefined ? undefined : readReason(options.reason),
      force,
      replace: options.replace,
    };
    const allowed = filterAllowed(addresses, { force, isForReal }, context, person);
    const complete = mistakes.length === 0 && allowed.length === addresses.length;
    const isList = file !== undefined;
    // Typed addresses are blocked all or none. Of a list, whatever can be blocked is blocked.
    if (complete || isList) {
      printOverlaps(allowed, context, person);
      const usualSeconds = parseDuration(context.config.manual.timeout) ?? null;
      const times = { usualSeconds, nowMs: context.now() };
      const holdFor = holdsAfter(order, times);
      if (isForReal) {
        const holdsFor: EachRequest['holdsFor'] = (_, ban) => [holdFor(ban)];
        const made = await blockInParts(allowed, { holdsFor, by: person.name, isList }, context);
        printBlocked(made, times.nowMs, person);
        context.expire();
      } else printBlock(allowed, holdFor, context, person);
    }
    return complete ? 0 : EXIT_STATUS.BAD_DATA;
  },
});

function printOverlaps(addresses: readonly Address[], context: Context, { note }: Person): void {
  const { bans } = context.store;
  // Without networks among the new addresses, only known networks can overlap with them.
  const isAlone = addresses.every(isSingle);
  const known = isAlone ? bans.networks() : bans.list().map(({ address }) => address);
  const overlaps = findOverlaps(addresses, known);
  for (const [inner, outer] of overlaps.slice(0, MOST_NAMED)) {
    note(`${inner.text} is part of ${outer.text}`);
  }
  const more = overlaps.length - MOST_NAMED;
  if (more > 0) note(`${more} more are part of wider networks`);
}
