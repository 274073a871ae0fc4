// `delete`: a person releases addresses, whoever had them blocked.
import type { Argv } from 'yargs';
import { incidentAt } from '../ban/ban.ts';
import { unblock } from '../ban/unblock.ts';
import { readBlockArgument } from './add.ts';
import { enterForChange, printSteps, requireRoot, type Person } from './person.ts';

export function deleteCommand(yargs: Argv, person: Person): Argv {
  return yargs.command(
    'delete <addresses..>',
    'Release addresses or CIDR blocks',
    (command) =>
      command
        .positional('addresses', { type: 'string', array: true, demandOption: true })
        .option('dry-run', {
          type: 'boolean',
          default: false,
          describe: 'Print what would be run, and change nothing',
        })
        .example('$0 delete 203.0.113.9', 'let one address in again'),
    ({ addresses, dryRun }) => {
      release(addresses, dryRun, person);
    },
  );
}

function release(texts: readonly string[], dryRun: boolean, person: Person): void {
  requireRoot();
  const addresses = texts.map(readBlockArgument);
  if (dryRun) {
    const { firewall } = person.openHouse();
    printSteps(firewall.plan(addresses.map((address) => ({ address, to: 'released' }))), person);
    return;
  }
  const house = enterForChange(person);
  for (const address of addresses) {
    const known = house.store.find(address) !== null;
    unblock(address, { origin: null, incident: incidentAt(house.now()) }, house);
    person.print(
      known
        ? `${address.text} released`
        : `${address.text} was not in the books; the kernel has no rule for it`,
    );
  }
  house.expire();
}
