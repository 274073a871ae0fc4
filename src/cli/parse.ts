// Reads the arguments of the command line by the descriptions of the commands. Pure.
import { Parser } from 'yargs/helpers';
import { AppError } from '../model/errors.ts';
import { quote } from '../system/printable.ts';
import {
  findCommand,
  findOption,
  type CommandSpec,
  type Form,
  type OptionSpec,
  type OptionSpecs,
} from './command.ts';
import { nearest, nearestCommand } from './suggest.ts';

export type Parsed =
  | { readonly kind: 'version' }
  /** Null: of the program as a whole. */
  | { readonly kind: 'help'; readonly of: CommandSpec | null }
  | {
      readonly kind: 'run';
      readonly command: CommandSpec;
      readonly words: readonly string[];
      readonly options: Options;
    };

type Options = Parameters<CommandSpec['run']>[1];

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
  if (first.startsWith('-')) {
    const way = 'write the command first, for example: firewall-drop list --json';
    throw new AppError('USAGE', `${quote(first)} stands before the command: ${way}`);
  }
  const { command, rest: own } = commandIn(args, commands);
  return parseOwn(own, command);
}

function commandIn(
  words: readonly string[],
  commands: readonly CommandSpec[],
): NonNullable<ReturnType<typeof findCommand>> {
  const found = findCommand(words, commands);
  if (found !== null) return found;
  const [first = '', second] = words;
  const group = commands.filter(({ name }) => name.startsWith(`${first} `));
  if (group.length > 0) {
    const typed = second === undefined || second.startsWith('-') ? first : `${first} ${second}`;
    const names = group.map(({ name }) => name).join(', ');
    throw new AppError('USAGE', `there is no command ${quote(typed)}; there are ${names}`);
  }
  const meant = nearestCommand(first, commands);
  const advice = meant === null ? 'firewall-drop --help lists them' : `did you mean ${meant}?`;
  throw new AppError('USAGE', `there is no command ${quote(first)}; ${advice}`);
}

/** An option as it was typed. */
interface GivenOption {
  readonly name: string;
  /** `-t`, `--timeout`. */
  readonly typed: string;
  /** Undefined: none was given. */
  readonly value: string | undefined;
  /** What stands after it and looks like another option. */
  readonly next: string | undefined;
}

/** What follows the name of the command. */
function parseOwn(args: readonly string[], command: CommandSpec): Parsed {
  const { words, given } = readArguments(args, command.options);
  if (given.some(({ name }) => name === 'help')) return { kind: 'help', of: command };
  const texts = new Map<string, string>();
  for (const option of given) take(option, texts, command);
  checkWords(words, command);
  const options = Object.entries(command.options).map(([name, spec]) => {
    return [name, valueOf(name, spec, texts.get(name), command)] as const;
  });
  return { kind: 'run', command, words, options: Object.fromEntries(options) as Options };
}

/** Words stay as they were typed, and an option that is given twice has both values: the messages about mistakes are ours. */
const PARSING = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'populate--': true,
  'strip-aliased': true,
};

/** What yargs makes of the arguments, as the descriptions of the options have it. */
function readArguments(
  args: readonly string[],
  specs: OptionSpecs,
): { readonly words: readonly string[]; readonly given: readonly GivenOption[] } {
  const all = Object.entries(specs);
  const shorts = all.flatMap(([name, { short }]) => (short === undefined ? [] : [[name, [short]]]));
  const flags = all.flatMap(([name, spec]) => (spec.kind === 'flag' ? name : flagsOf(spec)));
  const rewritten = rewrite(args, specs);
  const parsed: Parsing = Parser(rewritten, {
    alias: { ...(Object.fromEntries(shorts) as Record<string, string[]>), help: ['h'] },
    boolean: [...flags, 'help'],
    string: all.filter(([, { kind }]) => kind !== 'flag').map(([name]) => name),
    configuration: PARSING,
  });
  const { _: words, '--': rest = [], ...options } = parsed;
  const given = Object.entries(options).flatMap(([name, value]) => {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.map((one) => optionOf(name, one, specs[name]?.short, rewritten));
  });
  return { words: [...words, ...rest].map(String), given };
}

