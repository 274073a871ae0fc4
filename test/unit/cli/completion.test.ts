// Shell completion offers every valid word in its place, and nothing else.
import { describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { offersFor } from '../../../src/cli/completion.ts';

const BANNED = ['203.0.113.9', '2001:db8::9'];

function linesFor(...line: string[]): string[] {
  return offersFor(line, COMMANDS, () => BANNED);
}

function wordsFor(...line: string[]): string[] {
  return linesFor(...line).map((offer) => offer.split('\t')[0] ?? '');
}

describe('the first word', () => {
  test('can be every command, or the first word of a group', () => {
    const firsts = new Set(COMMANDS.map(({ name }) => name.split(' ')[0]));
    expect(new Set(wordsFor(''))).toEqual(new Set([...firsts, 'help']));
  });

  test('can be an alias once it is begun', () => {
    expect(wordsFor('unb')).toEqual(['unban', 'unblock']);
    expect(wordsFor('li')).toEqual(['list']);
  });

  test('has no candidates if no command begins with it', () => {
    expect(wordsFor('xy')).toEqual([]);
  });
});

test('the second word of a group is offered, and no third one', () => {
  expect(wordsFor('protect', '')).toEqual(['check', 'list']);
  expect(wordsFor('protect', 'list', '')).toEqual([]);
});

test('help offers the commands', () => {
  expect(wordsFor('help', 'his')).toEqual(['history']);
  expect(wordsFor('help', 'config', 'v')).toEqual(['validate']);
});

describe.each(COMMANDS.map((command) => [command.name, command] as const))(
  '%s',
  (name, command) => {
    test('offers all of its options after a dash, except those already given', () => {
      const options = Object.keys(command.options).map((option) => `--${option}`);
      expect(wordsFor(...name.split(' '), '--')).toEqual([...options, '--help']);
      for (const [option, { short, kind }] of Object.entries(command.options)) {
        const value = kind === 'flag' ? [] : ['x'];
        for (const given of [`--${option}`, ...(short === undefined ? [] : [`-${short}`])]) {
          expect(wordsFor(...name.split(' '), given, ...value, '-')).not.toContain(`--${option}`);
        }
      }
    });

    test('offers the choices of an option, by its long and its short name', () => {
      for (const [option, spec] of Object.entries(command.options)) {
        if (spec.kind === 'flag' || spec.choices === undefined) continue;
        expect(wordsFor(...name.split(' '), `--${option}`, '')).toEqual(spec.choices);
        if (spec.short !== undefined)
          expect(wordsFor(...name.split(' '), `-${spec.short}`, '')).toEqual(spec.choices);
      }
    });
  },
);

describe('files', () => {
  test.each([
    [['add', '--file', '']],
    [['add', '-f', 'li']],
    [['config', 'check', '']],
    [['config', 'check', 'one', '']],
    [['explain', '']],
    [['import', '']],
    [['metrics', '--textfile', '']],
  ])('are offered for %j', (line) => {
    expect(linesFor(...line)).toEqual([':files']);
  });

  test.each([[['add', '']], [['add', '--reason', '']], [['explain', 'one', '']]])(
    'are not offered for %j',
    (line) => {
      expect(linesFor(...line)).toEqual([]);
    },
  );
});

test.each([
  [['delete', '']],
  [['rm', '203.']],
  [['delete', '203.0.113.9', '']],
  [['delete', '--reason', 'x', '']],
  [['status', '']],
  [['is-blocked', '']],
  [['extend', '']],
  [['history', '']],
])('banned addresses are offered for %j', (line) => {
  expect(wordsFor(...line)).toEqual(
    BANNED.filter((address) => address.startsWith(line.at(-1) ?? '')),
  );
});

test('a second address is not offered if the command takes only one', () => {
  expect(linesFor('is-blocked', '203.0.113.9', '')).toEqual([]);
});

test('a line for the shells has a word, a tab and a description', () => {
  expect(linesFor('backe')).toEqual([
    'backend\tShow which backend holds the bans, why, and what else is installed',
  ]);
  expect(linesFor('delete', '2001')).toEqual(['2001:db8::9\t']);
});
