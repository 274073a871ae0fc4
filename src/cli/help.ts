// Generates the help from the descriptions of the commands: as sections, which the manual page shares, and laid out for
// a terminal.
import { EXIT_STATUS } from '../model/errors.ts';
import { ANSWER_NO, type CommandSpec, type OptionSpec, type PositionalSpec } from './command.ts';
import type { CommandGroup } from './commands.ts';
import { wrap } from './output/wrap.ts';

export type Terms = readonly (readonly [term: string, text: string])[];
type Section = readonly [title: string, terms: Terms];

const PURPOSE = "Blocks addresses with the host's firewall, and verifies that they are blocked.";
const STARTED_BY_EXECD =
  'Wazuh and OSSEC start this program themselves: with a message on standard input and no arguments, or with the arguments add|delete USER ADDRESS ALERT_ID RULE_ID.';
const HELP = ['-h, --help', 'show the help of a command; help COMMAND does the same'] as const;
/** The meanings of the exit statuses. docs/exit-statuses.md has the same table. */
export const EXIT_MEANINGS: readonly (readonly [status: number, meaning: string])[] = [
  [0, 'success, verified in the kernel; or the answer is yes'],
  [ANSWER_NO, 'the answer is no: not blocked, not protected, or something to repair'],
  [EXIT_STATUS.USAGE, 'usage error: unknown command or option, or a missing or invalid value'],
  [EXIT_STATUS.BAD_DATA, 'invalid input or a protected address: the request was not done in full'],
  [EXIT_STATUS.FIREWALL, 'the firewall could not be changed or queried, or execd went away'],
  [70, 'an internal error; please report it'],
  [EXIT_STATUS.RESOURCES, 'too few file descriptors: raise the limit (ulimit -n) of the caller'],
  [EXIT_STATUS.STORE, "the state, a file or standard output can't be read or written"],
  [EXIT_STATUS.LOCK_BUSY, 'another firewall-drop is running: try again'],
  [EXIT_STATUS.NOT_ROOT, 'the command needs root'],
  [EXIT_STATUS.CONFIG, "the configuration can't be read, or there is no agent to install into"],
  [EXIT_STATUS.INTERRUPTED, 'interrupted (Ctrl-C); the output says how much was done'],
];
export const EXIT_TERMS: Terms = EXIT_MEANINGS.map(([status, text]) => [String(status), text]);

/** Returns the lines of the program's help. `width` is the terminal's width in characters; null without a terminal. */
export function programHelp(groups: readonly CommandGroup[], width: number | null): string[] {
  const columns = columnsOf(width);
  const sections: Section[] = [
    ...groups.map(({ title, commands }): Section => {
      return [title, commands.map(({ name, summary }) => [name, summary])];
    }),
    ['Options of all commands', [HELP, ['-V, --version', 'print the version']]],
    ['Exit status', EXIT_TERMS],
  ];
  return [
    'firewall-drop COMMAND [ARGUMENTS]',
    '',
    ...wrap(PURPOSE, columns),
    ...layOut(sections, columns),
    '',
    ...wrap(`${STARTED_BY_EXECD} The manual page: firewall-drop man | man -l -`, columns),
  ];
}

export function commandHelp(command: CommandSpec, width: number | null): string[] {
  const columns = columnsOf(width);
  return [
    ...wrap(`firewall-drop ${command.name} ${argumentsOf(command)}`.trim(), columns, '    '),
    '',
    ...wrap(textOf(command), columns),
    ...layOut(sectionsOf(command, [HELP]), columns),
  ];
}

export function textOf({ aliases, summary, details }: CommandSpec): string {
  const same = aliases.length === 0 ? '' : `Aliases: ${aliases.join(', ')}.`;
  return [`${summary}.`, same, details].filter((part) => part !== '').join(' ');
}

/** Returns the sections of a command's help. `common` are options that every command has. */
export function sectionsOf(command: CommandSpec, common: Terms = []): Section[] {
  const { positional, options, examples } = command;
  const terms = Object.entries(options).map(([name, spec]) => {
    return [optionTerm(name, spec), optionText(spec)] as const;
  });
  const sections: Section[] = [
    ['Arguments', positional === undefined ? [] : [[placeholder(positional), positional.describe]]],
    ['Options', [...terms, ...common]],
    ['Exit status', exitsOf(command)],
    ['Examples', examples.map(([example, what]) => [`firewall-drop ${example}`, what])],
  ];
  return sections.filter(([, all]) => all.length > 0);
}

/** Returns the exit statuses of a command, with their meaning for that command. */
function exitsOf({ exits, needsRoot }: CommandSpec): Terms {
  const meanings = new Map(EXIT_MEANINGS);
  const own = Object.entries(exits).map(([status, meaning]) => {
    return [status, meaning ?? meanings.get(Number(status)) ?? ''] as const;
  });
  const common = needsRoot ? '64, 70, 71, 74 and 77' : '64, 70, 71 and 74';
  return [...own, ['other', `${common}: common to all commands, see firewall-drop --help`]];
}

export function argumentsOf({ positional, options }: CommandSpec): string {
  const place = positional === undefined ? '' : placeholder(positional);
  return `${place}${Object.keys(options).length === 0 ? '' : ' [OPTIONS]'}`.trim();
}

/** Returns the argument's placeholder: `ADDRESS...`, `[FILE]`, `bash|zsh|fish`. */
export function placeholder({ name, count, choices }: PositionalSpec): string {
  const word = choices?.join('|') ?? name.toUpperCase();
  if (count === 'one') return word;
  if (count === 'some') return `${word}...`;
  return count === 'optional' ? `[${word}]` : `[${word}...]`;
}

/** Returns an option as the help shows it: `-t, --timeout DURATION`. */
function optionTerm(name: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  if (spec.kind === 'flag') return `${short}--${name}`;
  return `${short}--${name} ${spec.value}`;
}

function optionText(spec: OptionSpec): string {
  const usual = spec.kind === 'flag' ? undefined : spec.default;
  return usual === undefined ? spec.describe : `${spec.describe} (default: ${usual})`;
}

const WIDEST = 100;
/** The description of a longer term begins on the next line. */
const LONGEST_TERM = 30;

function columnsOf(width: number | null): number {
  return Math.min(width ?? 80, WIDEST);
}

function layOut(sections: readonly Section[], columns: number): string[] {
  return sections.flatMap(([title, terms]) => ['', `${title}:`, ...formatTerms(terms, columns)]);
}

function formatTerms(terms: Terms, columns: number): string[] {
  const lengths = terms.map(([term]) => term.length).filter((length) => length <= LONGEST_TERM);
  const indent = 2 + Math.max(2, ...lengths) + 2;
  return terms.flatMap(([term, text]) => {
    const lines = wrap(text, Math.max(20, columns - indent)).map(
      (line) => ' '.repeat(indent) + line,
    );
    const head = `  ${term}`;
    if (head.length + 2 > indent) return [head, ...lines];
    const [first = '', ...more] = lines;
    return [head + first.slice(head.length), ...more];
  });
}
