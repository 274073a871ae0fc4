// `delete` and `flush`: a person releases addresses, whoever had them blocked.
import type { Address } from '../../model/address.ts';
import { alertRefAt, ORIGINS } from '../../model/ban.ts';
import { unblockAll } from '../../bans/unblock.ts';
import { AppError, EXIT_STATUS } from '../../model/errors.ts';
import type { Context } from '../../context.ts';
import { readAddresses, widerBlocks, widerIn } from '../addresses.ts';
import { defineCommand } from '../command.ts';
import { heldBy, releaseAll } from '../flush.ts';
import { printUnblock } from '../plan.ts';
import { enter, enterForChange, sayWhatInterruptionLeaves, type Person } from '../session.ts';

export const deleteAddresses = defineCommand({
  name: 'delete',
  summary: 'Release addresses or CIDR blocks',
  details:
    'Ends all holds on each address, whoever had it blocked, and takes its rules out of the kernel. An address that was not blocked is no error. An address that a wider block holds is named: it stays blocked until that is released.',
  positional: { name: 'address', describe: 'IPv4, IPv6, or a CIDR block', count: 'any' },
  options: {
    file: { kind: 'text', value: 'LIST', describe: 'one address a line; - is standard input' },
    'dry-run': { kind: 'flag', describe: 'print what would be run, and change nothing' },
  },
  examples: [
    ['delete 203.0.113.9', 'let one address in again'],
    ['delete --file list.txt', 'all of a list'],
  ],
  needsRoot: true,
  run(words, options, person) {
    const { addresses, mistakes } = readAddresses(words, options.file);
    mistakes.forEach(person.complain);
    if (options['dry-run']) {
      printUnblock(addresses, null, person.createContext({ readOnly: true }), person);
    } else release(addresses, enterForChange(person), person);
    return mistakes.length === 0 ? 0 : EXIT_STATUS.BAD_DATA;
  },
});

function release(addresses: readonly Address[], context: Context, person: Person): void {
  const around = context.store.bans.findAll(addresses.flatMap(widerBlocks));
  const blocks = new Map(Array.from(around, ([text, { address }]) => [text, address]));
  sayWhatInterruptionLeaves(addresses.length, person);
  const request = { origin: null, alertRef: alertRefAt(context.now()), named: true };
  const outcomes = unblockAll(addresses, request, context);
  const absent = new Set(outcomes.absent.map(({ text }) => text));
  const foreign = new Set(outcomes.foreign.map(({ text }) => text));
  for (const address of addresses) {
    const { text } = address;
    const removed = foreign.has(text)
      ? ': a rule that another program or a person made was removed'
      : '';
    person.print(absent.has(text) ? `${text} was not blocked` : `${text} released${removed}`);
    sayWiderBlock(address, blocks, person);
  }
  context.expire();
}

function sayWiderBlock(
  address: Address,
  blocks: ReadonlyMap<string, Address>,
  { complain }: Person,
): void {
  const block = widerIn(blocks, address)[0]?.text;
  if (block === undefined) return;
  complain(
    `note: ${address.text} stays blocked by ${block}; firewall-drop delete ${block} releases all of it`,
  );
}

export const flush = defineCommand({
  name: 'flush',
  summary: 'Release everything, or everything of one origin',
  details:
    'Asks before it does so on a terminal; elsewhere it needs --yes. With --origin only the holds of that origin end, and addresses that others hold stay blocked.',
  options: {
    origin: {
      kind: 'choice',
      choices: ORIGINS,
      describe: 'only what this origin holds',
    },
    yes: { kind: 'flag', describe: 'do not ask' },
  },
  examples: [
    ['flush --origin manual --yes', 'release what people blocked'],
    ['flush --yes', 'release everything'],
  ],
  needsRoot: true,
  run(_words, options, person) {
    const origin = ORIGINS.find((known) => known === options.origin) ?? null;
    const context = person.createContext();
    // Before the lock is taken: an alert would wait for it as long as the question is not answered.
    if (!options.yes && !isSure(heldBy(origin, context).length, person)) {
      throw new AppError('USAGE', 'nothing was released: say --yes if you mean it');
    }
    enter(context, person);
    sayWhatInterruptionLeaves(heldBy(origin, context).length, person);
    const { released, kept } = releaseAll(origin, context);
    person.print(`${released.length} released`);
    if (kept.length > 0) person.print(`${kept.length} kept, which others still hold`);
    return 0;
  },
});

function isSure(count: number, { terminal }: Person): boolean {
  const answer = terminal.ask?.(`Release ${count} blocked addresses? [y/N] `) ?? '';
  return /^y(?:es)?$/i.test(answer);
}
