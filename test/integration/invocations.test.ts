// Checks all invocations: the protocol of each, and the handling of invalid messages.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { answerTo, wazuh4Message, wazuh5Message } from '../support/alerts.ts';
import { builtBinary } from '../support/binary.ts';
import { eventually } from '../support/wait.ts';
import { createVictim, ossecLine, type Response, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const IDS = ['1628597593.1234567', '5710'] as const;
const LINE_IDS = { alertId: '1628597593\\.1234567', ruleId: '5710' };
/** The exit statuses of sysexits(3) that an invocation can have. */
const BAD_DATA = 65;
const UNAVAILABLE = 69;
const USAGE = 64;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim({ names: ['firewall-drop', 'firewall-drop.sh'] });
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function keyLine(name: string, key: string): string {
  return `{"version":1,"origin":{"name":"${name}","module":"active-response"},"command":"check_keys","parameters":{"keys":["${key}"]}}\n`;
}

const REFUSAL =
  /^\w{3} \w{3} [ \d]\d [\d:]{8} UTC \d{4} \/var\/ossec\/active-response\/bin\/firewall-drop\.sh refused - - \d+\.\d+ \d+$/;

/** Checks that there is no rule at all, because this host starts without rules. */
function nothingIsBlocked(): void {
  expect(victim.allRules()).toEqual([]);
}

describe('Wazuh 4', () => {
  test('adds with one check_keys line, two rules, one log line and status 0', () => {
    const response = victim.add(A);
    expect(response).toMatchObject({ status: 0, stderr: '', stdout: keyLine('firewall-drop', A) });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A, LINE_IDS))]);
    expect(victim.rules(A)).toEqual([
      `-A INPUT -s ${A}/32 -j DROP`,
      `-A FORWARD -s ${A}/32 -j DROP`,
    ]);
  });

  test('deletes with an empty stdout, no rules, one log line and status 0', () => {
    victim.add(A);
    const response = victim.delete(A);
    expect(response).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('delete', A, LINE_IDS))]);
    nothingIsBlocked();
  });

  test('succeeds without a line in deleting an address that is not blocked', () => {
    const response = victim.delete(A);
    expect(response).toMatchObject({ status: 0, stdout: '' });
    expect(response.lines).toEqual([]);
  });

  test('keeps a rule that an administrator made before the ban when the ban ends', () => {
    victim.host.must(['iptables', '-A', 'INPUT', '-s', A, '-j', 'DROP']);
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(3);
    const response = victim.delete(A);
    expect(response.status).toBe(0);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('kept', A, LINE_IDS))]);
    expect(victim.rules(A)).toEqual([`-A INPUT -s ${A}/32 -j DROP`]);
    victim.host.must(['iptables', '-D', 'INPUT', '-s', A, '-j', 'DROP']);
  });

  test.each([
    ['2001:DB8:0::1', '2001:db8::1'],
    ['::ffff:203.0.113.7', A],
    ['::ffff:cb00:7107', A],
  ])('sends for %s the canonical key %s', (written, canonical) => {
    const response = victim.add(written);
    expect(response).toMatchObject({ status: 0, stdout: keyLine('firewall-drop', canonical) });
    expect(victim.rules(canonical)).toHaveLength(2);
    expect(victim.delete(written).status).toBe(0);
    nothingIsBlocked();
  });

  test('logs the current time and rule 0 for a manual message without ids', () => {
    const response = victim.add(A, { alert: { data: { srcip: A } } });
    const ids = { alertId: '1\\d{9}\\.\\d{6}', ruleId: '0' };
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A, ids))]);
  });

  test('reads nothing after execd’s answer', () => {
    const message = wazuh4Message({ srcip: A });
    const response = victim.respond(
      `${message}${answerTo(message, 'continue')}${wazuh4Message({ srcip: '203.0.113.8' })}`,
    );
    expect(response.status).toBe(0);
    expect(victim.rules('203.0.113.8')).toEqual([]);
  });

  test('accepts a last message without a line feed', () => {
    victim.add(A);
    const response = victim.respond(wazuh4Message({ srcip: A, command: 'delete' }).trimEnd());
    expect(response.status).toBe(0);
    nothingIsBlocked();
  });

  test('acts on a line in pieces once it is complete', async () => {
    const running = victim.start();
    const message = wazuh4Message({ srcip: A });
    for (let at = 0; at < message.length; at += 200) running.say(message.slice(at, at + 200));
    running.say(answerTo(message, 'continue'));
    expect(await running.ended).toMatchObject({ status: 0 });
  });
});

