// The findings of doctor: each evaluation with facts that a test host can't have, or only slowly.
import { Stats } from 'node:fs';
import { describe, expect, test } from '@jest/globals';
import type { Drift } from '../../../../src/bans/reconcile.ts';
import { addressOf } from '../../support/workshop.ts';
import {
  agent,
  agentFiles,
  arConf,
  configuration,
  responseLog,
  versionOf,
} from '../../../../src/cli/doctor/agent.ts';
import { lock, order, outcomes, store } from '../../../../src/cli/doctor/state.ts';
import { boot, clock, timer } from '../../../../src/cli/doctor/schedule.ts';
import type { Finding } from '../../../../src/cli/doctor/check.ts';
import { executable, packageRecord, recordedSum } from '../../../../src/cli/doctor/executable.ts';
import { kernel, programs, variants } from '../../../../src/cli/doctor/firewall.ts';
import { neighbours } from '../../../../src/cli/doctor/neighbours.ts';
import { readSaved, savedRules } from '../../../../src/cli/doctor/neighbours.ts';
import { manager } from '../../../../src/cli/doctor/agent.ts';
import type { HistoryRecord } from '../../../../src/state/history.ts';

type FactsOf<C extends { readonly evaluate: (facts: never) => unknown }> = Parameters<
  C['evaluate']
>[0];
type AgentFacts = FactsOf<typeof agent>;
type FilesFacts = FactsOf<typeof agentFiles>;
type LogFacts = FactsOf<typeof responseLog>;
type TimeoutFacts = FactsOf<typeof arConf>;
type LockFacts = FactsOf<typeof lock>;
type OrderFacts = FactsOf<typeof order>;
type StoreFacts = FactsOf<typeof store>;
type ClockFacts = FactsOf<typeof clock>;
type TimerFacts = FactsOf<typeof timer>;
type ExecutableFacts = FactsOf<typeof executable>;
type VariantFacts = FactsOf<typeof variants>;
type NeighbourFacts = FactsOf<typeof neighbours>;
type KernelFacts = FactsOf<typeof kernel>;
type ManagerFacts = FactsOf<typeof manager>;

const NOON_MS = Date.UTC(2026, 4, 7, 12);
const SUM = 'a'.repeat(64);

