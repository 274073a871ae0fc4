// The kinds of keys that config.toml has, what the entries of a list may be, and the types of their values.

export type Value = string | number | boolean | readonly string[] | undefined;

/** One key: what it may hold, what holds without it, and its documentation. */
export type Setting = { readonly doc: string } & (
  | { readonly kind: 'choice'; readonly choices: readonly string[]; readonly default: string }
  | {
      readonly kind: 'word';
      /** Undefined: none; then `example` is a value that it may have. */
      readonly default: string | undefined;
      readonly example?: string;
      readonly pattern: RegExp;
      readonly expected: string;
    }
  | { readonly kind: 'flag'; readonly default: boolean }
  | { readonly kind: 'whole'; readonly default: number; readonly min: number; readonly max: number }
  /** Text as `parseDuration` reads it; the default may be empty, for none. */
  | { readonly kind: 'duration'; readonly default: string; readonly mayBeNever: boolean }
  | ListSetting
);

export interface ListSetting {
  readonly doc: string;
  readonly kind: 'list';
  readonly of: keyof typeof ENTRIES;
  readonly minEntries?: 1;
  readonly default: readonly string[];
}

/** What a list may hold: an address is parsed as well. */
export const ENTRIES = {
  chain: { pattern: /^[A-Za-z0-9_][A-Za-z0-9_-]{0,27}$/, expected: 'the name of a chain' },
  address: { pattern: /^[0-9A-Fa-f:./]{2,49}$/, expected: 'an address or a network' },
  file: { pattern: /^\/[ -~\u00a0-\u{10ffff}]{1,4094}$/u, expected: 'the absolute path of a file' },
  field: {
    pattern: /^[A-Za-z0-9_@-]{1,64}(?:\.[A-Za-z0-9_@-]{1,64}){0,15}$/,
    expected: 'a dotted path in an alert',
  },
  duration: {
    pattern: /^[0-9smhdw]{1,32}$/,
    expected: 'a length of time such as "10m", "1h30m" or "7d"',
  },
  /** Numbers as well, which are read as text. */
  rule: { pattern: /^[0-9A-Za-z-]{1,64}$/, expected: 'the id of a rule' },
  name: { pattern: /^\P{Cc}{1,128}$/u, expected: 'a name' },
  value: {
    pattern: /^[A-Za-z0-9_@-]{1,64}(?:\.[A-Za-z0-9_@-]{1,64}){0,15}=\P{Cc}{0,256}$/u,
    expected: 'a dotted path in an alert, "=", and the value there',
  },
} as const;

export type CamelCase<S> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S extends string
    ? S
    : never;

export type ValueOf<S> = S extends { kind: 'choice'; choices: readonly (infer Choice)[] }
  ? Choice
  : S extends { kind: 'word' | 'duration'; default: infer Default }
    ? string | Extract<Default, undefined>
    : S extends { kind: 'flag' }
      ? boolean
      : S extends { kind: 'whole' }
        ? number
        : readonly string[];
