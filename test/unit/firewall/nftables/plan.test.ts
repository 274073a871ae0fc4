// The commands for nft and the meaning of its answers. No program is run.
import { describe, expect, test } from '@jest/globals';
import type { Change, PlannedCommand } from '../../../../src/firewall/backend.ts';
import { createNftables, type NftablesView } from '../../../../src/firewall/nftables/plan.ts';
import { findVerdict } from '../../../../src/firewall/verdict.ts';
import type { RunResult } from '../../../../src/system/exec.ts';
import { addressOf, codeOf, firewallFor } from '../../support/workshop.ts';

const backend = createNftables({ maxEntries: 2000 });
const A = '203.0.113.9';
const TABLE = 'inet firewall_drop';

const blocked = (text: string, timeoutSeconds: number | null = 600): Change => {
  return { address: addressOf(text), to: 'blocked', timeoutSeconds };
};
const released = (text: string): Change => ({ address: addressOf(text), to: 'released' });

/** The transaction that a command gives to nft. */
function scriptOf(command: PlannedCommand | null): string {
  if (command === null) throw new Error('there is no command');
  expect(command).toMatchObject({ program: 'nft', input: '' });
  return command.args.filter((word) => !word.startsWith('-')).join(' ');
}

interface Answer {
  readonly stdout?: string;
  readonly status?: number;
  readonly before?: NftablesView;
}

/** Returns the view after `command` got an answer. */
function after(command: PlannedCommand | null, answer: Answer): NftablesView {
  if (command === null) throw new Error('there is no command');
  const { stdout = '', status = 0, before = backend.nothingKnown } = answer;
  return backend.read(stdout, { command, status, stderr: '', before });
}

const OURS = { family: 'inet', table: 'firewall_drop' };
const matchOf = (name: string, mask?: string): unknown => {
  const source = { payload: { protocol: name.includes('4_') ? 'ip' : 'ip6', field: 'saddr' } };
  const left = mask === undefined ? source : { '&': [source, mask] };
  return { match: { op: '==', left, right: `@${name}` } };
};

const NOW = [['prerouting', -450]] as const;
/** The chains of earlier versions. */
const FORMER = [
  ['input', -10],
  ['forward', -10],
] as const;

/** Returns the listing of a table with a set, its elements, and a rule for it in each chain. */
function listing(
  name: string,
  elements: readonly unknown[] = [],
  { mask, hooks = NOW }: { mask?: string; hooks?: typeof NOW | typeof FORMER } = {},
): string {
  const chains = hooks.flatMap(([hook, prio]) => [
    { chain: { ...OURS, name: hook, type: 'filter', hook, prio, policy: 'accept' } },
    { rule: { ...OURS, chain: hook, expr: [matchOf(name, mask), { drop: null }] } },
  ]);
  const set = { set: { ...OURS, name, type: 'ipv4_addr', elem: elements } };
  return JSON.stringify({ nftables: [{ metainfo: {} }, { table: {} }, set, ...chains] });
}
const NO_TABLE = JSON.stringify({ nftables: [{ metainfo: {} }] });
const looked = (stdout: string): NftablesView =>
  after(backend.plan(4, backend.nothingKnown, [blocked(A)]), { stdout });

