// The help of the program and of each command, made from the descriptions of the commands.
import { wrap } from './output/wrap.ts';
import type { CommandSpec, OptionSpec, PositionalSpec } from './command.ts';
import type { CommandGroup } from './commands.ts';
import { EXIT_MEANINGS, exitsOf } from './exit-meanings.ts';

const PURPOSE = "Blocks addresses with the host's firewall, and verifies that it does.";
const STARTED_BY_EXECD =
  'Wazuh and OSSEC start this program themselves: with a message on standard input and no arguments, or with add|delete USER ADDRESS ALERT_ID RULE_ID.';
const WIDEST = 100;
/** A longer term has its description on the next line. */
const LONGEST_TERM = 30;

/** Lines of the help of the program. `width`: of the terminal, in characters; null: it is none. */
export function programHelp(groups: readonly CommandGroup[], width: number | null): string[] {
  const columns = columnsOf(width);
  return [
    'firewall-drop COMMAND [ARGUMENTS]',
    '',
    ...wrap(PURPOSE, columns),
    ...groups.flatMap(({ title, commands }) => [
      '',
      `${title}:`,
      ...formatTerms(
        commands.map(({ name, summary }) => [name, summary]),
        columns,
      ),
    ]),
    '',
    'Options of all commands:',
    ...formatTerms(COMMON_OPTIONS, columns),
    '',
    'Exit status:',
    ...formatTerms(
      EXIT_MEANINGS.map(([status, meaning]) => [String(status), meaning]),
      columns,
    ),
    '',
    ...wrap(`${STARTED_BY_EXECD} All of it: firewall-drop man | man -l -`, columns),
  ];
}

const COMMON_OPTIONS: readonly (readonly [string, string])[] = [
  ['-h, --help', 'what a command does and which options it has; also: help COMMAND'],
  ['-V, --version', 'the version'],
];

export function commandHelp(command: CommandSpec, width: number | null): string[] {
  const columns = columnsOf(width);
  const { aliases = [], summary, details, positional, options, examples } = command;
  const terms = Object.entries(options).map(([option, spec]) => {
    return [optionTerm(option, spec), optionText(spec)] as const;
  });
  const section = (title: string, lines: readonly string[]): string[] => {
    return lines.length === 0 ? [] : ['', `${title}:`, ...lines];
  };
  return [
    ...wrap(usageLine(command), columns, '    '),
    '',
    ...wrap(`${summary}.${details === '' ? '' : ` ${details}`}`, columns),
    ...(aliases.length === 0 ? [] : ['', `The same: ${aliases.join(', ')}`]),
    ...section(
      'Arguments',
      positional === undefined
        ? []
        : formatTerms([[placeholder(positional), positional.describe]], columns),
    ),
    ...section('Options', formatTerms([...terms, COMMON_OPTIONS[0] ?? ['', '']], columns)),
    ...section('Exit status', exitLines(command, columns)),
    ...section(
      'Examples',
      examples.flatMap(([example, what]) => [
        `  firewall-drop ${example}`,
        ...wrap(what, columns - 6).map((line) => `      ${line}`),
      ]),
    ),
  ];
}

function exitLines(command: CommandSpec, columns: number): string[] {
  const { own, common } = exitsOf(command);
  const others = `${common}: as for all commands, see firewall-drop --help`;
  return [...formatTerms(own, columns), ...wrap(others, columns - 2).map((line) => `  ${line}`)];
}

function usageLine({ name, positional, options }: CommandSpec): string {
  const place = positional === undefined ? '' : ` ${placeholder(positional)}`;
  const some = Object.keys(options).length === 0 ? '' : ' [OPTIONS]';
  return `firewall-drop ${name}${place}${some}`;
}

/** `ADDRESS...`, `[FILE]`, `bash|zsh|fish`. */
export function placeholder({ name, count, choices }: PositionalSpec): string {
  const word = choices?.join('|') ?? name.toUpperCase();
  if (count === 'one') return word;
  if (count === 'some') return `${word}...`;
  return count === 'optional' ? `[${word}]` : `[${word}...]`;
}

/** `-t, --timeout DURATION`. */
export function optionTerm(name: string, spec: OptionSpec): string {
  const short = spec.short === undefined ? '' : `-${spec.short}, `;
  if (spec.kind === 'flag') return `${short}--${name}`;
  return `${short}--${name} ${spec.kind === 'text' ? spec.value : spec.choices.join('|')}`;
}

function optionText(spec: OptionSpec): string {
  const given = spec.kind === 'flag' ? '' : (spec.default ?? '');
  return given === '' ? spec.describe : `${spec.describe} (default: ${given})`;
}

function columnsOf(width: number | null): number {
  return Math.min(width ?? 80, WIDEST);
}

function formatTerms(
  terms: readonly (readonly [term: string, text: string])[],
  columns: number,
): string[] {
  const lengths = terms.map(([term]) => term.length).filter((length) => length <= LONGEST_TERM);
  const indent = 2 + Math.max(0, ...lengths) + 2;
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
