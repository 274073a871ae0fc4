// Reads the arguments of the command line by the descriptions of the commands. Pure.
import { Parser } from 'yargs/helpers';
import { AppError } from '../model/errors.ts';
import { quote } from '../system/printable.ts';
import {
  findCommand,
  findOption,
  type CommandSpec,
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
  const flags = all.flatMap(([name, spec]) => {
    if (spec.kind === 'flag') return [name];
    return spec.kind === 'choice' && spec.asFlags === true ? spec.choices : [];
  });
  const apart = joinDash(
    args.flatMap((arg) => splitShort(arg, specs)),
    specs,
  );
  const parsed: Parsing = Parser(apart, {
    alias: { ...(Object.fromEntries(shorts) as Record<string, string[]>), help: ['h'] },
    boolean: [...flags, 'help'],
    string: all.filter(([, { kind }]) => kind !== 'flag').map(([name]) => name),
    configuration: PARSING,
  });
  const { _: words, '--': rest = [], ...options } = parsed;
  const given = Object.entries(options).flatMap(([name, value]) => {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    return values.map((one) => optionOf(name, one, specs[name]?.short, apart));
  });
  return { words: [...words, ...rest].map(String), given };
}

interface Parsing {
  readonly [name: string]: unknown;
  readonly _: readonly (string | number)[];
  readonly '--'?: readonly (string | number)[];
}

/** `-t2h` is `-t 2h`, as getopt has it. */
function splitShort(arg: string, specs: OptionSpecs): string[] {
  const [, letter, value] = /^-([A-Za-z])([^=].*)$/.exec(arg) ?? [];
  if (letter === undefined || value === undefined) return [arg];
  if ((findOption(specs, `-${letter}`)?.kind ?? 'flag') === 'flag') return [arg];
  return [`-${letter}`, value];
}

/** `-` is a value, standard input; for yargs it would be a word. */
function joinDash(args: readonly string[], specs: OptionSpecs): string[] {
  const takesValue = (arg = ''): boolean => (findOption(specs, arg)?.kind ?? 'flag') !== 'flag';
  return args.flatMap((arg, index) => {
    if (arg === '-' && takesValue(args[index - 1])) return [];
    return args[index + 1] === '-' && takesValue(arg) ? [`${arg}=-`] : [arg];
  });
}

/** yargs gives '' for an option without a value, and false for a flag with one. */
function optionOf(
  name: string,
  value: unknown,
  short: string | undefined,
  args: readonly string[],
): GivenOption {
  const spellings = [`--${name}`, `-${short ?? name}`];
  const typed = spellings.find((one) => args.some((arg) => isSpelled(arg, one))) ?? `--${name}`;
  const inline = args.find((arg) => arg.startsWith(`${typed}=`))?.slice(typed.length + 1);
  if (typeof value === 'boolean') {
    return { name, typed, ...(inline !== undefined && { value: inline }) };
  }
  const next = args[args.indexOf(typed) + 1];
  if (value !== '' || inline !== undefined || next === '') {
    return { name, typed, value: String(value) };
  }
  return { name, typed, ...(next?.startsWith('-') === true && { next }) };
}

function isSpelled(arg: string, spelling: string): boolean {
  return arg === spelling || arg.startsWith(`${spelling}=`);
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
