// `export` and `import`: all bans as JSON lines, for moving a host.
import { blockEach, type EachRequest } from '../../bans/block.ts';
import type { Context } from '../../context.ts';
import type { Address } from '../../model/address.ts';
import type { Hold } from '../../model/ban.ts';
import { EXIT_STATUS } from '../../model/errors.ts';
import { readText } from '../addresses.ts';
import { entriesToJson, readEntries } from '../ban-entries.ts';
import { allowedAmong } from '../caution.ts';
import { defineCommand, QUIET } from '../command.ts';
import { readExported, type ExportedBan } from '../exported.ts';
import { inParts, LARGEST_PART } from '../in-parts.ts';
import { count } from '../output/count.ts';
import { enterForChange, type Person } from '../session.ts';

const SCHEMA_VERSION = 1;

export const exportBans = defineCommand({
  name: 'export',
  summary: 'Print all bans as JSON lines, for import on another host',
  details:
    'Each line is a ban with its holds, their ends and reasons, and what its rules have dropped, as in list -o json.',
  options: {},
  examples: [
    ['export > bans.jsonl', 'a copy of all bans'],
    ['export | ssh root@192.0.2.10 firewall-drop import -', 'move them to another host'],
  ],
  needsRoot: true,
  run(_words, _options, person) {
    const context = person.createContext();
    for (const ban of entriesToJson(readEntries(context, person))) {
      person.print(JSON.stringify({ schema: SCHEMA_VERSION, ...ban }));
    }
    return 0;
  },
});

export const importBans = defineCommand({
  name: 'import',
  summary: 'Block what export printed, with the same ends, reasons and origins',
  details:
    'Holds whose time is over are left out. Where an address is held here already, the later end counts. Protected addresses are named and left out, unless --force is given; the exit status is then 65, as for lines that can not be read. Packets and bytes are not carried over: the counters of the kernel begin anew.',
  positional: {
    name: 'file',
    describe: 'what export printed; - is standard input',
    count: 'one',
    offers: 'files',
  },
  options: {
    force: { kind: 'flag', describe: 'also addresses that are protected here, as add --force' },
    'dry-run': { kind: 'flag', short: 'n', describe: 'count, and change nothing' },
    ...QUIET,
  },
  examples: [
    ['import bans.jsonl', 'what another host had blocked'],
    ['import bans.jsonl --dry-run', 'how many of them would be blocked here'],
  ],
  needsRoot: true,
  async run([file = '-'], options, person) {
    const { bans, mistakes } = readExported(readText(file), file === '-' ? 'standard input' : file);
    mistakes.forEach(person.complain);
    const isForReal = !options['dry-run'];
    const context = isForReal ? enterForChange(person) : person.createContext({ readOnly: true });
    const living = bans.flatMap((ban) => livingPart(ban, context.now()));
    const caution = { force: options.force, isForReal };
    const addresses = living.map(({ address }) => address);
    const allowed = allowedAmong(addresses, caution, context, person);
    if (isForReal) await blockAs(living, allowed, context, person);
    const parts = [`${count(allowed.length, 'ban')} ${isForReal ? 'imported' : 'to be imported'}`];
    if (living.length < bans.length) parts.push(`${bans.length - living.length} were over`);
    person.print(parts.join(', '));
    const isWhole = mistakes.length === 0 && allowed.length === living.length;
    return isWhole ? 0 : EXIT_STATUS.BAD_DATA;
  },
});

/** Without the holds that are over. */
function livingPart(ban: ExportedBan, nowMs: number): ExportedBan[] {
  const holds = ban.holds.filter(({ expiresAtMs }) => expiresAtMs === null || expiresAtMs > nowMs);
  return holds.length === 0 ? [] : [{ ...ban, holds }];
}

async function blockAs(
  bans: readonly ExportedBan[],
  allowed: readonly Address[],
  context: Context,
  person: Person,
): Promise<void> {
  const holds = new Map(bans.map((ban) => [ban.address.text, ban.holds]));
  context.migrate(allowed.length);
  const holdsFor: EachRequest['holdsFor'] = ({ text }, before) => {
    const known = before === null || before.phase === 'unblocking' ? [] : before.holds;
    const [first, ...others] = (holds.get(text) ?? []).map((hold) => later(hold, known));
    if (first === undefined) throw new Error(`${text} is not in the file`);
    return [first, ...others];
  };
  await inParts(allowed, { size: LARGEST_PART, doing: 'blocked', context }, (part, ofPart) => {
    blockEach(part, { holdsFor, by: person.name }, ofPart);
  });
  context.expire();
}

/** The imported hold, or the one of the same origin that is here already and ends later. */
function later(imported: Hold, known: readonly Hold[]): Hold {
  const own = known.find(({ origin }) => origin === imported.origin);
  const endOf = ({ expiresAtMs }: Hold): number => expiresAtMs ?? Infinity;
  return own !== undefined && endOf(own) > endOf(imported) ? own : imported;
}
