// Parses TOML, writes its values, and finds the line of a mistake. The parser returns values without positions, so
// names are searched for in the text.
import type * as SmolToml from 'smol-toml';

/** Returns the root table. Throws if the text is not valid TOML. */
export function parseToml(text: string): object {
  const { parse } = require('smol-toml') as typeof SmolToml;
  // With bigints, a number that is too large is a mistake in its own key, not of the whole file.
  return parse(text, { integersAsBigInt: 'asNeeded', maxDepth: 16 });
}

/** Returns the line at which `parseToml` failed. */
export function lineOfError(error: unknown): number {
  const { line } = error as { readonly line?: unknown };
  return typeof line === 'number' ? line : 1;
}

/** A mistake with its position; `line` counts from 1. */
export interface ConfigProblem {
  readonly file: string;
  readonly line: number;
  readonly message: string;
}

/** A mistake and the path of its name; `entry` is the invalid entry of a list. */
export interface Mistake {
  /** For a table in a list, the index from 0 follows the name: `policy`, `1`, `timeout`. */
  readonly path: readonly string[];
  readonly message: string;
  readonly entry?: unknown;
}

/** Formats a problem as in `/etc/firewall-drop/config.toml:3: unknown key …`. */
export function formatProblem(problem: ConfigProblem): string {
  return `${problem.file}:${problem.line}: ${problem.message}`;
}

export function locate(mistakes: readonly Mistake[], text: string, file: string): ConfigProblem[] {
  if (mistakes.length === 0) return [];
  const lines = text.split('\n');
  const lineOfName = linesOfNames(lines);
  return mistakes
    .map(({ path, message, entry }) => {
      const keyLine = nearestLine(path, lineOfName);
      return { file, line: lineOfEntry(entry, keyLine, lines), message };
    })
    .sort((a, b) => a.line - b.line);
}

/** Returns the line of the longest prefix of the path that has one: a key in an inline table is on the table's line. */
function nearestLine(path: readonly string[], lineOfName: ReadonlyMap<string, number>): number {
  for (let length = path.length; length > 0; length--) {
    const line = lineOfName.get(JSON.stringify(path.slice(0, length)));
    if (line !== undefined) return line;
  }
  return 1;
}

function lineOfEntry(entry: unknown, keyLine: number, lines: readonly string[]): number {
  if (typeof entry !== 'string') return keyLine;
  const containsEntry = (line: string): boolean =>
    line.includes(JSON.stringify(entry)) || line.includes(`'${entry}'`);
  const found = lines.findIndex((line, index) => index >= keyLine - 1 && containsEntry(line));
  return found < 0 ? keyLine : found + 1;
}

/** Returns the first line (from 1) of each table and key, by its path in JSON. */
function linesOfNames(lines: readonly string[]): ReadonlyMap<string, number> {
  const found = new Map<string, number>();
  const note = (path: readonly string[], index: number): void => {
    const name = JSON.stringify(path);
    if (!found.has(name)) found.set(name, index + 1);
  };
  const counts = new Map<string, number>();
  let table: readonly string[] = [];
  lines.forEach((line, index) => {
    const [, open, header] = /^\uFEFF?\s*(\[{1,2})([^[\]]+)\]{1,2}\s*(?:#.*)?$/.exec(line) ?? [];
    const key =
      /^\uFEFF?\s*((?:"[^"]*"|'[^']*'|[\w-]+)(?:\s*\.\s*(?:"[^"]*"|'[^']*'|[\w-]+))*)\s*=/.exec(
        line,
      )?.[1];
    if (header !== undefined) {
      const name = nameParts(header);
      note(name, index);
      const number = counts.get(name.join('.')) ?? 0;
      counts.set(name.join('.'), number + 1);
      table = open === '[[' ? [...name, String(number)] : name;
      note(table, index);
    }
    if (key !== undefined) note([...table, ...nameParts(key)], index);
  });
  return found;
}

function nameParts(name: string): readonly string[] {
  return Array.from(
    name.matchAll(/"([^"]*)"|'([^']*)'|([\w-]+)/g),
    ([, basic, literal, bare]) => basic ?? literal ?? bare ?? '',
  );
}

/** Writes a value for a message: shortened and on one line. */
export function show(value: unknown): string {
  return shorten(tomlText(value));
}

export function tomlText(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(tomlText).join(', ')}]`;
  if (value instanceof Date) return 'a date';
  return isTable(value) ? 'a table' : scalarText(value);
}

function scalarText(value: unknown): string {
  // JSON has no bigint, NaN or infinity. It writes strings as TOML does.
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
