// Our own log: lines of JSON for people who run us, and never a reason to stop.
import {
  existsSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { Diagnostics } from '../../src/diagnostics.ts';
import { ownDirectory } from './support/directory.ts';

const directory = ownDirectory();
const path = join(directory, 'firewall-drop.log');

function open(level: Diagnostics['level'] = 'warn'): Diagnostics {
  const diagnostics = new Diagnostics(path, 'firewall-drop');
  diagnostics.level = level;
  return diagnostics;
}

function lines(): Record<string, unknown>[] {
  const text = readFileSync(path, 'utf8');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
}

test('a message is one line of JSON with its time, program and process', () => {
  open().error('it failed');
  expect(lines()).toEqual([
    {
      level: 50,
      time: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) as unknown,
      program: 'firewall-drop',
      pid: process.pid,
      msg: 'it failed',
    },
  ]);
});

describe('the level', () => {
  test.each([
    ['info', ['error', 'warn']],
    ['warn', ['error', 'warn']],
    ['error', ['error']],
  ] as const)('`%s` keeps %j', (level, kept) => {
    const diagnostics = open(level);
    diagnostics.error('error');
    diagnostics.warn('warn');
    expect(lines().map((line) => line['msg'])).toEqual(kept);
  });

  test.each(['silent', 'fatal'] as const)('`%s` keeps nothing and makes no file', (level) => {
    open(level).error('it failed');
    expect(existsSync(path)).toBe(false);
  });

  test('is asked at each message, since the first come before the configuration', () => {
    const diagnostics = open('error');
    diagnostics.warn('before');
    diagnostics.level = 'warn';
    diagnostics.warn('after');
    expect(lines().map((line) => line['msg'])).toEqual(['after']);
  });
});

test('the same message is said once a run', () => {
  const diagnostics = open();
  for (let count = 0; count < 100; count++) diagnostics.error('it failed');
  diagnostics.error('it failed otherwise');
  expect(lines()).toHaveLength(2);
});

test('a run with nothing to say leaves no file', () => {
  open();
  expect(existsSync(path)).toBe(false);
});

test('text of others stays one line and has no control sequence', () => {
  open().error('not JSON: \n\u001b[2J\u009b31m\u2028');
  const text = readFileSync(path, 'utf8');
  expect(text.trimEnd()).not.toMatch(/[\p{Cc}\u2028]/u);
});

describe('a problem with the file stops nothing:', () => {
  test('its directory is missing', () => {
    rmSync(directory, { recursive: true });
    expect(() => {
      open().error('it failed');
    }).not.toThrow();
    mkdirSync(directory);
  });

  test('it is a link, which is not followed', () => {
    const target = join(directory, 'target');
    writeFileSync(target, 'foreign');
    symlinkSync(target, path);
    expect(() => {
      open().error('it failed');
    }).not.toThrow();
    expect(readFileSync(target, 'utf8')).toBe('foreign');
  });
});

test('the file is not readable by others', () => {
  open().error('it failed');
  expect(statSync(path).mode & 0o007).toBe(0);
});
