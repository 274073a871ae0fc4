// The manual page as text: every command and option is in it, and no line of prose is taken for a request of roff.
import { describe, expect, test } from '@jest/globals';
import { defineCommand, type CommandSpec } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { EXAMPLES, formatManualPage } from '../../../src/cli/man.ts';
import { parseArguments } from '../../../src/cli/parse.ts';
import { packagedText } from '../../../src/cli/packaged.ts';
import { POLICY_KEYS } from '../../../src/config/policy.ts';
import { SCHEMA } from '../../../src/config/schema.ts';
import type { Setting } from '../../../src/config/setting.ts';
import { tomlText } from '../../../src/config/toml.ts';

const REQUESTS = ['.TH', '.SH', '.SS', '.PP', '.TP', '.B', '.BR', '.I', '.br', '.nh', '.ad'];

/** What a reader sees of a line, by the escapes that are used here. */
function rendered(text: string): string {
  return text
    .replaceAll(String.raw`\-`, '-')
    .replaceAll(String.raw`\&`, '')
    .replaceAll(String.raw`\(dq`, '"')
    .replaceAll(String.raw`\(aq`, "'")
    .replaceAll(String.raw`\e`, '\\');
}

const lines = formatManualPage(COMMANDS).split('\n');
const text = rendered(lines.join('\n'));

/** The lines of the section of a command. */
function sectionOf(name: string): string {
  return text.split(/^\.SS /m).find((section) => section.startsWith(`${name}\n`)) ?? '';
}

test('begins with its title, and has the sections of a manual page in their order', () => {
  expect(lines[0]).toMatch(/^\.TH FIREWALL-DROP 8 /);
  expect(lines.filter((line) => line.startsWith('.SH ')).map((line) => line.slice(4))).toEqual([
    'NAME',
    'SYNOPSIS',
    'DESCRIPTION',
    'COMMANDS',
    'CONFIGURATION',
    'EXIT STATUS',
    'ENVIRONMENT',
    'FILES',
    'EXAMPLES',
    'SEE ALSO',
  ]);
  expect(text).toContain('.SH NAME\nfirewall-drop - ');
});

describe.each(COMMANDS.map((command) => [command.name, command] as const))(
  '%s',
  (name, command) => {
    test('has a section with its summary, details, options, values and examples', () => {
      const section = sectionOf(name);
      expect(section).toContain(`${command.summary}.`);
      expect(section).toContain(command.details);
      for (const [option, spec] of Object.entries(command.options)) {
        const value = spec.kind === 'text' ? ` ${spec.value}` : '';
        const choices = spec.kind === 'choice' ? ` ${spec.choices.join('|')}` : '';
        const short = spec.short === undefined ? '' : `-${spec.short}, `;
        const usual = spec.kind === 'flag' ? undefined : spec.default;
        const text = `${spec.describe}${usual === undefined ? '' : ` (default: ${usual})`}`;
        expect(section).toContain(`.B ${short}--${option}${value}${choices}\n${text}\n`);
      }
      for (const [example, what] of command.examples) {
        expect(section).toContain(`.B firewall-drop ${example}\n${what}\n`);
      }
    });

    test('is in the synopsis', () => {
      const [, synopsis = ''] = /^\.SH SYNOPSIS\n([^]*?)^\.SH/m.exec(text) ?? [];
      expect(synopsis).toContain(`.B firewall-drop ${name}\n`);
    });
  },
);

test('has every key of config.toml with its default and its meaning', () => {
  const [, part = ''] = /^\.SH CONFIGURATION\n([^]*?)^\.SH/m.exec(text) ?? [];
  const sections = new Map(part.split(/^\.SS /m).map((one) => [one.split('\n', 1)[0], one]));
  const documented = packagedText('config.toml').replaceAll(/\n(?:# *)?/g, ' ');
  const meaningOf = (term: string, section: string): string => {
    const entry = sections.get(section)?.split(`.TP\n.B ${term}\n`)[1] ?? '';
    const [meaning = ''] = entry.split('\n', 1);
    expect(meaning).not.toBe('');
    return meaning;
  };
  for (const [name, settings] of Object.entries(SCHEMA)) {
    for (const [key, setting] of Object.entries<Setting>(settings)) {
      const term = `${key} = ${tomlText(setting.default ?? 'firewall-drop.sh')}`;
      expect(documented).toContain(` ${meaningOf(term, `[${name}]`)} ${term}`);
    }
  }
  for (const key of Object.keys(POLICY_KEYS)) {
    expect(documented).toContain(` ${key}: ${meaningOf(key, '[[policy]]')} `);
  }
});

test('each of the examples is a command line that can be read', () => {
  expect(EXAMPLES.length).toBeGreaterThan(4);
  for (const [example, what] of EXAMPLES) {
    const words = example
      .split(/ (?=(?:[^"]*"[^"]*")*[^"]*$)/)
      .map((word) => word.replaceAll('"', ''));
    expect(parseArguments(words, COMMANDS).kind).toBe('run');
    expect(text).toContain(`.B firewall-drop ${example}\n${what}\n`);
  }
});

test('no line of prose is read as a request of roff', () => {
  for (const line of lines.filter((each) => /^[.']/.test(each))) {
    expect(REQUESTS).toContain(line.split(' ')[0]);
  }
});

test('no line is empty, which roff would print as a gap', () => {
  const before = lines.filter((_, index) => lines[index + 1] === '');
  expect(before).toEqual([]);
});

test('a quote in a line of bold is printed, and not taken for one of roff’s', () => {
  const quoted = lines.filter((line) => /^\.(?:B|I|SS) .*"/.test(line));
  expect(quoted).toEqual([]);
});

test('hyphens that are typed are minus signs', () => {
  for (const line of lines.filter((each) => /^\.(?:B|SS) /.test(each)))
    expect(line).not.toMatch(/(?<!\\)-/);
});

test('backslashes, dots and quotes of a description are shown as they are', () => {
  const command: CommandSpec = defineCommand({
    name: 'try',
    summary: '.so /etc/passwd',
    details: '',
    options: { odd: { kind: 'flag', describe: "'quoted \\n text" } },
    examples: [],
    needsRoot: false,
    run: () => 0,
  });
  const page = formatManualPage([command]);
  expect(page).toContain('\\&.so /etc/passwd.');
  expect(page).toContain("\\&'quoted \\en text");
});