describe('Wazuh 5', () => {
  test('enables with check_keys, rules, a log line, and a deadline from stateful_timeout', () => {
    victim.configure('[limits]\ngrace_seconds = 7\n');
    const response = victim.enable(A, { timeoutSeconds: 180 });
    expect(response).toMatchObject({ status: 0, stderr: '', stdout: keyLine('firewall-drop', A) });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.banOn(A)?.holds).toMatchObject([{ origin: 'wazuh', timeoutSeconds: 187 }]);
  });

  test('gives a stateless response no deadline', () => {
    expect(victim.enable(A, { type: 'stateless' }).status).toBe(0);
    expect(victim.banOn(A)?.holds).toMatchObject([{ timeoutSeconds: null, expires: null }]);
  });

  test('disables with an empty stdout, no rules and one log line', () => {
    victim.enable(A);
    const response = victim.disable(A, { extra: { stateful_timeout: 180 } });
    expect(response).toMatchObject({ status: 0, stdout: '' });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('delete', A))]);
    nothingIsBlocked();
  });

  test('takes execd’s command, not a command in the alert', () => {
    const line = wazuh5Message({ srcip: A }).replace('{"wazuh"', '{"command":"disable","wazuh"');
    victim.enable(A);
    expect(victim.respond(line)).toMatchObject({ status: 0, stdout: '' });
    nothingIsBlocked();
  });
});

describe('OSSEC', () => {
  test('adds and deletes by arguments, with an empty stdin and an empty stdout', () => {
    const added = victim.ossec({ srcip: A });
    expect(added).toMatchObject({ status: 0, stdout: '', stderr: '' });
    expect(added.lines).toEqual([expect.stringMatching(ossecLine('add', A, LINE_IDS))]);
    expect(victim.rules(A)).toHaveLength(2);
    const deleted = victim.ossec({ srcip: A, command: 'delete' });
    expect(deleted).toMatchObject({ status: 0, stdout: '' });
    expect(deleted.lines).toEqual([expect.stringMatching(ossecLine('delete', A, LINE_IDS))]);
    nothingIsBlocked();
  });

  test('logs ids that rules decode for a manual response from the manager', () => {
    const words = ['-', A, '(from_the_server)', '(no_rule_id)'];
    const ids = { alertId: '1\\d{9}\\.\\d{6}', ruleId: '0' };
    expect(victim.ossecRaw(['add', ...words]).lines).toEqual([
      expect.stringMatching(ossecLine('add', A, ids)),
    ]);
    expect(victim.ossecRaw(['delete', ...words]).status).toBe(0);
    nothingIsBlocked();
  });

  // test/unit/wazuh/invocation.test.ts checks every kind.
  test.each([
    ['an option', '--force'],
    ['an address', '203.0.113.50'],
    ['help', '--help'],
    ['a line feed', 'root\nadd'],
  ])('blocks only the address after a user name that is %s', (_, user) => {
    const response = victim.ossecRaw(['add', user, A, ...IDS]);
    expect(response.status).toBe(0);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A, LINE_IDS))]);
    const bans = victim.bans();
    expect(bans).toMatchObject([{ address: A, holds: [{ origin: 'ossec' }] }]);
  });

  test('refuses a protected address after the user name --force', () => {
    victim.configure('[protect]\nallow = ["203.0.113.99"]\n');
    for (const ids of [IDS, ['(from_the_server)', '(no_rule_id)']]) {
      const response = victim.ossecRaw(['add', '--force', '203.0.113.99', ...ids]);
      expect(response.status).toBe(BAD_DATA);
      expect(response.lines).toEqual([expect.stringMatching(ossecLine('refused', '203.0.113.99'))]);
    }
    nothingIsBlocked();
  });

  // test/unit/wazuh/execd-arguments.test.ts checks every kind.
  test.each(['-F.', '$(reboot)', 'a\nb'])('refuses %j as an address', (srcip) => {
    const response = victim.ossecRaw(['add', '-', srcip, ...IDS]);
    expect(response.status).toBe(BAD_DATA);
    expect(response.lines).toEqual([expect.stringMatching(REFUSAL)]);
    nothingIsBlocked();
  });
});