describe('if the state is trusted', () => {
  test.each<[string, Change, string]>([
    ['a block', blocked(A), `add element ${TABLE} blocked4_32 { ${A} timeout 600s }`],
    ['a block without end', blocked(A, null), `add element ${TABLE} blocked4_32 { ${A} }`],
    [
      'a block whose time is over',
      blocked(A, 0),
      `add element ${TABLE} blocked4_32 { ${A} timeout 1s }`,
    ],
    [
      'a block with the longest timeout that nft can read',
      blocked(A, 99_999_999),
      `add element ${TABLE} blocked4_32 { ${A} timeout 99999999s }`,
    ],
    [
      'a block with a longer timeout, which is left out',
      blocked(A, 100_000_000),
      `add element ${TABLE} blocked4_32 { ${A} }`,
    ],
    [
      'a network',
      blocked('2001:db8::/48', null),
      `add element ${TABLE} blocked6_48 { 2001:db8:: }`,
    ],
    [
      'a release',
      released(A),
      `add element ${TABLE} blocked4_32 { ${A} }\ndelete element ${TABLE} blocked4_32 { ${A} }`,
    ],
  ])('%s takes one command', (_, change, input) => {
    expect(backend.plan(4, backend.expect([change], []), [change])).toEqual({
      program: 'nft',
      args: [input],
      input: '',
      answers: { status: 1, complaint: 'No such file or directory' },
      part: [change],
    });
  });

  test('a missing set does not count as a failure, so the same command is run again after another run made the set', () => {
    const change = blocked(A);
    let isMade = false;
    let isHeld = false;
    const run = ({ args }: PlannedCommand): RunResult => {
      const said = { status: 0, stdout: listing('blocked4_32'), stderr: '', trouble: '' };
      if (args.includes('list')) return said;
      if (args.includes('-c')) return isHeld ? said : { ...said, status: 1 };
      isHeld = isMade;
      isMade = true;
      return isHeld ? said : { ...said, status: 1, stderr: 'Error: No such file or directory' };
    };
    const firewall = firewallFor(run, null, backend);
    expect(firewall.apply([change], { trustState: true }).outcome).toBe('changed');
  });

  test.each([
    ['a block', blocked(A), 'delete'],
    ['a release', released(A), 'create'],
  ])(
    '%s is verified with a check that it can be undone and a listing of the rules',
    (_, change, verb) => {
      const before = backend.expect([change], []);
      const proof = backend.plan(4, after(backend.plan(4, before, [change]), { before }), [change]);
      expect(proof).toMatchObject({
        args: ['-t', '-j', '-c', expect.anything()],
        effect: 'look',
        answers: { status: 1, complaint: '' },
      });
      expect(JSON.parse(proof?.args.at(-1) ?? '')).toEqual({
        nftables: [
          { [verb]: { element: { ...OURS, name: 'blocked4_32', elem: [A] } } },
          { list: { ruleset: { family: 'inet' } } },
        ],
      });
      const view = after(proof, {
        stdout: listing('blocked4_32'),
        before: { ...before, changed: true },
      });
      expect(backend.plan(4, view, [change])).toBeNull();
    },
  );

  test('a check that fails verifies nothing', () => {
    const change = blocked(A);
    const before: NftablesView = {
      ...backend.expect([change], []),
      entries: new Map(),
      changed: true,
    };
    const proof = backend.plan(4, before, [change]);
    const view = after(proof, { stdout: listing('blocked4_32'), status: 1, before });
    expect(scriptOf(backend.plan(4, view, [change]))).toContain(
      `add element ${TABLE} blocked4_32 { ${A}`,
    );
  });
});

test('missing tables, sets and chains are made with the element in one transaction', () => {
  const command = backend.plan(4, looked(NO_TABLE), [blocked('198.51.100.0/24')]);
  expect(scriptOf(command).split('\n')).toEqual([
    `add table ${TABLE}`,
    `add set ${TABLE} blocked4_24 { type ipv4_addr; flags timeout; size 2000; counter; }`,
    ...['prerouting', 'input', 'forward'].flatMap((former) => [
      `add chain ${TABLE} ${former}`,
      `flush chain ${TABLE} ${former}`,
      `delete chain ${TABLE} ${former}`,
    ]),
    `add chain ${TABLE} prerouting { type filter hook prerouting priority -450; policy accept; }`,
    `add rule ${TABLE} prerouting ip saddr & 255.255.255.0 == @blocked4_24 drop`,
    `add element ${TABLE} blocked4_24 { 198.51.100.0 timeout 600s }`,
  ]);
});

test('existing sets keep their rules when another set is made', () => {
  const view = looked(listing('blocked4_32', [A]));
  const input = scriptOf(backend.plan(6, view, [blocked('2001:db8::/64')]));
  expect(input.match(/add rule .*/g)).toEqual([
    `add rule ${TABLE} prerouting ip saddr @blocked4_32 drop`,
    `add rule ${TABLE} prerouting ip6 saddr & ffff:ffff:ffff:ffff:: == @blocked6_64 drop`,
  ]);
});

