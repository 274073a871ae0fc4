// What doctor says about what it found: each evaluation with facts that a test host can't have, or only slowly.
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

/** What an evaluation looks at. */
function statsOf(parts: Partial<Stats>): Stats {
  return Object.assign(Object.create(Stats.prototype) as Stats, parts);
}

/** `state: what` of each finding. */
function told(findings: Finding | readonly Finding[]): string[] {
  return [findings].flat().map(({ state, what }) => `${state}: ${what}`);
}

/** Whatever is not well has something to do about it. */
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

describe('the executable', () => {
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
    ['root’s and closed', {}, [/^ok: .*firewall-drop, \S+ 0750, sha256 a{64}$/]],
    ['missing', { stats: null }, [/^problem: .* is not there$/]],
    ['another program', { isOurs: false }, [/^problem: .* is another program \(100 bytes\)/]],
    ['somebody else’s', stats(1000, 0o100750), [/^problem: .* belongs to .*who can change it$/]],
    ['writable by its group', stats(0, 0o100770), [/^problem: .* mode 0770: others than root/]],
    ['not to be started', stats(0, 0o100640), [/^problem: .* mode 0640: it can't be started$/]],
    [
      'whole, with compiled code that is not used',
      { rejectedCaches: ['firewall-drop', 'cli'] },
      [/^warning: .*compiled code of firewall-drop, cli: it works/],
    ],
    [
      'all of that',
      { ...stats(1000, 0o100622), looseDirectories: ['/var/ossec', '/opt'] },
      [/belongs to/, /others than root can change what runs/, /started/, /lies in \/var/, /\/opt$/],
    ],
  ])('%s', (_, change, expected) => {
    expectTold(executable.evaluate({ ...GOOD, ...change }), expected);
  });

  test('is the file of its package, or not', () => {
    const record = '/usr/bin/SHA256SUMS';
    expectTold(packageRecord.evaluate({ record: null, recorded: '', actual: '' }), [
      /^ok: installed by hand/,
    ]);
    expectTold(packageRecord.evaluate({ record, recorded: SUM, actual: SUM }), [/^ok: .* agrees$/]);
    expectTold(packageRecord.evaluate({ record, recorded: '', actual: SUM }), [
      /^problem: .* has no sum/,
    ]);
    expectTold(packageRecord.evaluate({ record, recorded: SUM, actual: 'b' }), [
      /^problem: it is not the/,
    ]);
  });

  test.each([
    [`${SUM}  firewall-drop\n`, SUM],
    [`${SUM} *./usr/bin/firewall-drop\n`, SUM],
    [`${SUM}  firewall-drop.1\n${'b'.repeat(64)}  x/firewall-drop\n`, 'b'.repeat(64)],
    [`${SUM}  firewall-drop.sh\n`, ''],
    [`${SUM.slice(1)}  firewall-drop\n`, ''],
    ['', ''],
  ])('its recorded sum in %j', (text, sum) => {
    expect(recordedSum(text)).toBe(sum);
  });
});

describe('the manager', () => {
  const GOOD: ManagerFacts = {
    file: '/var/ossec/etc/ossec.conf',
    isAgent: true,
    isProtected: true,
    managers: ['192.0.2.9', 'manager.example'],
    unknown: [],
  };

  test.each<[string, Partial<ManagerFacts>, RegExp[]]>([
    ['is protected', {}, [/^ok: 192\.0\.2\.9, manager\.example: never blocked$/]],
    ['is a problem where none is found', { managers: [] }, [/^problem: .* names no manager/]],
    [
      'is a problem where its name has no address',
      { unknown: ['manager.example'] },
      [/^problem: no address is known of manager\.example/],
    ],
    ['is nobody on a manager', { isAgent: false, managers: [] }, []],
    ['is not looked for where it may be blocked', { isProtected: false, managers: [] }, []],
  ])('%s', (_, change, expected) => {
    expectTold(manager.evaluate({ ...GOOD, ...change }), expected);
  });
});