describe('an invalid message', () => {
  const refused = (response: Response): void => {
    expect(response).toMatchObject({ status: BAD_DATA, stdout: '' });
    expect(response.lines).toEqual([expect.stringMatching(REFUSAL)]);
    expect(response.stderr).toMatch(/^firewall-drop: [^\n]+\n$/);
    nothingIsBlocked();
  };
  const message = wazuh4Message({ srcip: A });

  // test/unit/wazuh/message.test.ts checks every kind.
  test.each([
    ['text that is not JSON', 'nonsense\n'],
    ['an empty line', '\n'],
    ['half an object', `${message.slice(0, 100)}\n`],
    ['two objects', `${message.trimEnd()}${message}`],
    ['another command', wazuh4Message({ srcip: A, command: 'restart' })],
    ['a host name instead of an address', wazuh4Message({ srcip: 'attacker.example' })],
    ['half a line', message.slice(0, 100)],
    ['no input', ''],
  ])('of %s blocks nothing, and is refused with one line and status 65', (_, input) => {
    // Sent as if execd continued. No answer makes an invalid message valid.
    const answer = input.endsWith('\n') ? answerTo(message, 'continue') : '';
    refused(victim.respond(input + answer));
  });

  test('longer than the limit blocks nothing, and is not read completely', () => {
    const long = wazuh4Message({ srcip: A, extra: { full_log: 'x'.repeat(8 * 1024 * 1024) } });
    refused(victim.respond(long));
  });

  test.each([
    ['silence', ''],
    ['half a line followed by silence', message.slice(0, 100)],
  ])('of %s is refused after limits.total_seconds', async (_, beginning) => {
    victim.configure('[limits]\ntotal_seconds = 5\n');
    const running = victim.start();
    running.say(beginning);
    expect(await running.ended).toMatchObject({ status: BAD_DATA, stdout: '' });
    expect(victim.log()).toEqual([expect.stringMatching(REFUSAL)]);
    nothingIsBlocked();
  });
});

describe('an add', () => {
  const failed = (response: { status: number | null }, lines: readonly string[]): void => {
    expect(response.status).toBe(UNAVAILABLE);
    expect(lines).toEqual([expect.stringMatching(ossecLine('failed', A, LINE_IDS))]);
    nothingIsBlocked();
    expect(victim.bans()).toEqual([]);
  };

  // test/unit/wazuh/check-keys.test.ts checks every kind of answer.
  test.each([
    ['execd is gone', { answer: 'none' }],
    ['the answer is not JSON', { answer: { raw: 'continue\n' } }],
    ['the answer breaks off', { answer: { raw: '{"command":"continue"}' } }],
    ['the answer never ends', { answer: { raw: `{"x":"${'y'.repeat(4 * 1024 * 1024)}"}\n` } }],
  ] as const)('blocks nothing if %s', (_, asked) => {
    const response = victim.add(A, asked);
    failed(response, response.lines);
  });

  test('blocks nothing if execd sends no answer within the bound', async () => {
    victim.configure('[limits]\ntotal_seconds = 5\n');
    const running = victim.start();
    running.say(wazuh4Message({ srcip: A }));
    const result = await running.ended;
    expect(result.stdout).toBe(keyLine('firewall-drop', A));
    failed(result, victim.log());
  });

  test('blocks nothing if stdout is closed from the start, whatever the answer is', () => {
    const script = 'exec 1>&-; exec active-response/bin/firewall-drop';
    const message = wazuh4Message({ srcip: A });
    const result = victim.host.run(['bash', '-c', script], {
      cwd: victim.agent.home,
      input: message + answerTo(message, 'continue'),
    });
    failed(result, victim.log());
  });

  test('blocks nothing if the reader of stdout is gone', () => {
    const script = 'active-response/bin/firewall-drop | true; echo "${PIPESTATUS[0]}" >/var/status';
    const message = wazuh4Message({ srcip: A });
    // `true` has ended when the program writes the keys.
    victim.host.run(['bash', '-c', script], { cwd: victim.agent.home, input: message });
    failed({ status: Number(victim.host.readFile('/var/status')) }, victim.log());
  });
});

describe('an abort', () => {
  test('moves the deadline of a blocked address and writes no line', () => {
    victim.setTimeouts(600);
    victim.add(A);
    const before = victim.banOn(A)?.holds[0]?.expires ?? '';
    const response = victim.add(A, { answer: 'abort', alertId: '1628597999.1' });
    expect(response).toMatchObject({ status: 0, lines: [] });
    const after = victim.banOn(A)?.holds[0]?.expires ?? '';
    expect(Date.parse(after)).toBeGreaterThan(Date.parse(before));
    expect(victim.rules(A)).toHaveLength(2);
  });

  test.each([A, '2001:db8::7'])('blocks %s again after a flush, and logs it', (address) => {
    victim.add(address);
    victim.flushRules();
    const response = victim.add(address, { answer: 'abort' });
    expect(response.status).toBe(0);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('reapplied', address))]);
    expect(victim.rules(address)).toHaveLength(2);
  });

  test('blocks an address that has no ban', () => {
    const response = victim.add(A, { answer: 'abort' });
    expect(response.status).toBe(0);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.banOn(A)).toMatchObject({ phase: 'blocked' });
  });
});

