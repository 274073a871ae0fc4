/** Checks what a hostile environment can and cannot make the built executable do as root. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ATTACKER, wazuh4Message, answerTo } from '../support/alerts.ts';
import type { RunResult } from '../support/host.ts';
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

const TRAP = '/var/tmp/trap';

/** Every variable that the runtime or a library in it reads, with a value that would do harm. */
const RUNTIME_VARIABLES: readonly (readonly [string, string])[] = [
  ['OPENSSL_CONF', `${TRAP}/openssl.cnf`],
  ['OPENSSL_CONF', `${TRAP}/fifo`],
  ['OPENSSL_MODULES', TRAP],
  ['OPENSSL_ENGINES', TRAP],
  ['SSL_CERT_FILE', `${TRAP}/fifo`],
  ['SSL_CERT_DIR', TRAP],
  ['NODE_EXTRA_CA_CERTS', `${TRAP}/fifo`],
  ['NODE_OPTIONS', `--require=${TRAP}/evil.cjs`],
  ['NODE_PATH', TRAP],
  ['NODE_REDIRECT_WARNINGS', `${TRAP}/written`],
  ['NODE_PENDING_DEPRECATION', '1'],
  ['NODE_V8_COVERAGE', `${TRAP}/written`],
  ['NODE_REPL_HISTORY', `${TRAP}/written`],
  ['NODE_CHANNEL_FD', '0'],
  ['NODE_CHANNEL_FD', '1'],
  ['NODE_CHANNEL_FD', 'none'],
  ['NODE_REPL_EXTERNAL_MODULE', `${TRAP}/evil.cjs`],
  ['NODE_COMPILE_CACHE', `${TRAP}/written`],
  ['SIMDUTF_FORCE_IMPLEMENTATION', 'none'],
  ['ICU_TIMEZONE_FILES_DIR', TRAP],
  ['OPENSSL_ia32cap', '~0:~0'],
  ['OPENSSL_armcap', '~0'],
  ['NODE_USE_SYSTEM_CA', '1'],
  ['NODE_UNIQUE_ID', '1'],
  ['NODE_TEST_CONTEXT', 'child-v8'],
  ['NODE_ICU_DATA', TRAP],
  ['NODE_DEBUG', '*'],
  ['NODE_DEBUG_NATIVE', 'sea'],
  ['NODE_INSPECT_RESUME_ON_START', '1'],
  ['NODE_PRESERVE_SYMLINKS', '1'],
  ['NODE_PRESERVE_SYMLINKS_MAIN', '1'],
  ['NODE_USE_ENV_PROXY', '1'],
  ['UV_THREADPOOL_SIZE', '1024'],
  ['UV_USE_IO_URING', '1'],
  ['SQLITE_TMPDIR', TRAP],
  ['TMPDIR', TRAP],
  ['HOME', TRAP],
  ['LANG', '../../../var/tmp/trap'],
  ['LC_ALL', '../../../var/tmp/trap'],
  ['LC_MESSAGES', '../../../var/tmp/trap'],
  ['YARGS_MIN_NODE_VERSION', '99'],
];

/**
 * The number of environments that share the variables. Adjacent variables in the table belong to one library, and are
 * never combined.
 */
const COUNT = 9;
const ENVIRONMENTS = Array.from({ length: COUNT }, (_, first) => {
  return RUNTIME_VARIABLES.filter((_variable, index) => index % COUNT === first);
});

test('each variable of the runtime is in one of the environments, with its own value', () => {
  const all = ENVIRONMENTS.flatMap((env) => Object.entries(Object.fromEntries(env)));
  expect(all.toSorted()).toEqual(RUNTIME_VARIABLES.toSorted());
});

describe('variables of the runtime in the environment', () => {
  beforeEach(() => {
    victim.host.remove(TRAP);
    victim.host.mkdir(TRAP);
    victim.host.must(['mkfifo', `${TRAP}/fifo`]);
    victim.host.writeFile(`${TRAP}/evil.cjs`, `require('fs').mkdirSync('${TRAP}/written')`);
    const engine = `dynamic_path = ${TRAP}/evil.so\ninit = 1\n`;
    victim.host.writeFile(
      `${TRAP}/openssl.cnf`,
      `openssl_conf = a\n[a]\nengines = b\n[b]\nc = d\n[d]\n${engine}`,
    );
  });

  // Several variables of different libraries at once. None must have an effect.
  test.each(
    ENVIRONMENTS.map((env) => ({ env, all: env.map((variable) => variable.join('=')).join(' ') })),
  )('such as $all load no code, write no file and stop no block', ({ env }) => {
    const message = wazuh4Message({ srcip: A });
    const before = victim.host.must(['ls', TRAP]);
    const result = victim.host.run(['active-response/bin/firewall-drop'], {
      cwd: victim.agent.home,
      env: Object.fromEntries(env),
      input: message + answerTo(message, 'continue'),
    });
    expectBlocked({ status: result.status, lines: victim.agent.logLines() });
    expect(victim.host.must(['ls', TRAP])).toBe(before);
  });
});

test('the table of docs/security.md has exactly these variables', () => {
  const page = readFileSync(join(__dirname, '../../docs/security.md'), 'utf8');
  const [section = ''] = /^## The environment$[^]*?^## /m.exec(page) ?? [];
  const rows = section
    .split('\n')
    .filter((line) => line.startsWith('| `') && !line.includes('`LD_'));
  const named = rows.flatMap((row) => {
    return Array.from((row.split('|')[1] ?? '').matchAll(/`(\w+)`/g), ([, name = '']) => name);
  });
  expect(new Set(named)).toEqual(new Set(RUNTIME_VARIABLES.map(([name]) => name)));
});

