// The kinds of keys in config.toml: how their values are checked, and their defaults.
import { parseNetwork } from '../model/address.ts';
import { parseDuration } from '../model/duration.ts';
import { show } from './toml.ts';

export type Value = string | number | boolean | readonly string[] | undefined;

/** A mistake in a value; `entry` is the invalid entry of a list. */
interface ValueProblem {
  readonly message: string;
  readonly entry?: unknown;
  /** How the value is read in spite of the mistake. A [[policy]] entry with a mistake is ignored instead. */
  readonly reading?: string;
}

/** The usable part of a value, undefined if there is none, and its mistakes. */
interface Checked<V> {
  readonly value: V | undefined;
  readonly problems: readonly ValueProblem[];
}

export interface Setting<V extends Value = Value> {
  readonly default: V;
  readonly check: (written: unknown) => Checked<V>;
}

export type ValueOf<S> = S extends Setting<infer V> ? V : never;

export type CamelCase<S> = S extends `${infer Head}_${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S extends string
    ? S
    : never;

export function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export type Settings = Readonly<Record<string, Setting>>;

/**
 * Builds the values of a table by keys in camel case. `read` returns the value of a key, or undefined for its default.
 */
export function buildTable(
  settings: Settings,
  read: (key: string, setting: Setting) => Value,
): object {
  const values = Object.entries(settings).map(([key, setting]) => {
    return [camelCase(key), read(key, setting) ?? setting.default] as const;
  });
  return Object.fromEntries(values);
}

/** `read` returns undefined if the value is not `expected`. */
function scalar<V extends Value>(
  fallback: V,
  expected: string,
  read: (written: unknown) => V | undefined,
): Setting<V> {
  const check = (written: unknown): Checked<V> => {
    const value = read(written);
    if (value !== undefined) return { value, problems: [] };
    return { value, problems: [{ message: `must be ${expected}, not ${show(written)}` }] };
  };
  return { default: fallback, check };
}

export function flag(fallback: boolean): Setting<boolean> {
  const read = (written: unknown): boolean | undefined => {
    return typeof written === 'boolean' ? written : undefined;
  };
  return scalar(fallback, 'true or false', read);
}

export function choice<const Choice extends string>(
  choices: readonly Choice[],
  fallback: NoInfer<Choice>,
): Setting<Choice> {
  const read = (written: unknown): Choice | undefined => choices.find((one) => one === written);
  return scalar(fallback, choices.map(show).join(' or '), read);
}

interface WordForm<V> {
  readonly default: V;
  readonly pattern: RegExp;
  readonly expected: string;
}

export function word<V extends string | undefined>(form: WordForm<V>): Setting<string | V> {
  const read = (written: unknown): string | undefined => {
    return typeof written === 'string' && form.pattern.test(written) ? written : undefined;
  };
  return scalar<string | V>(form.default, form.expected, read);
}

export function whole({
  default: fallback,
  min,
  max,
}: Readonly<Record<'default' | 'min' | 'max', number>>): Setting<number> {
  const read = (written: unknown): number | undefined => {
    if (typeof written !== 'number' || !Number.isInteger(written)) return undefined;
    // TOML has -0, which JSON cannot store. Adding 0 makes it 0.
    return written >= min && written <= max ? written + 0 : undefined;
  };
  return scalar(fallback, `a whole number from ${min} to ${max}`, read);
}

/** A text that `parseDuration` accepts. The default can be empty for no duration. */
export function duration({
  default: fallback,
  mayBeNever,
}: {
  readonly default: string;
  readonly mayBeNever: boolean;
}): Setting<string> {
  const read = (written: unknown): string | undefined => {
    // Accept a number of seconds without quotes.
    const text = typeof written === 'number' ? String(written) : written;
    if (typeof text !== 'string') return undefined;
    const seconds = parseDuration(text);
    return typeof seconds === 'number' || (seconds === null && mayBeNever) ? text : undefined;
  };
  const expected = `${ENTRIES.duration.expected}${mayBeNever ? ', or "never"' : ''}`;
  return scalar(fallback, expected, read);
}

/** The entries that lists can have. Addresses and durations are parsed in addition. */
const ENTRIES = {
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
  /** Accepts numbers too, which are converted to text. */
  rule: { pattern: /^[0-9A-Za-z-]{1,64}$/, expected: 'the id of a rule' },
  name: { pattern: /^\P{Cc}{1,128}$/u, expected: 'a name' },
  value: {
    pattern: /^[A-Za-z0-9_@-]{1,64}(?:\.[A-Za-z0-9_@-]{1,64}){0,15}=\P{Cc}{0,256}$/u,
    expected: 'a dotted path in an alert, "=", and the value there',
  },
} as const;

interface ListForm {
  readonly of: keyof typeof ENTRIES;
  readonly default: readonly string[];
  readonly minEntries?: number;
}

type List = readonly string[];

export function list(form: ListForm): Setting<List> {
  return { default: form.default, check: (written) => checkList(form, written) };
}

/** Keeps the valid entries if others are invalid: one typing error must not unprotect the other allowed addresses. */
function checkList({ of, minEntries = 0 }: ListForm, written: unknown): Checked<List> {
  if (!Array.isArray(written)) return checkText(of, written);
  const entries: readonly unknown[] = written.map((entry: unknown) => asText(of, entry));
  const valid = entries.filter((entry) => isEntry(of, entry));
  // Durations can repeat, because their position in the list matters.
  const accepted = of === 'duration' ? valid : [...new Set(valid)];
  const problems: ValueProblem[] = entries
    .filter((entry) => !isEntry(of, entry))
    .map((entry) => {
      return { entry, message: `${show(entry)} is not ${ENTRIES[of].expected}; it is ignored` };
    });
  if (accepted.length >= minEntries) return { value: accepted, problems };
  problems.push({ message: 'must have at least one valid entry' });
  return { value: undefined, problems };
}

/** Accepts entries without brackets: ignoring an allowed address could lock an administrator out. */
function checkText(of: ListForm['of'], written: unknown): Checked<List> {
  const message = `must be a list in brackets, not ${show(written)}`;
  const text = typeof written === 'string' ? written : '';
  const readings = [[text], text.split(',').map((part) => part.trim())];
  const value = readings.find((entries) => entries.every((entry) => isEntry(of, entry)));
  if (value === undefined) return { value, problems: [{ message }] };
  return { value, problems: [{ message, reading: `read as ${show(value)}` }] };
}

/** Converts rule ids that are written as numbers to text. */
function asText(of: ListForm['of'], entry: unknown): unknown {
  const isNumber = typeof entry === 'number' && Number.isSafeInteger(entry);
  return of === 'rule' && isNumber ? String(entry) : entry;
}

function isEntry(of: ListForm['of'], entry: unknown): entry is string {
  if (typeof entry !== 'string' || !ENTRIES[of].pattern.test(entry)) return false;
  if (of === 'duration') return typeof parseDuration(entry) === 'number';
  return of !== 'address' || parseNetwork(entry) !== null;
}
