// Finds the agent's home. A forged argv[0] changes nothing but the name.
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { findPlace, type Place } from '../../../src/wazuh/invocation.ts';
import { ownDirectory } from '../support/directory.ts';

const root = ownDirectory();
const home = join(root, 'ossec');
const executable = join(home, 'active-response/bin/firewall-drop');
beforeEach(() => {
  mkdirSync(join(home, 'active-response/bin'), { recursive: true });
  writeFileSync(executable, '');
});

function place(argv0: string, parts: { cwd?: string; executable?: string } = {}): Place {
  return findPlace({
    argv0,
    cwd: () => parts.cwd ?? home,
    execPath: parts.executable ?? executable,
  });
}

describe('the home', () => {
  test('is found from the relative path that wazuh-execd passes', () => {
    expect(place('active-response/bin/firewall-drop')).toEqual({ home, name: 'firewall-drop' });
  });

  test('is found from the absolute path that ossec-execd passes', () => {
    expect(place(executable, { cwd: '/' })).toEqual({ home, name: 'firewall-drop' });
  });

  test('is that of the link that was started if the program itself is elsewhere', () => {
    const real = join(root, 'firewall-drop');
    writeFileSync(real, '');
    rmSync(executable);
    symlinkSync(real, executable);
    expect(place('active-response/bin/firewall-drop', { executable: real }).home).toBe(home);
  });

  test.each([
    ['empty', ''],
    ['a bare name from PATH', 'firewall-drop'],
    ['one dash', '-'],
    ['very long', 'x/'.repeat(100_000)],
    ['a NUL', 'active-response/bin/a\0b'],
    ['another program', '/bin/sh'],
  ])('is that of the executable if argv[0] is %s', (_, argv0) => {
    expect(place(argv0, { cwd: '/' }).home).toBe(home);
  });

  test('is that of the executable if argv[0] names a home that another user created', () => {
    const planted = join(root, 'planted/active-response/bin');
    mkdirSync(planted, { recursive: true });
    writeFileSync(join(planted, 'firewall-drop'), '');
    expect(place(join(planted, 'firewall-drop')).home).toBe(home);
  });

  test('is that of the executable if the working directory is gone', () => {
    const invocation = {
      argv0: 'active-response/bin/firewall-drop',
      cwd: (): string => {
        throw new Error('ENOENT');
      },
      execPath: executable,
    };
    expect(findPlace(invocation).home).toBe(home);
  });

  test('is /var/ossec if the executable is not in an agent’s directory', () => {
    const elsewhere = join(root, 'firewall-drop');
    writeFileSync(elsewhere, '');
    expect(place(elsewhere, { executable: elsewhere }).home).toBe('/var/ossec');
  });
});

describe('the name', () => {
  test.each(['firewall-drop', 'firewall-drop.sh', 'drop_2'])('is that of argv[0]: %s', (name) => {
    expect(place(`active-response/bin/${name}`).name).toBe(name);
  });

  test.each(['a b', 'a\nb', 'a\u001b[2Jb', 'ä', 'x'.repeat(65), '$(id)', '..', '.', ' '])(
    'is firewall-drop when argv[0] ends in %j',
    (name) => {
      expect(place(`active-response/bin/${name}`).name).toBe('firewall-drop');
    },
  );

  test('is firewall-drop if argv[0] is empty', () => {
    expect(place('').name).toBe('firewall-drop');
  });
});