test('a set that another run left out of the chain at the same moment gets its rule again', () => {
  const set = { set: { ...OURS, name: 'blocked6_128', type: 'ipv6_addr' } };
  const { nftables } = JSON.parse(listing('blocked4_32', [A])) as { nftables: unknown[] };
  const view = looked(JSON.stringify({ nftables: [...nftables, set] }));
  expect(scriptOf(backend.plan(4, view, [blocked(A)])).match(/add rule .*/g)).toEqual([
    `add rule ${TABLE} prerouting ip saddr @blocked4_32 drop`,
    `add rule ${TABLE} prerouting ip6 saddr @blocked6_128 drop`,
  ]);
  expect(scriptOf(backend.plan(4, view, [released(A)]))).not.toContain('add rule');
});

test.each([
  ['a chain with another priority', (text: string) => text.replaceAll('"prio":-450', '"prio":0')],
  ['a rule that accepts', (text: string) => text.replaceAll('"drop"', '"accept"')],
  ['a rule for another mask', (text: string) => text.replaceAll('"op":"=="', '"op":"!="')],
  ['a foreign table', (text: string) => text.replaceAll('"firewall_drop"', '"other"')],
])('%s does not count as a rule for our set', (_, spoil) => {
  const view = looked(spoil(listing('blocked4_32', [A])));
  expect(scriptOf(backend.plan(4, view, [blocked(A)]))).toContain('add chain');
});

test('a new timeout replaces the element, because older kernels keep the first timeout', () => {
  const before = looked(listing('blocked4_32'));
  const view = after(backend.plan(4, before, [blocked(A)]), {
    stdout: listing('blocked4_32'),
    before,
  });
  const command = backend.plan(4, view, [blocked(A)]);
  expect(command?.effect).toBe('refresh');
  expect(scriptOf(command).match(/^\w+/gm)).toEqual(['add', 'delete', 'add']);
});

test('a long list is changed in parts, split into arguments that the kernel accepts', () => {
  const text = (n: number): string =>
    `2001:db8:1111:2222:3333:4444:5555:${(n + 4096).toString(16)}`;
  const changes = Array.from({ length: 20_000 }, (_, n) => blocked(text(n), 99_999_999));
  const view = backend.expect(
    changes.map((change) => ({ ...change, to: 'released' })),
    [],
  );
  const command = backend.plan(6, view, changes);
  const size = command?.part?.length ?? 0;
  expect(size).toBeGreaterThan(10_000);
  const lengths = command?.args.map((word) => word.length) ?? [];
  expect(lengths.length).toBeGreaterThan(1);
  expect(Math.max(...lengths)).toBeLessThan(131_072);
  // A quarter of the usual stack limit of 8 MiB, minus the environment. Each argument also takes a pointer.
  expect(lengths.reduce((sum, length) => sum + length + 9)).toBeLessThan(1_900_000);
  expect(scriptOf(command).match(/5555:[0-9a-f]+ timeout 99999999s/g)).toHaveLength(size);
  expect(command?.args.join(' ')).toMatch(/^add element [^{}]+\{ [^{}]+ \}/);
  // The changed part is verified before the rest is changed, and what is known of the rest still counts.
  const changed = after(command, { before: view });
  const look = backend.plan(6, changed, changes);
  const seen = after(look, { stdout: listing('blocked6_128'), before: changed });
  const proof = backend.plan(6, seen, changes);
  expect(proof).toMatchObject({ effect: 'look', part: changes.slice(0, size) });
  const rest = backend.plan(6, after(proof, { before: seen }), changes);
  expect(rest).toMatchObject({ part: changes.slice(size) });
});

