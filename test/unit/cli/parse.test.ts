// The parser of the command line: every mistake gets a helpful message.
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { parseArguments } from '../../../src/cli/parse.ts';

function read(line: string): string {
  const parsed = parseArguments(line.split(' ').filter(Boolean), COMMANDS);
  if (parsed.kind === 'help') return `help of ${parsed.of?.name ?? 'all'}`;
  return parsed.kind === 'version' ? 'version' : parsed.command.name;
}

function optionsOf(line: string): Readonly<Record<string, unknown>> {
  const parsed = parseArguments(line.split(' '), COMMANDS);
  return parsed.kind === 'run' ? parsed.options : {};
}

function mistakeOf(line: string): string {
  try {
    return `understood: ${read(line)}`;
  } catch (error) {
    return (error as Error).message;
  }
}

test.each([
  ['-h', 'help of all'],
  ['--help', 'help of all'],
  ['help', 'help of all'],
  ['help add', 'help of add'],
  ['help protect check', 'help of protect check'],
  ['help ban', 'help of add'],
  ['add -h', 'help of add'],
  ['add -t -h', 'help of add'],
  ['add 203.0.113.9 --help', 'help of add'],
  ['config show -h', 'help of config show'],
  ['-V', 'version'],
  ['--version', 'version'],
  ['ban 203.0.113.9', 'add'],
  ['block 203.0.113.9', 'add'],
  ['unban 203.0.113.9', 'delete'],
  ['rm 203.0.113.9', 'delete'],
  ['remove 203.0.113.9', 'delete'],
  ['ls', 'list'],
])('`%s` is parsed as %s', (line, meaning) => {
  expect(read(line)).toBe(meaning);
});

describe('options', () => {
  test('have short names, whose value follows with or without a space', () => {
    const wanted = { timeout: 7200, reason: 'x', file: 'list', 'dry-run': true, quiet: true };
    expect(optionsOf('add -t 2h -r x -f list -nq')).toMatchObject(wanted);
    expect(optionsOf('add -t2h -r=x')).toMatchObject({ timeout: 7200, reason: 'x' });
    expect(optionsOf('add -r=')).toMatchObject({ reason: '' });
    expect(optionsOf('add --reason=')).toMatchObject({ reason: '' });
    expect(optionsOf('add -r -5')).toMatchObject({ reason: '-5' });
    expect(optionsOf('add -nr x')).toMatchObject({ 'dry-run': true, reason: 'x' });
    expect(optionsOf('flush -y')).toMatchObject({ yes: true });
    expect(optionsOf('add --file -')).toMatchObject({ file: '-' });
    expect(optionsOf('add -f - -q')).toMatchObject({ file: '-', quiet: true });
  });

  test('of a format can be given as flags', () => {
    for (const line of ['list -o json', 'list --output json', 'list --output=json', 'list --json'])
      expect(optionsOf(line)).toMatchObject({ output: 'json' });
    expect(optionsOf('list')).toMatchObject({ output: 'table' });
  });

  test('have parsed values, also by default', () => {
    expect(optionsOf('add -t never')).toMatchObject({ timeout: null, until: undefined });
    expect(optionsOf('history')).toMatchObject({ limit: 50, since: undefined });
    expect(optionsOf('install --home /opt/agent/ --name a,b,a')).toMatchObject({
      home: '/opt/agent',
      name: ['a', 'b'],
    });
  });

  test('end at --', () => {
    const parsed = parseArguments(['add', '--', '-1.2.3.4', '-t2h'], COMMANDS);
    expect(parsed).toMatchObject({ kind: 'run', words: ['-1.2.3.4', '-t2h'] });
  });

  test('can repeat a flag', () => {
    expect(optionsOf('add 203.0.113.9 --force --force')).toMatchObject({ force: true });
  });
});

