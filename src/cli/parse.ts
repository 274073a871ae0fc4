// Reads the arguments of the command line by the descriptions of the commands. Pure.
import { parseArgs } from 'node:util';
import { AppError } from '../model/errors.ts';
import { quote } from '../system/printable.ts';
import { findCommand, type CommandSpec, type OptionSpec, type OptionSpecs } from './command.ts';
import { nearest, nearestCommand } from './suggest.ts';

export type Parsed =
  | { readonly kind: 'version' }
  /** Null: of the program as a whole. */
  | { readonly kind: 'help'; readonly of: CommandSpec | null }
  | {
      readonly kind: 'run';
      readonly command: CommandSpec;
      readonly words: readonly string[];
      readonly options: Readonly<Record<string, string | boolean | undefined>>;
    };

const HELP: readonly string[] = ['-h', '--help'];
const VERSION: readonly string[] = ['-V', '--version'];

/** Throws `USAGE` with what to write instead. */
export function parseArguments(args: readonly string[], commands: readonly CommandSpec[]): Parsed {
  const [first, ...rest] = args;
  if (first === undefined) {
    throw new AppError('USAGE', 'no command was given; for example: firewall-drop list');
  }
  if (HELP.includes(first)) return { kind: 'help', of: null };
  if (VERSION.includes(first)) return { kind: 'version' };
  if (first === 'help' && !rest.some((word) => word.startsWith('-'))) {
    return { kind: 'help', of: rest.length === 0 ? null : commandIn(rest, commands).command };
  }
  if (first.startsWith('-')) throw strayOption(first);
  const { command, rest: own } = commandIn(args, commands);
  return parseOwn(own, command);
}

function strayOption(given: string): AppError {
  return new AppError(
    'USAGE',
    `${quote(given)} stands before the command: write the command first, for example: firewall-drop list --json`,
  );
}

function commandIn(
  words: readonly string[],
  commands: readonly CommandSpec[],
): NonNullable<ReturnType<typeof findCommand>> {
  const found = findCommand(words, commands);
  if (found !== null) return found;
  throw unknownCommand(words, commands);
}

function unknownCommand(
  [first = '', second]: readonly string[],
  commands: readonly CommandSpec[],
): AppError {
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length > 0) {
    const typed = second === undefined || second.startsWith('-') ? first : `${first} ${second}`;
    const names = group.map(({ name }) => name).join(', ');
    return new AppError('USAGE', `there is no command ${quote(typed)}; there are ${names}`);
  }
  const meant = nearestCommand(first, commands);
  const advice = meant === null ? 'firewall-drop --help lists them' : `did you mean ${meant}?`;
  return new AppError('USAGE', `there is no command ${quote(first)}; ${advice}`);
}

/** An option as it was given. */
interface GivenOption {
  readonly name: string;
  /** As it was typed: `-t`, `--timeout`. */
  readonly typed: string;
  /** Absent: none was given. */
  readonly value?: string;
  /** What stands after it and looks like another option. */
  readonly next?: string;
}

/** What follows the name of the command. */
function parseOwn(args: readonly string[], command: CommandSpec): Parsed {
  const { words, given: all } = readArguments(args, command.options);
  if (all.some(({ name }) => name === 'help')) return { kind: 'help', of: command };
  const given = new Map<string, string | boolean>();
  for (const option of all) take(option, given, command);
  checkWords(words, command);
  const options = Object.entries(command.options).map(([name, spec]) => {
    const without = spec.kind === 'flag' ? false : spec.default;
    return [name, given.get(name) ?? without] as const;
  });
  return { kind: 'run', command, words, options: Object.fromEntries(options) };
}

/** The words and options in the order in which they were typed. What is wrong with them is found later: the messages are ours. */
function readArguments(
  args: readonly string[],
  specs: OptionSpecs,
): { readonly words: readonly string[]; readonly given: readonly GivenOption[] } {
  const options = Object.entries(specs).map(([name, { kind, short }]) => {
    const type = kind === 'flag' ? ('boolean' as const) : ('string' as const);
    return [name, short === undefined ? { type } : { type, short }] as const;
  });
  const { tokens, positionals } = parseArgs({
    args: [...args],
    options: { ...Object.fromEntries(options), help: { type: 'boolean', short: 'h' } },
    strict: false,
    tokens: true,
  });
  return { words: positionals, given: tokens.flatMap((token) => optionOf(token) ?? []) };
}

