// Completion for shells: their scripts hand the words of the line to us, so that all three offer the same.
import {
  findCommand,
  findOption,
  type CommandSpec,
  type OptionSpec,
  type PositionalSpec,
} from './command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The first argument with which the scripts ask. */
export const COMPLETE = '__complete';

/** A word that may stand at the end of the line, and what it means. */
type Offer = readonly [word: string, meaning: string];

export interface Offers {
  readonly words: readonly Offer[];
  /** What only the host knows. */
  readonly also: 'files' | 'banned addresses' | null;
}

const NOTHING: Offers = { words: [], also: null };

/** What may stand in the place of the last word, which may be empty or only begun. */
export function offersFor(line: readonly string[], commands: readonly CommandSpec[]): Offers {
  const current = line.at(-1) ?? '';
  const before = line.slice(0, -1);
  const all =
    before[0] === 'help' ? nextWords(before.slice(1), commands) : offers(before, current, commands);
  return { ...all, words: all.words.filter(([word]) => word.startsWith(current)) };
}

function offers(
  before: readonly string[],
  current: string,
  commands: readonly CommandSpec[],
): Offers {
  const found = findCommand(before, commands);
  if (found !== null) return offersOf(found.command, found.rest, current);
  const next = nextWords(before, commands);
  if (before.length > 0) return next;
  const aliases = current === '' ? [] : commands.flatMap(aliasesOf);
  return { ...next, words: [...next.words, ['help', 'what a command does'], ...aliases] };
}

function aliasesOf({ name, aliases }: CommandSpec): Offer[] {
  return aliases.map((alias) => [alias, `the same as ${name}`]);
}

/** The first words of commands, or the second ones of a group. */
function nextWords(before: readonly string[], commands: readonly CommandSpec[]): Offers {
  const words = new Map<string, string>();
  for (const { name, summary } of commands) {
    const parts = name.split(' ');
    const word = parts[before.length];
    if (word === undefined || before.some((one, index) => one !== parts[index])) continue;
    const isWhole = parts.length === before.length + 1;
    if (!words.has(word)) words.set(word, isWhole ? summary : `commands of ${word}`);
  }
  return { words: [...words], also: null };
}

function offersOf(command: CommandSpec, before: readonly string[], current: string): Offers {
  const open = findOption(command.options, before.at(-1) ?? '');
  if (open !== undefined && open.kind !== 'flag') return valuesOf(open);
  if (current.startsWith('-')) return { words: unusedOptions(command, before), also: null };
  const { positional } = command;
  return positional === undefined
    ? NOTHING
    : positionalOffers(positional, wordsOf(command, before));
}

function valuesOf(option: OptionSpec): Offers {
  if (option.kind === 'choice')
    return { words: option.choices.map((one) => [one, '']), also: null };
  return option.kind === 'text' && option.isFile === true ? { words: [], also: 'files' } : NOTHING;
}

function unusedOptions({ options }: CommandSpec, before: readonly string[]): Offer[] {
  const unused = Object.entries(options).filter(([name, { short }]) => {
    const isGiven = before.includes(`--${name}`);
    return !isGiven && !(short !== undefined && before.includes(`-${short}`));
  });
  const offered = unused.map(([name, { describe }]): Offer => [`--${name}`, describe]);
  return [...offered, ['--help', 'what this command does']];
}

/** The words of the line that are neither options nor their values. */
function wordsOf(command: CommandSpec, before: readonly string[]): string[] {
  return before.filter((word, index) => {
    const opener = findOption(command.options, before[index - 1] ?? '');
    return !word.startsWith('-') && (opener === undefined || opener.kind === 'flag');
  });
}

function positionalOffers(
  { count, choices = [], offers: also }: PositionalSpec,
  given: readonly string[],
): Offers {
  const isFull = (count === 'one' || count === 'optional') && given.length > 0;
  return isFull ? NOTHING : { words: choices.map((one) => [one, '']), also: also ?? null };
}

/** Lines for the scripts: a word and its meaning with a tab between them; `:files` has them offer files. */
export function formatOffers({ words, also }: Offers): string[] {
  const lines = words.map(([word, meaning]) => `${word}\t${meaning}`);
  return also === 'files' ? [...lines, ':files'] : lines;
}

export const COMPLETION_SCRIPTS: Readonly<Record<(typeof SHELLS)[number], string>> = {
  // A colon ends a word for bash, so that it wants only what follows the last one of an IPv6 address.
  bash: `# bash completion for firewall-drop
_firewall_drop() {
  local line current words
  line=\${COMP_LINE:0:COMP_POINT}
  read -ra words <<<"$line"
  [[ $line == *[[:space:]] ]] && words+=('')
  current=\${words[-1]}
  COMPREPLY=()
  while IFS= read -r line; do
    if [[ $line != :files ]]; then
      COMPREPLY+=("\${line%%$'\\t'*}")
    else
      compopt -o filenames 2>/dev/null
      mapfile -t COMPREPLY < <(compgen -f -- "$current")
      return
    fi
  done < <("\${words[0]}" ${COMPLETE} "\${words[@]:1}" 2>/dev/null)
  COMPREPLY=("\${COMPREPLY[@]#"\${current%"\${current##*:}"}"}")
}
complete -F _firewall_drop firewall-drop`,
  zsh: `#compdef firewall-drop
_firewall-drop() {
  local line
  local -a items
  while IFS= read -r line; do
    if [[ $line == :files ]]; then
      _files
      return
    fi
    items+=("\${\${line%%$'\\t'*}//:/\\\\:}:\${line#*$'\\t'}")
  done < <("$words[1]" ${COMPLETE} "\${(@)words[2,CURRENT]}" 2>/dev/null)
  _describe -V 'firewall-drop' items
}
if [[ $funcstack[1] == _firewall-drop ]]; then
  _firewall-drop "$@"
else
  compdef _firewall-drop firewall-drop
fi`,
  fish: `# fish completion for firewall-drop
function __firewall_drop_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    for line in ($words[1] ${COMPLETE} $words[2..-1] "$current" 2>/dev/null)
        if test "$line" = :files
            __fish_complete_path "$current"
        else
            echo $line
        end
    end
end
complete -c firewall-drop -f -k -a '(__firewall_drop_complete)'`,
};
