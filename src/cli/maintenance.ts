// `expire` and `restore`: what a timer and the start of the host call.
import type { Argv } from 'yargs';
import { expireDue } from '../ban/expire.ts';
import { findProtection } from '../ban/protect.ts';
import { finishInterrupted, restore } from '../ban/reconcile.ts';
import { enterForChange, type Person } from './person.ts';

export function expireCommand(yargs: Argv, person: Person): Argv {
  return yargs.command(
    'expire',
    'Release what is due; for a timer, every minute',
    (command) => command.example('$0 expire', 'release blocks whose time is over'),
    () => {
      const house = enterForChange(person);
      // Asked here too, so that the exit status tells what `settle` only said.
      finishInterrupted(house);
      const released = expireDue(house);
      // Names of managers are looked up here, where nobody waits, and remembered for the next alert.
      house.protectedEntries();
      house.store.pruneHistory(house.now() - house.config.history.keepDays * 86_400_000);
      for (const ban of released) person.print(`${ban.address.text} released`);
    },
  );
}

export function restoreCommand(yargs: Argv, person: Person): Argv {
  return yargs.command(
    'restore',
    'Make the kernel hold what the books say, after a reboot or a flush',
    (command) => command.example('$0 restore', 'put all blocks back'),
    () => {
      const house = enterForChange(person);
      finishInterrupted(house);
      for (const ban of expireDue(house))
        person.print(`${ban.address.text} released: its time is over`);
      const entries = house.protectedEntries();
      const outcome = restore(house, (address) => findProtection(address, entries) !== null);
      for (const ban of outcome.released)
        person.print(`${ban.address.text} released: it is protected`);
      const how = outcome.changed ? 'put back' : 'already in place';
      person.print(`${outcome.blocked.length} blocked, ${how}`);
      house.store.flush();
    },
  );
}