type Token = NonNullable<ReturnType<typeof parseArgs>['tokens']>[number];

/** Null for what is no option. */
function optionOf(token: Token): GivenOption | null {
  if (token.kind !== 'option') return null;
  const { name, rawName: typed, value, inlineValue = false } = token;
  if (value === undefined) return { name, typed };
  if (!inlineValue && /^-./.test(value)) return { name, typed, next: value };
  // `-t=2h` as `-t2h`.
  return { name, typed, value: typed.startsWith('--') ? value : value.replace(/^=/, '') };
}

function take(
  option: GivenOption,
  given: Map<string, string | boolean>,
  command: CommandSpec,
): void {
  const { name, value } = resolve(option, command);
  const before = given.get(name);
  if (before !== undefined && typeof value === 'string') {
    throw usage(
      before === value
        ? `--${name} was given twice: leave one out`
        : `--${name} was given twice, as ${quote(String(before))} and ${quote(value)}: leave one out`,
      command,
    );
  }
  given.set(name, value);
}

/** Which option is meant, and its value as its description allows it. */
function resolve(
  option: GivenOption,
  command: CommandSpec,
): { readonly name: string; readonly value: string | boolean } {
  const { options } = command;
  const { name } = option;
  const spec = Object.hasOwn(options, name) ? options[name] : undefined;
  const [chosen] = Object.entries(options).find(([, one]) => flagsOf(one).includes(name)) ?? [];
  if (spec === undefined && chosen === undefined) throw unknownOption(option, command);
  if (spec === undefined || spec.kind === 'flag') {
    if (option.value !== undefined) throw usage(`${option.typed} takes no value`, command);
    return { name: chosen ?? name, value: chosen === undefined ? true : name };
  }
  return { name, value: readValue(option, spec, command) };
}

/** Its choices, where each may be given as a flag. */
function flagsOf(spec: OptionSpec): readonly string[] {
  return spec.kind === 'choice' && spec.asFlags === true ? spec.choices : [];
}

function readValue(
  { name, typed, value, next }: GivenOption,
  spec: Exclude<OptionSpec, { kind: 'flag' }>,
  command: CommandSpec,
): string {
  if (value === undefined) {
    const wanted = spec.kind === 'text' ? spec.describe : spec.choices.join(', ');
    const way = next === undefined ? '' : `; if ${quote(next)} is meant, write --${name}=${next}`;
    throw usage(`${typed} needs a value (${wanted})${way}`, command);
  }
  if (spec.kind === 'text' || spec.choices.includes(value)) return value;
  throw usage(`${typed} ${quote(value)} is not one of ${spec.choices.join(', ')}`, command);
}

function unknownOption({ name, typed }: GivenOption, command: CommandSpec): AppError {
  const specs = Object.entries(command.options);
  const flags = specs.flatMap(([, spec]) => flagsOf(spec));
  const meant = nearest(name, [...specs.map(([known]) => known), ...flags, 'help']);
  const advice = meant === null ? '' : `; did you mean --${meant}?`;
  return usage(`${command.name} has no option ${quote(typed)}${advice}`, command);
}

function checkWords(words: readonly string[], command: CommandSpec): void {
  const { positional } = command;
  const [first] = words;
  if (positional === undefined) {
    if (first === undefined) return;
    throw usage(`${command.name} takes no arguments, but ${quote(first)} was given`, command);
  }
  const { name, count, choices } = positional;
  const needsOne = count === 'one' || count === 'some';
  if (needsOne && first === undefined)
    throw usage(`${command.name} needs ${article(name)}`, command);
  if ((count === 'one' || count === 'optional') && words.length > 1) {
    throw usage(`${command.name} takes one ${name}, but ${words.length} were given`, command);
  }
  const wrong = words.find((word) => choices?.includes(word) === false);
  if (wrong !== undefined) {
    throw usage(`${quote(wrong)} is not one of ${choices?.join(', ') ?? ''}`, command);
  }
}

function article(noun: string): string {
  return `${/^[aeiou]/.test(noun) ? 'an' : 'a'} ${noun}`;
}

function usage(message: string, { name }: CommandSpec): AppError {
  const see = message.endsWith('?') ? ' See' : '; see';
  return new AppError('USAGE', `${message}${see} firewall-drop ${name} --help`);
}
