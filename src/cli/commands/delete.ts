// `delete` and `flush`: release addresses, whoever blocked them.
import type { Address } from '../../model/address.ts';
import type { ReleaseOutcomes } from '../../bans/unblock.ts';
import { AppError, EXIT_STATUS } from '../../model/errors.ts';
import { readReason } from '../../wazuh/request.ts';
import type { Context } from '../../context.ts';
import { sortLongList, MOST_NAMED, readAddresses, widerIn } from '../addresses.ts';
import {
  anyText,
  BANNED,
  CHANGES_LIST,
  defineCommand,
  DRY_RUN,
  FILE,
  ORIGIN,
  QUIET,
} from '../command.ts';
import { releaseAll, releaseInParts } from '../in-parts.ts';
import { count } from '../output/count.ts';
import { printUnblock } from '../plan.ts';
import { enter, enterForChange, type Person } from '../session.ts';

export const deleteAddresses = defineCommand({
  name: 'delete',
  aliases: ['unban', 'unblock', 'remove', 'rm'],
  summary: 'Release addresses or networks',
  details:
    'Ends all holds on each address, whoever blocked it, and removes its rules from the kernel. An address that was not blocked is not an error. An address stays blocked while a wider network that contains it is banned; a note names that network.',
  positional: { ...BANNED, count: 'any' },
  options: {
    reason: { ...anyText('TEXT'), short: 'r', describe: 'a note for the history' },
    ...FILE,
    ...DRY_RUN,
    ...QUIET,
  },
  examples: [
    ['delete 203.0.113.9 -r "a customer"', 'release one address'],
    ['delete -f list.txt', 'release the addresses of a list'],
  ],
  exits: {
    0: 'none of the addresses has a ban any more',
    65: 'an address is invalid',
    ...CHANGES_LIST,
  },
  async run(words, options, person) {
    const { addresses, mistakes } = readAddresses(words, options.file, person);
    if (options['dry-run']) {
      printUnblock(addresses, null, person.createContext({ readOnly: true }), person);
    } else {
      const reason = readReason(options.reason);
      await release(addresses, reason, enterForChange(person), person);
    }
    return mistakes.length === 0 ? 0 : EXIT_STATUS.BAD_DATA;
  },
});

async function release(
  addresses: readonly Address[],
  reason: string,
  context: Context,
  person: Person,
): Promise<void> {
  const networks = new Map(context.store.bans.networks().map((network) => [network.text, network]));
  const request = { origin: null, named: true, by: person.name, reason };
  const outcomes = await releaseInParts(newestFirst(addresses, context), request, context);
  printReleased(addresses, outcomes, person);
  for (const address of addresses) {
    const wider = widerIn(networks, address)[0]?.text;
    if (wider === undefined) continue;
    const way = `firewall-drop delete ${wider} releases the whole network`;
    person.note(`${address.text} stays blocked by ${wider}; ${way}`);
  }
  context.expire();
}

/**
 * Sorts a long list newest first, because iptables searches a chain from the top. For sets, whose entries have no
 * order, sorts by text.
 */
function newestFirst(
  addresses: readonly Address[],
  { store, firewall }: Context,
): readonly Address[] {
  if (addresses.length <= MOST_NAMED) return addresses;
  if (firewall.mostReleases === Infinity) return sortLongList(addresses);
  const place = new Map(store.bans.list().map(({ address }, index) => [address.text, index]));
  const placeOf = ({ text }: Address): number => place.get(text) ?? -1;
  return addresses.toSorted((one, other) => placeOf(other) - placeOf(one));
}

function printReleased(
  addresses: readonly Address[],
  outcomes: ReleaseOutcomes,
  { print }: Person,
): void {
  const absent = new Set(outcomes.absent.map(({ text }) => text));
  const foreign = new Set(outcomes.foreign.map(({ text }) => text));
  const others = 'a rule that another program or a person had added was removed';
  if (addresses.length > MOST_NAMED) {
    const parts = [`${addresses.length - absent.size} released`];
    if (absent.size > 0) parts.push(`${absent.size} had no ban`);
    if (foreign.size > 0) parts.push(`for ${foreign.size}, ${others}`);
    print(parts.join(', '));
    return;
  }
  for (const { text } of addresses) {
    const removed = foreign.has(text) ? `: ${others}` : '';
    print(absent.has(text) ? `${text} had no ban` : `${text} released${removed}`);
  }
}

export const flush = defineCommand({
  name: 'flush',
  summary: 'Release all bans, or end all holds of one origin',
  details:
    'Asks for confirmation on a terminal; elsewhere it requires --yes. With --origin, only the holds of that origin end, and addresses that other origins hold stay blocked.',
  options: {
    ...ORIGIN,
    yes: { kind: 'flag', short: 'y', describe: 'do not ask for confirmation' },
    ...QUIET,
  },
  examples: [
    ['flush --origin manual --yes', 'end all bans that people added'],
    ['flush --yes', 'release everything'],
  ],
  exits: { 0: 'everything is released', ...CHANGES_LIST },
  async run(_words, options, person) {
    const origin = options.origin ?? null;
    const context = person.createContext();
    // Ask before taking the lock: alerts would otherwise wait for the answer.
    if (!options.yes && !isSure(context.store.bans.heldBy(origin).length, person)) {
      throw new AppError('USAGE', 'nothing was released: answer yes, or use --yes');
    }
    enter(context, person);
    const { released, kept } = await releaseAll(origin, person.name, context);
    person.print(`${released.length} released`);
    if (kept.length > 0) person.print(`${kept.length} still blocked: other origins hold them`);
    return 0;
  },
});

function isSure(bans: number, { terminal }: Person): boolean {
  const answer = terminal.ask?.(`Release ${count(bans, 'ban')}? [y/N] `) ?? '';
  return /^y(?:es)?$/i.test(answer);
}
