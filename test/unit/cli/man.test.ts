// The manual page has every command and option, and no line of prose is mistaken for a roff request.
import { describe, expect, test } from '@jest/globals';
import { defineCommand, type CommandSpec } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { formatManualPage } from '../../../src/cli/man.ts';
import { parseArguments } from '../../../src/cli/parse.ts';
import { packagedText } from '../../../src/cli/packaged.ts';
import { POLICY_KEYS } from '../../../src/config/policy.ts';
import { SCHEMA } from '../../../src/config/schema.ts';
import type { Setting } from '../../../src/config/setting.ts';
import { tomlText } from '../../../src/config/toml.ts';

const REQUESTS = ['.TH', '.SH', '.SS', '.PP', '.TP', '.B', '.BR', '.I', '.br', '.nh', '.ad'];

/** Returns the text that a reader sees. Knows only the escapes that the page uses. */
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

/** Returns the lines of a command's section. */
function sectionOf(name: string): string {
  return text.split(/^\.SS /m).find((section) => section.startsWith(`${name}\n`)) ?? '';
}

test('begins with the title, and has the sections of a manual page in the usual order', () => {
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
        const value = spec.kind === 'flag' ? '' : ` ${spec.value}`;
        const short = spec.short === undefined ? '' : `-${spec.short}, `;
        const usual = spec.kind === 'flag' ? undefined : spec.default;
        const text = `${spec.describe}${usual === undefined ? '' : ` (default: ${usual})`}`;
        expect(section).toContain(`.B ${short}--${option}${value}\n${text}\n`);
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

test('lists every key of config.toml with its default and its meaning', () => {
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

test('explains each example, and has only examples that the parser accepts', () => {
  const [, part = ''] = /^\.SH EXAMPLES\n([^]*?)^\.SH/m.exec(text) ?? [];
  const examples = [...part.matchAll(/^\.TP\n\.B firewall-drop (.+)\n\S.+\n/gm)];
  expect(examples).toHaveLength(part.split('.TP').length - 1);
  expect(examples.length).toBeGreaterThan(4);
  for (const [, example = ''] of examples) {
    const words = example
      .split(/ (?=(?:[^"]*"[^"]*")*[^"]*$)/)
      .map((word) => word.replaceAll('"', ''));
    expect(parseArguments(words, COMMANDS).kind).toBe('run');
  }
});

test('has no line of prose that roff reads as a request', () => {
  for (const line of lines.filter((each) => /^[.']/.test(each))) {
    expect(REQUESTS).toContain(line.split(' ')[0]);
  }
});

test('has no empty line, which roff would print as a gap', () => {
  const before = lines.filter((_, index) => lines[index + 1] === '');
  expect(before).toEqual([]);
});

test('escapes quotes in the arguments of roff requests', () => {
  const quoted = lines.filter((line) => /^\.(?:B|I|SS) .*"/.test(line));
  expect(quoted).toEqual([]);
});

test('writes the hyphens of commands as minus signs', () => {
  for (const line of lines.filter((each) => /^\.(?:B|SS) /.test(each)))
    expect(line).not.toMatch(/(?<!\\)-/);
});

test('escapes backslashes, dots and quotes of a description', () => {
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