describe('the home and the name', () => {
  const other = '/var/other';
  beforeAll(() => {
    victim.host.installAgent({ binary: builtBinary(), home: other });
    victim.host.installAgent({ binary: builtBinary(), home: '/var/real', as: 'file' });
  });
  const logOf = (home: string): string[] => {
    const path = `${home}/logs/active-responses.log`;
    const lines = victim.host.run(['cat', path]).stdout.split('\n').filter(Boolean);
    victim.host.remove(path);
    return lines;
  };

  test('of a link firewall-drop.sh appear in the log lines', () => {
    const response = victim.add(A, { program: 'active-response/bin/firewall-drop.sh' });
    expect(response).toMatchObject({ status: 0, stdout: keyLine('firewall-drop.sh', A) });
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
  });

  test.each([
    ['relative', 'active-response/bin/firewall-drop', other],
    ['absolute', `${other}/active-response/bin/firewall-drop`, '/'],
    ['non-canonical', 'bin/../bin/./firewall-drop', `${other}/active-response`],
  ])('are found through a %s argv[0] in another home', (_, program, cwd) => {
    expect(victim.add(A, { program, cwd })).toMatchObject({ status: 0, lines: [] });
    expect(logOf(other)).toEqual([expect.stringMatching(ossecLine('add', A, { home: other }))]);
  });

  test.each([
    ['another program', '/bin/sh', 'sh'],
    ['nothing', '', 'firewall-drop'],
    ['a path to nowhere', '/nowhere/active-response/bin/firewall-drop', 'firewall-drop'],
    ['a home with another program', '/var/lie/active-response/bin/firewall-drop', 'firewall-drop'],
    ['a text with a line feed', 'active-response/bin/fire\nwall', 'firewall-drop'],
    ['a text with escape sequences', 'active-response/bin/\u001b[2Jx', 'firewall-drop'],
    ['300 letters', `active-response/bin/${'x'.repeat(300)}`, 'firewall-drop'],
    ['5000 letters and slashes', 'x/'.repeat(2500), 'x'],
    ['a bare name', 'firewall-drop', 'firewall-drop'],
    ['an option of the runtime', '--inspect-brk', '--inspect-brk'],
    ['a short option of the runtime', '-e', '-e'],
    ['an unknown option', '-x', '-x'],
  ])('use the default home if argv[0] is %s', (_, argv0, name) => {
    victim.host.mkdir('/var/lie/active-response/bin');
    victim.host.symlink('/bin/true', '/var/lie/active-response/bin/firewall-drop');
    const response = victim.add(A, { program: victim.agent.program(), argv0 });
    expect(response).toMatchObject({ status: 0, stdout: keyLine(name, A) });
    expect(response.lines).toEqual([
      expect.stringMatching(ossecLine('add', A, { name: `${name}.sh` })),
    ]);
  });

  test('use the default home if there is no argv[0]', () => {
    const message = wazuh4Message({ srcip: A });
    // Calls execve(program, { NULL }, { NULL }) by its number.
    const number = process.arch === 'arm64' ? '221' : '59';
    const code =
      'my $none = pack("q", 0); my $path = $ARGV[1]; syscall($ARGV[0] + 0, $path, $none, $none)';
    const input = message + answerTo(message, 'continue');
    expect(
      victim.host.run(['perl', '-e', code, number, victim.agent.program()], { input }).status,
    ).toBe(0);
    expect(victim.log()).toEqual([expect.stringMatching(ossecLine('add', A))]);
  });

  test('use the executable’s own home if argv[0] names another program', () => {
    const program = '/var/real/active-response/bin/firewall-drop';
    const response = victim.add(A, { program, argv0: '/bin/sh' });
    expect(response).toMatchObject({ status: 0, lines: [] });
    const home = '/var/real';
    expect(logOf(home)).toEqual([
      expect.stringMatching(ossecLine('add', A, { home, name: 'sh.sh' })),
    ]);
  });
});

