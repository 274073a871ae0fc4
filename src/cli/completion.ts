// Shell completion. The scripts pass the words of the line to this program, so that all three shells offer the same.
import {
  findCommand,
  findOption,
  type CommandSpec,
  type OptionSpec,
  type OptionSpecs,
} from './command.ts';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;

/** The first argument of a request from a completion script. */
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
  const openAt = (index: number): OptionSpec | null => {
    const [, option] = findOption(options, before[index - 1] ?? '') ?? [];
    return option === undefined || option.kind === 'flag' ? null : option;
  };
  const open = openAt(before.length);
  if (open?.kind === 'choice') return plain(open.choices);
  if (open !== null) return open.kind === 'text' && open.isFile === true ? [FILES] : [];
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
  return [...offered, ['--help', 'what this command does']];
}

export const COMPLETION_SCRIPTS: Readonly<Record<(typeof SHELLS)[number], string>> = {
  // bash breaks words at colons, so a candidate must contain only what follows the last colon of an IPv6 address.
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
