// Checks what config.toml says about one key against the schema, and makes a Config of the values.
import { parseNetwork } from '../model/address.ts';
import { CLOUD_ADDRESS_FIELDS } from './address-fields.ts';
import {
  ENTRIES,
  NAME_PATTERN,
  SCHEMA,
  type Config,
  type ListSetting,
  type Setting,
  type Value,
} from './schema.ts';

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
): Config {
  const sections = Object.entries(SCHEMA).map(([section, settings]) => {
    const values = Object.entries<Setting>(settings).map(([key, setting]): [string, Value] => {
      const value = read(section, key, setting) ?? setting.default;
      return [camelCase(key), typeof value === 'object' ? Object.freeze([...value]) : value];
    });
    return [section, Object.freeze(Object.fromEntries(values))];
  });
  return Object.freeze(Object.fromEntries(sections)) as Config;
}

export function camelCase(key: string): string {
  return key.replace(/_([a-z])/g, (_, letter: string) => letter.toUpperCase());
}

export function withCloudFields(config: Config): Config {
  if (!config.alert.cloudFields) return config;
  const fields = new Set([...config.alert.addressFields, ...CLOUD_ADDRESS_FIELDS]);
  const alert = { ...config.alert, addressFields: Object.freeze([...fields]) };
  return Object.freeze({ ...config, alert: Object.freeze(alert) });
}

export function checkValue(setting: Setting, written: unknown): Checked {
  if (setting.kind === 'list') return checkList(setting, written);
  const value = scalar(setting, written);
  if (value !== undefined) return { value, problems: [] };
  return {
    value,
    problems: [{ message: `must be ${expectation(setting)}, not ${show(written)}` }],
  };
}

function scalar(setting: Exclude<Setting, ListSetting>, written: unknown): Value {
  switch (setting.kind) {
    case 'flag':
      return typeof written === 'boolean' ? written : undefined;
    case 'choice':
      return setting.choices.find((choice) => choice === written);
    case 'word':
      return typeof written === 'string' && setting.pattern.test(written) ? written : undefined;
    case 'name':
      return typeof written === 'string' && NAME_PATTERN.test(written) ? written : undefined;
    case 'whole':
      if (typeof written !== 'number' || !Number.isInteger(written)) return undefined;
      // Plus 0, since JSON can't keep the -0 that TOML has.
      return written >= setting.min && written <= setting.max ? written + 0 : undefined;
  }
}

function expectation(setting: Exclude<Setting, ListSetting>): string {
  switch (setting.kind) {
    case 'flag':
      return 'true or false';
    case 'choice':
      return setting.choices.map(show).join(' or ');
    case 'word':
      return setting.expected;
    case 'name':
      return '1 to 64 letters, digits, dots, dashes or underscores in quotes';
    case 'whole':
      return `a whole number from ${setting.min} to ${setting.max}`;
  }
}

/** Good entries stay when others are bad: one slip among the allowed addresses must not lock out the rest. */
function checkList(setting: ListSetting, written: unknown): Checked {
  if (!Array.isArray(written)) return checkText(setting, written);
  const entries: readonly unknown[] = written;
  const good = [...new Set(entries.filter((entry) => isEntry(setting, entry)))];
  const problems: ValueProblem[] = entries
    .filter((entry) => !isEntry(setting, entry))
    .map((entry) => {
      return { entry, message: `${show(entry)} is not ${ENTRIES[setting.of].expected}: left out` };
    });
  if (good.length >= setting.minEntries) return { value: good, problems };
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

function isEntry(setting: ListSetting, entry: unknown): entry is string {
  if (typeof entry !== 'string' || !ENTRIES[setting.of].pattern.test(entry)) return false;
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
