// What the program says of itself and of its work: help, manual page, completion, version, metrics.
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { CommandSpec } from '../../src/cli/command.ts';
import { COMMANDS } from '../../src/cli/commands.ts';
import { commandHelp, placeholder } from '../../src/cli/help.ts';
import { builtBinary } from '../support/binary.ts';
import type { RunResult } from '../support/host.ts';
import { createVictim, type Victim } from '../support/victim.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const A6 = '2001:db8:ffff::7';
const USAGE = 64;
const FILE_TROUBLE = 74;
const DIRECTORY = '/var/lib/prometheus/node-exporter';
const TEXTFILE = `${DIRECTORY}/firewall-drop.prom`;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

interface Metric {
  readonly type: string;
  readonly help: string;
  /** By the labels as they are written, `''` where there are none. */
  readonly samples: ReadonlyMap<string, number>;
}

const SAMPLE =
  /^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\[\\"n])*"(?:,(?!\})|(?=\})))*)\})? ([0-9.e+]+|\+Inf|NaN)$/;

/** By the rules of the text format; throws at anything else. */
function parseMetrics(text: string): Map<string, Metric> {
  if (!text.endsWith('\n')) throw new Error('the last line does not end');
  const metrics = new Map<string, { type: string; help: string; samples: Map<string, number> }>();
  let current = '';
  for (const line of text.slice(0, -1).split('\n').filter(Boolean)) {
    const [, keyword, name = '', rest = ''] = /^# (HELP|TYPE) (\S+) (.+)$/.exec(line) ?? [];
    if (keyword === 'HELP') {
      if (metrics.has(name)) throw new Error(`${name} is described twice`);
      metrics.set(name, { type: '', help: rest, samples: new Map() });
      current = name;
      continue;
    }
    const metric = metrics.get(current);
    if (metric === undefined) throw new Error(`no HELP before ${line}`);
    if (keyword === 'TYPE') {
      if (name !== current || metric.type !== '' || metric.samples.size > 0)
        throw new Error(`a TYPE out of place: ${line}`);
      metric.type = rest;
      continue;
    }
    const [, sample, labels = '', value] = SAMPLE.exec(line) ?? [];
    if (sample !== current || metric.type === '')
      throw new Error(`no sample of ${current}: ${line}`);
    if (metric.samples.has(labels)) throw new Error(`twice: ${line}`);
    metric.samples.set(labels, Number(value));
  }
  return metrics;
}

function metrics(): Map<string, Metric> {
  const { status, stdout, stderr } = victim.person(['metrics']);
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return parseMetrics(stdout);
}

/** The samples that there are now, by name and labels. */
function values(): (name: string, labels?: string) => number | undefined {
  const all = metrics();
  return (name, labels = '') => all.get(`firewall_drop_${name}`)?.samples.get(labels);
}

