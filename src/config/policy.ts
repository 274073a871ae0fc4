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
const LEFT_OUT = 'the entry is left out';

/** `written` is the value of `policy` in the file whose text is given; never throws. */
export function readPolicy(
  written: unknown,
  text: string,
  keys: Readonly<Record<string, Setting>> = POLICY_KEYS,
): ReadPolicy {
  if (written === undefined) return { entries: [], mistakes: [] };
  if (!Array.isArray(written)) {
    const message = '`policy` must be a list of tables: write [[policy]]';
    return { entries: [], mistakes: [{ path: ['policy'], message }] };
  }
  const read = written.slice(0, MOST_ENTRIES).map((entry: unknown, index) => {
    return { entry, problems: messagesFor(entry, keys).map((one) => ({ ...one, index })) };
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
      ...mistakesOf(problems.slice(0, MOST_NAMED), text),
      ...more.map((message) => ({ path: ['policy'], message })),
    ],
  };
}

function mistakesOf(
  problems: readonly (EntryProblem & { readonly index: number })[],
  text: string,
): Mistake[] {
  const lines = text.split('\n');
  return problems.map(({ index, key, message }) => {
    const place = placeOf(index, lines);
    const line = place === null ? {} : { line: lineOf(key, place, lines) };
    const path = ['policy', ...(key === '' ? [] : [key])];
    return { path, message: `[[policy]] ${index + 1}: ${message}; ${LEFT_OUT}`, ...line };
  });
}

function build(entry: unknown): PolicyEntry {
  return buildPolicyEntry((key, setting) => {
    const value = ownProperty(entry, key);
    return value === undefined ? undefined : checkValue(setting, value).value;
  });
}

interface EntryProblem {
  /** Empty: the whole entry. */
  readonly key: string;
  readonly message: string;
}

function messagesFor(
  entry: unknown,
  keys: Readonly<Record<string, Setting>>,
): readonly EntryProblem[] {
  if (!isTable(entry)) return [{ key: '', message: `must be a table, not ${show(entry)}` }];
  return Object.entries(entry).flatMap(([key, value]): EntryProblem[] => {
    const setting = Object.hasOwn(keys, key) ? keys[key] : undefined;
    if (setting === undefined) {
      const hint = `the keys are ${Object.keys(keys).join(', ')}`;
      return [{ key, message: `unknown key \`${shorten(JSON.stringify(key))}\`: ${hint}` }];
    }
    return checkValue(setting, value).problems.map(({ message }) => {
      return { key, message: `\`${key}\` ${message}` };
    });
  });
}

/** The line (from 0) of the header of the entry with this number; null for entries written in another way. */
function placeOf(index: number, lines: readonly string[]): number | null {
  const headers = lines.flatMap((line, at) => (/^\s*\[\[\s*policy\s*\]\]/.test(line) ? [at] : []));
  return headers[index] ?? null;
}

/** The line (from 1) of a key below its header. */
function lineOf(key: string, header: number, lines: readonly string[]): number {
  const isHere = (line: string): boolean => line.trimStart().startsWith(key) && key !== '';
  const next = lines.findIndex((line, at) => at > header && /^\s*\[/.test(line));
  const end = next < 0 ? lines.length : next;
  const found = lines.findIndex((line, at) => at > header && at < end && isHere(line));
  return (found < 0 ? header : found) + 1;
}
