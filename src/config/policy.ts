// Reads the [[policy]] entries of a configuration: one with a mistake is left out, since half of it could mean more.
import type { Mistake } from './toml.ts';
import { POLICY_KEYS, type PolicyEntry } from './policy-schema.ts';
import type { Setting } from './setting.ts';
import { buildTable, checkValue, isTable, ownProperty, shorten, show } from './values.ts';

export interface ReadPolicy {
  readonly entries: readonly PolicyEntry[];
  readonly mistakes: readonly Mistake[];
}

/** Each is looked at for every alert. */
const MOST_ENTRIES = 200;

/** `written` is the value of `policy` in a file; never throws. */
export function readPolicy(
  written: unknown,
  keys: Readonly<Record<string, Setting>> = POLICY_KEYS,
): ReadPolicy {
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
    return value === undefined ? undefined : checkValue(setting, value).value;
  }) as PolicyEntry;
}

function mistakesIn(
  entry: unknown,
  index: number,
  keys: Readonly<Record<string, Setting>>,
): Mistake[] {
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
    const { problems } = checkValue(setting, value);
    return problems.map(({ message }) => mistake(path, `\`${key}\` ${message}`));
  });
}
