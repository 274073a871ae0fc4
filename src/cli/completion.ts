// Shell completion. The scripts pass the words of the line to this program, so that all three shells offer the same.
import { findCommand, findOption, type CommandSpec, type OptionSpecs } from './command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The first argument of a request from the scripts in packaging/completion/. */
export const COMPLETE = '__complete';

/** A candidate for the last word of the line, with its description. */
type Offer = readonly [word: string, meaning: string];

/** Makes the scripts offer file names. */
const FILES: Offer = [':files', ''];

/**
 * Returns the candidates for the last word, which can be empty or incomplete, as lines `WORD<tab>DESCRIPTION`. `banned`
 * returns the banned addresses.
 */
export function offersFor(
  line: readonly string[],
  commands: readonly CommandSpec[],
  banned: () => readonly string[],
): string[] {
  const current = line.at(-1) ?? '';
  const before = line.slice(0, -1);
  return offers(before, current, commands, banned).flatMap((offer) => {
    if (offer === FILES) return offer[0];
    return offer[0].startsWith(current) ? offer.join('\t') : [];
  });
}

function offers(
  before: readonly string[],
  current: string,
  commands: readonly CommandSpec[],
  banned: () => readonly string[],
): Offer[] {
  if (before[0] === 'help') return nextWords(before.slice(1), commands);
  const found = findCommand(before, commands);
  if (found !== null) return offersOf(found.command, found.rest, current, banned);
  const next = nextWords(before, commands);
  if (before.length > 0) return next;
  const aliases = commands.flatMap(({ name, aliases }): Offer[] => {
    return aliases.map((alias) => [alias, `alias of ${name}`]);
  });
  return [...next, ['help', 'show the help of a command'], ...(current === '' ? [] : aliases)];
}

/** Returns the first words of commands, or the second words of a group's commands. */
function nextWords(before: readonly string[], commands: readonly CommandSpec[]): Offer[] {
  const words = new Map<string, string>();
  for (const { name, summary } of commands) {
    const parts = name.split(' ');
    const word = parts[before.length];
    if (word === undefined || before.some((one, index) => one !== parts[index])) continue;
    const isWhole = parts.length === before.length + 1;
    if (!words.has(word)) words.set(word, isWhole ? summary : `commands of ${word}`);
  }
  return [...words];
}

function offersOf(
  { options, positional }: CommandSpec,
  before: readonly string[],
  current: string,
  banned: () => readonly string[],
): Offer[] {
  /** Returns the option whose value the word at `index` is; null if there is none. */
  const openAt = (index: number) => {
    const [, option] = findOption(options, before[index - 1] ?? '') ?? [];
    return option === undefined || option.kind === 'flag' ? null : option;
  };
  const open = openAt(before.length);
  if (open !== null) return open.isFile === true ? [FILES] : plain(open.choices ?? []);
  if (current.startsWith('-')) return unusedOptions(options, before);
  const given = before.filter((word, index) => !word.startsWith('-') && openAt(index) === null);
  const isFull = ['one', 'optional'].includes(positional?.count ?? '') && given.length > 0;
  if (positional === undefined || isFull) return [];
  if (positional.offers === 'files') return [FILES];
  return plain(positional.offers === undefined ? (positional.choices ?? []) : banned());
}

function plain(words: readonly string[]): Offer[] {
  return words.map((word) => [word, '']);
}

function unusedOptions(options: OptionSpecs, before: readonly string[]): Offer[] {
  const unused = Object.entries(options).filter(([name, { short }]) => {
    return !before.includes(`--${name}`) && !(short && before.includes(`-${short}`));
  });
  const offered = unused.map(([name, { describe }]): Offer => [`--${name}`, describe]);
  return [...offered, ['--help', 'show the help of this command']];
}