describe('metrics', () => {
  test('follow the text format, have help, and are named as their type asks', () => {
    victim.person(['add', A, A6]);
    const all = metrics();
    expect([...all.keys()].toSorted()).toEqual([
      'firewall_drop_adds_total',
      'firewall_drop_bans',
      'firewall_drop_build_info',
      'firewall_drop_deletes_total',
      'firewall_drop_drift',
      'firewall_drop_dropped_bytes',
      'firewall_drop_dropped_packets',
      'firewall_drop_expiries_total',
      'firewall_drop_failures_total',
      'firewall_drop_holds',
      'firewall_drop_last_event_timestamp_seconds',
      'firewall_drop_last_success_timestamp_seconds',
      'firewall_drop_next_deadline_timestamp_seconds',
      'firewall_drop_pending_changes',
      'firewall_drop_reapplied_total',
      'firewall_drop_refusals_total',
      'firewall_drop_state_volatile',
      'firewall_drop_store_bytes',
    ]);
    for (const [name, { type, help, samples }] of all) {
      expect([name, type]).toEqual([name, name.endsWith('_total') ? 'counter' : 'gauge']);
      expect(help).not.toBe('');
      expect(samples.size).toBeGreaterThan(0);
    }
  });

  test('of a host on which nothing has happened are all there, and zero', () => {
    for (const [name, { samples }] of metrics()) {
      // The state has been begun, by this program.
      if (['firewall_drop_store_bytes', 'firewall_drop_build_info'].includes(name)) continue;
      expect([name, ...new Set(samples.values())]).toEqual([name, 0]);
    }
  });

  test('tell what state and kernel differ in, what is pending, and when the next hold ends', () => {
    const beforeMs = Date.now();
    victim.person(['add', A, B, '--timeout', '1h']);
    const before = values();
    const deadline = before('next_deadline_timestamp_seconds') ?? 0;
    expect(deadline).toBeGreaterThanOrEqual(beforeMs / 1000 + 3600);
    expect(before('last_event_timestamp_seconds', 'event="add"')).toBeGreaterThanOrEqual(
      Math.floor(beforeMs / 1000),
    );
    expect(before('last_event_timestamp_seconds', 'event="failed"')).toBe(0);
    expect(before('drift', 'kind="missing",family="4"')).toBe(0);
    expect(before('drift', 'kind="unknown",family="4"')).toBe(0);
    victim.host.must(['iptables', '-F']);
    victim.host.must(['iptables', '-I', 'INPUT', '-s', '203.0.113.99', '-j', 'DROP']);
    const after = values();
    expect(after('drift', 'kind="missing",family="4"')).toBe(2);
    expect(after('drift', 'kind="unknown",family="4"')).toBe(1);
    expect(after('pending_changes')).toBe(0);
    expect(after('state_volatile')).toBe(0);
  });

  test('count bans by family and holds by origin, with a value for every combination', () => {
    victim.add(A);
    victim.person(['add', A, A6]);
    const all = metrics();
    const bans = all.get('firewall_drop_bans')?.samples ?? new Map<string, number>();
    expect([...bans]).toEqual([
      ['family="4"', 1],
      ['family="6"', 1],
    ]);
    const holds = all.get('firewall_drop_holds')?.samples ?? new Map<string, number>();
    expect(holds.size).toBe(10);
    const present = [...holds].filter(([, count]) => count > 0);
    expect(present).toEqual([
      ['origin="wazuh",family="4"', 1],
      ['origin="manual",family="4"', 1],
      ['origin="manual",family="6"', 1],
    ]);
  });

  test('count adds, deletes, refusals and failures each on their own, and never back', () => {
    const counted = (): unknown[] => {
      const all = metrics();
      return ['adds', 'deletes', 'refusals', 'failures', 'expiries'].map((name) =>
        all.get(`firewall_drop_${name}_total`)?.samples.get(''),
      );
    };
    victim.person(['add', A, B]);
    victim.add(A6);
    expect(counted()).toEqual([3, 0, 0, 0, 0]);
    victim.person(['delete', A]);
    victim.person(['add', '127.0.0.1']);
    expect(counted()).toEqual([3, 1, 1, 0, 0]);
    victim.host.useIptables('none');
    victim.person(['add', A]);
    victim.host.useIptables('nft');
    expect(counted()).toEqual([3, 1, 1, 1, 0]);
    victim.person(['flush', '--yes']);
    const [adds, deletes] = counted() as number[];
    expect(adds).toBe(3);
    expect(deletes).toBeGreaterThanOrEqual(3);
  });

  test('have the time of the last change of the kernel and the size of the state', () => {
    const before = Date.now() / 1000;
    victim.person(['add', A]);
    const value = values();
    const last = value('last_success_timestamp_seconds');
    expect(last).toBeGreaterThanOrEqual(Math.floor(before));
    expect(last).toBeLessThanOrEqual(Date.now() / 1000 + 1);
    expect(value('store_bytes')).toBeGreaterThan(0);
  });

  test('count what the kernel has dropped', () => {
    victim.person(['add', A, B]);
    const rule = ['-s', A, '-j', 'DROP', '-c', '7', '420'];
    victim.host.must(['bash', '-c', `iptables -w -D INPUT -s ${A} -j DROP`]);
    victim.host.must(['iptables', '-w', '-I', 'INPUT', ...rule]);
    const value = values();
    expect(value('dropped_packets', 'family="4"')).toBe(7);
    expect(value('dropped_bytes', 'family="4"')).toBe(420);
  });

  test('are printed though the kernel can’t be listed, and that is reported', () => {
    victim.person(['add', A]);
    victim.host.useIptables('none');
    const { status, stdout, stderr } = victim.person(['metrics']);
    victim.host.useIptables('nft');
    expect(status).toBe(0);
    expect(parseMetrics(stdout).get('firewall_drop_adds_total')?.samples.get('')).toBe(1);
    expect(stderr).toContain('iptables-save');
  });
});

