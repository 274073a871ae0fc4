// Generates the manual page firewall-drop(8) from packaging/man/firewall-drop.8, the descriptions of the commands and
// the keys of config.toml.
import { BUILD } from '../model/version.ts';
import type { CommandSpec } from './command.ts';
import { argumentsOf, EXIT_TERMS, sectionsOf, textOf, type Terms } from './help.ts';
import { packagedLines, packagedText } from './packaged.ts';

/** Returns the page in roff, for man(1). Its `.nh` turns hyphenation off, because commands are typed or copied. */
export function formatManualPage(commands: readonly CommandSpec[]): string {
  const [tables = '', policy = ''] = packagedText('config.toml').split(POLICY_KEYS_BEGIN);
  const [, ...sections] = tables.split(/^(?=\[)/m);
  return packagedLines('firewall-drop.8', {
    version: [roff(BUILD.version)],
    synopsis: commands.flatMap((command, index) => [
      ...(index === 0 ? [] : ['.br']),
      `.B firewall\\-drop ${roff(command.name)}`,
      // man(1) prints an empty line as a gap.
      roff(argumentsOf(command)) || '\\&',
    ]),
    commands: commands.flatMap(describe),
    keys: sections.flatMap((section) => [
      `.SS ${roff(section.split('\n', 1)[0] ?? '')}`,
      ...keysIn(section, KEY),
    ]),
    'policy-keys': keysIn(policy, POLICY_KEY),
    exits: terms(EXIT_TERMS),
  }).join('\n');
}

/** A key of config.toml: `# MEANING` followed by `#KEY = DEFAULT`; a key of [[policy]]: `# KEY: MEANING`. */
const KEY = /^(?<meaning>(?:# .*\n)+)#(?<key>\S.*)/gm;
const POLICY_KEY = /^# (?<key>\w+): (?<meaning>.*(?:\n# {3}.*)*)/gm;
const POLICY_KEYS_BEGIN = '# The conditions, then the decision:';

/** Returns each key of a section with its default and its meaning. */
function keysIn(text: string, pattern: RegExp): string[] {
  const found = Array.from(
    text.matchAll(pattern),
    ({ groups: { key = '', meaning = '' } = {} }) => {
      return [key, meaning.replace(/^# */gm, '').trim().replaceAll('\n', ' ')] as const;
    },
  );
  return terms(found);
}

function terms(all: Terms): string[] {
  return all.flatMap(([term, text]) => ['.TP', `.B ${roff(term)}`, roff(text)]);
}

function describe(command: CommandSpec): string[] {
  const parts = sectionsOf(command).flatMap(([title, all]) => ['.PP', `${title}:`, ...terms(all)]);
  return [`.SS ${roff(command.name)}`, roff(textOf(command)), ...parts];
}

/**
 * Escapes text for roff: hyphens as minus signs, and a leading dot or quote so that the line is not taken for a
 * request.
 */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('"', '\\(dq')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&');
}
