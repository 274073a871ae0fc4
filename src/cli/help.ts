// What there is to say of the program and of each command, from the descriptions of the commands: as sections, which the
// manual page has too, and laid out for a terminal.
import { EXIT_STATUS } from '../model/errors.ts';
import { ANSWER_NO, type CommandSpec, type OptionSpec, type PositionalSpec } from './command.ts';
import type { CommandGroup } from './commands.ts';
import { wrap } from './output/wrap.ts';

export type Terms = readonly (readonly [term: string, text: string])[];
type Section = readonly [title: string, terms: Terms];

const PURPOSE = "Blocks addresses with the host's firewall, and verifies that it does.";
const STARTED_BY_EXECD =
  'Wazuh and OSSEC start this program themselves: with a message on standard input and no arguments, or with add|delete USER ADDRESS ALERT_ID RULE_ID.';
const HELP = [
  '-h, --help',
  'what a command does and which options it has; also: help COMMAND',
] as const;
/** What each exit status means; docs/exit-statuses.md has the same table. */
export const EXIT_MEANINGS: readonly (readonly [status: number, meaning: string])[] = [
  [0, 'done: the kernel was seen to be as asked; or the answer is yes'],
  [ANSWER_NO, 'the answer is no: not blocked, not protected, or something to repair'],
  [EXIT_STATUS.USAGE, "usage: the arguments name no action, or a value can't be read"],
  [EXIT_STATUS.BAD_DATA, 'bad data, or a protected address: not all was done that was asked'],
  [EXIT_STATUS.FIREWALL, 'firewall: the kernel is not as asked, or execd went away'],
  [70, 'an internal error; please report it'],
  [EXIT_STATUS.RESOURCES, 'too few file descriptors: raise the limit (ulimit -n) of who starts it'],
  [EXIT_STATUS.STORE, 'the state, a file or standard output could not be used'],
  [EXIT_STATUS.LOCK_BUSY, 'another firewall-drop is at work: try again'],
  [EXIT_STATUS.NOT_ROOT, 'not root'],
  [EXIT_STATUS.CONFIG, "the configuration can't be used, or there is no agent to install into"],
  [EXIT_STATUS.INTERRUPTED, 'interrupted (Ctrl-C); the output says what was done and what was not'],
];
export const EXIT_TERMS: Terms = EXIT_MEANINGS.map(([status, text]) => [String(status), text]);

/** Lines of the help of the program. `width`: of the terminal, in characters; null: it is none. */
export function programHelp(groups: readonly CommandGroup[], width: number | null): string[] {
  const columns = columnsOf(width);
  const sections: Section[] = [
    ...groups.map(({ title, commands }): Section => {
      return [title, commands.map(({ name, summary }) => [name, summary])];
    }),
    ['Options of all commands', [HELP, ['-V, --version', 'the version']]],
    ['Exit status', EXIT_TERMS],
  ];
  return [
    'firewall-drop COMMAND [ARGUMENTS]',
    '',
    ...wrap(PURPOSE, columns),
    ...layOut(sections, columns),
    '',
    ...wrap(`${STARTED_BY_EXECD} All of it: firewall-drop man | man -l -`, columns),
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
  const same = aliases.length === 0 ? '' : `The same: ${aliases.join(', ')}.`;
  return [`${summary}.`, same, details].filter((part) => part !== '').join(' ');
}

/** `common`: options that every command has. */
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

/** What a command may end with, and what each means there. */
function exitsOf({ exits, needsRoot }: CommandSpec): Terms {
  const meanings = new Map(EXIT_MEANINGS);
  const own = Object.entries(exits).map(([status, meaning]) => {
    return [status, meaning ?? meanings.get(Number(status)) ?? ''] as const;
  });
  const common = needsRoot ? '64, 70, 71, 74 and 77' : '64, 70, 71 and 74';
  return [...own, ['other', `${common}: as for all commands, see firewall-drop --help`]];
}

export function argumentsOf({ positional, options }: CommandSpec): string {
  const place = positional === undefined ? '' : placeholder(positional);
  return `${place}${Object.keys(options).length === 0 ? '' : ' [OPTIONS]'}`.trim();
}

/** `ADDRESS...`, `[FILE]`, `bash|zsh|fish`. */
export function placeholder({ name, count, choices }: PositionalSpec): string {
  const word = choices?.join('|') ?? name.toUpperCase();
  if (count === 'one') return word;
  if (count === 'some') return `${word}...`;
  return count === 'optional' ? `[${word}]` : `[${word}...]`;
}

/** `-t, --timeout DURATION`. */
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
/** A longer term has its description on the next line. */
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
