/** Checks the harness itself, on which the other integration tests rely. Needs no built binary. */
import { spawnSync } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, readlinkSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { answerTo, type JsonObject, wazuh4Message, wazuh5Message } from '../support/alerts.ts';
import { type Execd, type ExecdOptions, startExecd } from '../support/execd-client.ts';
import { createHost, type TestHost } from '../support/host.ts';
import { connectHosts, connectThrough } from '../support/network.ts';
import { createPipe } from '../support/pipe.ts';
import { canConnect, canPing, listen, openConnection } from '../support/traffic.ts';
import { collectLines, eventually } from '../support/wait.ts';

const VARIANTS = ['nft', 'legacy'] as const;

describe('a host', () => {
  let host: TestHost;
  beforeAll(async () => {
    host = await createHost();
  });
  afterAll(() => host.dispose());

  test.each(VARIANTS)('does not share its %s rules with the machine', (variant) => {
    const before = firewallOfTheMachine();
    host.must([`iptables-${variant}`, '-w', '-I', 'INPUT', '-s', '192.0.2.99', '-j', 'DROP']);
    host.must([`ip6tables-${variant}`, '-w', '-I', 'INPUT', '-s', '2001:db8::99', '-j', 'DROP']);
    expect(host.rulesFor('192.0.2.99', { variant })).toEqual(['-A INPUT -s 192.0.2.99/32 -j DROP']);
    expect(host.rulesFor('2001:db8::99', { variant })).toHaveLength(1);
    expect(firewallOfTheMachine()).toEqual(before);
    expect(host.must(['readlink', '/proc/self/ns/net']).trim()).not.toBe(
      readlinkSync('/proc/self/ns/net'),
    );
  });

  test('shares its files in /etc, /run and /var neither with the machine nor with other hosts', async () => {
    const other = await createHost('other');
    for (const path of ['/etc/harness-test', '/run/harness-test', '/var/lib/harness-test']) {
      host.writeFile(path, 'mine');
      expect(host.readFile(path)).toBe('mine');
      expect(other.exists(path)).toBe(false);
      expect(spawnSync('test', ['-e', path]).status).toBe(1);
    }
    expect(() => {
      host.writeFile('/usr/harness-test', 'everyone’s');
    }).toThrow('EROFS');
    await other.dispose();
  });

  test('uses the selected variant of iptables, or none', () => {
    host.useIptables('legacy');
    expect(host.must(['iptables', '--version'])).toContain('legacy');
    expect(host.must(['ip6tables-restore', '--version'])).toContain('legacy');
    host.useIptables('none');
    expect(host.run(['iptables', '--version']).status).toBe(127);
    host.useIptables('nft');
    expect(host.must(['iptables-save', '--version'])).toContain('nf_tables');
  });

  test('runs a program with the given name, directory, environment and input', () => {
    expect(host.must(['cat', '/proc/self/cmdline'], { argv0: './renamed' })).toMatch(
      /^\.\/renamed\0/,
    );
    expect(host.must(['pwd'], { cwd: '/run' })).toBe('/run\n');
    expect(host.must(['env'])).toMatch(/^PATH=.*\nLANG=C\n$/);
    expect(host.must(['cat'], { input: 'said' })).toBe('said');
    expect(host.must(['stat', '-L', '-c', '%F', '/proc/self/fd/0'], { input: '' })).toBe('fifo\n');
    expect(host.run(['bash', '-c', 'kill -TERM $$']).signal).toBe('SIGTERM');
    expect(() => host.must(['ls', '/nowhere'])).toThrow(/host: ls \/nowhere: status 2: .*nowhere/);
  });

  test('returns the pid of a spawned program, so that signals reach it', async () => {
    const child = host.spawn(['sleep', '60'], { stdio: 'ignore' });
    await eventually('the program to replace its launcher', () =>
      host.readFile(`/proc/${String(child.pid)}/cmdline`).startsWith('sleep'),
    );
    child.kill('SIGKILL');
    await eventually('its end', () => child.signalCode === 'SIGKILL');
  });

  test('sets up an agent whose log directory belongs to an unprivileged user', () => {
    const agent = host.installAgent({ binary: '/bin/true', names: ['firewall-drop', 'other'] });
    const owner = host.hasSeveralUsers() ? 1001 : 0;
    expect(host.must(['stat', '-c', '%u:%g %a', `${agent.home}/logs`])).toBe(
      `${owner}:${owner} 770\n`,
    );
    expect(host.run([agent.program('other')]).status).toBe(0);
    expect(agent.logLines()).toEqual([]);
    const file = host.installAgent({ binary: '/bin/true', home: '/var/lib/ossec', as: 'file' });
    expect(host.must(['stat', '-c', '%F', file.program()])).toBe('regular file\n');
  });

  test('ends all its processes when it is disposed of', async () => {
    const doomed = await createHost('doomed');
    const orphan = doomed.must(['bash', '-c', 'setsid sleep 60 >/dev/null 2>&1 & echo $!']).trim();
    const child = doomed.spawn(['sleep', '60'], { stdio: 'ignore' });
    await doomed.dispose();
    await eventually('the end of the child', () => child.signalCode === 'SIGKILL');
    // Without a parent that reaps it, it can stay in /proc as a zombie.
    await eventually('the end of the orphan', () => !existsSync(`/proc/${orphan}/exe`));
  });
});

