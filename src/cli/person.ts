// What every command of a person shares: being root, the house, the lock, and a place to print.
import type { House } from '../house/house.ts';
import type { Command } from '../os/run.ts';
import { AppError } from '../errors.ts';

/** What a command works with; `print` writes a line to standard output, `complain` one to standard error. */
export interface Person {
  readonly openHouse: () => House;
  readonly print: (line: string) => void;
  readonly complain: (line: string) => void;
  /** The terminal's or SSH session's peer, as the environment has it; null when there is none. */
  readonly sshConnection: string | null;
}

/** Before anything else: without root nothing here can work. */
export function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new AppError('NOT_ROOT', 'only root can change the firewall: try again with sudo');
}

/** The house, with the writer lock and an earlier run's work finished; a person is told to come back instead of racing. */
export function enterForChange(person: Person): House {
  requireRoot();
  const house = person.openHouse();
  const trouble = house.lock();
  if (trouble !== null) throw trouble;
  house.settle();
  return house;
}

/** The commands that would be run, and what they would read, for `--dry-run`. */
export function printSteps(steps: readonly Command[], person: Person): void {
  if (steps.length === 0) person.print('nothing to do: the kernel is as asked');
  for (const { program, args, input } of steps) {
    person.print(`${program} ${args.join(' ')} <<END`);
    for (const line of input.trimEnd().split('\n')) person.print(`  ${line}`);
    person.print('END');
  }
}
