// The commands for ipset and the meaning of its answers. No program is run.
import { describe, expect, test } from '@jest/globals';
import type { Change, PlannedCommand } from '../../../../src/firewall/backend.ts';
import {
  createIpset,
  type IpsetOptions,
  type IpsetView,
} from '../../../../src/firewall/ipset/plan.ts';
import { findVerdict } from '../../../../src/firewall/verdict.ts';
import { FakeKernel } from '../../support/kernel.ts';
import { addressOf, codeOf, firewallFor } from '../../support/workshop.ts';

const OPTIONS: IpsetOptions = {
  variant: 'auto',
  chains: ['INPUT', 'FORWARD'],
  optionalChains: ['DOCKER-USER'],
  lockWaitSeconds: 10,
  setName: 'firewall-drop',
  maxEntries: 2000,
};
const backend = createIpset(OPTIONS);
const A = '203.0.113.9';
const RULE = '-m set --match-set firewall-drop-4 src -j DROP';
const MISSING = 'ipset v7.17: The set with the given name does not exist\n';

const blocked = (text: string, timeoutSeconds: number | null = 600): Change => {
  return { address: addressOf(text), to: 'blocked', timeoutSeconds };
};
const released = (text: string): Change => ({ address: addressOf(text), to: 'released' });

/** Returns the view after `command` got an answer. */
function after(
  command: PlannedCommand | null,
  { stdout = '', stderr = '', before = backend.nothingKnown },
): IpsetView {
  if (command === null) throw new Error('there is no command');
  return backend.read(stdout, { command, status: 0, stderr, before });
}
function listed(...members: readonly string[]): IpsetView {
  const header = `Name: x\nType: hash:net\nHeader: family inet hashsize 1024 maxelem 2000 timeout 0 counters comment\n`;
  const many = Array.from({ length: 51 }, (_, n) => released(`198.51.100.${n}`));
  const stdout = `ipset> ${header}Members:\n${members.map((one) => `${one}\n`).join('')}ipset> `;
  return after(backend.plan(4, backend.nothingKnown, many), { stdout });
}
const listingOf = (chains: readonly string[], rules: readonly string[]): string =>
  chains
    .flatMap((chain) => [`-P ${chain} ACCEPT`, ...rules.map((rule) => `-A ${chain} ${rule}`)])
    .join('\n');
/** Returns the listing of the tables filter and raw; null for a kernel without raw. */
const tables = (filter: readonly string[], raw: readonly string[] | null): string =>
  [
    listingOf(['INPUT', 'FORWARD', 'OUTPUT'], filter),
    ...(raw === null ? [] : [listingOf(['PREROUTING', 'OUTPUT'], raw)]),
    '',
  ].join('\n');

describe('the command for ipset', () => {
  const CREATE =
    'create firewall-drop-4 hash:net family inet timeout 0 counters comment maxelem 2000';
  test.each<[string, Change, readonly string[]]>([
    [
      'a block',
      blocked(A),
      [CREATE, `add firewall-drop-4 ${A} timeout 600`, `test firewall-drop-4 ${A}`],
    ],
    [
      'a block without a timeout',
      blocked(A, null),
      [CREATE, `add firewall-drop-4 ${A} timeout 0`, `test firewall-drop-4 ${A}`],
    ],
    [
      'a block longer than the kernel can count, which gets no timeout',
      blocked(A, 2_147_484),
      [CREATE, `add firewall-drop-4 ${A} timeout 0`, `test firewall-drop-4 ${A}`],
    ],
    [
      'a block whose time is over, which must not get timeout 0',
      blocked(A, 0),
      [CREATE, `add firewall-drop-4 ${A} timeout 1`, `test firewall-drop-4 ${A}`],
    ],
    ['a release', released(A), [`del firewall-drop-4 ${A}`, `test firewall-drop-4 ${A}`]],
  ])('adds or deletes the entry, and tests it: %s', (_, change, lines) => {
    const command = backend.plan(4, backend.expect([change], []), [change]);
    expect(command).toEqual({
      program: 'ipset',
      args: ['-exist', '-'],
      input: `${lines.join('\n')}\n`,
    });
  });

  test('uses a separate set for IPv6', () => {
    const change = blocked('2001:db8::/48');
    expect(backend.plan(6, backend.expect([change], []), [change])?.input).toContain(
      'create firewall-drop-6 hash:net family inet6 ',
    );
  });

  test('that only looks changes nothing', () => {
    const command = backend.plan(4, backend.nothingKnown, [blocked(A)]);
    expect(command).toMatchObject({ effect: 'look', input: `test firewall-drop-4 ${A}\n` });
  });

  test('for a long list is one restore, followed by a listing', () => {
    const many = Array.from({ length: 1000 }, (_, n) => blocked(`198.51.${n >> 8}.${n & 255}`));
    const first = backend.plan(4, backend.expect(many, []), many);
    expect(first?.args).toEqual(['-exist', 'restore']);
    expect(first?.input.split('\n')).toHaveLength(1002);
    const view = after(first, { before: backend.expect(many, []) });
    expect(backend.plan(4, view, many)).toMatchObject({
      effect: 'look',
      input: 'list firewall-drop-4\n',
    });
  });
});

