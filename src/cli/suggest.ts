// Suggests the command or option that a mistyped name probably stands for.
import type * as Leven from 'leven';
import { namesOf, type CommandSpec } from './command.ts';

/** The largest edit distance of a suggestion, as a share of the typed word's length. */
const LARGEST_SHARE = 0.4;

/** Returns the most similar name; null if none is similar enough. */
export function nearest(typed: string, names: readonly string[]): string | null {
  return near(typed, names)[0]?.[0] ?? null;
}

/**
 * Returns the most similar command; null if none is similar enough, or if its opposite is about as similar: `ban` and
 * `unban`.
 */
export function nearestCommand(typed: string, commands: readonly CommandSpec[]): string | null {
  const candidates = near(typed, commands.flatMap(namesOf));
  const [first, least] = candidates[0] ?? [];
  if (first === undefined || least === undefined) return null;
  const isDoubtful = candidates.some(([name, distance]) => {
    const isOpposite = name === `un${first}` || first === `un${name}`;
    return isOpposite && distance <= least + 1;
  });
  return isDoubtful ? null : first;
}

/** Returns similar names, nearest first. A unique prefix counts as an exact match: `del` is short for `delete`. */
function near(typed: string, names: readonly string[]): [name: string, distance: number][] {
  const { default: leven } = require('leven') as typeof Leven;
  const word = typed.toLowerCase();
  const furthest = Math.max(1, Math.floor(word.length * LARGEST_SHARE));
  const begun = new Set(names.filter((name) => name.startsWith(word)));
  const isShort = (name: string): boolean => begun.size === 1 && begun.has(name);
  return names
    .map((name): [string, number] => [name, isShort(name) ? 0 : leven(word, name)])
    .filter(([, distance]) => distance <= furthest)
    .sort(([, one], [, other]) => one - other);
}
