// Which door somebody knocks at, and the only place where the process ends.
import { fstatSync, writeSync } from 'node:fs';
import type * as Tty from 'node:tty';
import type * as CommandLine from './cli/program.ts';
import { AppError, describeError } from './errors.ts';
import { openHouse } from './house/house.ts';
import { printable } from './os/printable.ts';
import { readLinesFromStdin } from './os/pipe.ts';
import { chooseDoor } from './wazuh/door.ts';
import { findPlace } from './wazuh/home.ts';
import { LONGEST_LINE, respondToArguments, respondToMessage } from './wazuh/respond.ts';

/** An error that is not ours is a mistake of ours (sysexits: EX_SOFTWARE). */
const UNEXPECTED = 70;

function main(): number | Promise<number> {
  // Nothing that we make is for others, whatever the umask of who started us.
  process.umask(0o077);
  const args = process.argv.slice(2);
  const door = chooseDoor(args, isTerminal(0));
  const place = findPlace({
    argv0: process.argv0,
    workingDirectory: () => process.cwd(),
    executable: process.execPath,
  });
  if (door === 'person') {
    leaveMissingDirectory();
    const { runCommandLine } = require('./cli/program.ts') as typeof CommandLine;
    return runCommandLine(args, place);
  }
  const house = openHouse({ place, patient: false, onTrouble: complain });
  try {
    if (door === 'ossec') respondToArguments(house, args);
    else respondToMessage(house, { reader: readLinesFromStdin(LONGEST_LINE), write: writeOut });
    return 0;
  } catch (error) {
    house.diagnostics.error(describeError(error));
    throw error;
  }
}

/** Libraries ask for the working directory and do not expect that somebody has removed it. */
function leaveMissingDirectory(): void {
  try {
    process.cwd();
  } catch {
    process.chdir('/');
  }
}

/** A pipe is no terminal: the module that could tell, and all that it loads, is for the rest. */
function isTerminal(descriptor: number): boolean {
  if (!fstatSync(descriptor).isCharacterDevice()) return false;
  const { isatty } = require('node:tty') as typeof Tty;
  return isatty(descriptor);
}

function writeOut(text: string): void {
  writeSync(1, text);
}

/** execd listens to nothing here; a person who tries us by hand does. */
function complain(message: string): void {
  try {
    writeSync(2, `firewall-drop: ${printable(message)}\n`);
  } catch {
    // Nobody holds the other end.
  }
}

function exitStatusOf(error: unknown): number {
  complain(describeError(error));
  return error instanceof AppError ? error.exitStatus : UNEXPECTED;
}

function run(): number | Promise<number> {
  try {
    const status = main();
    return typeof status === 'number' ? status : status.catch(exitStatusOf);
  } catch (error) {
    return exitStatusOf(error);
  }
}

// At once: draining an empty event loop costs as much as a tenth of our own work. Only a person's command may be waited for.
const status = run();
if (typeof status === 'number') process.exit(status);
else void status.then((given) => process.exit(given));