describe('the agent', () => {
  const GOOD: AgentFacts = {
    home: '/var/ossec',
    isThere: true,
    version: 'v4.14.7',
    execd: 'wazuh-execd',
  };

  test.each<[string, Partial<AgentFacts>, RegExp]>([
    ['runs', {}, /^ok: v4\.14\.7, wazuh-execd runs$/],
    ['does not run', { execd: '' }, /^problem: v4\.14\.7, and no execd runs/],
    ['is of unknown version', { version: '' }, /^ok: of unknown version,/],
    ['is not there', { isThere: false }, /^problem: no agent in \/var\/ossec$/],
  ])('%s', (_, change, expected) => {
    expectTold(agent.evaluate({ ...GOOD, ...change }), [expected]);
  });

  test.each([
    ['{"version":"4.14.7"}', ['VERSION="v4.1.5"'], '4.14.7'],
    [null, [null, 'NAME="OSSEC"\nVERSION="v4.1.5"\n'], '4.1.5'],
    ['{"version":4}', ['VERSION="3.7.0"'], '3.7.0'],
    ['{"version":"4.1', [null], ''],
    [null, [], ''],
  ])('has its version from %j or %j', (json, inits, version) => {
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
      'two that end',
      {},
      /^ok: 2 responses with firewall-drop \(600 s, 3600 s\), no ban longer than 1h$/,
    ],
    ['one that does not end', { longest: null }, /^warning: .* timeout 0 .*: its bans never end/],
    [
      'none of ours',
      { name: 'block-ip', timeouts: [] },
      /^warning: .* has no response with block-ip/,
    ],
    ['none at all', { timeouts: [], longest: null }, /^warning: .* the manager requests no blocks/],
  ])('has responses: %s', (_, change, expected) => {
    expectTold(arConf.evaluate({ ...TIMEOUTS, ...change }), [expected]);
  });

  const found = (severity: 'error' | 'warning', cause: string): FilesFacts['findings'][number] => {
    return { severity, cause, fix: 'x', line: 7, column: 1, file: '/f', source: '' };
  };
  test.each<[string, FilesFacts, RegExp]>([
    ['none', { files: [], findings: [] }, /^ok: no ossec\.conf/],
    ['in order', { files: ['/f', '/g'], findings: [] }, /^ok: nothing wrong in \/f, \/g$/],
    [
      'with a warning',
      { files: ['/f'], findings: [found('warning', 'doubtful')] },
      /^warning: \/f, line 7: doubtful$/,
    ],
    [
      'with an error behind a warning, which a terminal would obey',
      { files: ['/f'], findings: [found('warning', 'doubtful'), found('error', 'bad\u001b[2J')] },
      /^problem: \/f, line 7: bad\\u001b\[2J, and 1 more$/,
    ],
  ])('has files: %s', (_, facts, expected) => {
    expectTold(agentFiles.evaluate(facts), [expected]);
  });

  test('has a configuration whose mistakes are reported line by line', () => {
    expectTold(configuration.evaluate({ isThere: false, problems: [] }), [
      /^ok: no .*: the defaults hold$/,
    ]);
    expectTold(configuration.evaluate({ isThere: true, problems: [] }), [/^ok: .* is understood$/]);
    expectTold(configuration.evaluate({ isThere: true, problems: ['a', 'b'] }), [/: a$/, /: b$/]);
  });
});

describe('the log', () => {
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
    ['is in order', {}, /^ok: .* 0660, can be written to$/, undefined],
    [
      'has no directory',
      { directory: null },
      /^problem: .* a block would raise no alert/,
      undefined,
    ],
    ['is not there', { stats: null }, /^warning: .* is not there yet/, 'make the log'],
    ['is a link', stats({ mode: 0o120777 }), /^problem: .* is a symbolic link/, undefined],
    ['is a pipe', stats({ mode: 0o010660 }), /^problem: .* not a regular file/, undefined],
    ['has two names', stats({ nlink: 2 }), /^problem: .* with one name/, undefined],
    ['can’t be opened', { trouble: 'EROFS' }, /^problem: .* written to: EROFS$/, undefined],
    ['is anybody’s', stats({ mode: 0o100662 }), /^problem: .* anybody can write/, 'mend the log'],
    ['is another group’s', stats({ gid: 0 }), /^warning: .* can't read it$/, 'mend the log'],
    ['is its owner’s alone', stats({ mode: 0o100600 }), /^warning: .* can't read/, 'mend the log'],
  ])('%s', (_, change, expected, remedy) => {
    const finding = responseLog.evaluate({ ...GOOD, ...change });
    expectTold(finding, [expected]);
    expect(finding.remedy).toBe(remedy);
  });
});

