// The kinds of keys that config.toml has: how the value of each is read, and what holds without it.
import { parseNetwork } from '../model/address.ts';
import { parseDuration } from '../model/duration.ts';
import { show } from './toml.ts';

export type Value = string | number | boolean | readonly string[] | undefined;

/** What is wrong with a value; `entry` is the entry of a list that is meant. */
interface ValueProblem {
  readonly message: string;
  readonly entry?: unknown;
}

/** A value as far as it can be used (undefined: not at all), and what is wrong with it. */
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

/** The values of a table, by their keys in camel case; `read` gives a key's value, or undefined for its default. */
export function buildTable(
  settings: Settings,
  read: (key: string, setting: Setting) => Value,
): object {
  const values = Object.entries(settings).map(([key, setting]) => {
    return [camelCase(key), read(key, setting) ?? setting.default] as const;
  });
  return Object.fromEntries(values);
}

/** `read` gives undefined for what is not `expected`. */
function scalar<V extends Value>(
  usual: V,
  expected: string,
  read: (written: unknown) => V | undefined,
): Setting<V> {
  const check = (written: unknown): Checked<V> => {
    const value = read(written);
    if (value !== undefined) return { value, problems: [] };
    return { value, problems: [{ message: `must be ${expected}, not ${show(written)}` }] };
  };
  return { default: usual, check };
}

export function flag(usual: boolean): Setting<boolean> {
  const read = (written: unknown): boolean | undefined => {
    return typeof written === 'boolean' ? written : undefined;
  };
  return scalar(usual, 'true or false', read);
}

export function choice<const Choice extends string>(
  choices: readonly Choice[],
  usual: NoInfer<Choice>,
): Setting<Choice> {
  const read = (written: unknown): Choice | undefined => choices.find((one) => one === written);
  return scalar(usual, choices.map(show).join(' or '), read);
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
  default: usual,
  min,
  max,
}: Readonly<Record<'default' | 'min' | 'max', number>>): Setting<number> {
  const read = (written: unknown): number | undefined => {
    if (typeof written !== 'number' || !Number.isInteger(written)) return undefined;
    // Plus 0, since JSON can't keep the -0 that TOML has.
    return written >= min && written <= max ? written + 0 : undefined;
  };
  return scalar(usual, `a whole number from ${min} to ${max}`, read);
}

/** Text as `parseDuration` reads it; the default may be empty, for none. */
export function duration({
  default: usual,
  mayBeNever,
}: {
  readonly default: string;
  readonly mayBeNever: boolean;
}): Setting<string> {
  const read = (written: unknown): string | undefined => {
    // A number of seconds is as good as its text.
    const text = typeof written === 'number' ? String(written) : written;
    if (typeof text !== 'string') return undefined;
    const seconds = parseDuration(text);
    return typeof seconds === 'number' || (seconds === null && mayBeNever) ? text : undefined;
  };
  const expected = `${ENTRIES.duration.expected}${mayBeNever ? ', or "never"' : ''}`;
  return scalar(usual, expected, read);
}

/** What a list may hold: an address is parsed as well. */
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
  /** Numbers as well, which are read as text. */
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

/** Good entries stay when others are bad: one slip among the allowed addresses must not lock out the rest. */
function checkList({ of, minEntries = 0 }: ListForm, written: unknown): Checked<List> {
  if (!Array.isArray(written)) return checkText(of, written);
  const entries: readonly unknown[] = written.map((entry: unknown) => asText(of, entry));
  const right = entries.filter((entry) => isEntry(of, entry));
  // Of lengths of time each one counts, also when it is the same as the one before.
  const good = of === 'duration' ? right : [...new Set(right)];
  const problems: ValueProblem[] = entries
    .filter((entry) => !isEntry(of, entry))
    .map((entry) => {
      return { entry, message: `${show(entry)} is not ${ENTRIES[of].expected}: left out` };
    });
  if (good.length >= minEntries) return { value: good, problems };
  problems.push({ message: 'must name at least one' });
  return { value: undefined, problems };
}

/** Entries without brackets are plainly meant: to pass over an allowed address would lock somebody out. */
function checkText(of: ListForm['of'], written: unknown): Checked<List> {
  const message = `must be a list in brackets, not ${show(written)}`;
  const text = typeof written === 'string' ? written : '';
  const readings = [[text], text.split(',').map((part) => part.trim())];
  const value = readings.find((entries) => entries.every((entry) => isEntry(of, entry)));
  if (value === undefined) return { value, problems: [{ message }] };
  return { value, problems: [{ message: `${message}; read as ${show(value)}` }] };
}

/** Ids of rules are numbers for most people. */
function asText(of: ListForm['of'], entry: unknown): unknown {
  const isNumber = typeof entry === 'number' && Number.isSafeInteger(entry);
  return of === 'rule' && isNumber ? String(entry) : entry;
}

function isEntry(of: ListForm['of'], entry: unknown): entry is string {
  if (typeof entry !== 'string' || !ENTRIES[of].pattern.test(entry)) return false;
  if (of === 'duration') return typeof parseDuration(entry) === 'number';
  return of !== 'address' || parseNetwork(entry) !== null;
}
