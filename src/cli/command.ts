// How a command is described: once, for the parser, the help, the manual page and the shells' completion.
import { ORIGINS } from '../model/ban.ts';
import type { Person } from './session.ts';

/** What the text of an option is to be: `read` gives undefined for what is not `expected`. */
export interface Form<V> {
  readonly expected: string;
  readonly read: (text: string) => V | undefined;
}

interface ValueOption<V> {
  readonly kind: 'value';
  /** Its name, for the help. */
  readonly value: string;
  readonly form: Form<V>;
}

/** An option of that form, but for its description. */
export function textOption<V>(value: string, form: Form<V>): ValueOption<V> {
  return { kind: 'value', value, form };
}

export function anyText(value: string): ValueOption<string> {
  return textOption(value, { expected: 'text', read: (text) => text });
}

/** A text that stays as it is. */
export function matching(value: string, pattern: RegExp, expected: string): ValueOption<string> {
  const read = (text: string): string | undefined => (pattern.test(text) ? text : undefined);
  return textOption(value, { expected, read });
}

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

/** What an option may be. */
export type OptionSpec = {
  readonly describe: string;
  /** One letter, for `-t`. */
  readonly short?: string;
} & (
  | { readonly kind: 'flag' }
  | (ValueOption<unknown> & {
      readonly default?: string;
      readonly choices?: readonly string[];
      /** True where each choice may also be given as a flag of its name. */
      readonly asFlags?: true;
      /** It names a file, for the shells' completion. */
      readonly isFile?: true;
    })
);

export interface PositionalSpec {
  readonly name: string;
  readonly describe: string;
  /** `any`: none or more; `some`: one or more; `one`; `optional`: none or one. */
  readonly count: 'any' | 'some' | 'one' | 'optional';
  readonly choices?: readonly string[];
  /** What the shells' completion offers in its place. */
  readonly offers?: 'files' | 'banned addresses';
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

type ValueOf<O> = O extends { form: Form<infer V> } ? V : boolean;

/** What was given: a flag is a boolean, the others are what their form reads, or absent where there is no default. */
type OptionValues<O extends OptionSpecs> = {
  readonly [Name in keyof O]: O[Name] extends { kind: 'flag' } | { default: string }
    ? ValueOf<O[Name]>
    : ValueOf<O[Name]> | undefined;
};

export interface CommandSpec<O extends OptionSpecs = OptionSpecs> {
  /** One word, or two for a command of a group: `protect check`. */
  readonly name: string;
  readonly aliases: readonly string[];
  /** One line, for lists. */
  readonly summary: string;
  /** For help and manual page; what the summary leaves open. */
  readonly details: string;
  readonly positional?: PositionalSpec;
  readonly options: O;
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** Exit statuses besides those of all commands: what each means here, or null where EXIT_MEANINGS says it. */
  readonly exits: Readonly<Record<number, string | null>>;
  /** False for what neither reads the state nor changes anything. */
  readonly needsRoot: boolean;
  /** True for what may be longer than a screen: on a terminal it goes through a pager. */
  isLong(options: OptionValues<O>): boolean;
  /** Returns the exit status; throws an AppError for what went wrong. */
  run(words: readonly string[], options: OptionValues<O>, person: Person): number | Promise<number>;
}

/** What most commands say alike. */
const USUAL = {
  aliases: [],
  details: '',
  options: {},
  exits: { 0: 'it is printed' },
  needsRoot: true,
  isLong: () => false,
} as const;

/** Lets the options' types follow from their description. */
export function defineCommand<const O extends OptionSpecs = typeof USUAL.options>(
  spec: Omit<CommandSpec<O>, keyof typeof USUAL> &
    Partial<Pick<CommandSpec<O>, keyof typeof USUAL>>,
): CommandSpec {
  // The parser makes the values from the same description, so the types that follow from it hold.
  return { ...USUAL, ...spec };
}

/** The exit status of an answer that is no error: not blocked, not protected, or something to repair. */
export const ANSWER_NO = 1;

/** The exit statuses of what changes bans, and of what does so for a list. */
export const CHANGES = { 69: null, 75: null } as const;
export const CHANGES_LIST = { ...CHANGES, 130: null } as const;

/** `-o`: in which format; the first one is the default. */
export function outputAs<const F extends readonly [string, ...string[]]>(
  ...formats: F
): ReturnType<typeof oneOf<F>> &
  Record<'short' | 'default' | 'describe', string> & { asFlags: true } {
  const flags = formats.slice(1).map((format) => `--${format}`);
  const describe = `in which format; ${flags.join(', ')} for short${formats.includes('json') ? '; JSON: docs/json.md' : ''}`;
  return { ...oneOf(...formats), short: 'o', default: formats[0], asFlags: true, describe };
}

export const BANNED = {
  name: 'address',
  describe: 'IPv4, IPv6, or a network',
  offers: 'banned addresses',
} as const;

export const WIDE = {
  wide: { kind: 'flag', describe: 'cut nothing, and leave out no column for lack of room' },
} as const;

export const DRY_RUN = {
  'dry-run': { kind: 'flag', short: 'n', describe: 'show what would be done, and change nothing' },
} as const;

export const FILE = {
  file: {
    ...anyText('LIST'),
    short: 'f',
    isFile: true,
    describe: 'one address a line, blank lines and # comments allowed; - is standard input',
  },
} as const;

export const ORIGIN = {
  origin: { ...oneOf(...ORIGINS), describe: 'only what this origin holds' },
} as const;

export const QUIET = {
  quiet: { kind: 'flag', short: 'q', describe: 'print errors only' },
} as const;

/** The command with the longest name that the words begin with, and the words behind it; null: there is none. */
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

/** The option that a word is, as `--name` or `-n`, with its name. */
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
