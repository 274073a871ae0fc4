// How a command is described: once, for the parser, the help, the manual page and the shells' completion.
import type { Person } from './session.ts';

/** What an option may be; the name of its value is what the help shows. */
export type OptionSpec = {
  readonly describe: string;
} & (
  | { readonly kind: 'flag' }
  | { readonly kind: 'text'; readonly value: string; readonly default?: string }
  | {
      readonly kind: 'choice';
      readonly choices: readonly [string, ...string[]];
      readonly default?: string;
    }
);

export interface PositionalSpec {
  readonly name: string;
  readonly describe: string;
  /** `any`: none or more; `one`; `optional`: none or one. */
  readonly count: 'any' | 'one' | 'optional';
  readonly choices?: readonly string[];
  /** It names a file, for the shells' completion. */
  readonly isFile?: true;
}

export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

/** What was given: a flag is a boolean, the others are text or absent. */
type OptionValues<O extends OptionSpecs> = {
  readonly [Name in keyof O]: O[Name] extends { kind: 'flag' }
    ? boolean
    : O[Name] extends { default: string }
      ? string
      : string | undefined;
};

export interface CommandSpec<O extends OptionSpecs = OptionSpecs> {
  /** One word, or two for a command of a group: `protect check`. */
  readonly name: string;
  /** One line, for lists. */
  readonly summary: string;
  /** For the manual page; what the summary leaves open. */
  readonly details: string;
  readonly positional?: PositionalSpec;
  readonly options: O;
  readonly examples: readonly (readonly [command: string, what: string])[];
  /** False for what neither reads the state nor changes anything. */
  readonly needsRoot: boolean;
  /** Returns the exit status; throws an AppError for what went wrong. */
  run(words: readonly string[], options: OptionValues<O>, person: Person): number | Promise<number>;
}

/** Lets the options' types follow from their description. */
export function defineCommand<const O extends OptionSpecs>(spec: CommandSpec<O>): CommandSpec {
  // The parser makes the values from the same description, so the types that follow from it hold.
  return spec;
}