test('a pipe can be reopened through /proc, like a pipe of a daemon', async () => {
  await using host = await createHost();
  const { readFd, writeFd } = createPipe();
  writeFileSync(writeFd, 'hello\n');
  const child = host.spawn(['head', '-n', '1', '/proc/self/fd/0'], {
    stdio: [readFd, 'pipe', 'inherit'],
  });
  if (child.stdout === null) throw new Error('no stdout');
  const lines = collectLines(child.stdout);
  await eventually('the line', () => lines.includes('hello'));
});

describe('two connected hosts', () => {
  let victim: TestHost;
  let attacker: TestHost;
  const extra = { 4: '203.0.113.7', 6: '2001:db8:ffff::7' } as const;
  beforeAll(async () => {
    [victim, attacker] = await Promise.all([createHost('victim'), createHost('attacker')]);
    const [, ofAttacker] = connectHosts(victim, attacker);
    attacker.addAddress(`${extra[4]}/32`);
    attacker.addAddress(`${extra[6]}/128`);
    victim.route('203.0.113.0/24', ofAttacker.ipv4);
    victim.route('2001:db8:ffff::/64', ofAttacker.ipv6);
    await listen(victim, 2222);
  });
  afterAll(() => Promise.all([victim.dispose(), attacker.dispose()]));

  const cases = VARIANTS.flatMap((variant) =>
    ([4, 6] as const).map((family) => ({ variant, family })),
  );
  test.each(cases)(
    'lose their packets to a DROP rule: $variant, IPv$family',
    async ({ variant, family }) => {
      const address = family === 4 ? '198.51.100.1' : '2001:db8:1::1';
      const sourceAddress = extra[family];
      const target = { address, port: 2222, sourceAddress };
      const tables = `${family === 4 ? 'iptables' : 'ip6tables'}-${variant}`;
      const rule = ['INPUT', '-s', sourceAddress, '-j', 'DROP'];

      expect(canPing(attacker, address, { sourceAddress })).toBe(true);
      const connection = await openConnection(attacker, target);
      expect(await connection.exchange('before', { timeoutMs: 600_000 })).toBe(true);

      victim.must([tables, '-w', '-I', ...rule]);
      expect(canPing(attacker, address, { sourceAddress })).toBe(false);
      expect(canConnect(attacker, target)).toBe(false);
      expect(await connection.exchange('during')).toBe(false);
      expect(canPing(attacker, address)).toBe(true);

      victim.must([tables, '-w', '-D', ...rule]);
      expect(canConnect(attacker, target)).toBe(true);
      expect(await connection.exchange('after', { timeoutMs: 600_000 })).toBe(true);
      await connection.close();
    },
  );

  test('tell an unused port from a block', () => {
    const target = { address: '198.51.100.1', port: 2223 };
    expect(() => canConnect(attacker, target)).toThrow('ECONNREFUSED');
  });
});