test('if some of a long list are present, the whole set is listed once', () => {
  const text = (n: number): string => `11.${100 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
  const changes = Array.from({ length: 150_000 }, (_, n) => blocked(text(n)));
  const present = Array.from({ length: 50_000 }, (_, n) => text(n + 60_000));
  let view = backend.nothingKnown;
  const kinds: string[] = [];
  for (let command = backend.plan(4, view, changes); command !== null;) {
    const isListing = command.args.includes('list');
    const isWhole = isListing && !command.args.includes('-t');
    kinds.push(
      isWhole ? 'list' : isListing ? 'rules' : command.effect === 'look' ? 'check' : 'change',
    );
    // The first check fails; those after a change succeed.
    const status = command.args.includes('-c') && !kinds.includes('change') ? 1 : 0;
    const stdout = isListing ? listing('blocked4_32', isWhole ? present : []) : '';
    view = after(command, { status, stdout, before: view });
    command = backend.plan(4, view, changes);
  }
  expect(kinds.join(' ')).toMatch(/^rules check list( change rules check){3,}$/);
});

test('the error of an nft that is too old for our sets names the version that is needed', () => {
  const stderr = 'Error: syntax error, unexpected counter\nadd table inet firewall_drop\n';
  const firewall = firewallFor(
    () => ({ status: 1, stdout: '', stderr, trouble: '' }),
    null,
    backend,
  );
  expect(() => firewall.apply([blocked(A)], { trustState: true })).toThrow(
    /^203\.0\.113\.9: nft exited with status 1: .*; nft 0\.9\.8 or later is needed/,
  );
});

describe('many addresses of an existing set', () => {
  const many = Array.from({ length: 51 }, (_, n) => `198.51.100.${n}`);
  const blocks = many.map((text) => blocked(text));
  const releases = many.map(released);

  /** Returns the command that is planned after the check of the whole list got an answer. */
  function checked(changes: readonly Change[], status: number): [PlannedCommand, NftablesView] {
    const before = looked(listing('blocked4_32'));
    const check = backend.plan(4, before, changes);
    expect(check?.args).toEqual(['-c', expect.stringMatching(/^(delete|create) /)]);
    const view = after(check, { status, before });
    const command = backend.plan(4, view, changes);
    if (command === null) throw new Error('there is no command');
    return [command, view];
  }

  function listed(changes: readonly Change[]): string {
    const [list, before] = checked(changes, 1);
    expect(list.args).toEqual(['-j', 'list', 'table', 'inet', 'firewall_drop']);
    const view = after(list, { stdout: listing('blocked4_32', ['198.51.100.7']), before });
    return scriptOf(backend.plan(4, view, changes));
  }

  test('get new timeouts if all of them are present', () => {
    const [command] = checked(blocks, 0);
    expect(command.effect).toBe('refresh');
    expect(scriptOf(command).match(/^\w+/gm)).toEqual(['add', 'delete', 'add']);
  });

  test('that may keep their timeouts are not changed if all of them are present', () => {
    const keeping = blocks.map((change) => ({ ...change, keepsEnd: true }));
    const [, view] = checked(blocks, 0);
    expect(backend.plan(4, view, keeping)).toBeNull();
  });

  test('are listed if some are missing, and only those that are present are replaced', () => {
    const lines = listed(blocks).split('\n');
    const about = (line: string): boolean => / 198\.51\.100\.7[ ,]/.test(line);
    expect(lines.filter(about).map((line) => line.split(' ')[0])).toEqual(['add', 'delete', 'add']);
    const others = lines.filter((line) => line !== '' && !about(line));
    expect(others.map((line) => line.split(' ')[0])).toEqual(['add']);
  });

  test('are listed if some are present, and only those are released', () => {
    expect(listed(releases)).toBe(
      `add element ${TABLE} blocked4_32 { 198.51.100.7 }\ndelete element ${TABLE} blocked4_32 { 198.51.100.7 }`,
    );
  });
});

test('an unblock of an address that is in no set of ours runs nothing', () => {
  expect(backend.plan(4, looked(NO_TABLE), [released(A)])).toBeNull();
});

describe('many addresses that were just changed', () => {
  const many = Array.from({ length: 51 }, (_, n) => blocked(`198.51.100.${n}`));
  const gone = [released('2001:db8::/48'), ...many.map(({ address }) => released(address.text))];
  const networks = [
    ...['blocked6_48', 'blocked4_32'].flatMap((name) => {
      const mask = name === 'blocked6_48' ? { mask: 'ffff:ffff:ffff::' } : {};
      return (JSON.parse(listing(name, [], mask)) as { nftables: unknown[] }).nftables;
    }),
  ];
  const rules = JSON.stringify({ nftables: networks });

  /** Returns the command that verifies the changes, and the view before it. */
  function proofOf(changes: readonly Change[]): [PlannedCommand | null, NftablesView] {
    const trusted = backend.expect(changes, []);
    const changed = after(backend.plan(4, trusted, changes), { before: trusted });
    const look = backend.plan(4, changed, changes);
    expect(look?.args).toEqual(['-t', '-j', 'list', 'ruleset', 'inet']);
    const before = after(look, { stdout: rules, before: changed });
    return [backend.plan(4, before, changes), before];
  }

  test.each([
    ['blocks', many, `delete element ${TABLE} blocked4_32 { 198.51.100.0, 198.51.100.1, `],
    ['releases', gone, `create element ${TABLE} blocked6_48 { 2001:db8:: }\ncreate element `],
  ])('%s are verified with one check that they can be undone', (_, changes, input) => {
    const [proof, before] = proofOf(changes);
    expect(proof).toMatchObject({
      args: ['-c', expect.stringContaining(input)],
      input: '',
      effect: 'look',
      answers: { status: 1, complaint: '' },
    });
    expect(backend.plan(4, after(proof, { before }), changes)).toBeNull();
  });

  test('are listed if the check fails, to find those that differ', () => {
    const [proof, before] = proofOf(many);
    const view = after(proof, { status: 1, before });
    const list = backend.plan(4, view, many);
    expect(list?.args).toEqual(['-j', 'list', 'table', 'inet', 'firewall_drop']);
    const all = many.slice(1).map(({ address }) => address.text);
    const seen = after(list, { stdout: listing('blocked4_32', all), before: view });
    expect(scriptOf(backend.plan(4, seen, many))).toBe(
      `add element ${TABLE} blocked4_32 { 198.51.100.0 timeout 600s }`,
    );
  });
});

test.each(['nonsense', '[]', '{"nftables":3}'])(
  'if the listing of all tables is %j, our table is listed alone, and there it is an error',
  (stdout) => {
    const before = looked(stdout);
    const list = backend.plan(4, before, [blocked(A)]);
    expect(list?.args).toEqual(['-t', '-j', 'list', 'table', 'inet', 'firewall_drop']);
    expect(codeOf(() => after(list, { stdout, before }))).toBe('FIREWALL');
    const absent = after(list, { stdout: '', status: 1, before });
    expect(scriptOf(backend.plan(4, absent, [blocked(A)]))).toContain(`add table ${TABLE}`);
  },
);

describe('a snapshot', () => {
  const counted = {
    elem: { val: '198.51.100.0', timeout: 9, counter: { packets: 7, bytes: 420 } },
  };
  const mask = '255.255.255.0';
  const snapshot = backend.readSnapshot([listing('blocked4_24', [counted], { mask })]);

  test('has the elements of the sets with counters', () => {
    expect([...snapshot.held.values()]).toEqual([
      {
        address: addressOf('198.51.100.0/24'),
        chains: ['inet firewall_drop prerouting'],
        packets: 7,
        bytes: 420,
      },
    ]);
  });

  test('leads to the verdict on an address', () => {
    expect(findVerdict(addressOf('198.51.100.7'), snapshot).kind).toBe('dropped');
    expect(findVerdict(addressOf('198.51.101.7'), snapshot).kind).toBe('accepted');
  });

  test('has the elements that the chains of earlier versions drop, until the first block replaces these chains', () => {
    const former = listing('blocked4_24', [counted], { mask, hooks: FORMER });
    const address = addressOf('198.51.100.7');
    const before = backend.readSnapshot([former]);
    expect(findVerdict(address, before)).toMatchObject({
      kind: 'dropped',
      rule: { chain: 'inet firewall_drop input' },
    });
    expect(scriptOf(backend.plan(4, looked(former), [blocked('198.51.100.0/24')]))).toContain(
      `delete chain ${TABLE} input`,
    );
  });
});
