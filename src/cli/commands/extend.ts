// `extend`: moves the end of bans to a later time.
import { blockEach, type EachRequest } from '../../bans/block.ts';
import type { Context } from '../../context.ts';
import type { Address } from '../../model/address.ts';
import { alertRefAt, remainingSeconds, type Ban, type Hold } from '../../model/ban.ts';
import { AppError, EXIT_STATUS } from '../../model/errors.ts';
import { readAddress } from '../addresses.ts';
import { BANNED, CHANGES, defineCommand, QUIET } from '../command.ts';
import { manualHoldOf, printBlocked } from '../manual-hold.ts';
import { parseDuration } from '../../model/duration.ts';
import { enterForChange, type Person } from '../session.ts';

export const extend = defineCommand({
  name: 'extend',
  summary: 'Make bans last longer',
  details:
    'The last argument is the extension: 2h moves the end of the ban by two hours, whichever origin holds it. Either all of the addresses are extended, or none.',
  positional: {
    ...BANNED,
    describe:
      'the banned addresses, followed by the extension: 2h, 1d12h; seconds if it has no unit',
    count: 'some',
  },
  options: QUIET,
  examples: [
    ['extend 203.0.113.9 2h', 'extend a ban by two hours'],
    ['extend 203.0.113.9 198.51.100.7 1d12h', 'extend two bans by a day and a half'],
  ],
  exits: {
    0: 'all bans are extended',
    65: 'an address is not banned, or its ban has no end',
    ...CHANGES,
  },
  run(words, _options, person) {
    const seconds = readLength(words);
    const addresses = words.slice(0, -1).map(readAddress);
    const context = enterForChange(person);
    const extendable = addresses.filter((address) => isExtendable(address, context, person));
    if (extendable.length < addresses.length) return EXIT_STATUS.BAD_DATA;
    const nowMs = context.now();
    const holdsFor: EachRequest['holdsFor'] = (_, ban) => [longerHold(ban, seconds, nowMs)];
    printBlocked(blockEach(addresses, { holdsFor, by: person.name }, context), nowMs, person);
    context.expire();
    return 0;
  },
});

function readLength(words: readonly string[]): number {
  const seconds = words.length < 2 ? undefined : parseDuration(words.at(-1) ?? '');
  if (typeof seconds === 'number') return seconds;
  throw new AppError(
    'USAGE',
    'extend needs addresses followed by a duration; example: firewall-drop extend 203.0.113.9 2h',
  );
}

/** Reports whether an address has a ban that ends. If not, prints why. */
function isExtendable(address: Address, { store, now }: Context, { complain }: Person): boolean {
  const ban = store.bans.find(address);
  const isBlocked = ban !== null && ban.phase !== 'unblocking';
  if (isBlocked && remainingSeconds(ban.holds, now()) !== null) return true;
  const [why, way] = isBlocked
    ? ['is blocked until released and has no end to extend', 'sets one']
    : ['is not blocked', 'blocks it'];
  complain(`${address.text} ${why}: firewall-drop add ${address.text} --timeout 2h ${way}`);
  return false;
}

function longerHold(before: Ban | null, seconds: number, nowMs: number): Hold {
  const known = manualHoldOf(before);
  const left = (remainingSeconds(before?.holds ?? [], nowMs) ?? 0) + seconds;
  return {
    origin: 'manual',
    addedMs: known?.addedMs ?? nowMs,
    timeoutSeconds: Math.ceil(left),
    expiresAtMs: nowMs + Math.round(left * 1000),
    alertRef: alertRefAt(nowMs),
    reason: known?.reason ?? '',
    forced: known?.forced ?? before?.holds.some(({ forced }) => forced) ?? false,
  };
}
