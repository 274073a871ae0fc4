// Describes commands: the one source for the parser, the help, the manual page and shell completion.
import { ORIGINS } from '../model/ban.ts';
import type { Person } from './session.ts';

/** The form of an option's value. `read` returns undefined for a text that is not as `expected`. */
export interface Form<V> {
  readonly expected: string;
  readonly read: (text: string) => V | undefined;
}

/** Returns an option of the given form, without its description. `value` is the placeholder in the help. */
export function textOption<V>(value: string, form: Form<V>): TextOption<V> {
  return { kind: 'text', value, form };
}

interface TextOption<V> {
  readonly kind: 'text';
  readonly value: string;
  readonly form: Form<V>;
}

/** A number of lines or rows. */
export const NUMBER = textOption('NUMBER', {
  expected: 'a number above 0',
  read: (text) => (/^[1-9][0-9]{0,8}$/.test(text) ? Number(text) : undefined),
});

/** Returns an option whose value must match `pattern` and is used unchanged. */
export function matching(value: string, pattern: RegExp, expected: string): TextOption<string> {
  const read = (text: string): string | undefined => (pattern.test(text) ? text : undefined);
  return textOption(value, { expected, read });
}

/** An option of a command. The help shows `value` as the placeholder of its value. */
export type OptionSpec = {
  readonly describe: string;
  /** The letter of the short form: `t` for `-t`. */
  readonly short?: string;
} & (
  | { readonly kind: 'flag' }
  | {
      readonly kind: 'text';
      readonly value: string;
      readonly default?: string;
      /** Absent if any text is accepted. */
      readonly form?: Form<unknown>;
      /** Present if the value is a file name, so that shell completion offers files. */
      readonly isFile?: true;
    }
  | {
      readonly kind: 'choice';
      readonly choices: readonly [string, ...string[]];
      readonly default?: string;
      /** Present if each choice can also be given as a flag: `--json` for `--output json`. */
      readonly asFlags?: true;
    }
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

type ValueOf<O> = O extends { kind: 'flag' }
  ? boolean
  : O extends { kind: 'choice'; choices: readonly (infer Choice)[] }
    ? Choice
    : O extends { form: Form<infer V> }
      ? V
      : string;

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
  ...choices: F
): OptionSpec & { readonly kind: 'choice'; readonly choices: F; readonly default: string } {
  const flags = choices.slice(1).map((choice) => `--${choice}`);
  const describe = `output format; short: ${flags.join(', ')}${choices.includes('json') ? '; for JSON see docs/json.md' : ''}`;
  return { kind: 'choice', short: 'o', choices, default: choices[0], asFlags: true, describe };
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
    kind: 'text',
    short: 'f',
    value: 'LIST',
    isFile: true,
    describe: 'read one address per line, with blank lines and # comments; - is standard input',
  },
} as const;

export const ORIGIN = {
  origin: { kind: 'choice', choices: ORIGINS, describe: 'only the holds of this origin' },
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
