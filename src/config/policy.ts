// The table of the keys of a [[policy]] entry, and what each may hold. Reads the entries of a configuration: one with a
// mistake is left out, since half of it could mean more.
import {
  buildTable,
  choice,
  duration,
  list,
  whole,
  type CamelCase,
  type Settings,
  type ValueOf,
} from './setting.ts';
import { isTable, ownProperty, shorten, show, type Mistake } from './toml.ts';

/** Conditions; an alert has to meet all that an entry has. */
export const CONDITIONS = {
  rule_id: list({ of: 'rule', default: [] }),
  level_min: whole({ default: 0, min: 0, max: 16 }),
  group: list({ of: 'name', default: [] }),
  agent: list({ of: 'name', default: [] }),
  address: list({ of: 'address', default: [] }),
  field: list({ of: 'value', default: [] }),
};

export const POLICY_KEYS = {
  ...CONDITIONS,
  action: choice(['block', 'ignore'], 'block'),
  timeout: duration({ default: '', mayBeNever: true }),
  timeout_max: duration({ default: '', mayBeNever: false }),
};

type PolicyKeys = typeof POLICY_KEYS;

/** One [[policy]] entry, its keys in camel case; a key that is not given has its default. */
export type PolicyEntry = {
  readonly [Key in keyof PolicyKeys as CamelCase<Key>]: ValueOf<PolicyKeys[Key]>;
};

export interface ReadPolicy {
  readonly entries: readonly PolicyEntry[];
  readonly mistakes: readonly Mistake[];
}

/** Each is looked at for every alert. */
const MOST_ENTRIES = 200;

/** `written` is the value of `policy` in a file; never throws. */
export function readPolicy(written: unknown, keys: Settings = POLICY_KEYS): ReadPolicy {
  if (written === undefined) return { entries: [], mistakes: [] };
  if (!Array.isArray(written)) {
    const message = '`policy` must be a list of tables: write [[policy]]';
    return { entries: [], mistakes: [{ path: ['policy'], message }] };
  }
  const read = written.slice(0, MOST_ENTRIES).map((entry: unknown, index) => {
    return { entry, problems: mistakesIn(entry, index, keys) };
  });
  const mistakes = read.flatMap(({ problems }) => problems);
  if (written.length > MOST_ENTRIES) {
    const message = `only the first ${MOST_ENTRIES} [[policy]] entries are read`;
    mistakes.push({ path: ['policy'], message });
  }
  const sound = read.filter(({ problems }) => problems.length === 0);
  return { entries: sound.map(({ entry }) => build(entry)), mistakes };
}

function build(entry: unknown): PolicyEntry {
  return buildTable(POLICY_KEYS, (key, setting) => {
    const value = ownProperty(entry, key);
    return value === undefined ? undefined : setting.check(value).value;
  }) as PolicyEntry;
}

function mistakesIn(entry: unknown, index: number, keys: Settings): Mistake[] {
  const mistake = (path: readonly string[], message: string): Mistake => {
    return { path, message: `[[policy]] ${index + 1}: ${message}; the entry is left out` };
  };
  if (!isTable(entry)) return [mistake(['policy'], `must be a table, not ${show(entry)}`)];
  return Object.entries(entry).flatMap(([key, value]): Mistake[] => {
    const path = ['policy', String(index), key];
    const setting = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (setting === undefined) {
      const hint = `the keys are ${Object.keys(keys).join(', ')}`;
      return [mistake(path, `unknown key \`${shorten(JSON.stringify(key))}\`: ${hint}`)];
    }
    const { problems } = setting.check(value);
    return problems.map(({ message }) => mistake(path, `\`${key}\` ${message}`));
  });
}