test.each([
  ['lst', 'there is no command "lst"; did you mean list?'],
  ['delte x', 'there is no command "delte"; did you mean delete?'],
  ['del x', 'there is no command "del"; did you mean delete?'],
  ['ex', 'there is no command "ex"; firewall-drop --help lists them'],
  ['stauts', 'there is no command "stauts"; did you mean status?'],
  ['frobnicate', 'there is no command "frobnicate"; firewall-drop --help lists them'],
  ['protect', 'the command "protect" is incomplete; the commands are protect check, protect list'],
  [
    'protect chek',
    'there is no command "protect chek"; the commands are protect check, protect list',
  ],
  ['--json list', '"--json" comes before the command; '],
  ['add --timout 2h', 'add has no option "--timout"; did you mean --timeout?'],
  ['add --time 2h', 'add has no option "--time"; did you mean --timeout?'],
  ['list --jsn', 'list has no option "--jsn"; did you mean --json?'],
  ['list -x', 'list has no option "-x"; see '],
  ['list --json --csv', '--output is given twice, as "json" and as "csv"; see'],
  ['list -o json --plain', '--output is given twice, as "json" and as "plain"; see'],
  ['add -t 1h -t 2h', '--timeout is given twice, as "1h" and as "2h"; see'],
  ['list -o xml', '--output "xml" is not one of table, json, csv, plain'],
  ['list --limit 0', '--limit "0" is not a number above 0; see firewall-drop list --help'],
  ['add --until 2020-01-01', '--until "2020-01-01" is not a time in the future; examples, in UTC'],
  ['metrics --textfile x.txt', '--textfile "x.txt" is not a name that ends in .prom: '],
  ['install --home ../agent', '--home "../agent" is not an absolute path of letters, '],
  ['install --home /opt/../agent', '--home "/opt/../agent" is not an absolute path of letters, '],
  ['install --name=-x', '--name "-x" is not a list of names of letters, digits, '],
  ['config snippet --rules sshd', '--rules "sshd" is not a list of rule ids separated by commas'],
  ['config snippet --agent x', '--agent "x" is not the id of an agent, such as 002'],
  ['config snippet --mail x', '--mail "x" is not a mail address, such as ops@example.org'],
  [
    'add -nt',
    '-t needs a value (how long the ban lasts: 90m, 1h30m, 2d, never; seconds if it has no unit); see firewall-drop add --help',
  ],
  [
    'add -t',
    '-t needs a value (how long the ban lasts: 90m, 1h30m, 2d, never; seconds if it has no unit)',
  ],
  [
    'add -r --file x',
    '-r needs a value (a note on why); for the value "--file" write --reason=--file',
  ],
  ['add --force=yes', '--force takes no value'],
  ['list all', 'list takes no arguments, but got "all"'],
  ['is-blocked', 'is-blocked needs an address'],
  ['is-blocked 192.0.2.1 192.0.2.2', 'is-blocked takes one address, but got 2'],
  ['completion tcsh', '"tcsh" is not one of bash, zsh, fish'],
])('`%s` fails: %s', (line, message) => {
  expect(mistakeOf(line)).toContain(message);
});

describe('a suggestion never has the opposite effect', () => {
  const OPPOSITES: readonly (readonly [RegExp, RegExp])[] = [
    [/^(?:un|de|re|rm|fl)/, /did you mean (?:add|ban|block|extend)\?/],
    [/^(?:ad|ba|bl|ex)/, /did you mean (?:delete|unban|unblock|remove|rm|flush)\?/],
  ];
  const words = ['add', 'ban', 'block', 'delete', 'unban', 'unblock', 'remove', 'rm', 'flush'];
  const letters = 'abdeklmnru'.split('');

  test.each(words)('for %s with one letter added, removed or replaced', (word) => {
    const slips = Array.from({ length: word.length + 1 }, (_, at) => [
      word.slice(0, at) + word.slice(at + 1),
      ...letters.flatMap((letter) => [
        word.slice(0, at) + letter + word.slice(at),
        word.slice(0, at) + letter + word.slice(at + 1),
      ]),
    ]).flat();
    for (const slip of slips) {
      for (const [typed, suggested] of OPPOSITES) {
        if (typed.test(slip) && typed.test(word))
          expect([slip, mistakeOf(slip)]).toEqual([slip, expect.not.stringMatching(suggested)]);
      }
    }
  });

  test.each(['uban', 'ublock', 'nban', 'ninstall'])(
    'for %s, which is equally similar to opposite commands',
    (word) => {
      expect(mistakeOf(word)).toContain('firewall-drop --help lists them');
    },
  );
});

test('the quoted part of a mistake is bounded', () => {
  expect(mistakeOf('x'.repeat(60_000)).length).toBeLessThan(300);
  expect(mistakeOf(`add --${'x'.repeat(60_000)}`).length).toBeLessThan(300);
});