describe('the writer lock', () => {
  test.each<[string, LockFacts, RegExp]>([
    ['is free', { holder: null, isStopped: false }, /^ok: nobody holds/],
    ['is held by a run', { holder: 4711, isStopped: false }, /^ok: process 4711 holds/],
    ['is held by a stopped process', { holder: 4711, isStopped: true }, /^problem: process 4711/],
  ])('%s', (_, facts, expected) => {
    expectTold(lock.evaluate(facts), [expected]);
  });
});

describe('the state', () => {
  const GOOD: StoreFacts = {
    volatile: false,
    unsaved: 0,
    unsound: [],
    directoryMode: '0700',
    fileMode: '0600',
  };

  test.each<[string, Partial<StoreFacts>, RegExp]>([
    ['are sound', {}, /^ok: .* is sound, 0700 and 0600$/],
    ['are new', { fileMode: null }, /^ok: .* 0700 and new$/],
    ['can’t be used', { volatile: true }, /^problem: .* can't be used/],
    ['could not be written', { unsaved: 2 }, /^problem: .*2 changes kept in .*unsaved/],
    ['are damaged', { unsound: ['page 3', 'page 4'] }, /^problem: .* damaged: page 3; page 4$/],
    ['are in an open directory', { directoryMode: '0755' }, /^warning: .* others can read/],
    ['are open themselves', { fileMode: '0644' }, /^warning: .* others can read/],
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
  };

  test.each<[string, Partial<OrderFacts>, RegExp[]]>([
    ['agree', {}, [/^ok: 3 bans, each with its rules once and first in line$/]],
    ['can’t be compared', { drift: null, trouble: 'no iptables' }, [/^problem: .* no iptables$/]],
    [
      'have something begun',
      { drift: { ...NO_DRIFT, pending: [ban, ban], steps: [command] } },
      [/^problem: 2 changes pending: an earlier run was interrupted$/],
    ],
    [
      'have something begun by a process that is at work',
      { drift: { ...NO_DRIFT, pending: [ban], atWork: 4711, steps: [command] } },
      [/^ok: 1 change pending: process 4711 has the writer lock, and may be at work on them$/],
    ],
    [
      'have bans that lack rules',
      { drift: { ...NO_DRIFT, missing: [missing], steps: [command] } },
      [/^problem: missing in the kernel: rules of 1 ban \(203\.0\.113\.9\)$/],
    ],
    [
      'has rules that no ban explains',
      { drift: { ...NO_DRIFT, unknown: [held] } },
      [/^problem: 1 drop rule of our shape without a ban, which will not expire$/],
    ],
    [
      'have bans behind an ACCEPT',
      { drift: { ...NO_DRIFT, steps: [command] } },
      [/^problem: our rules are not first in line/],
    ],
    [
      'lack rules, and something else is wrong as well',
      { drift: { ...NO_DRIFT, pending: [ban], unknown: [held] } },
      [/^problem: 1 change pending/, /^problem: 1 drop rule of our shape without a ban/],
    ],
  ])('and the kernel %s', (_, change, expected) => {
    expectTold(order.evaluate({ ...AGREED, ...change }), expected);
  });

  test.each<[string, TimerFacts, RegExp]>([
    ['lives', { callers: ['x.timer'], silenceSeconds: 30 }, /^ok: x\.timer, last run 30s ago$/],
    ['is late', { callers: ['x'], silenceSeconds: 301 }, /^warning: .* it last ran: 5m 1s ago$/],
    ['never ran', { callers: ['x'], silenceSeconds: null }, /^warning: .* it last ran: never$/],
    ['ran in the future', { callers: ['x'], silenceSeconds: -9 }, /^ok: x, last run 0s ago$/],
    ['is not set up', { callers: [], silenceSeconds: 5 }, /^warning: nothing calls .*5s ago/],
  ])('has a timer that %s', (_, facts, expected) => {
    expectTold(timer.evaluate(facts), [expected]);
  });

  test('comes back at boot, or not', () => {
    expectTold(boot.evaluate({ callers: ['a', 'b'] }), [/^ok: blocks come back by a, b$/]);
    expectTold(boot.evaluate({ callers: [] }), [/^warning: nothing calls firewall-drop restore/]);
  });

  const CLOCK: ClockFacts = { nowMs: NOON_MS, latestMs: NOON_MS - 1, service: 'chronyd' };
  test.each<[string, Partial<ClockFacts>, RegExp]>([
    ['is kept', {}, /^ok: 2026-05-07 12:00:00 UTC, kept by chronyd$/],
    ['is kept by nobody', { service: '' }, /^ok: .*, no time service seen$/],
    ['was set back', { latestMs: NOON_MS + 1 }, /^warning: .* it was set back$/],
    ['is of long ago', { nowMs: 0, latestMs: null }, /^problem: it is not 1970-01-01/],
  ])('has a clock that %s', (_, change, expected) => {
    expectTold(clock.evaluate({ ...CLOCK, ...change }), [expected]);
  });

  test('shows the last outcomes, and warns of what failed', () => {
    const record = (verb: 'add' | 'failed'): HistoryRecord => ({
      id: 1,
      atMs: NOON_MS,
      outcome: { verb, address, alertRef: { alertId: '1.2', ruleId: '3' } },
      origin: null,
      reason: 'scan',
    });
    expectTold(outcomes.evaluate([]), [/^ok: nothing has happened yet$/]);
    expectTold(outcomes.evaluate([record('add')]), [/^ok: the last 1, none failed$/]);
    const finding = outcomes.evaluate([record('add'), record('failed')]);
    expectTold(finding, [/^warning: 1 of the last 2 failed$/]);
    expect(finding.details?.[1]).toBe('2026-05-07 12:00:00  failed 203.0.113.9 scan');
  });
});

describe('the firewall', () => {
  test.each<[string, FactsOf<(typeof programs)[number]>, RegExp]>([
    [
      'is there and needed',
      { program: 'a', path: '/sbin/a', variant: 'nft', isNeeded: true, from: 'iptables' },
      /^ok: \/sbin\/a \(nft\)$/,
    ],
    [
      'is there for nothing',
      { program: 'a', path: '/sbin/a', variant: null, isNeeded: false, from: 'iptables' },
      /^ok: \/sbin\/a, not needed$/,
    ],
    [
      'is missing',
      { program: 'a', path: null, variant: null, isNeeded: true, from: 'iptables' },
      /^problem: a is not installed: nothing can be blocked/,
    ],
    [
      'is missing and not needed',
      { program: 'a', path: null, variant: null, isNeeded: false, from: 'iptables' },
      /^ok: a is not installed, and not needed$/,
    ],
  ])('has a program that %s', (_, facts, expected) => {
    expectTold(programs[0]?.evaluate(facts) ?? [], [expected]);
  });

  test.each<[VariantFacts['used'], readonly string[], boolean | null, RegExp]>([
    ['nft', [], true, /^ok: only nft is in use$/],
    ['nft', ['nat'], true, /^ok: only nft is in use$/],
    ['nft', ['filter'], true, /^warning: .* the legacy variant has a filter table as well/],
    ['legacy', ['filter'], true, /^warning: .* the nft variant has a filter table as well/],
    ['legacy', ['filter'], false, /^ok: only legacy is in use$/],
    ['legacy', ['filter'], null, /^ok: only legacy is in use$/],
    [null, ['filter'], true, /^ok: no variant of iptables is in use$/],
  ])('uses %s, with legacy tables %j and an nft table %s', (used, legacyTables, nft, expected) => {
    expectTold(variants.evaluate({ used, legacyTables: [...legacyTables], hasNftFilter: nft }), [
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
    ['', '', [/^ok: Linux 6\.1 answers through iptables for IPv4 and IPv6$/]],
    ['', null, [/^ok: .* for IPv4$/]],
    ['no module', '', [/^problem: IPv4 can't be filtered through iptables: no module$/]],
    ['a', 'b', [/^problem: IPv4 .* a$/, /^problem: IPv6 .* b$/]],
  ])('asks the kernel: IPv4 %j, IPv6 %j', (four, six, expected) => {
    const answers = [
      answer(4, { trouble: four }),
      ...(six === null ? [] : [answer(6, { trouble: six })]),
    ];
    expectTold(kernel.evaluate({ ...KERNEL, answers }), expected);
  });

  test('names the chains of the configuration that are not there, by family', () => {
    const answers = ([4, 6] as const).map((family) => answer(family, { missing: ['BANS'] }));
    const expected = [/^problem: .* IPv4 has no such chain/, /^problem: .* IPv6 has no such chain/];
    expectTold(kernel.evaluate({ ...KERNEL, answers }), expected);
  });

  test('says where the rule for a set can only stand in the filter table', () => {
    const answers = [answer(4), answer(6, { hasRaw: false })];
    const expected = [/^ok: Linux/, /^warning: the kernel has no table raw for IPv6: /];
    expectTold(kernel.evaluate({ ...KERNEL, backend: 'ipset', answers }), expected);
  });

  const ALONE: NeighbourFacts = {
    processes: ['init'],
    chains: ['INPUT'],
    usesDockerChain: true,
    backend: 'iptables',
  };
  test.each<[string, Partial<NeighbourFacts>, RegExp[]]>([
    ['nobody', {}, [/^ok: no Docker, firewalld, ufw, fail2ban or CrowdSec seen$/]],
    ['firewalld by its process', { processes: ['firewalld'] }, [/^warning: firewalld seen/]],
    ['firewalld by its chains', { chains: ['INPUT_direct'] }, [/^warning: firewalld seen/]],
    [
      'firewalld beside our own table',
      { processes: ['firewalld'], backend: 'nftables' },
      [/^ok: firewalld seen/],
    ],
    ['fail2ban by its process', { processes: ['fail2ban-server'] }, [/^ok: fail2ban seen/]],
    ['CrowdSec, whose name is cut', { processes: ['crowdsec-firewal'] }, [/^ok: CrowdSec seen/]],
    ['ufw for IPv6', { chains: ['ufw6-input'] }, [/^ok: ufw seen/]],
    ['Docker with its chain', { chains: ['DOCKER-USER'] }, [/^ok: Docker seen: .* DOCKER-USER/]],
    [
      'Docker beside sets that drop before its chains',
      { chains: ['DOCKER-USER', 'raw PREROUTING'], backend: 'ipset', usesDockerChain: false },
      [/^ok: Docker seen: sets drop/],
    ],
    [
      'Docker beside sets where the kernel has no table raw',
      { chains: ['DOCKER-USER'], backend: 'ipset' },
      [/^ok: Docker seen: .* DOCKER-USER/],
    ],
    ['Docker without it', { processes: ['dockerd'] }, [/^warning: Docker .* no chain DOCKER-USER/]],
    [
      'Docker that we do not heed',
      { chains: ['DOCKER-USER'], usesDockerChain: false },
      [/^warning: .* firewall\.docker is false/],
    ],
    ['two', { chains: ['f2b-sshd', 'ufw-user'] }, [/^ok: ufw/, /^ok: fail2ban/]],
  ])('has neighbours: %s', (_, change, expected) => {
    expectTold(neighbours.evaluate({ ...ALONE, ...change }), expected);
  });

  test('has saved rules: what comes back of ours is counted, plain rules in the filter table alone', () => {
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
    ['none of ours', [], 0, /^ok: no saved rules hold blocks$/],
    ['addresses', ['203.0.113.7'], 0, /^warning: \/f has drops of our shape \(1\)/],
    ['our sets', ['203.0.113.7'], 1, /^problem: \/f refers to sets of ours/],
  ])('has saved rules with %s', (_, addresses, setRules, expected) => {
    expectTold(savedRules.evaluate({ files: [{ path: '/f', addresses, setRules }] }), [expected]);
  });
});
