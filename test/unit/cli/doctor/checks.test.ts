// The findings of doctor on hosts that a test host can't be, or only slowly.
import { mkdirSync, Stats, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import type { Drift } from '../../../../src/bans/reconcile.ts';
import {
  agent,
  agentFiles,
  arConf,
  evaluateLog,
  manager,
} from '../../../../src/cli/doctor/agent.ts';
import type { Finding, Scene } from '../../../../src/cli/doctor/check.ts';
import { findPermissions, recordedSum } from '../../../../src/cli/doctor/executable.ts';
import { evaluateKernel, evaluateVariants } from '../../../../src/cli/doctor/firewall.ts';
import { evaluateSaved, neighbours } from '../../../../src/cli/doctor/neighbours.ts';
import { clock, evaluateTimer } from '../../../../src/cli/doctor/schedule.ts';
import {
  evaluateDrift,
  evaluateLock,
  evaluateStore,
  order,
  outcomes,
  type StoreFacts,
} from '../../../../src/cli/doctor/state.ts';
import { managerReason } from '../../../../src/policy/protected.ts';
import type { Context } from '../../../../src/context.ts';
import type { HistoryRecord } from '../../../../src/state/history.ts';
import { ownDirectory } from '../../support/directory.ts';
import { addressOf } from '../../support/workshop.ts';

const NOON_MS = Date.UTC(2026, 4, 7, 12);
const SUM = 'a'.repeat(64);

/** Returns file stats with the given fields. */
function statsOf(parts: Partial<Stats>): Stats {
  return Object.assign(Object.create(Stats.prototype) as Stats, parts);
}

/** The parts of a context that a check reads, as deep as it reads them. */
type Parts<T> = T extends (...args: never) => unknown
  ? T
  : { readonly [Key in keyof T]?: Parts<T[Key]> };

function sceneOf(context: Parts<Context>, ...processes: readonly string[]): Scene {
  return {
    context: context as unknown as Context,
    processes: processes.map((name) => ({ name, args: [] })),
  };
}

/** Returns `state: what` for each finding. */
function told(findings: Finding | readonly Finding[]): string[] {
  return [findings].flat().map(({ state, what }) => `${state}: ${what}`);
}

/** Expects these findings, and advice for each that is not ok. */
function expectTold(findings: Finding | readonly Finding[], expected: readonly RegExp[]): void {
  const lines = told(findings);
  expect(lines).toHaveLength(expected.length);
  expected.forEach((pattern, index) => {
    expect(lines[index]).toMatch(pattern);
  });
  for (const { state, fix } of [findings].flat())
    expect({ state, hasFix: fix !== undefined && fix !== '' }).toEqual({
      state,
      hasFix: state !== 'ok',
    });
}

describe('the check of the executable', () => {
  const PATH = '/var/ossec/active-response/bin/firewall-drop';

  test.each<[string, number, number, RegExp[]]>([
    ['accepts a file of root with mode 0750', 0, 0o100750, []],
    ['reports another owner', 1000, 0o100750, [/^problem: .* belongs to .*who can change it$/]],
    [
      'reports a file that its group can write',
      0,
      0o100770,
      [/^problem: .* mode 0770: other users can change/],
    ],
    [
      'reports a file that is not executable',
      0,
      0o100640,
      [/^problem: .* mode 0640: it can't be executed$/],
    ],
    [
      'reports all problems at once',
      1000,
      0o100622,
      [/belongs to/, /other users can change what/, /executed/],
    ],
  ])('%s', (_, uid, mode, expected) => {
    const stats = statsOf({ uid, gid: 0, mode, size: 100 });
    expectTold(findPermissions(PATH, stats, 'install'), expected);
  });

  test.each([
    [`${SUM}  firewall-drop\n`, SUM],
    [`${SUM} *./usr/bin/firewall-drop\n`, SUM],
    [`${SUM}  firewall-drop.1\n${'b'.repeat(64)}  x/firewall-drop\n`, 'b'.repeat(64)],
    [`${SUM}  firewall-drop.sh\n`, ''],
    [`${SUM.slice(1)}  firewall-drop\n`, ''],
    ['', ''],
  ])('finds the recorded checksum in %j', (text, sum) => {
    expect(recordedSum(text)).toBe(sum);
  });
});

const home = ownDirectory();

function write(name: string, text: string): void {
  mkdirSync(join(home, 'etc/shared'), { recursive: true });
  writeFileSync(join(home, name), text);
}

describe('the check of the manager', () => {
  const found = (
    { managers = ['192.0.2.9', 'manager.example'], unknown = '', isProtected = true },
    ...processes: readonly string[]
  ): readonly Finding[] => {
    const known = managers.filter((name) => name !== unknown);
    return manager(
      sceneOf(
        {
          place: { home },
          settings: () => ({ managers }) as never,
          config: { protect: { manager: isProtected } },
          protectedEntries: () => known.map((name) => ({ why: managerReason(name) }) as never),
        },
        ...processes,
      ),
    );
  };

  test('accepts known addresses', () => {
    expectTold(found({}, 'wazuh-agentd'), [/^ok: 192\.0\.2\.9, manager\.example, protected$/]);
  });

  test('reports that no manager is named', () => {
    expectTold(found({ managers: [] }, 'wazuh-agentd'), [/^problem: .* names no manager/]);
  });

  test('reports a name without a known address', () => {
    expectTold(found({ unknown: 'manager.example' }, 'wazuh-agentd'), [
      /^problem: no known address for manager\.example/,
    ]);
  });

  test('finds nothing on a manager', () => {
    expectTold(found({ managers: [] }), []);
  });

  test('finds nothing if managers are not protected', () => {
    expectTold(found({ managers: [], isProtected: false }, 'wazuh-agentd'), []);
  });
});

describe('the checks of the agent', () => {
  const scene = sceneOf({ place: { home, name: 'firewall-drop' } }, 'wazuh-execd');

  test('accept an agent that is running', () => {
    write('VERSION.json', '{"version":"4.14.7"}');
    expectTold(agent(scene), [/^ok: 4\.14\.7, wazuh-execd is running$/]);
  });

  test('report an agent that is not running', () => {
    write('VERSION.json', '{"version":"4.14.7"}');
    const idle = sceneOf({ place: { home } });
    expectTold(agent(idle), [/^problem: 4\.14\.7; no execd is running/]);
  });

  test('report a missing agent', () => {
    expectTold(agent(scene), [/^problem: no agent in \/.*$/]);
  });

  test.each([
    ['{"version":"4.14.7"}', 'VERSION="v4.1.5"', '4.14.7'],
    ['', 'NAME="OSSEC"\nVERSION="v4.1.5"\n', '4.1.5'],
    ['{"version":4}', 'VERSION="3.7.0"', '3.7.0'],
    ['{"version":"4.1', '', 'unknown version'],
  ])('find the version in %j or %j', (json, init, version) => {
    write('VERSION.json', json);
    write('etc/ossec-init.conf', init);
    expectTold(agent(scene), [new RegExp(`^ok: ${version}, `)]);
  });

  test.each<[string, number[], RegExp]>([
    [
      'accept two responses with timeouts',
      [600, 3600],
      /^ok: 2 responses with firewall-drop \(600 s, 3600 s\); the longest ban lasts 1h$/,
    ],
    [
      'warn of a response without a timeout',
      [600, 0],
      /^warning: .* timeout 0 .*: its bans never expire/,
    ],
    [
      'warn if no response has our name',
      [],
      /^warning: .* has no entry for firewall-drop: no alert starts it/,
    ],
  ])('%s', (_, timeouts, expected) => {
    const settings = (): never => ({ repeatedOffendersMinutes: [] }) as never;
    const place = { home, name: 'firewall-drop' };
    expectTold(arConf(sceneOf({ place, timeouts: () => timeouts, settings })), [expected]);
  });

  test('accept a host without files', () => {
    expectTold(agentFiles(scene), [/^ok: no ossec\.conf/]);
  });

  test('accept files without mistakes', () => {
    write('etc/ossec.conf', '<ossec_config/>');
    write('etc/shared/agent.conf', '');
    expectTold(agentFiles(scene), [/^ok: no mistakes in \S+ossec\.conf, \S+agent\.conf$/]);
  });

  const DOUBTFUL = '<command><name>a</name><executable>a</executable><expect/></command>';
  test('pass on a warning', () => {
    write('etc/ossec.conf', `<ossec_config>\n${DOUBTFUL}</ossec_config>`);
    expectTold(agentFiles(scene), [/^warning: \S+ossec\.conf, line 2: .* ignore <expect>$/]);
  });

  test('pass on the error of several findings, with control characters escaped', () => {
    write('etc/ossec.conf', `<ossec_config>\n${DOUBTFUL}</ossec_config>`);
    write('etc/shared/firewall-drop.toml', 'bad\u001b[2J');
    expectTold(agentFiles(scene), [/^problem: \S+drop\.toml, line 1: .*, and 1 more$/]);
  });
});

describe('the check of the log', () => {
  interface Log {
    readonly name: string;
    readonly stats: Stats | null;
    readonly directory: Stats | null;
  }
  const stats = (change: Partial<Stats>): Pick<Log, 'stats'> => ({
    stats: statsOf({ uid: 990, gid: 990, mode: 0o100660, nlink: 1, ...change }),
  });
  const GOOD: Log = {
    name: 'active-responses.log',
    ...stats({}),
    directory: statsOf({ uid: 990, gid: 990 }),
  };

  test.each<[string, Partial<Log>, RegExp, string | undefined]>([
    ['accepts a log that can be written', {}, /^ok: .* 0660, writable$/, undefined],
    [
      'reports a missing directory',
      { directory: null },
      /^problem: .* blocks raise no alerts/,
      undefined,
    ],
    ['warns of a missing log', { stats: null }, /^warning: .* does not exist yet/, 'make the log'],
    [
      'reports a symbolic link',
      stats({ mode: 0o120777 }),
      /^problem: .* is a symbolic link/,
      undefined,
    ],
    ['reports a pipe', stats({ mode: 0o010660 }), /^problem: .* not a regular file/, undefined],
    ['reports a second hard link', stats({ nlink: 2 }), /^problem: .* with one link/, undefined],
    [
      'reports a log that can’t be opened',
      { name: 'etc' },
      /^problem: .* can't be written: .*is a directory/,
      undefined,
    ],
    [
      'reports a log that every user can write',
      stats({ mode: 0o100662 }),
      /^problem: .* any user can write/,
      'mend the log',
    ],
    ['warns of another group', stats({ gid: 0 }), /^warning: .* can't read it$/, 'mend the log'],
    [
      'warns if only the owner can read the log',
      stats({ mode: 0o100600 }),
      /^warning: .* can't read/,
      'mend the log',
    ],
  ])('%s', (_, change, expected, remedy) => {
    const log = { ...GOOD, ...change };
    write(GOOD.name, '');
    const finding = evaluateLog(join(home, log.name), log.stats, log.directory);
    expectTold(finding, [expected]);
    expect(finding.remedy).toBe(remedy);
  });
});

describe('the check of the writer lock', () => {
  test.each<[string, number | null, boolean, RegExp]>([
    ['accepts a free lock', null, false, /^ok: no process holds/],
    ['accepts a running holder', 4711, false, /^ok: process 4711 holds/],
    ['reports a stopped holder', 4711, true, /^problem: process 4711/],
  ])('%s', (_, holder, isStopped, expected) => {
    expectTold(
      evaluateLock(holder, () => isStopped),
      [expected],
    );
  });
});

describe('the checks of the state', () => {
  const GOOD: StoreFacts = {
    volatile: false,
    unsaved: 0,
    unsound: [],
    directoryMode: '0700',
    fileMode: '0600',
  };

  test.each<[string, Partial<StoreFacts>, RegExp]>([
    ['accept an intact file', {}, /^ok: .* is intact, 0700 and 0600$/],
    ['accept a new file', { fileMode: null }, /^ok: .* 0700 and new$/],
    ['report a file that can’t be used', { volatile: true }, /^problem: .* can't be used/],
    ['report unsaved changes', { unsaved: 2 }, /^problem: .*2 changes kept in .*unsaved/],
    [
      'report a damaged file',
      { unsound: ['page 3', 'page 4'] },
      /^problem: .* damaged: page 3; page 4$/,
    ],
    [
      'warn of a directory that others can read',
      { directoryMode: '0755' },
      /^warning: .* other users can read/,
    ],
    [
      'warn of a file that others can read',
      { fileMode: '0644' },
      /^warning: .* other users can read/,
    ],
  ])('%s', (_, change, expected) => {
    expectTold(evaluateStore({ ...GOOD, ...change }), [expected]);
  });

  const address = addressOf('203.0.113.9');
  const ban = { address, phase: 'blocked', sinceMs: 0, holds: [], foreign: {} } as const;
  const held = { address, chains: ['INPUT'], packets: 0, bytes: 0 };
  const command = { program: 'iptables-restore', args: [], input: '' };
  const missing = { address: ban.address, lacks: ['INPUT'] };
  const NO_DRIFT: Drift = { pending: [], atWork: null, missing: [], unknown: [], steps: [] };

  test.each<[string, Partial<Drift>, RegExp[]]>([
    ['accept rules that are all in place', {}, []],
    [
      'report pending changes',
      { pending: [ban, ban], steps: [command] },
      [/^problem: 2 changes pending: an earlier run was interrupted$/],
    ],
    [
      'accept pending changes of a running process',
      { pending: [ban], atWork: 4711, steps: [command] },
      [/^ok: 1 change pending: process 4711 holds the writer lock and may be completing them$/],
    ],
    [
      'report bans without rules',
      { missing: [missing], steps: [command] },
      [/^problem: missing in the kernel: rules of 1 ban \(203\.0\.113\.9\)$/],
    ],
    [
      'report rules without a ban',
      { unknown: [held] },
      [/^problem: drop rules of our form without a ban, which never expire: 1$/],
    ],
    [
      'report rules behind an ACCEPT',
      { steps: [command] },
      [/^problem: our rules are not first in their chains/],
    ],
    [
      'report pending changes and rules without a ban together',
      { pending: [ban], unknown: [held] },
      [/^problem: 1 change pending/, /^problem: drop rules of our form without a ban/],
    ],
  ])('%s', (_, change, expected) => {
    expectTold(evaluateDrift({ ...NO_DRIFT, ...change }), expected);
  });

  test('report rules that can’t be queried', () => {
    const fail = (): never => {
      throw new Error('no iptables');
    };
    const bans = { list: () => [], hasIpv6: () => false };
    expectTold(order(sceneOf({ store: { bans }, firewall: { plan: fail, snapshot: fail } })), [
      /^problem: the rules can't be checked: .*no iptables$/,
    ]);
  });

  test('report a state that can’t be read, and not that the rules have no ban', () => {
    expectTold(order(sceneOf({ store: { unread: true } })), [
      /^problem: .* the state can't be read$/,
    ]);
  });

  test.each<[string, string[], number | null, RegExp]>([
    ['ran', ['x.timer', 'y'], 30, /^ok: x\.timer, y, last run 30s ago$/],
    ['is late', ['x'], 301, /^warning: .* last run was: 5m 1s ago$/],
    ['never ran', ['x'], null, /^warning: .* last run was: never$/],
    ['ran in the future', ['x'], -9, /^ok: x, last run 0s ago$/],
    ['is not set up', [], 5, /^warning: nothing calls .*5s ago/],
  ])('recognise a timer that %s', (_, callers, silenceSeconds, expected) => {
    expectTold(evaluateTimer(callers, silenceSeconds), [expected]);
  });

  const recordsOf = (...records: readonly HistoryRecord[]): Parts<Context['store']> => {
    return { history: { find: () => [...records] } };
  };
  const record = (verb: 'add' | 'failed', atMs = NOON_MS): HistoryRecord => ({
    id: 1,
    atMs,
    outcome: { verb, address, alertRef: { alertId: '1.2', ruleId: '3' } },
    origin: null,
    reason: 'scan',
  });

  test.each<[string, number, string, HistoryRecord[], RegExp]>([
    [
      'is synchronised',
      NOON_MS,
      'chronyd',
      [record('add', NOON_MS - 1)],
      /^ok: 2026-05-07 12:00:00 UTC, synchronised by chronyd$/,
    ],
    ['no service synchronises', NOON_MS, 'init', [], /^ok: .*, no time service found$/],
    [
      'was set back',
      NOON_MS,
      'chronyd',
      [record('add', NOON_MS + 1)],
      /^warning: .* the clock was set back$/,
    ],
    ['is decades late', 0, 'chronyd', [], /^problem: the clock is wrong: 1970-01-01/],
  ])('recognise a clock that %s', (_, nowMs, service, records, expected) => {
    const context = { now: () => nowMs, store: recordsOf(...records) };
    expectTold(clock(sceneOf(context, service)), [expected]);
  });

  test('show the latest events, and warn of failures', () => {
    const found = (...records: readonly HistoryRecord[]): Finding => {
      return outcomes(sceneOf({ store: recordsOf(...records) }));
    };
    expectTold(found(), [/^ok: no events yet$/]);
    expectTold(found(record('add')), [/^ok: none of the last 1 failed$/]);
    const finding = found(record('add'), record('failed'));
    expectTold(finding, [/^warning: 1 of the last 2 failed$/]);
    expect(finding.details?.[1]).toBe('2026-05-07 12:00:00  failed 203.0.113.9 scan');
  });
});

describe('the checks of the firewall', () => {
  test.each<['nft' | 'legacy' | null, boolean, boolean, RegExp]>([
    ['nft', true, false, /^ok: only nft is in use$/],
    ['nft', true, true, /^warning: .* iptables-legacy has a filter table as well/],
    ['legacy', true, true, /^warning: .* iptables-nft has a filter table as well/],
    ['legacy', false, true, /^ok: only legacy is in use$/],
    [null, true, true, /^ok: no variant of iptables is in use$/],
  ])('judge %s if nft has a filter table: %s, and legacy: %s', (used, nft, legacy, expected) => {
    expectTold(evaluateVariants(used, { nft, legacy }), [expected]);
  });

  /** Returns a context whose kernel has these policies, or can't be queried. */
  const kernelWith = (
    policies: Readonly<Record<4 | 6, readonly string[] | Error>>,
    backendName = 'iptables',
  ): Context => {
    const snapshot = (family: 4 | 6): never => {
      const own = policies[family];
      if (own instanceof Error) throw own;
      return { policies: new Map(own.map((chain) => [chain, 'ACCEPT'])) } as never;
    };
    const config = { firewall: { chains: ['INPUT', 'BANS'] } };
    return { firewall: { backendName, snapshot }, config } as unknown as Context;
  };

  test.each<[(4 | 6)[], string[] | Error, string[] | Error, RegExp[]]>([
    [[4, 6], ['BANS'], ['BANS'], [/^ok: Linux .* filters IPv4 and IPv6 through iptables$/]],
    [[4], ['BANS'], [], [/^ok: .* filters IPv4 through/]],
    [
      [4, 6],
      new Error('no module'),
      ['BANS'],
      [/^problem: IPv4 can't be filtered through iptables: no module$/],
    ],
    [[4, 6], new Error('a'), new Error('b'), [/^problem: IPv4 .* a$/, /^problem: IPv6 .* b$/]],
    [
      [4, 6],
      [],
      [],
      [/^problem: .* IPv4 has no such chain/, /^problem: .* IPv6 has no such chain/],
    ],
  ])(
    'report for %j what the kernel’s IPv4 %j and IPv6 %j lack',
    (families, four, six, expected) => {
      expectTold(evaluateKernel(families, kernelWith({ 4: four, 6: six })), expected);
    },
  );

  test('warn if the rule for a set must be in the filter table', () => {
    const policies = { 4: ['raw PREROUTING'], 6: ['BANS'] };
    const expected = [/^ok: Linux/, /^warning: the kernel has no raw table for IPv6: /];
    expectTold(evaluateKernel([4, 6], kernelWith(policies, 'ipset')), expected);
  });

  const ALONE = {
    processes: ['init'],
    chains: ['INPUT'],
    usesDockerChain: true,
    backend: 'iptables',
  };
  test.each<[string, Partial<typeof ALONE>, RegExp[]]>([
    ['none of them', {}, [/^ok: no Docker, firewalld, ufw, fail2ban or CrowdSec found$/]],
    ['firewalld by its process', { processes: ['firewalld'] }, [/^warning: firewalld found/]],
    ['firewalld by its chains', { chains: ['INPUT_direct'] }, [/^warning: firewalld found/]],
    [
      'firewalld beside our own table',
      { processes: ['firewalld'], backend: 'nftables' },
      [/^ok: firewalld found/],
    ],
    ['fail2ban by its process', { processes: ['fail2ban-server'] }, [/^ok: fail2ban found/]],
    ['CrowdSec by its cut name', { processes: ['crowdsec-firewal'] }, [/^ok: CrowdSec found/]],
    ['ufw for IPv6', { chains: ['ufw6-input'] }, [/^ok: ufw found/]],
    ['Docker with its chain', { chains: ['DOCKER-USER'] }, [/^ok: Docker found: .* DOCKER-USER/]],
    [
      'Docker beside sets that drop before its chains',
      { chains: ['DOCKER-USER', 'raw PREROUTING'], backend: 'ipset', usesDockerChain: false },
      [/^ok: Docker found: our sets drop/],
    ],
    [
      'Docker beside sets on a kernel without a raw table',
      { chains: ['DOCKER-USER'], backend: 'ipset' },
      [/^ok: Docker found: .* DOCKER-USER/],
    ],
    [
      'Docker without its chain',
      { processes: ['dockerd'] },
      [/^warning: Docker .* no chain DOCKER-USER/],
    ],
    [
      'Docker with firewall.docker = false',
      { chains: ['DOCKER-USER'], usesDockerChain: false },
      [/^warning: .* firewall\.docker is false/],
    ],
    ['two programs', { chains: ['f2b-sshd', 'ufw-user'] }, [/^ok: ufw/, /^ok: fail2ban/]],
  ])('recognise %s', (_, change, expected) => {
    const host = { ...ALONE, ...change };
    const policies = new Map(host.chains.map((chain) => [chain, 'ACCEPT']));
    const snapshot = (): never => ({ rules: [], policies }) as never;
    const context = {
      firewall: { backendName: host.backend, snapshot } as never,
      config: { firewall: { docker: host.usesDockerChain } },
    };
    expectTold(neighbours(sceneOf(context, ...host.processes)), expected);
  });

  const SAVED = [
    '*raw',
    '-A PREROUTING -s 203.0.113.1/32 -j DROP',
    'COMMIT',
    '*filter',
    ':INPUT ACCEPT [0:0]',
    '-A INPUT -s 203.0.113.8/32 -p tcp -j DROP',
    '-A INPUT -m set --match-set other-4 src -j DROP',
  ];
  const PLAIN = [
    '-A INPUT -s 203.0.113.7/32 -j DROP',
    '[3:180] -A FORWARD -s 203.0.113.7/32 -j DROP',
  ];
  const OF_SET = '-A INPUT -m set --match-set firewall-drop-4 src -j DROP';
  test.each<[string, readonly string[], RegExp[]]>([
    ['accept a saved file without our rules', [], []],
    [
      'warn of saved addresses in the filter table',
      PLAIN,
      [/^warning: \/f contains drop rules of our form \(1\)/],
    ],
    ['report saved rules for our sets', [...PLAIN, OF_SET], [/^problem: \/f refers to our sets/]],
  ])('%s', (_, rules, expected) => {
    const text = [...SAVED, ...rules, 'COMMIT'].join('\n');
    expectTold(evaluateSaved('/f', text, 'firewall-drop'), expected);
  });
});
