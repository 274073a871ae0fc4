// `add`: a person blocks addresses or blocks of them.
import type { Argv } from 'yargs';
import { parseAddress, parseBlock, parseNetwork, type Address } from '../ban/address.ts';
import { incidentAt } from '../ban/ban.ts';
import { block } from '../ban/block.ts';
import { describeProtection, entriesFrom, findProtection } from '../ban/protect.ts';
import { AppError } from '../errors.ts';
import type { House } from '../house/house.ts';
import { parseDuration } from './duration.ts';
import { enterForChange, printSteps, requireRoot, type Person } from './person.ts';

interface AddOptions {
  readonly addresses: readonly string[];
  readonly timeout: string;
  readonly reason: string;
  readonly force: boolean;
  readonly dryRun: boolean;
}

export function addCommand(yargs: Argv, person: Person): Argv {
  return yargs.command(
    'add <addresses..>',
    'Block addresses or CIDR blocks',
    (command) =>
      command
        .positional('addresses', { type: 'string', array: true, demandOption: true })
        .option('timeout', {
          type: 'string',
          default: 'never',
          describe: 'How long, for example 90m, 1h30m, 2d, never',
        })
        .option('reason', { type: 'string', default: '', describe: 'A note for people' })
        .option('force', {
          type: 'boolean',
          default: false,
          describe: 'Also a protected address, except loopback and own ones',
        })
        .option('dry-run', {
          type: 'boolean',
          default: false,
          describe: 'Print what would be run, and change nothing',
        })
        .example('$0 add 203.0.113.9 --timeout 2h', 'block one address for two hours')
        .example('$0 add 203.0.113.0/24 --reason "scan"', 'block a network until released'),
    (argv) => {
      add(argv, person);
    },
  );
}

function add(options: AddOptions, person: Person): void {
  requireRoot();
  const timeoutSeconds = readTimeout(options.timeout);
  const addresses = options.addresses.map(readBlockArgument);
  const house = options.dryRun ? person.openHouse() : enterForChange(person);
  for (const address of addresses) refuseProtected(address, house, options, person);
  if (options.dryRun) {
    printSteps(
      house.firewall.plan(addresses.map((address) => ({ address, to: 'blocked' }))),
      person,
    );
    return;
  }
  for (const address of addresses) {
    const incident = incidentAt(house.now());
    block(address, { origin: 'manual', timeoutSeconds, incident, reason: options.reason }, house);
    person.print(`${address.text} blocked`);
  }
  house.expire();
}

function readTimeout(text: string): number | null {
  const seconds = parseDuration(text);
  if (seconds !== undefined) return seconds;
  throw new AppError(
    'USAGE',
    `--timeout ${JSON.stringify(text)} is not a length of time: write for example 90m, 1h30m, 2d or never`,
  );
}

/** An address or CIDR block of the command line. Throws `BAD_DATA` with what to write instead. */
export function readBlockArgument(text: string): Address {
  const block = parseBlock(text);
  if (block !== null) return block;
  const network = parseNetwork(text);
  const advice =
    network === null || parseAddress(text) !== null
      ? 'write for example 203.0.113.9, 203.0.113.0/24 or 2001:db8::9'
      : `its host bits are set, did you mean ${network.text}?`;
  throw new AppError(
    'BAD_DATA',
    `${JSON.stringify(text)} is not an address or CIDR block: ${advice}`,
  );
}

function refuseProtected(
  address: Address,
  house: House,
  { force, dryRun }: AddOptions,
  { sshConnection }: Person,
): void {
  const own = sshConnection?.split(' ', 1) ?? [];
  const entries = [
    ...house.protectedEntries(),
    ...entriesFrom(own, 'the address that you are logged in from'),
  ];
  const protection = findProtection(address, force ? entries.filter((e) => e.always) : entries);
  if (protection === null) return;
  const reason = describeProtection(protection);
  if (!dryRun) tellRefusal(address, reason, house);
  const way = protection.always ? '' : '; --force blocks it all the same';
  throw new AppError('REFUSED', `${address.text} is protected (${reason})${way}`);
}

function tellRefusal(address: Address, reason: string, house: House): void {
  const outcome = { verb: 'refused', address, incident: incidentAt(house.now()) } as const;
  house.announcer.tell(outcome);
  house.store.record({ atMs: house.now(), outcome, origin: 'manual', reason });
}
