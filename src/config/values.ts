// Checks what config.toml says about one key against the schema, and makes a Config of the values.
import { parseNetwork } from '../model/address.ts';
import { parseDuration } from '../model/duration.ts';
import type { PolicyEntry } from './policy.ts';
import { CLOUD_ADDRESS_FIELDS, SCHEMA, type Config } from './schema.ts';
import { ENTRIES, type ListSetting, type Setting, type Value } from './setting.ts';

/** What is wrong with a value; `entry` is the entry of a list that is meant. */
interface ValueProblem {
  readonly message: string;
  readonly entry?: unknown;
}

/** A value as far as it can be used (undefined: not at all), and what is wrong with it. */
interface Checked {
  readonly value: Value;
  readonly problems: readonly ValueProblem[];
}

/** What holds without a config file. */
export const DEFAULT_CONFIG: Config = buildConfig(() => undefined);

/** Walks the schema once; `read` gives a key's value, or undefined for its default. */
export function buildConfig(
  read: (section: string, key: string, setting: Setting) => Value,
  policy: readonly PolicyEntry[] = [],
): Config {
  const sections = Object.entries(SCHEMA).map(([section, settings]) => {
    return [section, buildTable(settings, (key, setting) => read(section, key, setting))];
  });
  return withCloudFields(Object.fromEntries([...sections, ['policy', policy]]) as Config);
}

/** By its keys in camel case; `read` as for `buildConfig`. */
export function buildTable(
  settings: Readonly<Record<string, Setting>>,
  read: (key: string, setting: Setting) => Value,
): object {
  const values = Object.entries<Setting>(settings).map(([key, setting]) => {
    return [camelCase(key), read(key, setting) ?? setting.default] as const;
  });
  return Object.fromEntries(values);
}

export function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

function withCloudFields(config: Config): Config {
  if (!config.alert.cloudFields) return config;
  const fields = new Set([...config.alert.addressFields, ...CLOUD_ADDRESS_FIELDS]);
  return { ...config, alert: { ...config.alert, addressFields: [...fields] } };
}

export function checkValue(setting: Setting, written: unknown): Checked {
  if (setting.kind === 'list') return checkList(setting, written);
  const { value, expected } = checkScalar(setting, written);
  if (value !== undefined) return { value, problems: [] };
  return { value, problems: [{ message: `must be ${expected}, not ${show(written)}` }] };
}

/** Undefined where it is not what is `expected`. */
function checkScalar(
  setting: Exclude<Setting, ListSetting>,
  written: unknown,
): { readonly value: Value; readonly expected: string } {
  switch (setting.kind) {
    case 'flag':
      return {
        value: typeof written === 'boolean' ? written : undefined,
        expected: 'true or false',
      };
    case 'choice':
      return {
        value: setting.choices.find((choice) => choice === written),
        expected: setting.choices.map(show).join(' or '),
      };
    case 'word':
      return {
        value: typeof written === 'string' && setting.pattern.test(written) ? written : undefined,
        expected: setting.expected,
      };
    case 'duration':
      return {
        value: readDuration(written, setting.mayBeNever),
        expected: `${ENTRIES.duration.expected}${setting.mayBeNever ? ', or "never"' : ''}`,
      };
    case 'whole':
      return {
        value: readWhole(written, setting),
        expected: `a whole number from ${setting.min} to ${setting.max}`,
      };
  }
}

function readWhole(written: unknown, { min, max }: { min: number; max: number }): Value {
  if (typeof written !== 'number' || !Number.isInteger(written)) return undefined;
  // Plus 0, since JSON can't keep the -0 that TOML has.
  return written >= min && written <= max ? written + 0 : undefined;
}

/** A number of seconds is as good as its text. */
function readDuration(written: unknown, mayBeNever: boolean): Value {
  const text = typeof written === 'number' ? String(written) : written;
  if (typeof text !== 'string') return undefined;
  const seconds = parseDuration(text);
  return typeof seconds === 'number' || (seconds === null && mayBeNever) ? text : undefined;
}

/** Good entries stay when others are bad: one slip among the allowed addresses must not lock out the rest. */
function checkList(setting: ListSetting, written: unknown): Checked {
  if (!Array.isArray(written)) return checkText(setting, written);
  const entries: readonly unknown[] = written.map((entry: unknown) => asText(setting, entry));
  const right = entries.filter((entry) => isEntry(setting, entry));
  // Of lengths of time each one counts, also when it is the same as the one before.
  const good = setting.of === 'duration' ? right : [...new Set(right)];
  const problems: ValueProblem[] = entries
    .filter((entry) => !isEntry(setting, entry))
    .map((entry) => {
      return { entry, message: `${show(entry)} is not ${ENTRIES[setting.of].expected}: left out` };
    });
  if (good.length >= (setting.minEntries ?? 0)) return { value: good, problems };
  problems.push({ message: 'must name at least one' });
  return { value: undefined, problems };
}

/** Entries without brackets are plainly meant: to pass over an allowed address would lock somebody out. */
function checkText(setting: ListSetting, written: unknown): Checked {
  const message = `must be a list in brackets, not ${show(written)}`;
  const text = typeof written === 'string' ? written : '';
  const readings = [[text], text.split(',').map((part) => part.trim())];
  const value = readings.find((entries) => entries.every((entry) => isEntry(setting, entry)));
  if (value === undefined) return { value, problems: [{ message }] };
  return { value, problems: [{ message: `${message}; read as ${show(value)}` }] };
}

/** Ids of rules are numbers for most people. */
function asText({ of }: ListSetting, entry: unknown): unknown {
  const isNumber = typeof entry === 'number' && Number.isSafeInteger(entry);
  return of === 'rule' && isNumber ? String(entry) : entry;
}

function isEntry(setting: ListSetting, entry: unknown): entry is string {
  if (typeof entry !== 'string' || !ENTRIES[setting.of].pattern.test(entry)) return false;
  if (setting.of === 'duration') return typeof parseDuration(entry) === 'number';
  return setting.of !== 'address' || parseNetwork(entry) !== null;
}

/** A value for a message: bounded, on one line. */
export function show(value: unknown): string {
  return shorten(tomlText(value));
}

export function tomlText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlText).join(', ')}]`;
  if (value instanceof Date) return 'a date';
  return isTable(value) ? 'a table' : scalarText(value);
}

function scalarText(value: unknown): string {
  // JSON has no bigint, NaN or infinity; strings it writes as TOML does.
  if (typeof value === 'number' || typeof value === 'bigint') return String(value);
  return value === undefined ? 'nothing' : JSON.stringify(value);
}

export function shorten(text: string): string {
  return text.length <= 200 ? text : `${text.slice(0, 200)}…`;
}

export function ownProperty(value: unknown, key: string): unknown {
  if (!isTable(value) || !Object.hasOwn(value, key)) return undefined;
  return value[key];
}

export function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return (
    typeof value === 'object' && value !== null && !Array.isArray(value) && !(value instanceof Date)
  );
}