describe('metrics --textfile', () => {
  beforeAll(() => {
    victim.host.mkdir(['/var/lib/prometheus', DIRECTORY]);
  });
  afterEach(() => {
    victim.host.must(['find', DIRECTORY, '-mindepth', '1', '-delete']);
  });
  const write = (path = TEXTFILE): ReturnType<Victim['person']> => {
    return victim.person(['metrics', '--textfile', path]);
  };
  const inDirectory = (): string => victim.host.must(['ls', '-A', DIRECTORY]);

  test('writes what would be printed, prints nothing, and leaves no other file', () => {
    victim.person(['add', A]);
    expect(write()).toMatchObject({ status: 0, stdout: '', stderr: '' });
    const written = victim.host.readFile(TEXTFILE);
    expect([...parseMetrics(written).keys()]).toEqual([...metrics().keys()]);
    expect(inDirectory()).toBe('firewall-drop.prom\n');
  });

  test('lets others read it, whatever the umask, and replaces the file instead of writing into it', () => {
    const stat = (): string[] => victim.host.must(['stat', '-c', '%a %i', TEXTFILE]).split(/\s/);
    victim.host.must([
      'bash',
      '-c',
      'umask 077; "$0" metrics --textfile "$1"',
      victim.agent.program(),
      TEXTFILE,
    ]);
    const [mode, inode] = stat();
    expect(mode).toBe('644');
    victim.host.must(['ln', TEXTFILE, `${DIRECTORY}/old`]);
    write();
    expect(stat()[1]).not.toBe(inode);
  });

  test.each(['/var/lib/metrics', '/var/lib/metrics.prom.txt', 'metrics', '/var/lib/metrics.PROM'])(
    'refuses %s, which the collector would not read',
    (path) => {
      const response = write(path);
      expect(response).toMatchObject({ status: USAGE, stdout: '' });
      expect(response.stderr).toContain('.prom');
      expect(victim.host.exists(path)).toBe(false);
    },
  );

  test.each([
    ['a directory that is not there', '/var/lib/none/x.prom'],
    ['a file system that is only for reading', '/usr/x.prom'],
  ])('fails in %s, naming the file', (_, path) => {
    const response = write(path);
    expect(response).toMatchObject({ status: FILE_TROUBLE, stdout: '' });
    expect(response.stderr).toContain(path);
  });

  test('leaves nothing behind where it fails', () => {
    victim.host.mkdir([TEXTFILE, `${TEXTFILE}/full`]);
    expect(write().status).toBe(FILE_TROUBLE);
    expect(inDirectory()).toBe('firewall-drop.prom\n');
  });
});