/** Returns file stats with the given fields. */
function statsOf(parts: Partial<Stats>): Stats {
  return Object.assign(Object.create(Stats.prototype) as Stats, parts);
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
  const GOOD: ExecutableFacts = {
    install: '/usr/bin/firewall-drop install --home /var/ossec',
    path: '/var/ossec/active-response/bin/firewall-drop',
    stats: statsOf({ uid: 0, gid: 0, mode: 0o100750, size: 100 }),
    sha256: SUM,
    isOurs: true,
    looseDirectories: [],
    rejectedCaches: [],
  };
  const stats = (uid: number, mode: number): Partial<ExecutableFacts> => ({
    stats: statsOf({ uid, gid: 0, mode, size: 100 }),
  });

  test.each<[string, Partial<ExecutableFacts>, RegExp[]]>([
    [
      'accepts a file of root with mode 0750',
      {},
      [/^ok: .*firewall-drop, \S+ 0750, sha256 a{64}$/],
    ],
    ['reports a missing file', { stats: null }, [/^problem: .* does not exist$/]],
    [
      'reports another program',
      { isOurs: false },
      [/^problem: .* is another program \(100 bytes\)/],
    ],
    [
      'reports another owner',
      stats(1000, 0o100750),
      [/^problem: .* belongs to .*who can change it$/],
    ],
    [
      'reports a file that its group can write',
      stats(0, 0o100770),
      [/^problem: .* mode 0770: other users can change/],
    ],
    [
      'reports a file that is not executable',
      stats(0, 0o100640),
      [/^problem: .* mode 0640: it can't be executed$/],
    ],
    [
      'warns if the runtime rejects the compiled code',
      { rejectedCaches: ['firewall-drop', 'cli'] },
      [/^warning: .*compiled code of firewall-drop, cli: the program works/],
    ],
    [
      'reports all problems at once',
      { ...stats(1000, 0o100622), looseDirectories: ['/var/ossec', '/opt'] },
      [/belongs to/, /other users can change what/, /executed/, /files in \/var/, /\/opt$/],
    ],
  ])('%s', (_, change, expected) => {
    expectTold(executable.evaluate({ ...GOOD, ...change }), expected);
  });

  test('compares the program with the checksum of its package', () => {
    const record = '/usr/bin/SHA256SUMS';
    expectTold(packageRecord.evaluate({ record: null, recorded: '', actual: '' }), [
      /^ok: not installed from a package/,
    ]);
    expectTold(packageRecord.evaluate({ record, recorded: SUM, actual: SUM }), [
      /^ok: .* matches$/,
    ]);
    expectTold(packageRecord.evaluate({ record, recorded: '', actual: SUM }), [
      /^problem: .* has no checksum/,
    ]);
    expectTold(packageRecord.evaluate({ record, recorded: SUM, actual: 'b' }), [
      /^problem: the program differs from the package/,
    ]);
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

describe('the check of the manager', () => {
  const GOOD: ManagerFacts = {
    file: '/var/ossec/etc/ossec.conf',
    isAgent: true,
    isProtected: true,
    managers: ['192.0.2.9', 'manager.example'],
    unknown: [],
  };

  test.each<[string, Partial<ManagerFacts>, RegExp[]]>([
    ['accepts known addresses', {}, [/^ok: 192\.0\.2\.9, manager\.example, protected$/]],
    ['reports that no manager is named', { managers: [] }, [/^problem: .* names no manager/]],
    [
      'reports a name without a known address',
      { unknown: ['manager.example'] },
      [/^problem: no known address for manager\.example/],
    ],
    ['finds nothing on a manager', { isAgent: false, managers: [] }, []],
    ['finds nothing if managers are not protected', { isProtected: false, managers: [] }, []],
  ])('%s', (_, change, expected) => {
    expectTold(manager.evaluate({ ...GOOD, ...change }), expected);
  });
});

describe('the checks of the agent', () => {
  const GOOD: AgentFacts = {
    home: '/var/ossec',
    exists: true,
    version: 'v4.14.7',
    execd: 'wazuh-execd',
  };

  test.each<[string, Partial<AgentFacts>, RegExp]>([
    ['accept an agent that is running', {}, /^ok: v4\.14\.7, wazuh-execd is running$/],
    [
      'report an agent that is not running',
      { execd: '' },
      /^problem: v4\.14\.7; no execd is running/,
    ],
    ['accept an unknown version', { version: '' }, /^ok: unknown version,/],
    ['report a missing agent', { exists: false }, /^problem: no agent in \/var\/ossec$/],
  ])('%s', (_, change, expected) => {
    expectTold(agent.evaluate({ ...GOOD, ...change }), [expected]);
  });

  test.each([
    ['{"version":"4.14.7"}', ['VERSION="v4.1.5"'], '4.14.7'],
    [null, [null, 'NAME="OSSEC"\nVERSION="v4.1.5"\n'], '4.1.5'],
    ['{"version":4}', ['VERSION="3.7.0"'], '3.7.0'],
    ['{"version":"4.1', [null], ''],
    [null, [], ''],
  ])('find the version in %j or %j', (json, inits, version) => {
    expect(versionOf(json, inits)).toBe(version);
  });

  const TIMEOUTS: TimeoutFacts = {
    file: '/var/ossec/etc/shared/ar.conf',
    name: 'firewall-drop',
    timeouts: [600, 3600],
    longest: 3600,
  };

  test.each<[string, Partial<TimeoutFacts>, RegExp]>([
    [
      'accept two responses with timeouts',
      {},
      /^ok: 2 responses with firewall-drop \(600 s, 3600 s\); the longest ban lasts 1h$/,
    ],
    [
      'warn of a response without a timeout',
      { longest: null },
      /^warning: .* timeout 0 .*: its bans never expire/,
    ],
    [
      'warn if no response has our name',
      { name: 'block-ip', timeouts: [] },
      /^warning: .* has no entry for block-ip/,
    ],
    [
      'warn if there are no responses',
      { timeouts: [], longest: null },
      /^warning: .* no alert starts it/,
    ],
  ])('%s', (_, change, expected) => {
    expectTold(arConf.evaluate({ ...TIMEOUTS, ...change }), [expected]);
  });

  const found = (severity: 'error' | 'warning', cause: string): FilesFacts['findings'][number] => {
    return { severity, cause, fix: 'x', line: 7, column: 1, file: '/f', source: '' };
  };
  test.each<[string, FilesFacts, RegExp]>([
    ['accept a host without files', { files: [], findings: [] }, /^ok: no ossec\.conf/],
    [
      'accept files without mistakes',
      { files: ['/f', '/g'], findings: [] },
      /^ok: no mistakes in \/f, \/g$/,
    ],
    [
      'pass on a warning',
      { files: ['/f'], findings: [found('warning', 'doubtful')] },
      /^warning: \/f, line 7: doubtful$/,
    ],
    [
      'pass on the error of several findings, with control characters escaped',
      { files: ['/f'], findings: [found('warning', 'doubtful'), found('error', 'bad\u001b[2J')] },
      /^problem: \/f, line 7: bad\\u001b\[2J, and 1 more$/,
    ],
  ])('%s', (_, facts, expected) => {
    expectTold(agentFiles.evaluate(facts), [expected]);
  });

  test('report each mistake in our configuration', () => {
    expectTold(configuration.evaluate({ exists: false, problems: [] }), [
      /^ok: no .*: the defaults are used$/,
    ]);
    expectTold(configuration.evaluate({ exists: true, problems: [] }), [/^ok: .* is valid$/]);
    expectTold(configuration.evaluate({ exists: true, problems: ['a', 'b'] }), [/: a$/, /: b$/]);
  });
});

describe('the check of the log', () => {
  const GOOD: LogFacts = {
    path: '/var/ossec/logs/active-responses.log',
    stats: statsOf({ uid: 990, gid: 990, mode: 0o100660, nlink: 1 }),
    directory: statsOf({ uid: 990, gid: 990 }),
    trouble: '',
  };
  const stats = (change: Partial<Stats>): Partial<LogFacts> => ({
    stats: statsOf({ uid: 990, gid: 990, mode: 0o100660, nlink: 1, ...change }),
  });

  test.each<[string, Partial<LogFacts>, RegExp, string | undefined]>([
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
      { trouble: 'EROFS' },
      /^problem: .* can't be written: EROFS$/,
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
    const finding = responseLog.evaluate({ ...GOOD, ...change });
    expectTold(finding, [expected]);
    expect(finding.remedy).toBe(remedy);
  });
});

describe('the check of the writer lock', () => {
  test.each<[string, LockFacts, RegExp]>([
    ['accepts a free lock', { holder: null, isStopped: false }, /^ok: no process holds/],
    ['accepts a running holder', { holder: 4711, isStopped: false }, /^ok: process 4711 holds/],
    ['reports a stopped holder', { holder: 4711, isStopped: true }, /^problem: process 4711/],
  ])('%s', (_, facts, expected) => {
    expectTold(lock.evaluate(facts), [expected]);
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
    expectTold(store.evaluate({ ...GOOD, ...change }), [expected]);
  });

  const address = addressOf('203.0.113.9');
  const ban = { address, phase: 'blocked', sinceMs: 0, holds: [], foreign: {} } as const;
  const held = { address, chains: ['INPUT'], packets: 0, bytes: 0 };
  const command = { program: 'iptables-restore', args: [], input: '' };
  const missing = { address: ban.address, lacks: ['INPUT'] };
  const NO_DRIFT: Drift = { pending: [], atWork: null, missing: [], unknown: [], steps: [] };
  const AGREED: OrderFacts = {
    drift: NO_DRIFT,
    trouble: '',
    bans: 3,
    unread: false,
  };

  test.each<[string, Partial<OrderFacts>, RegExp[]]>([
    ['accept rules that are all in place', {}, [/^ok: 3 bans, all rules in place$/]],
    [
      'report a kernel that can’t be queried',
      { drift: null, trouble: 'no iptables' },
      [/^problem: .* no iptables$/],
    ],
    [
      'report a state that can’t be read, and not that the rules have no ban',
      { unread: true, drift: { ...NO_DRIFT, unknown: [held] } },
      [/^problem: .* the state can't be read$/],
    ],
    [
      'report pending changes',
      { drift: { ...NO_DRIFT, pending: [ban, ban], steps: [command] } },
      [/^problem: 2 changes pending: an earlier run was interrupted$/],
    ],
    [
      'accept pending changes of a running process',
      { drift: { ...NO_DRIFT, pending: [ban], atWork: 4711, steps: [command] } },
      [/^ok: 1 change pending: process 4711 holds the writer lock and may be completing them$/],
    ],
    [
      'report bans without rules',
      { drift: { ...NO_DRIFT, missing: [missing], steps: [command] } },
      [/^problem: missing in the kernel: rules of 1 ban \(203\.0\.113\.9\)$/],
    ],
    [
      'report rules without a ban',
      { drift: { ...NO_DRIFT, unknown: [held] } },
      [/^problem: drop rules of our form without a ban, which never expire: 1$/],
    ],
    [
      'report rules behind an ACCEPT',
      { drift: { ...NO_DRIFT, steps: [command] } },
      [/^problem: our rules are not first in their chains/],
    ],
    [
      'report pending changes and rules without a ban together',
      { drift: { ...NO_DRIFT, pending: [ban], unknown: [held] } },
      [/^problem: 1 change pending/, /^problem: drop rules of our form without a ban/],
    ],
  ])('%s', (_, change, expected) => {
    expectTold(order.evaluate({ ...AGREED, ...change }), expected);
  });

  test.each<[string, TimerFacts, RegExp]>([
    ['ran', { callers: ['x.timer'], silenceSeconds: 30 }, /^ok: x\.timer, last run 30s ago$/],
    ['is late', { callers: ['x'], silenceSeconds: 301 }, /^warning: .* last run was: 5m 1s ago$/],
    ['never ran', { callers: ['x'], silenceSeconds: null }, /^warning: .* last run was: never$/],
    ['ran in the future', { callers: ['x'], silenceSeconds: -9 }, /^ok: x, last run 0s ago$/],
    ['is not set up', { callers: [], silenceSeconds: 5 }, /^warning: nothing calls .*5s ago/],
  ])('recognise a timer that %s', (_, facts, expected) => {
    expectTold(timer.evaluate(facts), [expected]);
  });

  test('name what restores bans at boot, or warn that nothing does', () => {
    expectTold(boot.evaluate({ callers: ['a', 'b'] }), [/^ok: bans are restored by a, b$/]);
    expectTold(boot.evaluate({ callers: [] }), [/^warning: nothing calls firewall-drop restore/]);
  });

  const CLOCK: ClockFacts = { nowMs: NOON_MS, latestMs: NOON_MS - 1, service: 'chronyd' };
  test.each<[string, Partial<ClockFacts>, RegExp]>([
    ['is synchronised', {}, /^ok: 2026-05-07 12:00:00 UTC, synchronised by chronyd$/],
    ['no service synchronises', { service: '' }, /^ok: .*, no time service found$/],
    ['was set back', { latestMs: NOON_MS + 1 }, /^warning: .* the clock was set back$/],
    ['is decades late', { nowMs: 0, latestMs: null }, /^problem: the clock is wrong: 1970-01-01/],
  ])('recognise a clock that %s', (_, change, expected) => {
    expectTold(clock.evaluate({ ...CLOCK, ...change }), [expected]);
  });

  test('show the latest events, and warn of failures', () => {
    const record = (verb: 'add' | 'failed'): HistoryRecord => ({
      id: 1,
      atMs: NOON_MS,
      outcome: { verb, address, alertRef: { alertId: '1.2', ruleId: '3' } },
      origin: null,
      reason: 'scan',
    });
    expectTold(outcomes.evaluate([]), [/^ok: no events yet$/]);
    expectTold(outcomes.evaluate([record('add')]), [/^ok: none of the last 1 failed$/]);
    const finding = outcomes.evaluate([record('add'), record('failed')]);
    expectTold(finding, [/^warning: 1 of the last 2 failed$/]);
    expect(finding.details?.[1]).toBe('2026-05-07 12:00:00  failed 203.0.113.9 scan');
  });
});

describe('the checks of the firewall', () => {
  test.each<[string, FactsOf<(typeof programs)[number]>, RegExp]>([
    [
      'is installed and needed',
      { program: 'a', path: '/sbin/a', variant: 'nft', isNeeded: true, from: 'iptables' },
      /^ok: \/sbin\/a \(nft\)$/,
    ],
    [
      'is installed and not needed',
      { program: 'a', path: '/sbin/a', variant: null, isNeeded: false, from: 'iptables' },
      /^ok: \/sbin\/a, not needed$/,
    ],
    [
      'is missing',
      { program: 'a', path: null, variant: null, isNeeded: true, from: 'iptables' },
      /^problem: a is not installed, but the backend needs it/,
    ],
    [
      'is missing and not needed',
      { program: 'a', path: null, variant: null, isNeeded: false, from: 'iptables' },
      /^ok: a is not installed, and not needed$/,
    ],
  ])('recognise a program that %s', (_, facts, expected) => {
    expectTold(programs[0]?.evaluate(facts) ?? [], [expected]);
  });

  test.each<[VariantFacts['used'], readonly string[], boolean | null, RegExp]>([
    ['nft', [], true, /^ok: only nft is in use$/],
    ['nft', ['nat'], true, /^ok: only nft is in use$/],
    ['nft', ['filter'], true, /^warning: .* iptables-legacy has a filter table as well/],
    ['legacy', ['filter'], true, /^warning: .* iptables-nft has a filter table as well/],
    ['legacy', ['filter'], false, /^ok: only legacy is in use$/],
    ['legacy', ['filter'], null, /^ok: only legacy is in use$/],
    [null, ['filter'], true, /^ok: no variant of iptables is in use$/],
  ])('judge %s with the legacy tables %j and an nft table: %s', (used, tables, nft, expected) => {
    expectTold(variants.evaluate({ used, legacyTables: [...tables], hasNftFilter: nft }), [
      expected,
    ]);
  });

  const answer = (
    family: 4 | 6,
    facts: Partial<KernelFacts['answers'][number]> = {},
  ): KernelFacts['answers'][number] => {
    return { family, trouble: '', hasRaw: true, missing: [], ...facts };
  };
  const KERNEL = { release: '6.1', backend: 'iptables', answers: [answer(4), answer(6)] };

  test.each<[string, string | null, RegExp[]]>([
    ['', '', [/^ok: Linux 6\.1 filters IPv4 and IPv6 through iptables$/]],
    ['', null, [/^ok: .* filters IPv4 through/]],
    ['no module', '', [/^problem: IPv4 can't be filtered through iptables: no module$/]],
    ['a', 'b', [/^problem: IPv4 .* a$/, /^problem: IPv6 .* b$/]],
  ])('report the kernel’s errors for IPv4 %j and IPv6 %j', (four, six, expected) => {
    const answers = [
      answer(4, { trouble: four }),
      ...(six === null ? [] : [answer(6, { trouble: six })]),
    ];
    expectTold(kernel.evaluate({ ...KERNEL, answers }), expected);
  });

  test('name the configured chains that do not exist, by family', () => {
    const answers = ([4, 6] as const).map((family) => answer(family, { missing: ['BANS'] }));
    const expected = [/^problem: .* IPv4 has no such chain/, /^problem: .* IPv6 has no such chain/];
    expectTold(kernel.evaluate({ ...KERNEL, answers }), expected);
  });

  test('warn if the rule for a set must be in the filter table', () => {
    const answers = [answer(4), answer(6, { hasRaw: false })];
    const expected = [/^ok: Linux/, /^warning: the kernel has no raw table for IPv6: /];
    expectTold(kernel.evaluate({ ...KERNEL, backend: 'ipset', answers }), expected);
  });

  const ALONE: NeighbourFacts = {
    processes: ['init'],
    chains: ['INPUT'],
    usesDockerChain: true,
    backend: 'iptables',
  };
  test.each<[string, Partial<NeighbourFacts>, RegExp[]]>([
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
    expectTold(neighbours.evaluate({ ...ALONE, ...change }), expected);
  });

  test('count our saved rules: plain rules only in the filter table, and rules for our sets', () => {
    const text = [
      '*raw',
      '-A PREROUTING -s 203.0.113.1/32 -j DROP',
      '-A PREROUTING -m set --match-set firewall-drop-4 src -j DROP',
      'COMMIT',
      '*filter',
      ':INPUT ACCEPT [0:0]',
      '-A INPUT -s 203.0.113.7/32 -j DROP',
      '[3:180] -A FORWARD -s 203.0.113.7/32 -j DROP',
      '-A INPUT -s 203.0.113.8/32 -p tcp -j DROP',
      '-A INPUT -m set --match-set firewall-drop-4 src -j DROP',
      '-A INPUT -m set --match-set other-4 src -j DROP',
      'COMMIT',
    ].join('\n');
    expect(readSaved(text, 'firewall-drop')).toEqual({ addresses: ['203.0.113.7'], setRules: 2 });
  });

  test.each<[string, readonly string[], number, RegExp]>([
    ['accept saved files without our rules', [], 0, /^ok: no saved file contains our rules$/],
    [
      'warn of saved addresses',
      ['203.0.113.7'],
      0,
      /^warning: \/f contains drop rules of our form \(1\)/,
    ],
    ['report saved rules for our sets', ['203.0.113.7'], 1, /^problem: \/f refers to our sets/],
  ])('%s', (_, addresses, setRules, expected) => {
    expectTold(savedRules.evaluate({ files: [{ path: '/f', addresses, setRules }] }), [expected]);
  });
});
