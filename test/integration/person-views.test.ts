// Checks `list`, `status` and `history` against the kernel and real packets.
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { createHost, type TestHost } from '../support/host.ts';
import { type Addresses, connectHosts } from '../support/network.ts';
import { changeState } from '../support/state.ts';
import { runOnTerminal, seen } from '../support/terminal.ts';
import { canConnect, canPing, listen, type Listener } from '../support/traffic.ts';
import { createVictim, type ListedBan, type Response, type Victim } from '../support/victim.ts';
import { collectLines, eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const C = '203.0.113.100';
const A6 = '2001:db8:ffff:1111:2222:3333:4444:5555';
const PORT = 4022;
const USAGE = 64;
const FIREWALL = 69;
const NOT_BLOCKED = 1;

let victim: Victim;
let attacker: TestHost;
let from: Addresses;
let to: Addresses;
let service: Listener;
beforeAll(async () => {
  victim = await createVictim();
  attacker = await createHost('attacker');
  [from, to] = connectHosts(attacker, victim.host);
  service = await listen(victim.host, PORT);
});
afterEach(() => {
  victim.host.must(['iptables', '-w', '-P', 'INPUT', 'ACCEPT']);
  victim.reset();
});
afterAll(async () => {
  await service.close();
  await attacker.dispose();
  await victim.dispose();
});

function rule(...words: readonly string[]): void {
  victim.host.must(['iptables', '-w', ...words]);
}

function list(...options: readonly string[]): string[] {
  return victim
    .person(['list', ...options])
    .stdout.trimEnd()
    .split('\n');
}

interface Kernel {
  readonly kernel: string;
  readonly packets: number;
  readonly bytes: number;
}

function listJson(...options: readonly string[]): readonly (ListedBan & Kernel)[] {
  const { bans } = JSON.parse(list('--json', ...options).join('')) as {
    bans: readonly (ListedBan & Kernel)[];
  };
  return bans;
}

describe('list', () => {
  test('reports a removed rule as missing', () => {
    victim.person(['add', A, B]);
    for (const chain of ['INPUT', 'FORWARD']) rule('-D', chain, '-s', A, '-j', 'DROP');
    expect(listJson()).toMatchObject([
      { address: A, phase: 'blocked', kernel: 'missing' },
      { address: B, kernel: 'yes' },
    ]);
    expect(list()[1]).toMatch(/^203\.0\.113\.7 .* missing$/);
  });

  test('reports missing rules after one chain was flushed, as do status, metrics and doctor', () => {
    victim.person(['add', A, B]);
    victim.host.must(['iptables', '-F', 'INPUT']);
    expect(listJson()).toMatchObject([
      { address: A, kernel: 'missing' },
      { address: B, kernel: 'missing' },
    ]);
    const drift = { missing: 2, unknown: 0 };
    expect(JSON.parse(victim.person(['status', '--json']).stdout)).toMatchObject({ drift });
    expect(victim.person(['metrics']).stdout).toContain('{kind="missing",family="4"} 2\n');
    expect(victim.person(['doctor']).stdout).toContain('missing in the kernel: rules of 2 bans (');
    const found: unknown = JSON.parse(victim.person(['status', A, '--json']).stdout);
    expect(found).toMatchObject({ blocked: false, bans: [{ kernel: 'missing' }] });
  });

  test('shows the kernel as unknown on a host without iptables, and lists the bans', () => {
    victim.person(['add', A]);
    victim.host.useIptables('none');
    const { status, stdout, stderr } = victim.person(['list']);
    victim.host.useIptables('nft');
    expect(status).toBe(0);
    expect(stdout).toMatch(/^203\.0\.113\.7 .* unknown$/m);
    expect(stderr).toContain('iptables-save');
  });

  test('counts the packets and bytes that a block has dropped', () => {
    victim.person(['add', from.ipv4, from.ipv6]);
    expect(canPing(attacker, to.ipv4, { timeoutMs: 100 })).toBe(false);
    expect(canPing(attacker, to.ipv4, { timeoutMs: 100 })).toBe(false);
    expect(canPing(attacker, to.ipv6, { timeoutMs: 100 })).toBe(false);
    // 20 bytes of IPv4 header, 8 of ICMP header, 56 of payload.
    const [four, six] = listJson();
    expect(four).toMatchObject({ packets: 2, bytes: 168 });
    expect(six?.packets).toBeGreaterThanOrEqual(1);
    expect(list()[1]).toMatch(/^198\.51\.100\.1 .* yes +2 +168$/);
  });

  test('prints the bans in the state, with --origin only holds of this origin, and with --limit only the first bans', () => {
    victim.add(A);
    victim.person(['add', A, B]);
    victim.ossec({ srcip: C });
    expect(list('--plain', '--origin', 'manual')).toEqual([A, B]);
    expect(list('--plain', '--origin', 'ossec')).toEqual([C]);
    const holdsOf = (bans: readonly ListedBan[]): unknown[] => {
      return bans.map(({ address, holds }) => [address, holds.map(({ origin }) => origin)]);
    };
    expect(holdsOf(listJson('--origin', 'wazuh'))).toEqual([[A, ['wazuh']]]);
    // --limit counts bans, and never leaves out one of the holds of a ban.
    expect(holdsOf(listJson('--limit', '1'))).toEqual([[A, ['wazuh', 'manual']]]);
    // All other tests read these values from the state.
    const kernel = { backend: 'iptables', kernel: 'yes', packets: 0, bytes: 0 };
    expect(listJson()).toEqual(victim.bans().map((ban) => ({ ...ban, ...kernel })));
    expect(list('--origin', 'repeat')).toEqual(['no ban matches']);
  });

  test('sorts by age, deadline, numeric address or packets with --sort, and omits later ends with --expiring-within', () => {
    victim.person(['add', C]);
    victim.person(['add', A, '--timeout', '2h']);
    victim.person(['add', A6, '--timeout', 'never']);
    victim.person(['add', B, '--timeout', '1h']);
    rule('-R', 'INPUT', '1', '-s', B, '-j', 'DROP', '-c', '7', '420');
    expect(list('--plain')).toEqual([C, A, A6, B]);
    expect(list('--plain', '--sort', 'since')).toEqual([C, A, A6, B]);
    expect(list('--plain', '--sort', 'expires')).toEqual([B, A, C, A6]);
    expect(list('--plain', '--sort', 'address')).toEqual([A, B, C, A6]);
    expect(list('--plain', '--sort', 'packets')).toEqual([B, C, A, A6]);
    expect(list('--plain', '--sort', 'address', '--limit', '2')).toEqual([A, B]);
    expect(list('--plain', '--expiring-within', '90m')).toEqual([B]);
    expect(list('--plain', '--expiring-within', '3h')).toEqual([A, B]);
  });

  test.each([
    ['--limit', '0'],
    ['--limit', 'many'],
    ['--expiring-within', 'never'],
    ['--origin', 'sshd'],
  ])('refuses %s %s as a usage error', (option, value) => {
    expect(victim.person(['list', `${option}=${value}`])).toMatchObject({
      status: USAGE,
      stdout: '',
    });
  });

  test('prints nothing with --plain if nothing is blocked', () => {
    expect(victim.person(['list', '--plain'])).toMatchObject({ status: 0, stdout: '' });
  });

  test('prints each address once with --plain, in a form that delete --file - accepts', () => {
    victim.add(A);
    victim.person(['add', A, A6, '203.0.113.128/25']);
    const script = '"$0" list --plain | "$0" delete --file -';
    const printed = victim.host.must(['bash', '-c', script, victim.agent.program()]);
    expect(printed).toBe(`${A} released\n${A6} released\n203.0.113.128/25 released\n`);
    expect(victim.bans()).toEqual([]);
  });

  test('prints a heading with --csv, quotes cells if necessary, and gives no formula to a spreadsheet', () => {
    victim.person(['add', A, '--timeout', 'never', '--reason', 'a, "b"']);
    victim.person(['add', B, '--reason', '=HYPERLINK("http://x")']);
    const [heading, first, second] = list('--csv');
    expect(heading).toBe(
      'address,since_utc,expires_in,origin,rule,alert,backend,kernel,packets,bytes,reason',
    );
    expect(first).toMatch(/^203\.0\.113\.7,.*,never,manual,0,.*,iptables,yes,0,0,"a, ""b"""$/);
    expect(second).toMatch(/,"'=HYPERLINK\(""http:\/\/x""\)"$/);
  });
});

describe('a table', () => {
  const fill = (): void => {
    victim.add(A);
    victim.person([
      'add',
      A6,
      '--timeout',
      '2h',
      '--reason',
      'a long story about a scan '.repeat(5),
    ]);
    victim.flushRules();
    victim.person(['add', C]);
  };
  const onTerminal = (
    words: readonly string[],
    options: Parameters<typeof runOnTerminal>[2],
  ): ReturnType<typeof runOnTerminal> => {
    return runOnTerminal(victim.host, [victim.agent.program(), ...words], options);
  };

  test('shows problems in colour on a terminal, unless colours are turned off', async () => {
    fill();
    const screenOf = async (variables: Readonly<Record<string, string>>): Promise<string> => {
      return (await onTerminal(['list'], { columns: 200, variables })).output;
    };
    const coloured = await screenOf({});
    expect(coloured).toContain('\u001b[31mmissing\u001b[0m');
    expect(coloured).toMatch(/ {2}yes$/m);
    for (const unwanted of [{ NO_COLOR: '1' }, { TERM: 'dumb' }]) {
      const output = await screenOf(unwanted);
      expect(output).toContain('missing');
      expect(output).not.toContain('\u001b');
    }
    // An empty NO_COLOR has no effect: see no-color.org.
    expect(await screenOf({ NO_COLOR: '' })).toContain('\u001b[31m');
    // In a pipe, there are no colours, and a table is as wide as its longest cell.
    const { stdout } = victim.person(['list']);
    expect(stdout).not.toContain('\u001b');
    expect(stdout).toContain('a long story about a scan '.repeat(5).trim());
    expect(stdout).not.toContain('…');
    // On a terminal without a size, the table is not cut either.
    expect(seen(await onTerminal(['list'], {})).join('\n')).not.toContain('…');
  });

  test.each<[string, string, (readonly [string, number])[]]>([
    [
      'a short address',
      '2001:db8:ffff::7',
      [
        ['list', 60],
        ['history', 60],
      ],
    ],
    [
      'the longest address',
      A6,
      [
        ['list', 80],
        ['list', 120],
        ['history', 80],
      ],
    ],
  ])('with %s fits the terminal, and cuts no address', async (_, ipv6, screens) => {
    victim.add(A);
    victim.person(['add', ipv6, C, '--timeout', '2h', '--reason', 'a long story '.repeat(10)]);
    for (const [command, columns] of screens) {
      const lines = seen(await onTerminal([command], { columns }));
      for (const address of [A, ipv6, C]) expect(lines.join('\n')).toContain(`${address} `);
      expect(lines.filter((line) => line.length > columns)).toEqual([]);
    }
  });
});

interface Status {
  readonly blocked: boolean;
  readonly cause: string | null;
  readonly rule: { readonly chain: string; readonly spec: string } | null;
  readonly partly: readonly { readonly spec: string }[];
  readonly bans: readonly { readonly address: string }[];
}

function statusOf(address: string): { readonly told: Status; readonly status: number | null } {
  const { status, stdout } = victim.person(['status', address, '--json']);
  return { told: JSON.parse(stdout) as Status, status };
}

describe('status of an address', () => {
  const lead = (): void => {
    rule('-N', 'theirs');
    rule('-A', 'INPUT', '-j', 'theirs');
  };
  const CASES: [string, () => void, Partial<Status>][] = [
    ['that nobody blocks', () => undefined, { blocked: false, cause: null, rule: null, bans: [] }],
    ['that we block', () => victim.person(['add', from.ipv4]), { blocked: true, cause: 'exact' }],
    [
      'in a network that we block',
      () => victim.person(['add', '198.51.100.0/31']),
      { blocked: true, cause: 'block' },
    ],
    [
      'that an admin blocks',
      () => {
        rule('-A', 'INPUT', '-s', from.ipv4, '-m', 'comment', '--comment', 'mine', '-j', 'DROP');
      },
      { blocked: true, cause: 'other', bans: [] },
    ],
    [
      'that is dropped in a chain of somebody else',
      () => {
        lead();
        rule('-A', 'theirs', '-s', '198.51.100.0/30', '-j', 'DROP');
      },
      { blocked: true, cause: 'other' },
    ],
    [
      'that a chain of somebody else lets go on',
      () => {
        lead();
        rule('-A', 'theirs', '-s', from.ipv4, '-j', 'RETURN');
        rule('-A', 'theirs', '-j', 'DROP');
      },
      { blocked: false, cause: null },
    ],
    [
      'where everybody is dropped by the policy',
      () => {
        rule('-P', 'INPUT', 'DROP');
      },
      { blocked: true, cause: 'policy', rule: null },
    ],
    [
      'that is let in before the policy',
      () => {
        rule('-A', 'INPUT', '-s', from.ipv4, '-j', 'ACCEPT');
        rule('-P', 'INPUT', 'DROP');
      },
      { blocked: false, cause: null },
    ],
    [
      'all others of which are dropped',
      () => {
        rule('-A', 'INPUT', '!', '-s', from.ipv4, '-j', 'DROP');
      },
      { blocked: false },
    ],
    [
      'that an admin lets in before our rule',
      () => {
        victim.person(['add', from.ipv4]);
        rule('-I', 'INPUT', '-s', '198.51.100.0/24', '-j', 'ACCEPT');
      },
      { blocked: false, cause: null },
    ],
  ];

  test.each(CASES)('%s shows what happens to real packets', (_, prepare, expected) => {
    prepare();
    const { told, status } = statusOf(from.ipv4);
    expect(told).toMatchObject(expected);
    expect(status).toBe(told.blocked ? 0 : NOT_BLOCKED);
    expect(canConnect(attacker, { address: to.ipv4, port: PORT })).toBe(!told.blocked);
  });

  test.each<[string, () => void]>([
    [
      'by a rule',
      () => {
        rule('-A', 'INPUT', '-s', from.ipv4, '-p', 'tcp', '--dport', '22', '-j', 'DROP');
      },
    ],
    [
      'in a chain that only some of its packets reach, as fail2ban does it',
      () => {
        rule('-N', 'f2b-sshd');
        rule('-A', 'INPUT', '-p', 'tcp', '--dport', '22', '-j', 'f2b-sshd');
        rule('-A', 'f2b-sshd', '-s', from.ipv4, '-j', 'DROP');
      },
    ],
  ])('with one port dropped %s is not blocked, and the rule is named', (_, prepare) => {
    prepare();
    const { told, status } = statusOf(from.ipv4);
    expect({ status, blocked: told.blocked }).toEqual({ status: NOT_BLOCKED, blocked: false });
    expect(canConnect(attacker, { address: to.ipv4, port: PORT })).toBe(true);
    expect(told.partly).toEqual([
      expect.objectContaining({ spec: expect.stringContaining(`-s ${from.ipv4}`) as unknown }),
    ]);
    expect(victim.person(['status', from.ipv4]).stdout).toMatch(/^some of its packets .*-j DROP/m);
  });

  test('of IPv6 comes from the kernel’s IPv6 table', () => {
    victim.person(['add', from.ipv6]);
    expect(statusOf(from.ipv6).told).toMatchObject({ blocked: true, cause: 'exact' });
    expect(canConnect(attacker, { address: to.ipv6, port: PORT })).toBe(false);
    victim.person(['delete', from.ipv6]);
    expect(statusOf(from.ipv6)).toMatchObject({ status: NOT_BLOCKED, told: { blocked: false } });
  });

  test('shows the rule, the start, the alert and the end of its ban, and its history', () => {
    victim.setTimeouts(600);
    victim.add(A);
    const { status, stdout } = victim.person(['status', A]);
    expect(status).toBe(0);
    expect(stdout).toContain(
      `${A} is blocked, by our rule (INPUT: -s ${A}/32 -j DROP)\nban: ${A} blocked since 20`,
    );
    expect(stdout).toMatch(
      /^ {2}held by wazuh, ends in 1[01]m(?: \d+s)?, rule 5710, alert 1628597593\.1234567: sshd: /m,
    );
    expect(stdout).toMatch(
      /^history:\n {2}20\d\d-\d\d-\d\d [\d:]{8} {2}add {2}wazuh, rule 5710, alert 1628597593\.1234567: sshd/m,
    );
  });

  test('names the command that repairs a ban whose packets the kernel lets through', () => {
    victim.person(['add', A]);
    victim.flushRules();
    const { status, stdout } = victim.person(['status', A]);
    expect(status).toBe(NOT_BLOCKED);
    expect(stdout).toContain('but the kernel accepts it: run firewall-drop reconcile');
  });

  test('without a ban shows its history, and that it has no ban', () => {
    victim.person(['add', A]);
    victim.person(['delete', A]);
    const { status, stdout } = victim.person(['status', A]);
    expect(status).toBe(NOT_BLOCKED);
    expect(stdout).toMatch(/^no ban$/m);
    expect(stdout).toMatch(/ add {2}manual, by .*\n.* delete /);
  });

  test('refuses an invalid address', () => {
    expect(victim.person(['status', 'example.com'])).toMatchObject({ status: 65, stdout: '' });
  });
});

describe('status without an address', () => {
  interface Overview {
    readonly nextExpiry: string | null;
    readonly lastRun: string | null;
    readonly lastChange: string | null;
    readonly store: { readonly bytes: number };
  }
  const overview = (): Overview => {
    return JSON.parse(victim.person(['status', '--json']).stdout) as Overview;
  };

  test('is all zero on a new host', () => {
    expect(overview()).toMatchObject({
      bans: 0,
      byOrigin: {},
      byFamily: {},
      unfinished: 0,
      lastRun: null,
      lastChange: null,
      nextExpiry: null,
      drift: { missing: 0, unknown: 0, steps: 0 },
    });
  });

  test('counts by origin and family, and shows the next expiry', () => {
    victim.add(A);
    victim.person(['add', A, A6, '--timeout', '2h']);
    victim.person(['add', B, '--timeout', '1h']);
    const told = overview();
    expect(told).toMatchObject({
      bans: 3,
      byOrigin: { wazuh: 1, manual: 3 },
      byFamily: { IPv4: 2, IPv6: 1 },
      backend: 'iptables',
      store: { path: '/var/lib/firewall-drop/state.db', volatile: false },
    });
    expect(told.store.bytes).toBeGreaterThan(0);
    expect(told.nextExpiry).toBe(victim.banOn(B)?.holds[0]?.expires);
    const { stdout } = victim.person(['status']);
    expect(stdout).toMatch(/^bans +3 \(IPv4 2, IPv6 1, wazuh 1, manual 3\)$/m);
    expect(stdout).toMatch(/^next expiry +in (?:5\dm \d+s|1h)$/m);
    expect(stdout).toMatch(/^drift +none$/m);
  });

  test('ignores an invalid clock reading in the state', () => {
    victim.person(['add', A]);
    changeState(victim.host.pid, (database) => {
      database.exec("UPDATE facts SET value = '7' WHERE name = 'clock'");
    });
    expect(overview()).toMatchObject({ bans: 1, lastRun: null });
  });

  test('shows the time of the last change, which is unaffected by a run that changes nothing', () => {
    victim.person(['add', A]);
    const { lastChange } = overview();
    expect(lastChange).toMatch(/^20/);
    victim.person(['expire']);
    expect(overview().lastChange).toBe(lastChange);
    victim.person(['delete', A]);
    expect(overview().lastChange).not.toBe(lastChange);
  });

  test('shows missing and unknown rules', () => {
    victim.person(['add', A, B]);
    victim.flushRules();
    rule('-I', 'INPUT', '-s', C, '-j', 'DROP');
    expect(overview()).toMatchObject({ drift: { missing: 2, unknown: 1, steps: 1 } });
    expect(victim.person(['status']).stdout).toMatch(
      /^drift +2 bans without all rules.*reconcile; 1 drop rule without a ban$/m,
    );
  });

  test('reports that the kernel can’t be listed, and shows the rest', () => {
    victim.person(['add', A]);
    victim.host.useIptables('none');
    const { status, stdout, stderr } = victim.person(['status', '--json']);
    victim.host.useIptables('nft');
    expect(status).toBe(FIREWALL);
    expect(JSON.parse(stdout)).toMatchObject({ bans: 1, drift: null });
    expect(stderr).toContain('iptables-save');
  });

  test('changes nothing', () => {
    victim.person(['add', A]);
    victim.flushRules();
    const before = victim.person(['history', '--json']).stdout;
    victim.person(['status']);
    victim.person(['status', A]);
    expect(victim.allRules()).toEqual([]);
    expect(victim.person(['history', '--json']).stdout).toBe(before);
  });
});

describe('history', () => {
  interface Line {
    readonly id: number;
    readonly verb: string;
    readonly address: string;
    readonly origin: string | null;
  }
  const linesOf = ({ stdout }: Response): Line[] => {
    const lines = stdout.split('\n').filter((line) => line !== '');
    return lines.map((line) => JSON.parse(line) as Line);
  };
  const history = (...words: readonly string[]): Line[] => {
    return linesOf(victim.person(['history', '--json', ...words]));
  };

  test('shows the events of each origin, oldest first', () => {
    victim.add(A);
    victim.person(['add', '127.0.0.1']);
    victim.person(['add', A]);
    victim.delete(A);
    victim.person(['delete', A]);
    const told = history().map(({ verb, address, origin }) => [verb, address, origin]);
    expect(told).toEqual([
      ['add', A, 'wazuh'],
      ['refused', '127.0.0.1', 'manual'],
      ['held', A, 'manual'],
      ['kept', A, 'wazuh'],
      ['delete', A, 'manual'],
    ]);
    const { stdout } = victim.person(['history']);
    expect(stdout).toMatch(/^TIME UTC +WHAT +ADDRESS +ORIGIN +BY +RULE +ALERT +REASON$/m);
    expect(stdout.trimEnd().split('\n')).toHaveLength(6);
  });

  test('omits older events with --since, all but the newest with --limit, and other addresses with an address', async () => {
    victim.person(['add', A, B, C, '203.0.113.0/24']);
    expect(history(A).map(({ address }) => address)).toEqual([A]);
    expect(history('203.0.113.0/24')).toHaveLength(1);
    expect(history(A6)).toEqual([]);
    expect(history('--limit', '2').map(({ address }) => address)).toEqual([C, '203.0.113.0/24']);
    expect(history('--since', '1h')).toHaveLength(4);
    const addedMs = Date.now();
    await eventually('a second to pass', () => Date.now() > addedMs + 1000);
    expect(history('--since', '1s')).toEqual([]);
  });

  test.each(['never', '-1d'])('refuses --since %s as a usage error', (since) => {
    expect(victim.person(['history', `--since=${since}`])).toMatchObject({ status: USAGE });
  });

  test('says that nothing is recorded', () => {
    expect(victim.person(['history'])).toMatchObject({
      status: 0,
      stdout: 'nothing is recorded\n',
    });
    victim.person(['add', A]);
    expect(victim.person(['history', '--since', '2036-01-01'])).toMatchObject({
      status: 0,
      stdout: 'nothing is recorded since then\n',
    });
  });

  test('prints the changes of other processes with --follow, each once, until it is ended', async () => {
    victim.person(['add', A]);
    const argv = [victim.agent.program(), 'history', '--follow', '--json'];
    const child = victim.host.spawn(argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (child.stdout === null) throw new Error('stdout is not a pipe');
    const lines = collectLines(child.stdout);
    await eventually('what happened before', () => lines.length === 1);
    victim.add(B);
    await eventually('the first that happened meanwhile', () => lines.length === 2);
    victim.person(['delete', B, A]);
    await eventually('the others', () => lines.length === 4);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
    const told = lines.map((line) => JSON.parse(line) as Line);
    expect(told.map(({ verb, address }) => `${verb} ${address}`).toSorted()).toEqual([
      `add ${A}`,
      `add ${B}`,
      `delete ${A}`,
      `delete ${B}`,
    ]);
  });

  test('holds no lock with --follow of an address, and omits other addresses', async () => {
    const argv = [victim.agent.program(), 'history', A, '--follow'];
    const child = victim.host.spawn(argv, { stdio: ['ignore', 'pipe', 'inherit'] });
    if (child.stdout === null) throw new Error('stdout is not a pipe');
    const lines = collectLines(child.stdout);
    await eventually('the beginning', () => lines[0] === 'nothing is recorded');
    expect(victim.person(['add', B, A]).status).toBe(0);
    await eventually('a line', () => lines.length > 1);
    const ended = once(child, 'exit');
    child.kill('SIGTERM');
    await ended;
    expect(lines.slice(1)).toEqual([expect.stringContaining(`add   ${A}`)]);
  });
});