describe('a block', () => {
  const changes = [blocked(A)];
  const first = backend.plan(4, backend.expect(changes, []), changes);
  const seen = after(first, { stderr: `Warning: ${A} is in set firewall-drop-4.\n` });

  const look = backend.plan(4, seen, changes);
  /** Returns the next edits for these tables. */
  const editsAt = (filter: readonly string[], raw: readonly string[] | null): string[] => {
    const view = after(look, { stdout: tables(filter, raw), before: seen });
    const lines = backend.plan(4, view, changes)?.input.split('\n') ?? [];
    return lines.slice(0, lines.indexOf('COMMIT'));
  };

  test('is followed by a listing of the rules and then by a rule for the set, first in raw', () => {
    expect(look).toMatchObject({
      program: 'iptables-restore',
      effect: 'look',
      input: '*filter\n-S\nCOMMIT\n*raw\n-S\nCOMMIT\n',
    });
    expect(editsAt(['-j f2b'], ['-j CT --notrack'])).toEqual(['*raw', `-I PREROUTING 1 ${RULE}`]);
    expect(editsAt([], [RULE])).toEqual([]);
  });

  test('moves the rule of earlier versions out of the filter table only after the rule in raw was seen', () => {
    expect(editsAt([RULE], [])).toEqual(['*raw', `-I PREROUTING 1 ${RULE}`]);
    expect(editsAt([RULE], [RULE])).toEqual([
      '*filter',
      ...['INPUT', 'FORWARD'].map((chain) => `-D ${chain} ${RULE}`),
    ]);
  });

  test('puts the rule first in INPUT and FORWARD if the kernel has no table raw', () => {
    expect(editsAt(['-j f2b'], null)).toEqual([
      '*filter',
      ...['INPUT', 'FORWARD'].map((chain) => `-I ${chain} 1 ${RULE}`),
    ]);
    expect(editsAt([RULE], null)).toEqual([]);
  });

  test.each([
    ['behind a rule that accepts', ['-j ACCEPT', RULE]],
    ['twice', [RULE, RULE]],
  ])('repairs a rule for the set that is present %s', (_, rules) => {
    const ours = rules.filter((rule) => rule === RULE);
    const removals = ours.map(() => `-D PREROUTING ${RULE}`);
    expect(editsAt([], rules)).toEqual(['*raw', ...removals, `-I PREROUTING 1 ${RULE}`]);
  });

  test('removes a plain rule for the address', () => {
    const plain = `-s ${A}/32 -j DROP`;
    expect(editsAt([plain], [RULE])).toEqual([
      '*filter',
      `-D INPUT ${plain}`,
      `-D FORWARD ${plain}`,
    ]);
  });

  test.each([
    `-s 203.0.113.10/32 -j DROP`,
    `-m set --match-set other src -j DROP`,
    `-s ${A}/32 -j REJECT`,
    `-s ${A}/32 -j DROPLOG`,
    `${RULE}LOG`,
  ])('leaves %s alone', (foreign) => {
    expect(editsAt([foreign], [RULE, foreign])).toEqual([]);
  });

  test('that the kernel refuses throws an error with the message of the kernel', () => {
    const stderr = `ipset v7.17: Timeout cannot be used: set was created without timeout support\n${A} is NOT in set firewall-drop-4.\n`;
    expect(() => after(first, { stderr })).toThrow(
      /203\.0\.113\.9 is not in its set: .*without timeout/,
    );
  });

  test.each(['', 'ipset v7.17: Kernel error received: Operation not permitted\n'])(
    'without an answer throws an error (%j)',
    (stderr) => {
      expect(codeOf(() => after(first, { stderr }))).toBe('FIREWALL');
    },
  );

  test('of a blocked address refreshes the timeout, which is not a change', () => {
    const view = after(backend.plan(4, backend.nothingKnown, changes), {
      stderr: `Warning: ${A} is in set firewall-drop-4.\n`,
    });
    expect(backend.plan(4, view, changes)).toMatchObject({ effect: 'refresh' });
  });

  test.each([
    [`${A} timeout 598 packets 0 bytes 0`, true],
    [`${A} timeout 300 packets 0 bytes 0`, false],
    [`${A} timeout 0 packets 0 bytes 0`, false],
    ['203.0.113.0/24 timeout 0 packets 0 bytes 0', false],
  ])('of 600 s that is listed as %j is in effect: %j', (member, asAsked) => {
    const command = backend.plan(4, listed(member), changes);
    expect(command?.program === 'ipset').toBe(!asAsked);
  });
});

