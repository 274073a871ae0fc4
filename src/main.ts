// Picks the invocation, and is the only place where the process ends.
import type * as CommandLine from './cli/main.ts';
import { complain, exitStatusOf } from './failure.ts';
import { describeError } from './model/errors.ts';
import { createContext } from './context.ts';
import { isTerminal, readLinesFromStdin, writeToStdout } from './system/stdin.ts';
import { readInvocation } from './wazuh/invocation.ts';
import { findPlace } from './wazuh/home.ts';
import { LONGEST_LINE, respondToArguments, respondToMessage } from './wazuh/respond.ts';

function main(): number | Promise<number> {
  // Nothing that we make is for others, whatever the umask of who started us.
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

// At once: draining an empty event loop costs as much as a tenth of our own work. Only a person's command may be waited for.
const status = run();
if (typeof status === 'number') process.exit(status);
else void status.then((given) => process.exit(given));
