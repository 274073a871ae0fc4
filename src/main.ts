// Selects the invocation. Only this file ends the process.
import type * as CommandLine from './cli/main.ts';
import { complain, exitStatusOf } from './diagnostics.ts';
import { describeError } from './model/errors.ts';
import { createContext } from './context.ts';
import { isTerminal, readLinesFromStdin, writeToStdout } from './system/stdin.ts';
import { readInvocation, findPlace } from './wazuh/invocation.ts';
import { LONGEST_LINE, respondToArguments, respondToMessage } from './wazuh/respond.ts';

function main(): number | Promise<number> {
  // Files that we create are not for other users, whatever the umask of the caller.
  process.umask(0o077);
  const args = process.argv.slice(2);
  const invocation = readInvocation(args, isTerminal(0));
  const place = findPlace(process);
  if (invocation === 'command-line') {
    const { runCommandLine } = require('./cli/main.ts') as typeof CommandLine;
    return runCommandLine(args, place);
  }
  const onTrouble = (message: string): void => complain(message, 'execd');
  const context = createContext({ place, interactive: false, onTrouble });
  try {
    if (invocation === 'ossec') respondToArguments(context, args);
    else
      respondToMessage(context, { reader: readLinesFromStdin(LONGEST_LINE), write: writeToStdout });
    return 0;
  } catch (error) {
    context.diagnostics.error(describeError(error));
    throw error;
  }
}

function run(): number | Promise<number> {
  try {
    return main();
  } catch (error) {
    return exitStatusOf(error, 'execd');
  }
}

// Exit at once: draining an empty event loop costs a tenth of our own work. Only commands of a person are awaited.
const status = run();
if (typeof status === 'number') process.exit(status);
else void status.then((given) => process.exit(given));
