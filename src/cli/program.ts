// The command line of a person: yargs, and what every command shares.
import { writeSync } from 'node:fs';
import type * as Yargs from 'yargs';
import type { Argv } from 'yargs';
import { AppError, describeError } from '../errors.ts';
import { openHouse } from '../house/house.ts';
import { BUILD } from '../version.ts';
import type { Place } from '../wazuh/home.ts';
import { addCommand } from './add.ts';
import { deleteCommand } from './delete.ts';
import { listCommand } from './list.ts';
import { expireCommand, restoreCommand } from './maintenance.ts';
import type { Person } from './person.ts';

/** Runs one command; returns the exit status when all went well, throws an AppError otherwise. */
export function runCommandLine(args: readonly string[], place: Place): number {
  const person: Person = {
    openHouse: () => openHouse({ place, patient: true, onTrouble: complain }),
    print: (line) => {
      writeSync(1, `${line}\n`);
    },
    complain,
    sshConnection: process.env['SSH_CONNECTION'] ?? null,
  };
  const program = describeProgram(person);
  if (args.length > 0) {
    program.parseSync(args);
    return 0;
  }
  program.showHelp((help) => {
    writeSync(2, `${help}\n`);
  });
  throw new AppError('USAGE', 'say what to do, for example: firewall-drop list');
}

function complain(line: string): void {
  writeSync(2, `firewall-drop: ${line}\n`);
}

const EPILOGUE = `Wazuh and OSSEC start this program themselves: with a message on standard input and no
arguments, or with add|delete USER ADDRESS ALERT_ID RULE_ID.

Exit status: 0 done, 64 usage, 65 bad data or protected address, 69 firewall,
74 store or log, 75 lock busy, 77 not root, 78 configuration.`;

function describeProgram(person: Person): Argv {
  const yargs = require('yargs') as typeof Yargs;
  const program = yargs
    .default()
    .scriptName('firewall-drop')
    .usage("$0 COMMAND\n\nBlocks addresses with the host's firewall, and is sure of it.")
    .version(BUILD.version)
    .detectLocale(false)
    .strict()
    .demandCommand(1)
    .recommendCommands()
    .exitProcess(false)
    .epilogue(EPILOGUE)
    .fail((message, error) => {
      throw usageError(message, error);
    });
  const commands = [addCommand, deleteCommand, listCommand, expireCommand, restoreCommand];
  return commands.reduce<Argv>((soFar, command) => command(soFar, person), program);
}

/** yargs hands over its own complaints as a message, and what a command threw as an error. */
function usageError(message: string | null, error: unknown): AppError {
  if (error instanceof AppError) return error;
  const what = message ?? describeError(error);
  return new AppError(
    'USAGE',
    `${what.replace(/\s*\n\s*/g, '; ')}; see firewall-drop --help`,
    error,
  );
}