describe('completion', () => {
  const script = (shell: string): string => {
    const { status, stdout, stderr } = victim.person(['completion', shell]);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    return stdout;
  };
  beforeAll(() => {
    victim.host.writeFile('/var/tmp/completion', script('bash'));
  });
  /** What bash would offer for the last of the words. */
  const offered = (...words: readonly string[]): string[] => {
    const ask = `set -u; source /var/tmp/completion
      COMP_LINE="$0 $*"; COMP_POINT=\${#COMP_LINE}; COMPREPLY=()
      _firewall_drop; printf '%s\\n' "\${COMPREPLY[@]}"`;
    const argv = ['bash', '--norc', '-c', ask, victim.agent.program(), ...words];
    const listed = victim.host.must(argv);
    return listed.split('\n').filter(Boolean).toSorted();
  };

  test('for bash is a script that bash reads, and that is bound to our name', () => {
    victim.host.must(['bash', '-n', '/var/tmp/completion']);
    const bound = 'source /var/tmp/completion; complete -p firewall-drop';
    expect(victim.host.must(['bash', '--norc', '-c', bound])).toContain('_firewall_drop');
  });

  test.each<[string, string[], string[]]>([
    ['commands', ['re'], ['reconcile', 'remove', 'restore']],
    ['commands of a group', ['protect', ''], ['check', 'list']],
    ['options', ['add', '--f'], ['--file', '--force']],
    ['the values of an option', ['list', '--sort', ''], ['address', 'expires', 'packets', 'since']],
    ['the beginning of a value', ['flush', '--origin', 'w'], ['wazuh']],
    ['shells', ['completion', ''], ['bash', 'fish', 'zsh']],
    [
      'files after --file',
      ['add', '--file', '/etc/host'],
      ['/etc/host.conf', '/etc/hostname', '/etc/hosts'],
    ],
    [
      'files to explain',
      ['explain', '/etc/host'],
      ['/etc/host.conf', '/etc/hostname', '/etc/hosts'],
    ],
    ['nothing where nothing fits', ['nonsense', 'x'], []],
  ])('in bash offers %s', (_, words, expected) => {
    if (words.at(-1) === '/etc/host') {
      for (const name of ['host.conf', 'hostname', 'hosts']) {
        if (!victim.host.exists(`/etc/${name}`)) victim.host.writeFile(`/etc/${name}`, '');
      }
      expect(offered(...words)).toEqual(expect.arrayContaining(expected));
    } else expect(offered(...words)).toEqual(expected);
  });

  test('in bash offers every command', () => {
    const words = new Set(COMMANDS.map(({ name }) => name.split(' ')[0]));
    expect(offered('')).toEqual([...words, 'help'].toSorted());
  });

  test.each([
    ['zsh', /^#compdef firewall-drop$/m, /^ *compdef _firewall-drop firewall-drop$/m],
    ['fish', /^function __firewall_drop_complete$/m, /^complete -c firewall-drop -f /m],
  ])('for %s is bound to our name, and asks us what may follow', (shell, head, bound) => {
    const text = script(shell);
    expect(text).toMatch(head);
    expect(text).toMatch(bound);
    expect(text).toContain(' __complete ');
    // A quote that is left open would take in all that follows.
    expect((text.replaceAll(String.raw`\'`, '').match(/'/g) ?? []).length % 2).toBe(0);
  });

  test.each([['tcsh'], ['']])('for %j is refused, naming the shells there are', (shell) => {
    const { status, stdout, stderr } = victim.person(['completion', shell]);
    expect({ status, stdout }).toEqual({ status: USAGE, stdout: '' });
    expect(stderr).toContain('bash');
  });
});

describe('help', () => {
  const helpOf = (command: CommandSpec): string => `${commandHelp(command, null).join('\n')}\n`;

  test.each(COMMANDS.map((command) => [command.name, command] as const))(
    'of %s names its options, their choices, and its examples, whole',
    (name, command) => {
      const { options, positional, examples } = command;
      const help = helpOf(command);
      expect(help).toContain(`firewall-drop ${name}`);
      for (const [option, spec] of Object.entries(options)) {
        expect(help).toMatch(new RegExp(`^ +(?:-\\w, )?--${option} `, 'm'));
        const { choices = [] } = spec.kind === 'flag' ? {} : spec;
        for (const choice of choices) expect(help).toContain(choice);
      }
      if (positional !== undefined) expect(help).toContain(placeholder(positional));
      for (const [example] of examples) {
        for (const word of example.split(' ')) expect(help).toContain(word);
      }
    },
  );

  // All of them are one function's, which is given the description of the command.
  test.each([
    ['an option', ['add', '--help']],
    ['an option of a command of two words', ['config', 'show', '-h']],
    ['a command of its own', ['help', 'history']],
  ])('is printed by %s', (_, args) => {
    const name = args.filter((word) => word !== 'help' && !word.startsWith('-')).join(' ');
    const command = COMMANDS.find((one) => one.name === name);
    const { status, stdout, stderr } = victim.person(args);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    expect(stdout).toBe(command && helpOf(command));
  });

  test('has two examples at least of every command', () => {
    const few = COMMANDS.filter(({ examples }) => examples.length < 2);
    expect(few.map(({ name }) => name)).toEqual([]);
  });

  const EXAMPLES = COMMANDS.flatMap(({ examples }) => examples.map(([example]) => [example]));
  test.each(EXAMPLES)('the example works: firewall-drop %s', (example) => {
    const setUp = `mkdir -p /var/tmp/bin /etc/bash_completion.d ${DIRECTORY} && cd /var/tmp
      ln -sf "$0" bin/firewall-drop; PATH=/var/tmp/bin:$PATH
      echo ${B} >list.txt; echo '{"data":{"srcip":"${A}"}}' >alert.json; cp alert.json /var/tmp/bin
      echo '<ossec_config></ossec_config>' | tee ossec.conf >/var/ossec/etc/ossec.conf
      HOME=/var/tmp; mkdir -p ~/.config/fish/completions; touch bans.jsonl new.toml
      man() { cat >read; }; ssh() { "\${@:2}"; }; set -o pipefail`;
    // Those are about addresses that are blocked.
    if (/^(?:extend|is-blocked)/.test(example))
      victim.person(['add', '203.0.113.9', '198.51.100.7']);
    const argv = ['bash', '-c', `${setUp}\nfirewall-drop ${example}`, builtBinary()];
    // One that follows never ends by itself.
    const limit = example.includes('--follow') || example.includes('--watch');
    const { status, stderr } = victim.host.run(limit ? ['timeout', '1', ...argv] : argv);
    const answers = /^(?:protect check|status|doctor)|--dry-run/.test(example) ? [0, 1] : [0];
    // Where the example was to take it away.
    victim.host.symlink(builtBinary(), victim.agent.program());
    expect(stderr).toBe('');
    expect(limit ? [0, 124] : answers).toContain(status);
  });

  test('alone names every command', () => {
    const { status, stdout, stderr } = victim.person(['--help']);
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
    for (const { name } of COMMANDS) expect(stdout).toContain(name);
  });
});

describe('the manual page', () => {
  let page: RunResult;
  beforeAll(() => {
    page = victim.person(['man']);
    victim.host.writeFile('/var/tmp/firewall-drop.8', page.stdout);
  });

  test('is printed by the executable, with its version', () => {
    expect(page.status).toBe(0);
    const version = victim.person(['--version']).stdout.trim();
    const title = page.stdout.split('\n')[0]?.replaceAll('\\', '');
    expect(title).toBe(`.TH FIREWALL-DROP 8 "" "firewall-drop ${version}" "System administration"`);
  });

  test.each(['60', '80', '120'])(
    'is formatted by groff for %s columns without a warning',
    (columns) => {
      const format = [
        'groff',
        '-man',
        '-ww',
        '-Tutf8',
        // Without what a terminal would show as bold.
        '-P-cbu',
        `-rLL=${columns}n`,
        '/var/tmp/firewall-drop.8',
      ];
      const { status, stdout, stderr } = victim.host.run(format);
      expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
      expect(stdout).toContain('CONFIGURATION');
    },
  );
});

describe('version', () => {
  test('prints with --json what was built and what was found', () => {
    const { status, stdout } = victim.person(['version', '--json']);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      schema: 1,
      version: victim.person(['--version']).stdout.trim(),
      commit: expect.stringMatching(/^(?:[0-9a-f]{12}(?:-dirty)?|unknown)$/) as unknown,
      runtime: expect.stringMatching(/^node \d+\.\d+\.\d+$/) as unknown,
      platform: expect.stringMatching(/^linux-(?:x64|arm64)$/) as unknown,
      programs: {
        iptables: '/usr/sbin/iptables-restore',
        ip6tables: '/usr/sbin/ip6tables-restore',
      },
    });
  });

  test('says what was not found', () => {
    victim.host.useIptables('none');
    const { status, stdout } = victim.person(['version', '--json']);
    const words = victim.person(['version']).stdout;
    victim.host.useIptables('nft');
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ programs: { iptables: null, ip6tables: null } });
    expect(words).toMatch(/^iptables: not found$/m);
  });
});
