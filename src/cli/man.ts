// The manual page firewall-drop(8), from the same descriptions as parser and help.
import { BUILD } from '../version.ts';
import type { CommandSpec } from './command.ts';
import { EXIT_MEANINGS } from './exit-meanings.ts';
import { optionTerm, placeholder } from './help.ts';

const FILES: readonly (readonly [string, string])[] = [
  ['/etc/firewall-drop/config.toml', 'configuration; every key is optional'],
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
];

/** roff, for man(1). */
export function formatManualPage(commands: readonly CommandSpec[]): string {
  return [
    `.TH FIREWALL-DROP 8 "" "firewall-drop ${roff(BUILD.version)}" "System administration"`,
    '.SH NAME',
    'firewall\\-drop \\- block addresses for Wazuh and OSSEC, and verify that the kernel does',
    '.SH SYNOPSIS',
    ...commands.flatMap((command) => [
      `.B firewall\\-drop ${roff(command.name)}`,
      synopsis(command),
      '.br',
    ]),
    '.SH DESCRIPTION',
    'Wazuh and OSSEC start this program themselves when a rule fires: with a message on standard input and no arguments, or with',
    '.B add|delete USER ADDRESS ALERT_ID RULE_ID.',
    'A person uses the commands below. A block is a DROP rule, first in INPUT and FORWARD and, where it exists, DOCKER\\-USER; or an entry of a set whose packets are dropped before connection tracking. Success is reported only after the kernel was seen to hold it.',
    '.SH COMMANDS',
    ...commands.flatMap(section),
    '.SH EXIT STATUS',
    ...EXIT_MEANINGS.flatMap(([status, meaning]) => ['.TP', `.B ${status}`, roff(meaning)]),
    '.SH FILES',
    ...FILES.flatMap(([path, what]) => ['.TP', `.I ${roff(path)}`, roff(what)]),
    '.SH ENVIRONMENT',
    '.TP',
    '.B NO_COLOR',
    'no colours, even on a terminal',
    '.TP',
    '.B SSH_CONNECTION',
    'the address that you are logged in from is not blocked without \\-\\-force',
    '.TP',
    '.B TZ',
    'the zone of log lines, where it is the plain name of one',
  ].join('\n');
}

function section(command: CommandSpec): string[] {
  const { name, aliases = [], summary, details, positional, options, examples } = command;
  return [
    `.SS ${roff(name)}`,
    roff(`${summary}.${details === '' ? '' : ` ${details}`}`),
    ...(aliases.length === 0 ? [] : [roff(`The same: ${aliases.join(', ')}.`)]),
    ...(positional === undefined
      ? []
      : ['.TP', `.I ${roff(placeholder(positional))}`, roff(positional.describe)]),
    ...Object.entries(options).flatMap(([option, spec]) => [
      '.TP',
      `.B ${roff(optionTerm(option, spec))}`,
      roff(spec.describe),
    ]),
    ...examples.flatMap(([example, what]) => [
      '.TP',
      `.B firewall\\-drop ${roff(example)}`,
      roff(what),
    ]),
  ];
}

function synopsis({ positional, options }: CommandSpec): string {
  const words = Object.entries(options).map(([name, spec]) => `[${roff(optionTerm(name, spec))}]`);
  const place = positional === undefined ? [] : [roff(placeholder(positional))];
  // An empty line would be printed as a gap.
  return [...place, ...words].join(' ') || '\\&';
}

/** Hyphens that are typed are minus signs, and a line that begins with a dot or quote is no request. */
function roff(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('"', '\\(dq')
    .replaceAll('-', '\\-')
    .replace(/^(?=[.'])/gm, '\\&');
}
