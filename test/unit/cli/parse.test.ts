// What is typed, read by the descriptions of the commands: every mistake has an answer that helps.
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
])('%s is understood: %s', (line, meaning) => {
  expect(read(line)).toBe(meaning);
});

describe('options', () => {
  test('have short names, with their value behind a blank or at once', () => {
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

  test('of a format may be flags of its name', () => {
    for (const line of ['list -o json', 'list --output json', 'list --output=json', 'list --json'])
      expect(optionsOf(line)).toMatchObject({ output: 'json' });
    expect(optionsOf('list')).toMatchObject({ output: 'table' });
  });

  test('have values as their descriptions read them, by default too', () => {
    expect(optionsOf('add -t never')).toMatchObject({ timeout: null, until: undefined });
    expect(optionsOf('history')).toMatchObject({ limit: 50, since: undefined });
    expect(optionsOf('install --home /opt/agent/ --name a,b,a')).toMatchObject({
      home: '/opt/agent',
      name: ['a', 'b'],
    });
  });

  test('end at two dashes', () => {
    const parsed = parseArguments(['add', '--', '-1.2.3.4', '-t2h'], COMMANDS);
    expect(parsed).toMatchObject({ kind: 'run', words: ['-1.2.3.4', '-t2h'] });
  });

  test('may be flags that are given twice', () => {
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
  ['protect', 'there is no command "protect"; there are protect check, protect list'],
  ['protect chek', 'there is no command "protect chek"; there are protect check, protect list'],
  ['--json list', '"--json" stands before the command: '],
  ['add --timout 2h', 'add has no option "--timout"; did you mean --timeout?'],
  ['add --time 2h', 'add has no option "--time"; did you mean --timeout?'],
  ['list --jsn', 'list has no option "--jsn"; did you mean --json?'],
  ['list -x', 'list has no option "-x"; see '],
  ['list --json --csv', '--output was given twice, as "json" and "csv": leave one out'],
  ['list -o json --plain', '--output was given twice, as "json" and "plain": leave one out'],
  ['add -t 1h -t 2h', '--timeout was given twice, as "1h" and "2h": leave one out'],
  ['list -o xml', '--output "xml" is not one of table, json, csv, plain'],
  ['list --limit 0', '--limit "0" is not a number above 0; see firewall-drop list --help'],
  ['add --until 2020-01-01', '--until "2020-01-01" is not a time to come: write for example '],
  ['metrics --textfile x.txt', '--textfile "x.txt" is not a file that ends in .prom: '],
  ['install --home ../agent', '--home "../agent" is not an absolute path of letters, '],
  ['install --home /opt/../agent', '--home "/opt/../agent" is not an absolute path of letters, '],
  ['install --name=-x', '--name "-x" is not a list of names of letters, digits, '],
  ['config snippet --rules sshd', '--rules "sshd" is not ids of rules with commas between them'],
  ['config snippet --agent x', '--agent "x" is not the id of an agent, such as 002'],
  ['config snippet --mail x', '--mail "x" is not one address, such as ops@example.org'],
  ['add -nt', '-t needs a value (how long: 90m, 1h30m, 2d, never); see firewall-drop add --help'],
  ['add -t', '-t needs a value (how long: 90m, 1h30m, 2d, never)'],
  [
    'add -r --file x',
    '-r needs a value (a note for people); if "--file" is meant, write --reason=--file',
  ],
  ['add --force=yes', '--force takes no value'],
  ['list all', 'list takes no arguments, but "all" was given'],
  ['is-blocked', 'is-blocked needs an address'],
  ['is-blocked 192.0.2.1 192.0.2.2', 'is-blocked takes one address, but 2 were given'],
  ['completion tcsh', '"tcsh" is not one of bash, zsh, fish'],
])('%s: %s', (line, message) => {
  expect(mistakeOf(line)).toContain(message);
});

describe('no suggestion does the opposite of what may be meant', () => {
  const OPPOSITES: readonly (readonly [RegExp, RegExp])[] = [
    [/^(?:un|de|re|rm|fl)/, /did you mean (?:add|ban|block|extend)\?/],
    [/^(?:ad|ba|bl|ex)/, /did you mean (?:delete|unban|unblock|remove|rm|flush)\?/],
  ];
  const words = ['add', 'ban', 'block', 'delete', 'unban', 'unblock', 'remove', 'rm', 'flush'];
  const letters = 'abdeklmnru'.split('');

  test.each(words)('for %s with one letter more, less or another', (word) => {
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
    '%s is as near to both, and none is',
    (word) => {
      expect(mistakeOf(word)).toContain('firewall-drop --help lists them');
    },
  );
});

test('what is quoted of a mistake is bounded', () => {
  expect(mistakeOf('x'.repeat(60_000)).length).toBeLessThan(300);
  expect(mistakeOf(`add --${'x'.repeat(60_000)}`).length).toBeLessThan(300);
});