test('a router forwards until its FORWARD chain drops', async () => {
  await using attacker = await createHost('attacker');
  await using router = await createHost('router');
  await using server = await createHost('server');
  const { a, b } = connectThrough(attacker, router, server);
  for (const [tables, from, to] of [
    ['iptables', a.ipv4, b.ipv4],
    ['ip6tables', a.ipv6, b.ipv6],
  ] as const) {
    expect(canPing(attacker, to, { timeoutMs: 60_000 })).toBe(true);
    router.must([tables, '-w', '-I', 'INPUT', '-s', from, '-j', 'DROP']);
    expect(canPing(attacker, to)).toBe(true);
    router.must([tables, '-w', '-I', 'FORWARD', '-s', from, '-j', 'DROP']);
    expect(canPing(attacker, to)).toBe(false);
  }
});

/** Records its input, and does the key exchange as Wazuh's own executable does. */
const STAND_IN = `#!/bin/bash
if [[ $# -gt 0 ]]; then echo "args $0 $*" >>/var/ossec/heard; exit; fi
IFS= read -r message
echo "start $0 $PWD $(stat -L -c %F /proc/$$/fd/{0,1,2} | tr '\\n' ,)" >>heard
grep SigIgn /proc/$$/status >>heard
echo "heard $message" >>heard
if [[ -e mute ]]; then exit 3; fi
if [[ -e talk ]]; then echo nonsense; read -r _; exit; fi
[[ $message == *'"command":"add"'* || $message == *'"command":"enable"'* ]] || exit 0
[[ $message =~ \\"(srcip|ip)\\":\\"([^\\"]*)\\" ]]
echo '{"version":1,"origin":{"name":"firewall-drop","module":"active-response"},"command":"check_keys","parameters":{"keys":["'"\${BASH_REMATCH[2]}"'"]}}'
IFS= read -r answer
echo "heard $answer" >>heard
if IFS= read -r more; then echo "more $more" >>heard; fi
exit 4
`;