interface Parsing {
  readonly [name: string]: unknown;
  readonly _: readonly (string | number)[];
  readonly '--'?: readonly (string | number)[];
}

/** What yargs has otherwise: `-t2h` is `-t=2h`, as getopt has it, and `-` is a value where one is due, standard input. */
function rewrite(args: readonly string[], specs: OptionSpecs): string[] {
  const takesValue = (arg = ''): boolean => (findOption(specs, arg)?.kind ?? 'flag') !== 'flag';
  return args.flatMap((arg, index) => {
    if (arg === '-' && takesValue(args[index - 1])) return [];
    if (args[index + 1] === '-' && takesValue(arg)) return [`${arg}=-`];
    const [, short, value = ''] = /^(-[A-Za-z])([^=].*)$/s.exec(arg) ?? [];
    return [takesValue(short) ? `${short ?? ''}=${value}` : arg];
  });
}

/** yargs gives '' for an option without a value, and does not say that a flag has one: that is looked up. */
function optionOf(
  name: string,
  value: unknown,
  short: string | undefined,
  args: readonly string[],
): GivenOption {
  const spellings = [`--${name}`, `-${short ?? name}`];
  const at = args.findIndex((arg) => spellings.includes(arg.split('=', 1)[0] ?? ''));
  const typed = args[at]?.split('=', 1)[0] ?? `--${name}`;
  const inline = args[at]?.includes('=') === true ? args[at].slice(typed.length + 1) : undefined;
  if (typeof value === 'boolean') return { name, typed, value: inline, next: undefined };
  const after = args[at + 1];
  if (value !== '' || inline !== undefined || after === '') {
    return { name, typed, value: String(value), next: undefined };
  }
  return {
    name,
    typed,
    value: undefined,
    next: after?.startsWith('-') === true ? after : undefined,
  };
}

/** Notes the text that an option was given; of a choice that is given as a flag that is its name. */
function take(option: GivenOption, texts: Map<string, string>, command: CommandSpec): void {
  const { name, typed, value, next } = option;
  const all = Object.entries(command.options);
  const [owner, spec] =
    all.find(([known]) => known === name) ??
    all.find(([, one]) => flagsOf(one).includes(name)) ??
    [];
  if (owner === undefined || spec === undefined) throw unknownOption(option, command);
  const isFlag = spec.kind === 'flag' || owner !== name;
  if (isFlag && value !== undefined) throw usage(`${typed} takes no value`, command);
  if (!isFlag && value === undefined) {
    const wanted = spec.kind === 'text' ? spec.describe : spec.choices.join(', ');
    const way = next === undefined ? '' : `; if ${quote(next)} is meant, write --${name}=${next}`;
    throw usage(`${typed} needs a value (${wanted})${way}`, command);
  }
  const text = value ?? name;
  const before = texts.get(owner);
  if (before !== undefined && spec.kind !== 'flag') {
    const both = before === text ? '' : `, as ${quote(before)} and ${quote(text)}`;
    throw usage(`--${owner} was given twice${both}: leave one out`, command);
  }
  texts.set(owner, text);
}

/** What an option was given as its description has it, or its default. */
function valueOf(
  name: string,
  spec: OptionSpec,
  given: string | undefined,
  command: CommandSpec,
): unknown {
  if (spec.kind === 'flag') return given !== undefined;
  const text = given ?? spec.default;
  if (text === undefined) return undefined;
  const { read, expected } = formOf(spec);
  const value = read(text);
  if (value !== undefined) return value;
  throw usage(`--${name} ${quote(text)} is not ${expected}`, command);
}

function formOf(spec: Exclude<OptionSpec, { kind: 'flag' }>): Form<unknown> {
  if (spec.kind === 'text') return spec.form ?? ANY_TEXT;
  const { choices } = spec;
  const expected = `one of ${choices.join(', ')}`;
  return { expected, read: (text) => choices.find((one) => one === text) };
}

const ANY_TEXT: Form<string> = { expected: 'text', read: (text) => text };

/** Its choices, where each may be given as a flag. */
function flagsOf(spec: OptionSpec): readonly string[] {
  return spec.kind === 'choice' && spec.asFlags === true ? spec.choices : [];
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
