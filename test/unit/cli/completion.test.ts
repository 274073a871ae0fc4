// Completion scripts: no description can break out of its quotes, and nothing that can be typed is left out.
import { describe, expect, test } from '@jest/globals';
import { defineCommand } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { completionFor, SHELLS } from '../../../src/cli/completion.ts';

const ODD = defineCommand({
  name: 'odd',
  summary: "it's [odd]: a \\ and $(reboot)",
  details: '',
  positional: { name: 'what', describe: 'which', count: 'one', choices: ['one', 'two'] },
  options: {
    flag: { kind: 'flag', describe: "what's [this]: `reboot`" },
    text: { kind: 'text', value: 'TEXT', describe: 'a text' },
    pick: { kind: 'choice', choices: ['left', 'right'], describe: 'a side' },
  },
  examples: [],
  needsRoot: false,
  run: () => 0,
});

test.each(SHELLS)('%s has a script that names every command and option', (shell) => {
  const script = completionFor(shell, COMMANDS) ?? '';
  for (const { name, options } of COMMANDS) {
    for (const word of name.split(' ')) expect(script).toMatch(new RegExp(`\\b${word}\\b`));
    for (const option of Object.keys(options)) expect(script).toContain(option);
  }
});

test('a shell that is none of them has none', () => {
  expect(completionFor('tcsh', COMMANDS)).toBeNull();
  expect(completionFor('', COMMANDS)).toBeNull();
});

test.each(SHELLS)('%s offers the values of a choice and of a positional', (shell) => {
  const script = completionFor(shell, [ODD]) ?? '';
  expect(script).toContain('left right');
  expect(script).toMatch(/\bone two\b/);
});

describe('a description', () => {
  test('of zsh stays inside its quotes and brackets', () => {
    const script = completionFor('zsh', [ODD]) ?? '';
    expect(script).toContain(String.raw`'odd:it’s \[odd\]\: a \\ and $(reboot)'`);
    expect(script).toContain("'--flag[what’s \\[this\\]\\: `reboot`]'");
  });

  test('of fish stays inside its quotes', () => {
    const script = completionFor('fish', [ODD]) ?? '';
    expect(script).toContain(String.raw`-d 'it\'s [odd]: a \\ and $(reboot)'`);
  });

  test('of bash is left out', () => {
    expect(completionFor('bash', [ODD])).not.toContain('reboot');
  });
});

test('an option that takes a file offers files in every shell', () => {
  expect(completionFor('bash', COMMANDS)).toContain('--file|--textfile) mapfile');
  expect(completionFor('zsh', COMMANDS)).toMatch(/--file\[.*?\]:LIST:_files'/);
  // With -r fish offers files for the value, though none elsewhere.
  expect(completionFor('fish', COMMANDS)).toMatch(/ -l file -r /);
  expect(completionFor('fish', COMMANDS)).toMatch(/ -l textfile -r /);
});