describe('the execd stand-in', () => {
  const directory = mkdtempSync(join(tmpdir(), 'stand-in-'));
  const binary = join(directory, 'stand-in');
  let host: TestHost;
  let execd: Execd;

  beforeAll(() => {
    writeFileSync(binary, STAND_IN);
    chmodSync(binary, 0o755);
    chmodSync(directory, 0o755);
  });
  afterAll(() => {
    rmSync(directory, { recursive: true });
  });
  beforeEach(async () => {
    host = await createHost();
    host.installAgent({ binary });
  });
  afterEach(() => host.dispose());

  const start = async (options: ExecdOptions = {}): Promise<void> => {
    execd = await startExecd(host, options);
  };
  const heard = (): string[] => host.readFile('/var/ossec/heard').trimEnd().split('\n');
  const heardCommands = (): unknown[] =>
    heard()
      .filter((line) => line.startsWith('heard '))
      .map((line) => (JSON.parse(line.slice(6)) as JsonObject)['command']);

  test('starts the program as wazuh-execd does, and answers like it', async () => {
    await start();
    const report = await execd.alert('203.0.113.7', { timeoutSeconds: 60 });
    expect(report).toMatchObject({
      key: 'firewall-drop-203.0.113.7',
      answer: 'continue',
      status: 4,
    });
    const [started, ignored, message, answer, ...rest] = heard();
    expect(started).toBe(
      'start active-response/bin/firewall-drop /var/ossec fifo,fifo,character special file,',
    );
    expect(Number.parseInt(ignored?.split('\t')[1] ?? '', 16) & 1).toBe(1);
    const sent = wazuh4Message({ srcip: '203.0.113.7' });
    expect(`${message ?? ''}\n`).toBe(`heard ${sent}`);
    expect(`${answer ?? ''}\n`).toBe(`heard ${answerTo(sent, 'continue')}`);
    expect(rest).toEqual([]);
  });

  test('aborts a known key until it is released, and always continues without a timeout', async () => {
    await start();
    const answerFor = async (address: string, timeoutSeconds: number): Promise<string> =>
      (await execd.alert(address, { timeoutSeconds })).answer;
    expect(await answerFor('203.0.113.7', 0)).toBe('continue');
    expect(await answerFor('203.0.113.7', 60)).toBe('continue');
    expect(await answerFor('203.0.113.7', 60)).toBe('abort');
    expect(await answerFor('203.0.113.7', 0)).toBe('continue');
    expect(await answerFor('203.0.113.8', 60)).toBe('continue');
    expect(await execd.pending()).toEqual([
      'firewall-drop-203.0.113.7',
      'firewall-drop-203.0.113.8',
    ]);
  });

  test('deletes more than a second after the timeout, and reads no output', async () => {
    await start();
    await execd.alert('203.0.113.7', { timeoutSeconds: 0.5 });
    const release = await execd.released('203.0.113.7');
    expect(release.status).toBe(0);
    expect(release.ageMs).toBeGreaterThan(1500);
    expect(heardCommands()).toEqual(['add', 'continue', 'delete']);
    expect(
      heard()
        .filter((line) => line.startsWith('start'))
        .at(-1),
    ).toContain('fifo,character special file,character special file,');
    expect(await execd.pending()).toEqual([]);
  });

  test('deletes all pending keys on TERM, one after another', async () => {
    await start();
    await execd.alert('203.0.113.7', { timeoutSeconds: 60 });
    await execd.alert('203.0.113.8', { timeoutSeconds: 60 });
    const releases = await execd.stop();
    expect(releases.map(({ key }) => key)).toEqual([
      'firewall-drop-203.0.113.7',
      'firewall-drop-203.0.113.8',
    ]);
    expect(heardCommands().slice(-2)).toEqual(['delete', 'delete']);
  });

  test('forgets all pending keys on kill -9', async () => {
    await start();
    await execd.alert('203.0.113.7', { timeoutSeconds: 60 });
    await execd.kill();
    expect(heardCommands()).toEqual(['add', 'continue']);
    await start();
    expect(await execd.pending()).toEqual([]);
    expect((await execd.alert('203.0.113.7', { timeoutSeconds: 60 })).answer).toBe('continue');
  });

  test('takes the bare program name as the key for a line that is not JSON', async () => {
    await start();
    host.writeFile('/var/ossec/talk', '');
    const first = await execd.alert('203.0.113.7', { timeoutSeconds: 60 });
    expect(first).toMatchObject({ key: 'firewall-drop', keyLine: 'nonsense\n' });
    expect((await execd.alert('203.0.113.8', { timeoutSeconds: 60 })).answer).toBe('abort');
  });

  test('adds no key to its list for a program that prints nothing', async () => {
    await start();
    host.writeFile('/var/ossec/mute', '');
    const report = await execd.alert('203.0.113.7', { timeoutSeconds: 60 });
    expect(report).toMatchObject({ answer: 'none', status: 3 });
    expect(await execd.pending()).toEqual([]);
  });

  test('sends messages as wazuh-execd 5 does: flat, with the command last', async () => {
    await start({ mode: 'wazuh5' });
    await execd.alert('203.0.113.7', { timeoutSeconds: 60 });
    await execd.stop();
    expect(heardCommands()).toEqual(['enable', 'continue', 'disable']);
    const sent = wazuh5Message({ srcip: '203.0.113.7', timeoutSeconds: 60 });
    expect(heard()).toContain(`heard ${sent.trimEnd()}`);
    expect(sent).toMatch(/^\{"wazuh":.*"command":"enable"\}\n$/);
  });

  test('calls as ossec-execd does: absolute, with arguments, and not twice for one address', async () => {
    await start({ mode: 'ossec', checkEveryMs: 100 });
    expect((await execd.alert('203.0.113.7', { timeoutSeconds: 0.1 })).answer).toBe('none');
    expect((await execd.alert('203.0.113.7', { timeoutSeconds: 0.1 })).answer).toBe('skipped');
    await execd.released('203.0.113.7');
    const words = '- 203.0.113.7 1628597593.1234567 5710';
    const program = '/var/ossec/active-response/bin/firewall-drop';
    await eventually('both calls', () => heard().length === 2);
    expect(heard()).toEqual([`args ${program} add ${words}`, `args ${program} delete ${words}`]);
  });
});

/** Reads the machine's firewall without changing it. `iptables-legacy -S` would create the table that it lists. */
function firewallOfTheMachine(): string[] {
  return [['nft', 'list', 'ruleset'], ['iptables-legacy-save'], ['ip6tables-legacy-save']].flatMap(
    ([program = '', ...rest]) => {
      const { stdout, stderr } = spawnSync(program, rest, { encoding: 'utf8' });
      // Counters and dates change by themselves.
      return `${stdout}${stderr}`
        .replace(/\[\d+:\d+\]|packets \d+ bytes \d+|^#.*$/gm, '')
        .split('\n');
    },
  );
}
