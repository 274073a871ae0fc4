// What somebody may have meant who mistyped the name of a command or an option.
import type * as Leven from 'leven';
import { namesOf, type CommandSpec } from './command.ts';

/** A name of which more than this part was typed otherwise is another name. */
const LARGEST_SHARE = 0.4;

/** The name that is meant most likely; null where none is near. */
export function nearest(typed: string, names: readonly string[]): string | null {
  return near(typed, names)[0]?.[0] ?? null;
}

/** The same for a command. Null as well where one that does the opposite is about as near: `ban` and `unban`. */
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

/** The only name that begins with what was typed is as near as can be: `del` is short for `delete`. */
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
