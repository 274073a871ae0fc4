// Parses the command line according to the descriptions of the commands. Pure.
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
  /** `of` is null for the help of the whole program. */
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

/** Parses the command line. Throws `USAGE`, with advice, if it is invalid. */
export function parseArguments(args: readonly string[], commands: readonly CommandSpec[]): Parsed {
  const [first, ...rest] = args;
  if (first === undefined) {
    throw new AppError('USAGE', 'no command given; example: firewall-drop list');
  }
  if (HELP.includes(first)) return { kind: 'help', of: null };
  if (VERSION.includes(first)) return { kind: 'version' };
  if (first === 'help' && !rest.some((word) => word.startsWith('-'))) {
    return { kind: 'help', of: rest.length === 0 ? null : commandIn(rest, commands).command };
  }
  if (first.startsWith('-')) {
    const way = 'put the command first, as in firewall-drop list --json';
    throw new AppError('USAGE', `${quote(first)} comes before the command; ${way}`);
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
    const isAlone = second === undefined || second.startsWith('-');
    const what = isAlone
      ? `the command ${quote(first)} is incomplete`
      : `there is no command ${quote(`${first} ${second}`)}`;
    const names = group.map(({ name }) => name).join(', ');
    throw new AppError('USAGE', `${what}; the commands are ${names}`);
  }
  const meant = nearestCommand(first, commands);
  const advice = meant === null ? 'firewall-drop --help lists them' : `did you mean ${meant}?`;
  throw new AppError('USAGE', `there is no command ${quote(first)}; ${advice}`);
}

/** Parses the arguments after the name of the command. */
function parseOwn(args: readonly string[], command: CommandSpec): Parsed {
  const { _: words, '--': rest = [], help, ...given } = readArguments(args, command);
  if (help !== undefined) return { kind: 'help', of: command };
  const texts = new Map<string, string>();
  for (const [name, value] of Object.entries(given)) {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    for (const one of values) take(name, one, texts, command);
  }
  const all = [...words, ...rest].map(String);
  checkWords(all, command);
  const options = Object.entries(command.options).map(([name, spec]) => {
    return [name, valueOf(name, spec, texts.get(name), command)] as const;
  });
  return { kind: 'run', command, words: all, options: Object.fromEntries(options) };
}

/**
 * Makes yargs keep words as typed and both values of a repeated option, so that this module can report the mistakes
 * itself.
 */
const PARSING = {
  'boolean-negation': false,
  'camel-case-expansion': false,
  'dot-notation': false,
  'parse-numbers': false,
  'parse-positional-numbers': false,
  'populate--': true,
  'strip-aliased': true,
};

interface Parsing {
  readonly [name: string]: unknown;
  readonly _: readonly (string | number)[];
  readonly '--'?: readonly (string | number)[];
}

/** Parses the arguments with yargs, according to the descriptions of the options. */
function readArguments(args: readonly string[], command: CommandSpec): Parsing {
  const all = Object.entries(command.options);
  const shorts = all.flatMap(([name, { short }]) => (short === undefined ? [] : [[name, [short]]]));
  const end = args.includes('--') ? args.indexOf('--') : args.length;
  const valued = all.filter(([, { kind }]) => kind !== 'flag').map(([name]) => name);
  const { argv, error }: { argv: Parsing; error: Error | null } = Parser.detailed(
    args.map((arg, at) => (at < end ? withLongName(arg, command.options) : arg)),
    {
      alias: { ...(Object.fromEntries(shorts) as Record<string, string[]>), help: ['h'] },
      boolean: [...all.flatMap(([name, spec]) => flagsOf(name, spec)), 'help'],
      string: valued,
      narg: Object.fromEntries(valued.map((name) => [name, 1])),
      configuration: PARSING,
    },
  );
  if (error !== null && argv['help'] === undefined) throw unvalued(error.message, args, command);
  return argv;
}

/** Rewrites `-t2h` and `-t=` to `--timeout=2h` and `--timeout=`, because yargs parses the short forms differently. */
function withLongName(arg: string, specs: OptionSpecs): string {
  const [, short = '', value = ''] = /^(-[A-Za-z])=?(.*)$/s.exec(arg) ?? [];
  const [name, spec] = findOption(specs, short) ?? [];
  const isWhole = spec === undefined || spec.kind === 'flag' || arg === short;
  return isWhole ? arg : `--${name ?? ''}=${value}`;
}

