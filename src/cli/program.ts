// The command line of a person: the descriptions of the commands, handed to yargs.
import { writeSync } from 'node:fs';
import type * as Yargs from 'yargs';
import type { Argv } from 'yargs';
import { complain } from '../failure.ts';
import { AppError } from '../model/errors.ts';
import { createContext } from '../context.ts';
import { isErrno } from '../system/files.ts';
import { findSshPeer } from '../system/login.ts';
import { sleep } from '../system/wait.ts';
import { BUILD } from '../version.ts';
import type { Place } from '../wazuh/home.ts';
import type { CommandSpec, OptionSpec, PositionalSpec } from './command.ts';
import { COMMANDS } from './commands.ts';
import { EXIT_MEANINGS } from './exit-meanings.ts';
import { requireRoot, type Person } from './session.ts';
import { startProgress } from './output/progress.ts';
import { inspectTerminal } from './output/terminal.ts';

/** Gives the exit status, or rejects with an AppError. */
export async function runCommand(args: readonly string[], place: Place): Promise<number> {
  const output: Output = { trouble: null };
  const person = meet(place, output);
  let status = 0;
  const program = describeProgram((command, words, options) => {
    if (command.needsRoot) requireRoot();
    const outcome = command.run(words, options, person);
    return Promise.resolve(outcome).then((given) => {
      status = given;
    });
  });
  if (args.length === 0) {
    program.showHelp((help) => {
      writeSync(2, `${help}\n`);
    });
    throw new AppError('USAGE', 'say what to do, for example: firewall-drop list');
  }
  await program.parseAsync(args);
  if (output.trouble !== null) {
    throw new AppError('OUTPUT', `standard output can't be written`, output.trouble);
  }
  return status;
}

/** Standard output of this run. */
interface Output {
  /** Why something could not be written; null when all was, or when the reader went away. */
  trouble: unknown;
}

function meet(place: Place, output: Output): Person {
  const terminal = inspectTerminal(process.env);
  const progress = startProgress('working', terminal);
  return {
    createContext: (options) => {
      return createContext({
        place,
        interactive: true,
        onTrouble: (message) => {
          progress.end();
          complain(message, 'person');
        },
        onProgress: (done, total) => {
          progress.update(done, total);
          if (done === total) progress.end();
        },
        ...options,
      });
    },
    print: (line) => {
      progress.end();
      writeAll(`${line}\n`, output);
    },
    complain: (line) => {
      progress.end();
      complain(line, 'person');
    },
    loggedInFrom: findSshPeer(process.env['SSH_CONNECTION']),
    terminal,
  };
}

/** A pipe takes what fits, and a non-blocking one may have to be waited for. */
function writeAll(text: string, output: Output): void {
  const bytes = Buffer.from(text);
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(1, bytes, done);
    } catch (error) {
      if (isErrno(error, 'EAGAIN')) {
        sleep(PIPE_PAUSE_MS);
        continue;
      }
      // A reader that went away (`| head`) has seen what it wanted. A full disk under the output decides the exit status
      // in the end: it is no reason to stop between two changes of the kernel.
      if (!isErrno(error, 'EPIPE')) output.trouble ??= error;
      return;
    }
  }
}

const PIPE_PAUSE_MS = 1;

type RunCommand = (
  command: CommandSpec,
  words: readonly string[],
  options: Parameters<CommandSpec['run']>[1],
) => Promise<void>;

const STATUSES = EXIT_MEANINGS.map(
  ([status, meaning]) => `  ${String(status).padStart(2)}  ${meaning}`,
);
const EPILOGUE = `Exit status:
${STATUSES.join('\n')}

Wazuh and OSSEC start this program themselves: with a message on standard
input and no arguments, or with add|delete USER ADDRESS ALERT_ID RULE_ID.
All of it: firewall-drop man`;

function describeProgram(run: RunCommand): Argv {
  const yargs = require('yargs') as typeof Yargs;
  const program = yargs
    .default()
    .scriptName('firewall-drop')
    .usage("$0 COMMAND\n\nBlocks addresses with the host's firewall, and verifies that it does.")
    .version(BUILD.version)
    .detectLocale(false)
    // A word is text: 1e3 is no number, and an address no list.
    .parserConfiguration({
      'parse-positional-numbers': false,
      'parse-numbers': false,
      'camel-case-expansion': false,
      'dot-notation': false,
    })
    .strict()
    .demandCommand(1)
    .recommendCommands()
    .exitProcess(false)
    .epilogue(EPILOGUE)
    .fail((message, error) => {
      throw usageError(message, error);
    });
  for (const [word, group] of Map.groupBy(COMMANDS, ({ name }) => name.split(' ')[0] ?? name)) {
    const [only] = group;
    if (group.length === 1 && only !== undefined) addCommand(program, only, only.name, run);
    else addGroup(program, word, group, run);
  }
  return program;
}

function addGroup(
  program: Argv,
  word: string,
  group: readonly CommandSpec[],
  run: RunCommand,
): void {
  const summary = group.map(({ name, summary }) => `${name}: ${summary}`).join('; ');
  program.command(word, summary, (inner) => {
    for (const command of group) {
      // A group's word alone may be a command as well.
      addCommand(inner, command, command.name.slice(word.length + 1) || '$0', run);
    }
    return group.some(({ name }) => name === word) ? inner : inner.demandCommand(1);
  });
}

function addCommand(program: Argv, command: CommandSpec, word: string, run: RunCommand): void {
  const { positional, options, summary, examples } = command;
  program.command(
    positional === undefined ? word : `${word} ${placeholder(positional)}`,
    summary,
    (inner) => {
      if (positional !== undefined) {
        const { name, describe, choices } = positional;
        inner.positional(name, { describe, type: 'string', ...(choices && { choices }) });
      }
      for (const [name, spec] of Object.entries(options)) inner.option(name, toYargs(spec));
      for (const [example, what] of examples) inner.example(`$0 ${example}`, what);
    },
    (argv) => {
      const given = positional === undefined ? undefined : argv[positional.name];
      // yargs makes nothing of a dash that stands alone.
      const words =
        given === undefined ? [] : ([given].flat() as string[]).map((word) => word || '-');
      const values = Object.entries(options).map(([name, spec]) => [
        name,
        valueOf(name, argv[name], spec),
      ]);
      return run(command, words, Object.fromEntries(values) as Parameters<RunCommand>[2]);
    },
  );
}

function valueOf(name: string, given: unknown, { kind }: OptionSpec): unknown {
  if (Array.isArray(given)) throw new AppError('USAGE', `--${name} was given more than once`);
  return kind === 'flag' ? given === true : given;
}

function placeholder({ name, count }: PositionalSpec): string {
  if (count === 'one') return `<${name}>`;
  return count === 'any' ? `[${name}..]` : `[${name}]`;
}

function toYargs(spec: OptionSpec): Yargs.Options {
  const { describe, kind } = spec;
  if (kind === 'flag') return { describe, type: 'boolean' };
  const given = spec.default === undefined ? {} : { default: spec.default };
  if (kind === 'choice')
    return { describe, type: 'string', requiresArg: true, choices: spec.choices, ...given };
  return { describe, type: 'string', requiresArg: true, ...given };
}

/** yargs hands over its own complaints as a message, and what a command threw as an error. */
function usageError(message: string | null, error: unknown): unknown {
  if (message === null || message === '') return error;
  const what = message.replace(/\s*\n\s*/g, '; ');
  return new AppError('USAGE', `${what}; see firewall-drop --help`);
}