test('YARGS_MIN_NODE_VERSION stops no command', () => {
  const env = { YARGS_MIN_NODE_VERSION: '99' };
  expect(victim.person(['version'], { env })).toMatchObject({ status: 0, stderr: '' });
});

test('a broken openssl.cnf of the host stops no block', () => {
  const message = wazuh4Message({ srcip: A });
  victim.host.writeFile(`${TRAP}.cnf`, 'openssl_conf = [broken\n[[[\n');
  victim.host.mkdir('/etc/ssl');
  victim.host.bind(`${TRAP}.cnf`, '/etc/ssl/openssl.cnf');
  const result = victim.host.run(['active-response/bin/firewall-drop'], {
    cwd: victim.agent.home,
    input: message + answerTo(message, 'continue'),
  });
  victim.host.must(['umount', '/etc/ssl/openssl.cnf']);
  expectBlocked({ status: result.status, lines: victim.agent.logLines() });
});

/** Returns `MODE OWNER:GROUP` of a path, without following links. */
function access(path: string): string {
  return victim.host.must(['stat', '-c', '%a %u:%g', '--', path]).trim();
}

describe.each(['0', '0777'])('with umask %s', (umask) => {
  test('all files are accessible to root alone, and the logs to the agent', () => {
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
    const files = victim.host.must(['find', STATE_DIRECTORY, '-type', 'f']).trim().split('\n');
    expect(files.map(access)).toEqual(files.map(() => '600 0:0'));
    const open = ['find', STATE_DIRECTORY, LOCK_DIRECTORY, '-perm', '/077'];
    expect(victim.host.must(open)).toBe('');
  });
});

describe('a symbolic link in place of', () => {
  test.each([
    ['the lock', `${LOCK_DIRECTORY}/lock`, LOCK_DIRECTORY],
    ['the state', `${STATE_DIRECTORY}/state.db`, STATE_DIRECTORY],
  ])('%s is not followed, and does not stop a block', (_, path, directory) => {
    victim.host.writeFile(TARGET, 'precious\n');
    victim.host.mkdir(directory, { mode: '0700' });
    victim.host.symlink(TARGET, path);
    expectBlocked(victim.add(A));
    expect(victim.host.readFile(TARGET)).toBe('precious\n');
  });

  test.each([
    ['the lock directory', LOCK_DIRECTORY],
    ['the state directory', STATE_DIRECTORY],
  ])('%s does not stop a block', (_, path) => {
    victim.host.remove(path);
    victim.host.symlink('/var/tmp/nowhere', path);
    expectBlocked(victim.add(A));
    victim.host.remove(path);
  });

  test.each([
    ['ar.conf', 'etc/shared/ar.conf'],
    ['ossec.conf', 'etc/ossec.conf'],
  ])('%s that leads to an endless file does not stop a block', (_, name) => {
    victim.host.symlink('/dev/zero', `${victim.agent.home}/${name}`);
    expectBlocked(victim.add(A));
  });
});

describe('firewall programs', () => {
  test('get no file descriptor and no variable that the run inherited', () => {
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

test('an add with too few file descriptors adds no rule, and exits with 71 if the runtime can start', () => {
  const message = wazuh4Message({ srcip: A });
  for (const limit of [16, 21, 24, 28, 32]) {
    const result = victim.host.run(
      ['bash', '-c', `ulimit -n ${limit}; exec active-response/bin/firewall-drop`],
      { cwd: victim.agent.home, input: message + answerTo(message, 'continue') },
    );
    expect(victim.rules(A)).toHaveLength(0);
    // With fewer descriptors, the runtime itself cannot start, and a signal ends it.
    if (limit > 20) expect(result.status).toBe(71);
    else expect(result.signal).not.toBeNull();
  }
});

/** Returns the names of a unit's CapabilityBoundingSet in the form of setpriv(1). */
function capabilitiesOf(unit: string): string {
  const text = readFileSync(join(UNITS, unit), 'utf8');
  const [, names = ''] = /^CapabilityBoundingSet=(.+)$/m.exec(text) ?? [];
  return [
    '-all',
    ...names.split(' ').map((name) => name.toLowerCase().replace('cap_', '+')),
  ].join();
}

describe('the capabilities of the systemd units', () => {
  const as = (unit: string, args: readonly string[]): RunResult =>
    victim.host.run([
      ...['setpriv', '--no-new-privs', '--bounding-set', capabilitiesOf(unit), '--'],
      ...[victim.agent.program(), ...args],
    ]);

  test('suffice to unblock addresses that are due, and to create the agent’s log', () => {
    const { host, agent } = victim;
    host.must([agent.program(), 'add', A, '--timeout', '1h']);
    host.remove(agent.log);
    victim.endTime(A);
    const { status, stderr } = as('firewall-drop-expire.service', ['expire']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(victim.rules(A)).toEqual([]);
    expect(victim.log()).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    const [, owner = ''] = access(`${agent.home}/logs`).split(' ');
    expect(access(agent.log)).toBe(`660 ${owner}`);
  });

  test('suffice to restore bans after a boot', () => {
    victim.add(A);
    victim.flushRules();
    expect(as('firewall-drop-restore.service', ['restore']).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('are necessary: an add without them fails', () => {
    const none = ['setpriv', '--no-new-privs', '--bounding-set=-all', '--'];
    expect(victim.host.run([...none, victim.agent.program(), 'add', A]).status).not.toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });
});
