// `add`: a person blocks addresses or networks.
import { isSingle, type Address } from '../../model/address.ts';
import type { EachRequest } from '../../bans/block.ts';
import { parseDuration } from '../../model/duration.ts';
import { AppError, EXIT_STATUS } from '../../model/errors.ts';
import type { Context } from '../../context.ts';
import { readReason } from '../../wazuh/request.ts';
import { findOverlaps, MOST_NAMED, readAddresses } from '../addresses.ts';
import { allowedAmong } from '../caution.ts';
import { anyText, CHANGES_LIST, defineCommand, DRY_RUN, FILE, QUIET } from '../command.ts';
import { blockInParts } from '../in-parts.ts';
import { holdsAfter, sayBlocked, type Order } from '../manual-hold.ts';
import { TIME_TO_COME, TIMEOUT } from '../output/time.ts';
import { printBlock } from '../plan.ts';
import { enterForChange, type Person } from '../session.ts';

export const add = defineCommand({
  name: 'add',
  aliases: ['ban', 'block'],
  summary: 'Block addresses or networks',
  details:
    "Each address is blocked until its time is over or somebody releases it; without --timeout or --until that is manual.timeout of the configuration, 24h unless it says otherwise. An address that is blocked already keeps its end and its reason, except for what the command says, and gets no line in the log; --replace begins anew. Addresses go to the kernel in one transaction for each address family, and of a list in parts of 50,000. What is typed is done whole or not at all. Of a list, lines that can't be read or may not be blocked are named, and the others are done.",
  positional: {
    name: 'address',
    describe: 'IPv4, IPv6, or a network such as 203.0.113.0/24',
    count: 'any',
  },
  options: {
    timeout: { ...TIMEOUT, short: 't', describe: 'how long: 90m, 1h30m, 2d, never' },
    until: {
      ...TIME_TO_COME,
      describe: 'until when, in UTC: 14:05, 2026-12-24, "2026-12-24 18:00"',
    },
    reason: { ...anyText('TEXT'), short: 'r', describe: 'a note for people' },
    ...FILE,
    replace: { kind: 'flag', describe: 'forget the end and the reason of an earlier add' },
    force: {
      kind: 'flag',
      describe:
        'also protected addresses, except loopback and own ones, and networks wider than /16 or /32; the ban then lasts until its end, though the address is protected',
    },
    ...DRY_RUN,
    ...QUIET,
  },
  examples: [
    ['add 203.0.113.9 -t 2h', 'one address for two hours'],
    ['add 203.0.113.0/24 -t never -r "scans our shop"', 'a network, until it is released'],
    ['add -f list.txt -t 7d', 'a list'],
  ],
  exits: {
    0: 'all are blocked',
    65: "an address can't be read or may not be blocked",
    ...CHANGES_LIST,
  },
  async run(words, options, person) {
    const { timeout, until, file, force } = options;
    if (timeout !== undefined && until !== undefined) {
      throw new AppError(
        'USAGE',
        '--timeout and --until both say when the ban ends: leave one out',
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
    const allowed = allowedAmong(addresses, { force, isForReal }, context, person);
    const complete = mistakes.length === 0 && allowed.length === addresses.length;
    const isList = file !== undefined;
    // Of a list what can be done is done; what was typed is done whole or not at all.
    if (complete || isList) {
      sayOverlaps(allowed, context, person);
      const usualSeconds = parseDuration(context.config.manual.timeout) ?? null;
      const times = { usualSeconds, nowMs: context.now() };
      const holdFor = holdsAfter(order, times);
      if (isForReal) {
        const holdsFor: EachRequest['holdsFor'] = (_, ban) => [holdFor(ban)];
        const made = await blockInParts(allowed, { holdsFor, by: person.name, isList }, context);
        sayBlocked(made, times.nowMs, person);
        context.expire();
      } else printBlock(allowed, holdFor, context, person);
    }
    return complete ? 0 : EXIT_STATUS.BAD_DATA;
  },
});

function sayOverlaps(addresses: readonly Address[], context: Context, { note }: Person): void {
  const { bans } = context.store;
  // Only a network can have others in it.
  const isAlone = addresses.every(isSingle);
  const known = isAlone ? bans.networks() : bans.list().map(({ address }) => address);
  const overlaps = findOverlaps(addresses, known);
  for (const [inner, outer] of overlaps.slice(0, MOST_NAMED)) {
    note(`${inner.text} lies in ${outer.text}`);
  }
  const more = overlaps.length - MOST_NAMED;
  if (more > 0) note(`${more} more lie in wider networks`);
}
