// Completion scripts for shells, written out whole: completing a word must not start a program of this size.
import type { CommandSpec } from './command.ts';

export const SHELLS: readonly string[] = ['bash', 'zsh', 'fish'];

/** Null for a shell that is none of them. */
export function completionFor(shell: string, commands: readonly CommandSpec[]): string | null {
  if (shell === 'bash') return bashScript(commands);
  if (shell === 'zsh') return zshScript(commands);
  if (shell === 'fish') return fishScript(commands);
  return null;
}

/** The word that may follow: options, and what stands in for the positional where that is a choice. */
function wordsOf({ options, positional }: CommandSpec): string[] {
  return [...Object.keys(options).map((name) => `--${name}`), ...(positional?.choices ?? [])];
}

/** `protect check` and `protect list` by their first word. */
function byFirstWord(commands: readonly CommandSpec[]): Map<string, readonly CommandSpec[]> {
  return Map.groupBy(commands, ({ name }) => name.split(' ')[0] ?? name);
}

function secondWords(group: readonly CommandSpec[]): string[] {
  return group.flatMap(({ name }) => name.split(' ').slice(1));
}

function bashScript(commands: readonly CommandSpec[]): string {
  const groups = byFirstWord(commands);
  const cases = Array.from(groups, ([word, group]) => {
    const words = [...secondWords(group), ...group.flatMap(wordsOf), '--help'];
    const files = group.some(({ positional }) => positional?.isFile) ? ' files=-f' : '';
    return `    ${word}) words='${[...new Set(words)].join(' ')}'${files} ;;`;
  });
  const choices = commands.flatMap(({ options }) =>
    Object.entries(options).flatMap(([name, option]) =>
      option.kind === 'choice' ? [`    --${name}) words='${option.choices.join(' ')}' ;;`] : [],
    ),
  );
  return `# bash completion for firewall-drop
_firewall_drop() {
  local current=\${COMP_WORDS[COMP_CWORD]} previous=\${COMP_WORDS[COMP_CWORD-1]} words= files=
  case $previous in --file|--textfile) mapfile -t COMPREPLY < <(compgen -f -- "$current"); return ;; esac
  if ((COMP_CWORD == 1)); then words='${[...groups.keys()].join(' ')} --help --version'
  else case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac; fi
  case $previous in
${[...new Set(choices)].join('\n')}
  esac
  mapfile -t COMPREPLY < <(compgen $files -W "$words" -- "$current")
}
complete -F _firewall_drop firewall-drop`;
}

function zshScript(commands: readonly CommandSpec[]): string {
  const groups = byFirstWord(commands);
  const names = Array.from(
    groups,
    ([word, group]) => `    '${word}:${quoteZsh(group[0]?.summary ?? '')}'`,
  );
  const cases = Array.from(groups, ([word, group]) => {
    const second = [
      ...secondWords(group),
      ...group.flatMap(({ positional }) => positional?.choices ?? []),
    ];
    // The commands of a group may share an option: zsh wants each once.
    const options = new Map(group.flatMap(({ options }) => Object.entries(options)).toReversed());
    const specs = Array.from(options, ([name, option]) => {
      const value =
        option.kind === 'flag' ? '' : `:${option.kind === 'choice' ? name : option.value}:`;
      const choices = option.kind === 'choice' ? `(${option.choices.join(' ')})` : '';
      const files = name === 'file' || name === 'textfile' ? '_files' : choices;
      return `'--${name}[${quoteZsh(option.describe)}]${value}${files}'`;
    });
    const isFile = group.some(({ positional }) => positional?.isFile);
    const choices = second.length === 0 ? '' : ` '1:word:(${second.join(' ')})'`;
    const place = second.length === 0 ? '1' : '*';
    const words = isFile ? `${choices} '${place}:file:_files'` : choices;
    return `    ${word}) _arguments${words} ${[...new Set(specs)].join(' ')} ;;`;
  });
  return `#compdef firewall-drop
_firewall-drop() {
  local -a commands=(
${names.join('\n')}
  )
  if (( CURRENT == 2 )); then _describe command commands; return; fi
  shift words; (( CURRENT-- ))
  case $words[1] in
${cases.join('\n')}
  esac
}
_firewall-drop "$@"`;
}

function quoteZsh(text: string): string {
  return text.replaceAll("'", '’').replace(/[[\]:\\]/g, '\\$&');
}

function fishScript(commands: readonly CommandSpec[]): string {
  const lines = ['# fish completion for firewall-drop', 'complete -c firewall-drop -f'];
  for (const [word, group] of byFirstWord(commands)) {
    const summary = group[0]?.summary ?? '';
    lines.push(
      `complete -c firewall-drop -n __fish_use_subcommand -a ${word} -d ${quoteFish(summary)}`,
    );
    const here = `complete -c firewall-drop -n '__fish_seen_subcommand_from ${word}'`;
    const second = [
      ...secondWords(group),
      ...group.flatMap(({ positional }) => positional?.choices ?? []),
    ];
    if (second.length > 0) lines.push(`${here} -a ${quoteFish(second.join(' '))}`);
    if (group.some(({ positional }) => positional?.isFile)) lines.push(`${here} -F`);
    for (const { options } of group) {
      for (const [name, option] of Object.entries(options)) {
        const choices =
          option.kind === 'choice' ? ` -xa ${quoteFish(option.choices.join(' '))}` : '';
        const value = option.kind === 'text' ? ' -r' : choices;
        lines.push(`${here} -l ${name}${value} -d ${quoteFish(option.describe)}`);
      }
    }
  }
  return [...new Set(lines)].join('\n');
}

function quoteFish(text: string): string {
  return `'${text.replace(/['\\]/g, '\\$&')}'`;
}
