// Generates the manual page firewall-drop(8) from the descriptions of the commands and from packaging/config.toml.
import { CONFIG_FILE } from '../config/read.ts';
import { BUILD } from '../model/version.ts';
import type { CommandSpec } from './command.ts';
import { argumentsOf, EXIT_TERMS, sectionsOf, textOf, type Terms } from './help.ts';
import { packagedText } from './packaged.ts';

const ENVIRONMENT: Terms = [
  ['NO_COLOR', 'disables colours on a terminal'],
  ['PAGER', 'the pager for output longer than the screen; cat disables it'],
  ['SSH_CONNECTION', 'the address that you are logged in from is not blocked without --force'],
  ['TZ', 'the time zone of log lines, if it is the name of a zone'],
];

const FILES: Terms = [
  [CONFIG_FILE, 'the configuration'],
  ['/var/lib/firewall-drop/state.db', 'the state'],
  ['/run/firewall-drop/lock', 'the writer lock'],
  [
    'HOME/logs/active-responses.log',
    "the log that rules 601 and 602 match; HOME is the agent's home, usually /var/ossec",
  ],
  ['HOME/logs/firewall-drop.log', 'warnings and errors, as JSON lines'],
  [
    'HOME/etc/shared/ar.conf, HOME/etc/ossec.conf',
    'timeouts, repeated offenders, manager addresses and white list',
  ],
  ['HOME/etc/shared/firewall-drop.toml', 'the policy that the manager sends to a group of agents'],
];

/** The most common commands, in the order in which a new user needs them. The commands' own help has more examples. */
export const EXAMPLES: Terms = [
  ['doctor', 'Is everything set up? Each problem is listed with its remedy.'],
  ['status 203.0.113.9', 'Is this customer blocked, since when, and by which alert?'],
  ['delete 203.0.113.9 -r "a customer"', 'Release one address.'],
  ['add 203.0.113.0/24 -t 2h', 'Block a network for two hours.'],
  ['list', 'What is blocked, and until when?'],
  ['explain alert.json', 'Why is this alert blocked, or not?'],
  ['protect list', 'Which addresses are never blocked here?'],
  ['reconcile --dry-run', 'Do state and kernel agree?'],
];

/** Returns the page in roff, for man(1). */
export function formatManualPage(commands: readonly CommandSpec[]): string {
  return [
    `.TH FIREWALL-DROP 8 "" "firewall-drop ${roff(BUILD.version)}" "System administration"`,
    // Commands must not be hyphenated, because they are typed or copied.
    '.nh',
    '.ad l',
    '.SH NAME',
    'firewall\\-drop \\- block addresses for Wazuh and OSSEC, and verify that they are blocked',
    '.SH SYNOPSIS',
    ...commands.flatMap((command, index) => [
      ...(index === 0 ? [] : ['.br']),
      `.B firewall\\-drop ${roff(command.name)}`,
      // man(1) prints an empty line as a gap.
      roff(argumentsOf(command)) || '\\&',
    ]),
    '.SH DESCRIPTION',
    'Wazuh and OSSEC start this program themselves when a rule fires: with a message on standard input and no arguments, or with',
    '.B add|delete USER ADDRESS ALERT_ID RULE_ID.',
    'The commands below are for administrators. A blocked address has a DROP rule at the top of INPUT, FORWARD and, if it exists, DOCKER\\-USER; or it is an entry of a set whose packets are dropped before connection tracking. Success is reported only after the change has been verified in the kernel.',
    '.SH COMMANDS',
    ...commands.flatMap(section),
    '.SH CONFIGURATION',
    ...configuration(),
    '.SH EXIT STATUS',
    ...terms(EXIT_TERMS),
    '.SH ENVIRONMENT',
    ...terms(ENVIRONMENT),
    '.SH FILES',
    ...terms(FILES, '.I'),
    '.SH EXAMPLES',
    ...terms(EXAMPLES.map(([example, what]) => [`firewall-drop ${example}`, what])),
    '.SH SEE ALSO',
    ...SEE_ALSO.map((page) => `.BR ${roff(page).replace('(', ' (')}`),
  ].join('\n');
}

const SEE_ALSO = ['iptables(8),', 'ip6tables(8),', 'ipset(8),', 'nft(8),', 'conntrack(8)'];

/** A key of config.toml: `# MEANING` followed by `#KEY = DEFAULT`; a key of [[policy]]: `# KEY: MEANING`. */
const KEY = /^(?<meaning>(?:# .*\n)+)#(?<key>\S.*)/gm;
const POLICY_KEY = /^# (?<key>\w+): (?<meaning>.*(?:\n# {3}.*)*)/gm;
const POLICY_KEYS_BEGIN = '# Conditions, then what is decided:';

/** Returns the section about the configuration: each key with its default, as packaging/config.toml shows it. */
function configuration(): string[] {
  const [tables = '', policy = ''] = packagedText('config.toml').split(POLICY_KEYS_BEGIN);
  const [, ...sections] = tables.split(/^(?=\[)/m);
  return [
    `.I ${roff(CONFIG_FILE)}`,
    'is read at every run. Each key is shown with its default. An invalid value is reported, and the default is used instead; firewall\\-drop config validate finds mistakes, and firewall\\-drop config show prints the configuration in effect.',
    ...sections.flatMap((section) => [
      `.SS ${roff(section.split('\n', 1)[0] ?? '')}`,
      ...keysIn(section, KEY),
    ]),
    `.SS ${roff('[[policy]]')}`,
    'The end of the file can have any number of these sections, each with some of the keys below. The first section whose conditions match an alert applies.',
    ...keysIn(policy, POLICY_KEY),
  ];
}

function keysIn(text: string, pattern: RegExp): string[] {
  const found = Array.from(
    text.matchAll(pattern),
    ({ groups: { key = '', meaning = '' } = {} }) => {
      return [key, meaning.replace(/^# */gm, '').trim().replaceAll('\n', ' ')] as const;
    },
  );
  return terms(found);
}

function terms(all: Terms, font = '.B'): string[] {
  return all.flatMap(([term, text]) => ['.TP', `${font} ${roff(term)}`, roff(text)]);
}

function section(command: CommandSpec): string[] {
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