/** Returns the error for an option without a value. yargs' `message` ends with the option's name as typed. */
function unvalued(message: string, args: readonly string[], command: CommandSpec): AppError {
  const given = message.split(' ').at(-1) ?? '';
  const typed = dashed(given);
  const [name = given, spec] = findOption(command.options, typed) ?? [];
  const choices = spec?.kind === 'value' ? spec.choices : undefined;
  const wanted = choices?.join(', ') ?? spec?.describe ?? '';
  const at = args.lastIndexOf(typed);
  const next = at < 0 ? undefined : args[at + 1];
  const way = next === undefined ? '' : `; for the value ${quote(next)} write --${name}=${next}`;
  return usage(`${typed} needs a value (${wanted})${way}`, command);
}

function dashed(name: string): string {
  return name.length === 1 ? `-${name}` : `--${name}`;
}

/** Returns the names that set an option without a value: a flag's own name, or the choices of an option `asFlags`. */
function flagsOf(name: string, spec: OptionSpec): readonly string[] {
  if (spec.kind === 'flag') return [name];
  return spec.asFlags === true ? (spec.choices ?? []) : [];
}

/**
 * Records the text given for an option; for a flag that is its name. Throws `USAGE` for a repeated or unknown option.
 */
function take(
  name: string,
  value: unknown,
  texts: Map<string, string>,
  command: CommandSpec,
): void {
  const all = Object.entries(command.options);
  const [owner, spec] =
    all.find(([known, one]) => [known, ...flagsOf(known, one)].includes(name)) ?? [];
  if (owner === undefined || spec === undefined) throw unknownOption(name, command);
  const isFlag = flagsOf(owner, spec).includes(name);
  if (isFlag && value !== true) throw usage(`--${name} takes no value`, command);
  const text = isFlag ? name : String(value);
  const before = texts.get(owner);
  if (before !== undefined && spec.kind !== 'flag') {
    const both = before === text ? '' : `, as ${quote(before)} and as ${quote(text)}`;
    throw usage(`--${owner} is given twice${both}`, command);
  }
  texts.set(owner, text);
}

/** Parses the text given for an option, or its default. */
function valueOf(
  name: string,
  spec: OptionSpec,
  given: string | undefined,
  command: CommandSpec,
): unknown {
  if (spec.kind === 'flag') return given !== undefined;
  const text = given ?? spec.default;
  if (text === undefined) return undefined;
  const { read, expected } = spec.form;
  const value = read(text);
  if (value !== undefined) return value;
  throw usage(`--${name} ${quote(text)} is not ${expected}`, command);
}

function unknownOption(name: string, command: CommandSpec): AppError {
  const known = Object.entries(command.options).flatMap(([own, spec]) => [
    own,
    ...flagsOf(own, spec),
  ]);
  const meant = nearest(name, [...known, 'help']);
  const advice = meant === null ? '' : `; did you mean --${meant}?`;
  return usage(`${command.name} has no option ${quote(dashed(name))}${advice}`, command);
}

function checkWords(words: readonly string[], command: CommandSpec): void {
  const { positional } = command;
  const [first] = words;
  if (positional === undefined) {
    if (first === undefined) return;
    throw usage(`${command.name} takes no arguments, but got ${quote(first)}`, command);
  }
  const { name, count, choices } = positional;
  const needsOne = count === 'one' || count === 'some';
  if (needsOne && first === undefined)
    throw usage(`${command.name} needs ${/^[aeiou]/.test(name) ? 'an' : 'a'} ${name}`, command);
  if ((count === 'one' || count === 'optional') && words.length > 1) {
    throw usage(`${command.name} takes one ${name}, but got ${words.length}`, command);
  }
  const wrong = words.find((word) => choices?.includes(word) === false);
  if (wrong !== undefined) {
    throw usage(`${quote(wrong)} is not one of ${choices?.join(', ') ?? ''}`, command);
  }
}

function usage(message: string, { name }: CommandSpec): AppError {
  const see = message.endsWith('?') ? ' See' : '; see';
  return new AppError('USAGE', `${message}${see} firewall-drop ${name} --help`);
}
