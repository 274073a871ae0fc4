// Describes commands: the one source for the parser, the help, the manual page and shell completion.
import { ORIGINS } from '../model/ban.ts';
import type { Person } from './session.ts';

/** The form of an option's value. `read` returns undefined for a text that is not as `expected`. */
export interface Form<V> {
  readonly expected: string;
  readonly read: (text: string) => V | undefined;
}

interface ValueOption<V> {
  readonly kind: 'value';
  /** The placeholder of the value in the help. */
  readonly value: string;
  readonly form: Form<V>;
}

/** Returns an option of the given form, without its description. `value` is the placeholder in the help. */
export function textOption<V>(value: string, form: Form<V>): ValueOption<V> {
  return { kind: 'value', value, form };
}

/** Returns an option whose value can be any text. */
export function anyText(value: string): ValueOption<string> {
  return textOption(value, { expected: 'text', read: (text) => text });
}

/** Returns an option whose value must match `pattern` and is used unchanged. */
export function matching(value: string, pattern: RegExp, expected: string): ValueOption<string> {
  const read = (text: string): string | undefined => (pattern.test(text) ? text : undefined);
  return textOption(value, { expected, read });
}

/** Returns an option whose value must be one of `choices`. */
export function oneOf<const C extends readonly [string, ...string[]]>(
  ...choices: C
): ValueOption<C[number]> & { readonly choices: C } {
  const read = (text: string): C[number] | undefined => choices.find((one) => one === text);
  const expected = `one of ${choices.join(', ')}`;
  return { ...textOption(choices.join('|'), { expected, read }), choices };
}

/** A number of lines or rows. */
export const NUMBER = textOption('NUMBER', {
  expected: 'a number above 0',
  read: (text) => (/^[1-9][0-9]{0,8}$/.test(text) ? Number(text) : undefined),
});

/** An option of a command. */
export type OptionSpec = {
  readonly describe: string;
  /** The letter of the short form: `t` for `-t`. */
  readonly short?: string;
} & (
  | { readonly kind: 'flag' }
  | (ValueOption<unknown> & {
      readonly default?: string;
      readonly choices?: readonly string[];
      /** Present if each choice can also be given as a flag: `--json` for `--output json`. */
      readonly asFlags?: true;
      /** Present if the value is a file name, so that shell completion offers files. */
      readonly isFile?: true;
    })
);

export interface PositionalSpec {
  readonly name: string;
  readonly describe: string;
  /** `any`: zero or more; `some`: one or more; `one`: exactly one; `optional`: zero or one. */
  readonly count: 'any' | 'some' | 'one' | 'optional';
  readonly choices?: readonly string[];
  /** What shell completion offers for this argument. */
  readonly offers?: 'files' | 'banned addresses';
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type ValueOf<O> = O extends { form: Form<infer V> } ? V : boolean;

/** The parsed options: booleans for flags, otherwise the values; undefined if not given and without a default. */
type OptionValues<O extends OptionSpecs> = {
  readonly [Name in keyof O]: O[Name] extends { kind: 'flag' } | { default: string }
    ? ValueOf<O[Name]>
    : ValueOf<O[Name]> | undefined;
};

export interface CommandSpec<O extends OptionSpecs = OptionSpecs> {
  /** One word, or two words for a command of a group: `protect check`. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** One line, for lists of commands. */
  readonly summary: string;
  /** What the summary leaves open, for the help and the manual page. */
  readonly details: string;
  readonly positional?: PositionalSpec;
  readonly options: O;
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** The exit statuses specific to this command, with their meaning; null for the meaning in EXIT_MEANINGS. */
  readonly exits: Readonly<Record<number, string | null>>;
  /** False if the command neither reads the state nor changes anything. */
  readonly needsRoot: boolean;
  /** Reports whether the output can exceed a screen. On a terminal it then goes through a pager. */
  isLong(options: OptionValues<O>): boolean;
  /** Runs the command and returns the exit status. Throws an AppError on failure. */
  run(words: readonly string[], options: OptionValues<O>, person: Person): number | Promise<number>;
}

/** The defaults of a command's description. */
const USUAL = {
  aliases: [],
  details: '',
  options: {},
  exits: { 0: 'success' },
  needsRoot: true,
  isLong: () => false,
} as const;

/** Defines a command; the types of its options follow from their descriptions. */
export function defineCommand<const O extends OptionSpecs = typeof USUAL.options>(
  spec: Omit<CommandSpec<O>, keyof typeof USUAL> &
    Partial<Pick<CommandSpec<O>, keyof typeof USUAL>>,
): CommandSpec {
  // The parser creates the values from the same descriptions, so their types match.
  return { ...USUAL, ...spec };
}

/** The exit status of a negative answer that is not an error: not blocked, not protected, or something to repair. */
export const ANSWER_NO = 1;

/** The exit statuses of commands that change bans, and of those that accept a list. */
export const CHANGES = { 69: null, 75: null } as const;
export const CHANGES_LIST = { ...CHANGES, 130: null } as const;

/** Returns the option `-o`, the output format. The first choice is the default. */
export function outputAs<const F extends readonly [string, ...string[]]>(
  ...formats: F
): ReturnType<typeof oneOf<F>> &
  Record<'short' | 'default' | 'describe', string> & { asFlags: true } {
  const flags = formats.slice(1).map((format) => `--${format}`);
  const describe = `output format; short: ${flags.join(', ')}${formats.includes('json') ? '; for JSON see docs/json.md' : ''}`;
  return { ...oneOf(...formats), short: 'o', default: formats[0], asFlags: true, describe };
}

export const BANNED = {
  name: 'address',
  describe: 'IPv4, IPv6, or a network',
  offers: 'banned addresses',
} as const;

export const WIDE = {
  wide: { kind: 'flag', describe: 'show all columns in full, even on a narrow terminal' },
} as const;

export const DRY_RUN = {
  'dry-run': { kind: 'flag', short: 'n', describe: 'show what would be done; change nothing' },
} as const;

export const FILE = {
  file: {
    ...anyText('LIST'),
    short: 'f',
    isFile: true,
    describe: 'read one address per line, with blank lines and # comments; - is standard input',
  },
} as const;

export const ORIGIN = {
  origin: { ...oneOf(...ORIGINS), describe: 'only the holds of this origin' },
} as const;

export const QUIET = {
  quiet: { kind: 'flag', short: 'q', describe: 'print errors only' },
} as const;

/** Finds the command whose name the words begin with, the longest name first; null if there is none. */
export function findCommand(
  words: readonly string[],
  commands: readonly CommandSpec[],
): { readonly command: CommandSpec; readonly rest: readonly string[] } | null {
  for (const length of [2, 1]) {
    const name = words.slice(0, length).join(' ');
    const command = commands.find((one) => namesOf(one).includes(name));
    if (command !== undefined) return { command, rest: words.slice(length) };
  }
  return null;
}

/** Finds the option that a word names, as `--name` or `-n`. */
export function findOption(
  specs: OptionSpecs,
  word: string,
): readonly [name: string, spec: OptionSpec] | undefined {
  return Object.entries(specs).find(([name, { short }]) => {
    return word === `--${name}` || (short !== undefined && word === `-${short}`);
  });
}

export function namesOf({ name, aliases }: CommandSpec): string[] {
  return [name, ...aliases];
}