describe('the program', () => {
  const planted = '/var/tmp/planted.cjs';
  const proof = '/var/tmp/proof';
  beforeAll(() => {
    victim.host.writeFile(planted, `require('node:fs').writeFileSync('${proof}', '')`);
    const impostor = `#!/bin/sh\n: >${proof}\n`;
    victim.host.writeFile('/var/tmp/iptables-restore', impostor, { mode: '0755' });
  });
  afterEach(() => {
    expect(victim.host.exists(proof)).toBe(false);
  });

  test.each([
    [['--inspect-brk']],
    [['--inspect-brk=127.0.0.1:9229']],
    [['-e', `require('fs').writeFileSync('${proof}', '')`]],
    [['--require', planted]],
    [['--eval', '1']],
    [['-r', planted]],
    [['--import', planted]],
    [['--experimental-sea-config', planted]],
    [['--v8-options']],
    [[planted]],
  ])('refuses %j, which the runtime would accept, as a usage error', (args) => {
    const message = wazuh4Message({ srcip: A });
    const result = victim.host.run([victim.agent.program(), ...args], {
      input: message + answerTo(message, 'continue'),
    });
    expect(result).toMatchObject({ status: USAGE, stdout: '' });
    expect(result.stderr).toMatch(/^firewall-drop: /);
    nothingIsBlocked();
  });

  test('prints the program’s own --version', () => {
    expect(victim.person(['--version']).stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });

  test.each<[string, Record<string, string>]>([
    ['NODE_OPTIONS', { NODE_OPTIONS: `--require ${planted}` }],
    ['an invalid NODE_OPTIONS', { NODE_OPTIONS: '--no-such-option' }],
    ['an inspector', { NODE_OPTIONS: '--inspect-brk' }],
    ['a file for warnings', { NODE_REDIRECT_WARNINGS: proof }],
    ['more certificates', { NODE_EXTRA_CA_CERTS: '/nowhere' }],
    ['the packer’s own switches', { PKG_EXECPATH: 'PKG_INVOKE_NODEJS', DEBUG_PKG: '2' }],
    ['a PATH with another iptables-restore', { PATH: '/var/tmp' }],
    ['a library to preload', { LD_PRELOAD: '/nowhere.so', LD_LIBRARY_PATH: '/nowhere' }],
    ['a directory for iptables’ extensions', { XTABLES_LIBDIR: '/nowhere' }],
    ['a module path', { NODE_PATH: '/var/tmp' }],
    ['a directory for temporary files', { SQLITE_TMPDIR: '/nowhere', TMPDIR: '/nowhere' }],
    ['another language', { LANG: 'de_DE.UTF-8', LC_ALL: 'de_DE.UTF-8', IFS: '/' }],
    ['nothing', {}],
  ])('ignores %s in the environment', (_, env) => {
    const message = wazuh4Message({ srcip: A });
    const settings = Object.entries(env).map(([name, value]) => `${name}=${value}`);
    const program = 'active-response/bin/firewall-drop';
    const result = victim.host.run(['env', '-i', ...settings, program], {
      cwd: victim.agent.home,
      input: message + answerTo(message, 'continue'),
    });
    expect(result).toMatchObject({ status: 0, stdout: keyLine('firewall-drop', A) });
    expect(victim.log()).toEqual([expect.stringMatching(ossecLine('add', A))]);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('reads no files in the working directory', () => {
    const { home } = victim.agent;
    victim.host.writeFile(`${home}/package.json`, '{"type":"nonsense"');
    victim.host.writeFile(`${home}/.env`, `NODE_OPTIONS=--require ${planted}\n`);
    victim.host.writeFile(`${home}/node.config.json`, `{"nodeOptions":{"require":"${planted}"}}`);
    expect(victim.add(A).status).toBe(0);
    for (const name of ['package.json', '.env', 'node.config.json']) {
      victim.host.remove(`${home}/${name}`);
    }
  });
});

test('a message can come through a socket', async () => {
  const child = victim.host.spawn(['active-response/bin/firewall-drop'], {
    cwd: victim.agent.home,
  });
  const message = wazuh4Message({ srcip: A });
  let heard = '';
  child.stdout?.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  child.stdin?.write(message);
  await eventually('the keys', () => heard === keyLine('firewall-drop', A));
  child.stdin?.write(answerTo(message, 'continue'));
  await eventually('its end', () => child.exitCode !== null || child.signalCode !== null);
  expect(child.exitCode).toBe(0);
  expect(victim.rules(A)).toHaveLength(2);
});

test('the program prints its usage if it is run without arguments on a terminal', () => {
  const typed = `${victim.agent.program()}; echo "status $?"`;
  const { stdout } = victim.host.run(['script', '-qec', typed, '/dev/null']);
  expect(stdout).toContain(`status ${USAGE}`);
  expect(stdout).toContain('firewall-drop COMMAND [ARGUMENTS]');
  expect(stdout).toMatch(/^ {2}add +Block addresses/m);
});
