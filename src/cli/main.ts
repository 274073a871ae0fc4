// The command line of a person: what was typed is read, and the command is run. Loads all that only people use.
import { writeSync } from 'node:fs';
import { complain, exitStatusOf } from '../failure.ts';
import { createContext } from '../context.ts';
import { AppError } from '../model/errors.ts';
import { expectMany } from './in-parts.ts';
import { findSshPeer, userName } from '../system/accounts.ts';
import { BUILD } from '../model/version.ts';
import type { Place } from '../wazuh/home.ts';
import { COMMAND_GROUPS, COMMANDS } from './commands.ts';
import { COMPLETE, offersFor } from './completion.ts';
import { commandHelp, programHelp } from './help.ts';
import { inspectTerminal, Output, page, startProgress } from './output/terminal.ts';
import { parseArguments, type Parsed } from './parse.ts';
import type { Person, Terminal } from './session.ts';

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

/** Trouble is kept from a person who is typing. */
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
  // Without root nothing here can work.
  if (command.needsRoot && process.geteuid?.() !== 0) {
    throw new AppError('NOT_ROOT', 'only root can use this: try again with sudo');
  }
  const isQuiet = options['quiet'] === true;
  // Lines that may be too many for a screen are kept until all are there.
  const isKept = terminal.width !== null && command.isLong(options);
  const lines: string[] = [];
  const print = (line: string): void => {
    if (isQuiet) return;
    if (isKept) lines.push(line);
    else output.line(line);
  };
  try {
    return await command.run(words, options, meet(around, print, isQuiet));
  } finally {
    show(lines, around);
  }
}

function show(lines: readonly string[], { terminal, output }: Surroundings): void {
  const { height } = terminal;
  if (height !== null && lines.length >= height && page(lines, process.env)) return;
  for (const line of lines) output.line(line);
}

function meet({ place, terminal }: Surroundings, print: Person['print'], isQuiet: boolean): Person {
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
      expectMany(context.store.bans.count());
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
