// Reads the arguments of the command line by the descriptions of the commands. Pure.
import { parseArgs } from 'node:util';
import { AppError } from '../model/errors.ts';
import { quote } from './addresses.ts';
import { namesOf, type CommandSpec, type OptionSpec, type OptionSpecs } from './command.ts';
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
    throw new AppError('USAGE', 'say what to do, for example: firewall-drop list');
  }
  if (HELP.includes(first)) return { kind: 'help', of: null };
  if (VERSION.includes(first)) return { kind: 'version' };
  if (first === 'help' && !rest.some((word) => word.startsWith('-'))) {
    return { kind: 'help', of: rest.length === 0 ? null : findCommand(rest, commands).command };
  }
  if (first.startsWith('-')) throw strayOption(first);
  const { command, rest: own } = findCommand(args, commands);
  return parseOwn(own, command);
}

function strayOption(given: string): AppError {
  return new AppError(
    'USAGE',
    `${quote(given)} stands before the command: write the command first, for example: firewall-drop list --json`,
  );
}

/** The longest name that the words begin with. */
function findCommand(
  words: readonly string[],
  commands: readonly CommandSpec[],
): { readonly command: CommandSpec; readonly rest: readonly string[] } {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ');
    const command = commands.find((one) => namesOf(one).includes(name));
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  throw unknownCommand(words, commands);
}

function unknownCommand(
  [first = '', second]: readonly string[],
  commands: readonly CommandSpec[],
): AppError {
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length > 0) {
    const seconds = group.map(({ name }) => name.slice(first.length + 1)).join(', ');
    const given = second === undefined || second.startsWith('-') ? '' : `, not ${quote(second)}`;
    return new AppError('USAGE', `${first} needs one of ${seconds} after it${given}`);
  }
  const meant = nearestCommand(first, commands);
  const advice = meant === null ? 'firewall-drop --help lists them' : `did you mean ${meant}?`;
  return new AppError('USAGE', `there is no command ${quote(first)}; ${advice}`);
}

type Token =
  | { readonly kind: 'positional'; readonly value: string }
  | { readonly kind: 'option-terminator' }
  | {
      readonly kind: 'option';
      readonly name: string;
      readonly rawName: string;
      readonly value?: string | undefined;
      readonly inlineValue?: boolean | undefined;
    };

/** What follows the name of the command. */
function parseOwn(args: readonly string[], command: CommandSpec): Parsed {
  const tokens = tokensOf(args, command.options);
  const isHelp = ({ name }: { name: string }): boolean => name === 'help' || name === 'h';
  if (tokens.some((token) => token.kind === 'option' && isHelp(token))) {
    return { kind: 'help', of: command };
  }
  const words = tokens.flatMap((token) => (token.kind === 'positional' ? [token.value] : []));
  const given = new Map<string, string | boolean>();
  for (const token of tokens) if (token.kind === 'option') take(token, given, command);
  checkWords(words, command);
  const options = Object.entries(command.options).map(([name, spec]) => {
    const without = spec.kind === 'flag' ? false : spec.default;
    return [name, given.get(name) ?? without] as const;
  });
  return { kind: 'run', command, words, options: Object.fromEntries(options) };
}

function tokensOf(args: readonly string[], specs: OptionSpecs): readonly Token[] {
  const options = Object.entries(specs).map(([name, { kind, short }]) => {
    const type = kind === 'flag' ? ('boolean' as const) : ('string' as const);
    return [name, { type, ...(short !== undefined && { short }) }] as const;
  });
  return parseArgs({
    args: [...args],
    options: Object.fromEntries(options),
    // What is wrong is told in our own words.
    strict: false,
    allowPositionals: true,
    tokens: true,
  }).tokens;
}

type OptionToken = Extract<Token, { kind: 'option' }>;

function take(
  token: OptionToken,
  given: Map<string, string | boolean>,
  command: CommandSpec,
): void {
  const { name, value } = resolve(token, command);
  const before = given.get(name);
  if (before !== undefined && typeof value === 'string') {
    throw usage(
      before === value
        ? `--${name} was given more than once`
        : `--${name} was given twice, as ${quote(String(before))} and ${quote(value)}: leave one out`,
      command,
    );
  }
  given.set(name, value);
}

/** Which option is meant, and its value as its description allows it. */
function resolve(
  token: OptionToken,
  command: CommandSpec,
): { readonly name: string; readonly value: string | boolean } {
  const { options } = command;
  const spec = Object.hasOwn(options, token.name) ? options[token.name] : undefined;
  const [chosen] = Object.entries(options).find(([, one]) => isFlagOf(one, token.name)) ?? [];
  if (spec === undefined && chosen === undefined) throw unknownOption(token.rawName, command);
  if (spec === undefined || spec.kind === 'flag') {
    if (token.value !== undefined) throw usage(`${token.rawName} takes no value`, command);
    return { name: chosen ?? token.name, value: chosen === undefined ? true : token.name };
  }
  return { name: token.name, value: readValue(token, spec, command) };
}

function isFlagOf(spec: OptionSpec, name: string): boolean {
  return spec.kind === 'choice' && spec.asFlags === true && spec.choices.includes(name);
}

function readValue(
  { rawName, name, value, inlineValue }: OptionToken,
  spec: Exclude<OptionSpec, { kind: 'flag' }>,
  command: CommandSpec,
): string {
  const looksLikeOption = value !== undefined && inlineValue !== true && /^-[^\d]/.test(value);
  if (value === undefined || looksLikeOption) {
    const wanted = spec.kind === 'text' ? spec.describe : spec.choices.join(', ');
    const way = looksLikeOption ? `; if ${quote(value)} is meant, write --${name}=${value}` : '';
    throw usage(`${rawName} needs a value: ${wanted}${way}`, command);
  }
  if (spec.kind === 'text' || spec.choices.includes(value)) return value;
  throw usage(`${rawName} ${quote(value)} is not one of ${spec.choices.join(', ')}`, command);
}

function unknownOption(rawName: string, command: CommandSpec): AppError {
  const specs = Object.entries(command.options);
  const flags = specs.flatMap(([, spec]) => {
    return spec.kind === 'choice' && spec.asFlags === true ? spec.choices : [];
  });
  const typed = rawName.replace(/^-+/, '');
  const meant = nearest(typed, [...specs.map(([name]) => name), ...flags, 'help']);
  const advice = meant === null ? '' : `; did you mean --${meant}?`;
  return usage(`${command.name} has no option ${quote(rawName)}${advice}`, command);
}

function checkWords(words: readonly string[], command: CommandSpec): void {
  const { positional } = command;
  const [first] = words;
  if (positional === undefined) {
    if (first === undefined) return;
    throw usage(`${command.name} takes no arguments, and ${quote(first)} is one`, command);
  }
  const { name, count, choices } = positional;
  const needsOne = count === 'one' || count === 'some';
  if (needsOne && first === undefined)
    throw usage(`${command.name} needs ${article(name)}`, command);
  if ((count === 'one' || count === 'optional') && words.length > 1) {
    throw usage(`${command.name} takes one ${name}, and ${words.length} were given`, command);
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
  return new AppError('USAGE', `${message}; see firewall-drop ${name} --help`);
}
