/** What a hostile owner of our surroundings can and can't make root do, on the built executable. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ATTACKER, wazuh4Message, answerTo } from '../support/alerts.ts';
import type { RunResult } from '../support/host.ts';
import { eventually } from '../support/wait.ts';
import { createVictim, ossecLine, STATE_DIRECTORY, type Victim } from '../support/victim.ts';

const A = ATTACKER;
const LOCK_DIRECTORY = '/run/firewall-drop';
const TARGET = '/var/tmp/precious';
const UNITS = join(__dirname, '../../packaging/systemd');

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterAll(() => victim.dispose());
beforeEach(() => {
  victim.reset();
  victim.host.remove(LOCK_DIRECTORY);
  victim.host.remove(TARGET);
});

function expectBlocked(response: { status: number | null; lines: readonly string[] }): void {
  expect(response.status).toBe(0);
  expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
  expect(victim.rules(A)).toHaveLength(2);
}

/** `MODE OWNER:GROUP` of a path, of links themselves. */
function access(path: string): string {
  return victim.host.must(['stat', '-c', '%a %u:%g', '--', path]).trim();
}

describe.each(['0', '0777'])('with umask %s', (umask) => {
  test('what we make is root’s alone, and the logs are the agent’s', () => {
    const message = wazuh4Message({ srcip: A });
    const script = `umask ${umask}; exec active-response/bin/firewall-drop`;
    victim.configure('[log]\nlevel = "trace"\n');
    const result = victim.host.run(['bash', '-c', script], {
      cwd: victim.agent.home,
      input: message + answerTo(message, 'continue'),
    });
    expect(result.status).toBe(0);
    const logs = `${victim.agent.home}/logs`;
    const [, owner] = access(logs).split(' ');
    expect(access(STATE_DIRECTORY)).toBe('700 0:0');
    expect(access(LOCK_DIRECTORY)).toBe('700 0:0');
    expect(access(`${LOCK_DIRECTORY}/lock`)).toBe('600 0:0');
    expect(access(`${logs}/active-responses.log`)).toBe(`660 ${owner ?? ''}`);
    const books = victim.host.must(['find', STATE_DIRECTORY, '-type', 'f']).trim().split('\n');
    expect(books.map(access)).toEqual(books.map(() => '600 0:0'));
    const open = ['find', STATE_DIRECTORY, LOCK_DIRECTORY, '-perm', '/077'];
    expect(victim.host.must(open)).toBe('');
  });
});

describe('a link in the place of', () => {
  test.each([
    ['the lock', `${LOCK_DIRECTORY}/lock`, LOCK_DIRECTORY],
    ['the books', `${STATE_DIRECTORY}/state.db`, STATE_DIRECTORY],
  ])('%s leads nowhere: its target is as it was, and the block happens', (_, path, directory) => {
    victim.host.writeFile(TARGET, 'precious\n');
    victim.host.mkdir(directory, { mode: '0700' });
    victim.host.symlink(TARGET, path);
    expectBlocked(victim.add(A));
    expect(victim.host.readFile(TARGET)).toBe('precious\n');
  });

  test.each([
    ['the lock’s directory', LOCK_DIRECTORY],
    ['the books’ directory', STATE_DIRECTORY],
  ])('%s is no reason not to block', (_, path) => {
    victim.host.remove(path);
    victim.host.symlink('/var/tmp/nowhere', path);
    expectBlocked(victim.add(A));
    victim.host.remove(path);
  });

  test.each([
    ['ar.conf', 'etc/shared/ar.conf'],
    ['ossec.conf', 'etc/ossec.conf'],
  ])('%s, to something that never ends, is no reason not to block', (_, name) => {
    victim.host.symlink('/dev/zero', `${victim.agent.home}/${name}`);
    expectBlocked(victim.add(A));
  });
});

describe('what is not ours is not handed on', () => {
  test('a descriptor that we inherit does not reach the programs that we start', () => {
    const spy = '/var/tmp/spy';
    const seen = '/var/tmp/seen';
    const real = victim.host.must(['readlink', '/etc/alternatives/iptables-restore']).trim();
    const script = `#!/bin/sh\nls -l /proc/self/fd >${seen}\nenv >${seen}.env\nexec ${real} "$@"\n`;
    victim.host.writeFile(spy, script, { mode: '0755' });
    victim.host.symlink(spy, '/etc/alternatives/iptables-restore');
    victim.host.writeFile(TARGET, 'precious\n');
    const message = wazuh4Message({ srcip: A });
    const start = `exec 7<>${TARGET} 9<>${TARGET}; exec env SECRET=yes XTABLES_LIBDIR=/var/tmp PATH=/var/tmp active-response/bin/firewall-drop`;
    const result = victim.host.run(['bash', '-c', start], {
      cwd: victim.agent.home,
      input: message + answerTo(message, 'continue'),
    });
    victim.host.symlink(real, '/etc/alternatives/iptables-restore');
    expect(result.status).toBe(0);
    expect(victim.host.readFile(seen)).not.toContain(TARGET);
    expect(victim.host.readFile(`${seen}.env`)).not.toMatch(/SECRET|XTABLES|var.tmp/);
  });
});

test('with too few descriptors it ends with a status and nothing half done', () => {
  const message = wazuh4Message({ srcip: A });
  for (const limit of [16, 24, 28]) {
    const result = victim.host.run(
      ['bash', '-c', `ulimit -n ${limit}; exec active-response/bin/firewall-drop`],
      { cwd: victim.agent.home, input: message + answerTo(message, 'continue') },
    );
    expect(victim.rules(A)).toHaveLength(result.status === 0 ? 2 : 0);
  }
});

/** The names of a unit's CapabilityBoundingSet, as setpriv(1) takes them. */
function capabilitiesOf(unit: string): string {
  const text = readFileSync(join(UNITS, unit), 'utf8');
  const [, names = ''] = /^CapabilityBoundingSet=(.+)$/m.exec(text) ?? [];
  return [
    '-all',
    ...names.split(' ').map((name) => name.toLowerCase().replace('cap_', '+')),
  ].join();
}

describe('the capabilities of the systemd units suffice', () => {
  const as = (unit: string, args: readonly string[]): RunResult =>
    victim.host.run([
      ...['setpriv', '--no-new-privs', '--bounding-set', capabilitiesOf(unit), '--'],
      ...[victim.agent.program(), ...args],
    ]);

  test('to release what is due, and to make the agent’s log for the line', async () => {
    const { host, agent } = victim;
    host.must([agent.program(), 'add', A, '--timeout', '1s']);
    host.remove(agent.log);
    await eventually('its end', () => {
      const { status, stderr } = as('firewall-drop-expire.service', ['expire']);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      return victim.rules(A).length === 0;
    });
    expect(victim.log()).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    const [, owner = ''] = access(`${agent.home}/logs`).split(' ');
    expect(access(agent.log)).toBe(`660 ${owner}`);
  });

  test('to put blocks back after a boot', () => {
    victim.add(A);
    victim.flushRules();
    expect(as('firewall-drop-restore.service', ['restore']).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('and without them nothing is claimed', () => {
    const none = ['setpriv', '--no-new-privs', '--bounding-set=-all', '--'];
    expect(victim.host.run([...none, victim.agent.program(), 'add', A]).status).not.toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });
});
