// The manual page firewall-drop(8), from the same descriptions as parser, help and config.toml.
import { CONFIG_FILE } from '../config/read.ts';
import { BUILD } from '../model/version.ts';
import type { CommandSpec } from './command.ts';
import { argumentsOf, EXIT_TERMS, sectionsOf, textOf, type Terms } from './help.ts';
import { packagedText } from './packaged.ts';

const ENVIRONMENT: Terms = [
  ['NO_COLOR', 'no colours, even on a terminal'],
  ['PAGER', 'shows what is longer than the screen; cat for none'],
  ['SSH_CONNECTION', 'the address that you are logged in from is not blocked without --force'],
  ['TZ', 'the zone of log lines, where it is the plain name of one'],
];

const FILES: Terms = [
  [CONFIG_FILE, 'the configuration'],
  ['/var/lib/firewall-drop/state.db', 'the state'],
  ['/run/firewall-drop/lock', 'the writer lock'],
  [
    'HOME/logs/active-responses.log',
    "what rules 601 and 602 read; HOME is the agent's home, usually /var/ossec",
  ],
  ['HOME/logs/firewall-drop.log', 'trouble, as JSON lines'],
  [
    'HOME/etc/shared/ar.conf, HOME/etc/ossec.conf',
    'timeouts, repeated offenders, managers, white list',
  ],
  ['HOME/etc/shared/firewall-drop.toml', 'what the manager says about a group of agents'],
];

/** What is done most, in the order in which a new user does it; each command has more of its own. */
export const EXAMPLES: Terms = [
  ['doctor', 'Is all of it set up? What is wrong has its remedy below it.'],
  ['status 203.0.113.9', 'Is this customer blocked, since when, and by which alert?'],
  ['delete 203.0.113.9 -r "a customer"', 'Let one address in again.'],
  ['add 203.0.113.0/24 -t 2h', 'Block a network for two hours.'],
  ['list', 'What is blocked, and until when?'],
  ['explain alert.json', 'Why is this alert blocked, or not?'],
  ['protect list', 'Which addresses are never blocked here?'],
  ['reconcile --dry-run', 'Do state and kernel agree?'],
];

/** roff, for man(1). */
export function formatManualPage(commands: readonly CommandSpec[]): string {
  return [
    `.TH FIREWALL-DROP 8 "" "firewall-drop ${roff(BUILD.version)}" "System administration"`,
    // Words that are typed or copied are not to be hyphenated.
    '.nh',
    '.ad l',
    '.SH NAME',
    'firewall\\-drop \\- block addresses for Wazuh and OSSEC, and verify that the kernel does',
    '.SH SYNOPSIS',
    ...commands.flatMap((command, index) => [
      ...(index === 0 ? [] : ['.br']),
      `.B firewall\\-drop ${roff(command.name)}`,
      // An empty line would be printed as a gap.
      roff(argumentsOf(command)) || '\\&',
    ]),
    '.SH DESCRIPTION',
    'Wazuh and OSSEC start this program themselves when a rule fires: with a message on standard input and no arguments, or with',
    '.B add|delete USER ADDRESS ALERT_ID RULE_ID.',
    'A person uses the commands below. A block is a DROP rule, first in INPUT and FORWARD and, where it exists, DOCKER\\-USER; or an entry of a set whose packets are dropped before connection tracking. Success is reported only after the kernel was seen to hold it.',
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

/** What config.toml says of a key: `# MEANING`, then `#KEY = DEFAULT`; of a key of [[policy]] `# KEY: MEANING`. */
const KEY = /^(?<meaning>(?:# .*\n)+)#(?<key>\S.*)/gm;
const POLICY_KEY = /^# (?<key>\w+): (?<meaning>.*(?:\n# {3}.*)*)/gm;
const POLICY_KEYS_BEGIN = '# The conditions, then the decision:';

/** Each key with the value that holds without it, as packaging/config.toml shows it. */
function configuration(): string[] {
  const [tables = '', policy = ''] = packagedText('config.toml').split(POLICY_KEYS_BEGIN);
  const [, ...sections] = tables.split(/^(?=\[)/m);
  return [
    `.I ${roff(CONFIG_FILE)}`,
    'is read at every run. Each key is shown with its default. A key that is wrong is reported, and its default is used; firewall\\-drop config validate finds mistakes, and firewall\\-drop config show prints what holds.',
    ...sections.flatMap((section) => [
      `.SS ${roff(section.split('\n', 1)[0] ?? '')}`,
      ...keysIn(section, KEY),
    ]),
    `.SS ${roff('[[policy]]')}`,
    'Any number of these at the end of the file, each with some of the keys below. The first one whose conditions an alert meets decides.',
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

/** Hyphens that are typed are minus signs, and a line that begins with a dot or quote is no request. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('"', '\\(dq')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&');
}
