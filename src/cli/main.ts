// Parses and runs a command that a person typed. Loads the modules that only people need.
import { writeSync } from 'node:fs';
import { complain, exitStatusOf } from '../diagnostics.ts';
import { createContext } from '../context.ts';
import { AppError } from '../model/errors.ts';
import { limitHeap } from './in-parts.ts';
import { findSshPeer, userName } from '../system/accounts.ts';
import { BUILD } from '../model/version.ts';
import type { Place } from '../wazuh/invocation.ts';
import { COMMAND_GROUPS, COMMANDS } from './commands.ts';
import { COMPLETE, offersFor } from './completion.ts';
import { commandHelp, programHelp } from './help.ts';
import { inspectTerminal, Output, page, startProgress } from './output/terminal.ts';
import { parseArguments, type Parsed } from './parse.ts';
import type { Person, Terminal } from './session.ts';

/** Runs one command and returns its exit status. Reports errors itself and never rejects. */
export async function runCommandLine(args: readonly string[], place: Place): Promise<number> {
  leaveMissingDirectory();
  try {
    return await runCommand(args, place);
  } catch (error) {
    return exitStatusOf(error, 'person');
  }
}

/** Libraries read the working directory and fail if it has been removed. */
function leaveMissingDirectory(): void {
  try {
    process.cwd();
  } catch {
    process.chdir('/');
  }
}

async function runCommand(args: readonly string[], place: Place): Promise<number> {
  const terminal = inspectTerminal(process.env);
  if (args.length === 0) {
    writeSync(2, `${programHelp(COMMAND_GROUPS, terminal.width).join('\n')}\n`);
  }
  const output = new Output();
  if (args[0] === COMPLETE) {
    const offers = offersFor(args.slice(1), COMMANDS, () => bannedAddresses(place));
    for (const line of offers) output.line(line);
    return 0;
  }
  const parsed = parseArguments(args, COMMANDS);
  const status = await perform(parsed, { place, terminal, output });
  output.check();
  return status;
}

/**
 * Returns the banned addresses for completion. Errors are not printed, because they would land in the line being typed.
 */
function bannedAddresses(place: Place): string[] {
  if (process.geteuid?.() !== 0) return [];
  const onTrouble = (): void => undefined;
  const { store } = createContext({ place, interactive: true, onTrouble, readOnly: true });
  return store.bans.list().map(({ address }) => address.text);
}

interface Surroundings {
  readonly place: Place;
  readonly terminal: Terminal;
  readonly output: Output;
}

async function perform(parsed: Parsed, around: Surroundings): Promise<number> {
  const { terminal, output } = around;
  if (parsed.kind === 'version') {
    output.line(BUILD.version);
    return 0;
  }
  if (parsed.kind === 'help') {
    const { of: command } = parsed;
    const { width } = terminal;
    const lines =
      command === null ? programHelp(COMMAND_GROUPS, width) : commandHelp(command, width);
    show(lines, around);
    return 0;
  }
  const { command, words, options } = parsed;
  if (command.needsRoot && process.geteuid?.() !== 0) {
    throw new AppError('NOT_ROOT', 'this command needs root: run it with sudo');
  }
  const isQuiet = options['quiet'] === true;
  // Output that can exceed one screen is collected first, and then shown in a pager.
  const isCollected = terminal.width !== null && command.isLong(options);
  const lines: string[] = [];
  const print = (line: string): void => {
    if (isQuiet) return;
    if (isCollected) lines.push(line);
    else output.line(line);
  };
  try {
    return await command.run(words, options, createPerson(around, print, isQuiet));
  } finally {
    show(lines, around);
  }
}

function show(lines: readonly string[], { terminal, output }: Surroundings): void {
  const { height } = terminal;
  if (height !== null && lines.length >= height && page(lines, process.env)) return;
  for (const line of lines) output.line(line);
}

function createPerson(
  { place, terminal }: Surroundings,
  print: Person['print'],
  isQuiet: boolean,
): Person {
  const progress = startProgress(terminal);
  const say = (line: string): void => {
    progress.end();
    complain(line, 'person');
  };
  return {
    createContext: (options) => {
      const context = createContext({
        place,
        interactive: true,
        onTrouble: say,
        onProgress: progress.update,
        ...options,
      });
      limitHeap(context.store.bans.count());
      return context;
    },
    print: (line) => {
      progress.end();
      print(line);
    },
    complain: say,
    note: (line) => {
      if (!isQuiet) say(`note: ${line}`);
    },
    name: userName(process.env),
    loggedInFrom: findSshPeer(process.env['SSH_CONNECTION']),
    terminal,
    commands: COMMANDS,
  };
}
