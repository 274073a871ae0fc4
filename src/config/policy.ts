// Reads the [[policy]] entries of a configuration: one with a mistake is left out, since half of it could mean more.
import type { Mistake } from './locate.ts';
import { POLICY_KEYS, type PolicyEntry } from './policy-schema.ts';
import type { Setting } from './setting.ts';
import { buildPolicyEntry, checkValue, isTable, ownProperty, shorten, show } from './values.ts';

export interface ReadPolicy {
  readonly entries: readonly PolicyEntry[];
  readonly mistakes: readonly Mistake[];
}

/** Each is looked at for every alert. */
const MOST_ENTRIES = 200;
/** Of a file that the agent's user may write: each costs time, and a line in our log. */
export const MOST_NAMED = 50;
export const NOT_NAMED = 'further mistakes are not named';

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
  const problems = read.flatMap((one) => one.problems);
  const more = [
    ...(problems.length > MOST_NAMED ? [NOT_NAMED] : []),
    ...(written.length > MOST_ENTRIES
      ? [`only the first ${MOST_ENTRIES} [[policy]] entries are read`]
      : []),
  ];
  const sound = read.filter((one) => one.problems.length === 0);
  return {
    entries: sound.map(({ entry }) => build(entry)),
    mistakes: [
      ...problems.slice(0, MOST_NAMED),
      ...more.map((message) => ({ path: ['policy'], message })),
    ],
  };
}

function build(entry: unknown): PolicyEntry {
  return buildPolicyEntry((key, setting) => {
    const value = ownProperty(entry, key);
    return value === undefined ? undefined : checkValue(setting, value).value;
  });
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
