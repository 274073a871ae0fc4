// The command line: loads all that only people use, which no alert does.
import { exitStatusOf } from '../failure.ts';
import type { Place } from '../wazuh/home.ts';
import { runCommand } from './program.ts';

/** Runs one command and gives the exit status; says what went wrong, and never rejects. */
export async function runCommandLine(args: readonly string[], place: Place): Promise<number> {
  leaveMissingDirectory();
  try {
    return await runCommand(args, place);
  } catch (error) {
    return exitStatusOf(error, 'person');
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