describe('an unblock', () => {
  const changes = [released(A)];
  const first = backend.plan(4, backend.expect(changes, []), changes);

  test('is verified in one process if the state is trusted', () => {
    const view = after(first, {
      stderr: `${A} is NOT in set firewall-drop-4.\n`,
      before: backend.expect(changes, []),
    });
    expect(backend.plan(4, view, changes)).toBeNull();
  });

  test('looks for a plain rule if the state is not trusted', () => {
    const view = after(backend.plan(4, backend.nothingKnown, changes), { stderr: MISSING });
    expect(backend.plan(4, view, changes)).toMatchObject({ program: 'iptables-restore' });
  });

  test('of an address in a blocked network lists the set', () => {
    const doubtful = after(first, { stderr: `Warning: ${A} is in set firewall-drop-4.\n` });
    expect(backend.plan(4, doubtful, changes)?.input).toBe('list firewall-drop-4\n');
    expect(backend.plan(4, listed('203.0.113.0/24 timeout 0'), changes)?.program).not.toBe('ipset');
  });

  test('is done if the set is gone', () => {
    const view = after(first, { stderr: MISSING.repeat(2), before: backend.expect(changes, []) });
    expect(backend.plan(4, view, changes)).toBeNull();
  });
});

describe('a full set', () => {
  const changes = [blocked(A)];
  const members = Array.from({ length: 2000 }, (_, n) => `198.51.${n >> 8}.${n & 255} timeout 0`);

  test('throws an error that says what to do', () => {
    const first = backend.plan(4, backend.expect(changes, []), changes);
    const view = after(first, { stderr: 'ipset v7.17: Hash is full, cannot add more elements\n' });
    expect(backend.plan(4, view, changes)?.input).toBe('list firewall-drop-4\n');
    expect(() => backend.plan(4, listed(...members), changes)).toThrow(
      /raise firewall\.max_entries/,
    );
  });

  test('that holds more entries than its size needs no room for a release', () => {
    const view = listed(...members, '203.0.113.8 timeout 0');
    const releases = members.slice(0, 60).map((line) => released(line.replace(/ .*/, '')));
    const edits = backend.plan(4, view, releases)?.input.trim().split('\n');
    expect(edits).toHaveLength(60);
    expect(edits?.every((line) => line.startsWith('del firewall-drop-4 '))).toBe(true);
  });

  test('that may be larger is replaced with all of its entries in one step', () => {
    const larger = createIpset({ ...OPTIONS, maxEntries: 4000 });
    const lines =
      larger
        .plan(4, listed(...members), changes)
        ?.input.trim()
        .split('\n') ?? [];
    expect(lines[0]).toMatch(/^create firewall-drop-4-new .* maxelem 4000$/);
    expect(lines.filter((line) => line.startsWith('add firewall-drop-4-new '))).toHaveLength(2000);
    expect(lines.slice(-2)).toEqual([
      'swap firewall-drop-4-new firewall-drop-4',
      'destroy firewall-drop-4-new',
    ]);
  });

  test('that is replaced by a larger one keeps the remaining time of each entry', () => {
    const kernel = new FakeKernel();
    const full = createIpset({ ...OPTIONS, maxEntries: 2 });
    const larger = createIpset({ ...OPTIONS, maxEntries: 4 });
    const [timed, endless, added] = ['192.0.2.1', '192.0.2.2', '192.0.2.3'];
    firewallFor(kernel.run, null, full).apply([blocked(timed, 600), blocked(endless, null)], {
      trustState: true,
    });
    kernel.sets.advance(100_000);
    firewallFor(kernel.run, null, larger).apply([blocked(added, 60)], { trustState: true });
    const left = [timed, endless, added].map((text) => {
      return kernel.sets.secondsLeft('firewall-drop-4', text);
    });
    expect(left).toEqual([500, null, 60]);
    expect(kernel.sets.names).toEqual(['firewall-drop-4']);
  });
});

describe('a snapshot', () => {
  const raw = `*raw\n:PREROUTING ACCEPT [0:0]\n[9:900] -A PREROUTING ${RULE}\n`;
  const former = `*filter\n:INPUT ACCEPT [0:0]\n[9:900] -A INPUT ${RULE}\n[0:0] -A FORWARD ${RULE}\n`;
  const members = `Members:\n${A} timeout 5 packets 7 bytes 420\n198.51.100.0/24 timeout 0 packets 1 bytes 60\n`;

  test.each([
    ['raw', ['', raw], ['raw PREROUTING']],
    ['the chains of earlier versions', [former, ''], ['INPUT', 'FORWARD']],
  ])('has the entries of the set with counters if the rule is in %s', (_, rules, chains) => {
    const snapshot = backend.readSnapshot([...rules, members]);
    expect(snapshot.held.get(A)).toEqual({
      address: addressOf(A),
      chains,
      packets: 7,
      bytes: 420,
    });
    expect(findVerdict(addressOf(A), snapshot)).toMatchObject({
      kind: 'dropped',
      rule: { chain: chains[0] },
    });
    expect(snapshot.sets?.get('firewall-drop-4')?.map(({ text }) => text)).toEqual([
      A,
      '198.51.100.0/24',
    ]);
  });

  test('holds nothing if no rule matches the set', () => {
    expect([...backend.readSnapshot([':INPUT ACCEPT [0:0]\n', '', members]).held]).toEqual([]);
  });
});

test('the text of an IPv6 entry is parsed in any form', () => {
  const change = blocked('::c000:204', null);
  const view = listed('::192.0.2.4 timeout 0 packets 0 bytes 0');
  expect(backend.plan(6, view, [change])?.program).toBe('ip6tables-restore');
});
