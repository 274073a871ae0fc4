// Checks that protected addresses are never blocked, in any notation and through any invocation.
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { ossecArguments } from '../support/alerts.ts';
import { createHost, type TestHost } from '../support/host.ts';
import { connectHosts, NEAR } from '../support/network.ts';
import { loadSnapshot, saveSnapshot } from '../support/snapshot.ts';
import { createVictim, ossecLine, type Response, type Victim } from '../support/victim.ts';

const REFUSED = 65;
const FREE = '203.0.113.7';
const OWN = { 4: `${NEAR.ipv4}.1`, 6: `${NEAR.ipv6}:1` } as const;
const GATEWAY = { 4: `${NEAR.ipv4}.2`, 6: `${NEAR.ipv6}:2` } as const;
const RESOLVER = { 4: `${NEAR.ipv4}.53`, 6: `${NEAR.ipv6}:53` } as const;

let victim: Victim;
let router: TestHost;
beforeAll(async () => {
  [victim, router] = await Promise.all([createVictim(), createHost('router')]);
  connectHosts(victim.host, router);
  victim.host.route('0.0.0.0/0', GATEWAY[4]);
  victim.host.route('::/0', GATEWAY[6]);
  victim.host.remove('/etc/resolv.conf');
  const servers = `nameserver ${RESOLVER[4]}\nnameserver ${RESOLVER[6]}\noptions timeout:1 attempts:1\n`;
  victim.host.writeFile('/etc/resolv.conf', servers);
  victim.host.writeFile(
    '/etc/hosts',
    '127.0.0.1 localhost\n192.0.2.10 manager.example\n2001:db8:2::10 manager.example\n',
  );
});
const FILES: Readonly<Record<string, string>> = {
  '/var/ossec/etc/ossec.conf': `<ossec_config>
    <client>
      <server><address>192.0.2.9</address></server>
      <server><address>manager.example</address></server>
      <server-ip>192.0.2.11</server-ip>
    </client>
    <global>
      <white_list>192.0.2.70/26</white_list>
      <white_list>localhost.localdomain</white_list>
    </global>
  </ossec_config>`,
  '/etc/firewall-drop/allow': '# those of ours\n203.0.113.80 # the office\n\n2001:db8:bbbb::/48\n',
  '/etc/firewall-drop/config.toml': `
    [protect]
    allow = ["203.0.113.99", "::ffff:203.0.113.98", "2001:db8:aaaa::/48"]
    allow_files = ["/etc/firewall-drop/allow"]`,
};
const writeFiles = (): void => {
  const write = 'mkdir -p /etc/firewall-drop; while (($#)); do printf %s "$2" >"$1"; shift 2; done';
  victim.host.must(['bash', '-c', write, 'write', ...Object.entries(FILES).flat()]);
};
beforeEach(() => {
  writeFiles();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => Promise.all([victim.dispose(), router.dispose()]));

describe('an address that becomes the host’s own while it is blocked', () => {
  beforeEach(() => {
    victim.add(FREE);
    victim.host.addAddress(`${FREE}/32`);
  });
  afterEach(() => {
    victim.host.must(['ip', 'address', 'delete', `${FREE}/32`, 'dev', 'lo']);
  });

  test('is released by the next alert', () => {
    expect(victim.add('203.0.113.8').status).toBe(0);
    expect(victim.rules(FREE)).toEqual([]);
    expect(victim.log().at(-1)).toMatch(ossecLine('delete', FREE));
  });

  test('is released by expire', () => {
    expect(victim.person(['expire']).stdout).toBe(`${FREE} released: it is protected\n`);
    expect(victim.rules(FREE)).toEqual([]);
  });
});

test('expire releases a ban within a network that was added to protect.allow', () => {
  const inside = '198.51.100.77';
  expect(victim.add(inside).status).toBe(0);
  victim.configure('[protect]\nallow = ["198.51.100.64/26"]\n');
  expect(victim.person(['expire']).stdout).toBe(`${inside} released: it is protected\n`);
  expect(victim.rules(inside)).toEqual([]);
});

test('expire leaves a ban that a person forced', () => {
  expect(victim.person(['add', GATEWAY[4], '--force']).status).toBe(0);
  expect(victim.person(['expire']).status).toBe(0);
  expect(victim.rules(GATEWAY[4])).toHaveLength(2);
});

const PROTECTED: readonly (readonly [what: string, canonical: string, written?: string])[] = [
  ['loopback', '127.0.0.1'],
  ['another loopback address', '127.8.9.10'],
  ['loopback of IPv6', '::1', '0:0:0:0:0:0:0:1'],
  ['loopback, mapped into IPv6', '127.0.0.1', '::ffff:127.0.0.1'],
  ['the cloud metadata service', '169.254.169.254'],
  ['a reserved address', '240.0.0.1'],
  ['the unspecified address', '0.0.0.0'],
  ['the unspecified address of IPv6', '::'],
  ['multicast', '224.0.0.1'],
  ['multicast of IPv6', 'ff02::1', 'FF02:0::1'],
  ['broadcast', '255.255.255.255'],
  ['the broadcast address of an own network', `${NEAR.ipv4}.255`],
  ['an own address', OWN[4]],
  ['an own address of IPv6', OWN[6]],
  ['an own address, mapped into IPv6', OWN[4], `::ffff:${OWN[4]}`],
  ['the default gateway', GATEWAY[4]],
  ['the default gateway of IPv6', GATEWAY[6], '2001:0DB8:1:0::2'],
  ['the default gateway, mapped and in hexadecimal', GATEWAY[4], '::ffff:c633:6402'],
  ['a resolver', RESOLVER[4]],
  ['a resolver of IPv6', RESOLVER[6]],
  ['the manager', '192.0.2.9'],
  ['the manager of an old configuration', '192.0.2.11'],
  ['the manager, known by name', '192.0.2.10'],
  ['the manager, known by name, in IPv6', '2001:db8:2::10'],
  ['one of the white_list', '192.0.2.65'],
  ['one of the white_list, mapped', '192.0.2.127', '::ffff:192.0.2.127'],
  ['one of protect.allow', '203.0.113.99'],
  ['one of protect.allow in mapped form', '203.0.113.98'],
  ['one of a network of protect.allow', '2001:db8:aaaa::5'],
  ['one of an allow file', '203.0.113.80'],
  ['one of a network of an allow file', '2001:db8:bbbb:1::'],
];

/** Returns the line for an address or a network in the output of a command. */
const lineAbout = (stderr: string, address: string): string | undefined => {
  return stderr.split('\n').find((line) => line.startsWith(`firewall-drop: ${address} `));
};

describe('through every invocation', () => {
  const KNOWN = 'the name of the manager is known';
  beforeAll(() => {
    writeFiles();
    // Alerts use the manager's addresses that an earlier `expire` has resolved, and warn if there are none.
    victim.person(['expire']);
    saveSnapshot(victim, KNOWN);
    victim.reset();
  });
  beforeEach(() => {
    loadSnapshot(victim, KNOWN);
  });

  // All invocations use the same parser, so Wazuh 5 and OSSEC are each tested with every other address.
  test.each(
    PROTECTED.map(([what, canonical, written = canonical], index) => {
      return { what, canonical, written, isOssec: index % 2 === 0 };
    }),
  )('$what is refused with one line, and not blocked', async ({ canonical, written, isOssec }) => {
    const invocations = {
      wazuh4: victim.startAdd(written),
      other: isOssec
        ? victim.start(ossecArguments({ srcip: written })).ended
        : victim.startEnable(written),
    };
    for (const [invocation, running] of Object.entries(invocations)) {
      const result = await running;
      // No key query is sent, so that execd keeps no key on its list.
      expect({ invocation, ...result }).toMatchObject({
        invocation,
        status: REFUSED,
        stdout: '',
      });
      expect(result.stderr).toMatch(/^firewall-drop: [^\n]+protected[^\n]+\n$/);
    }
    const line: unknown = expect.stringMatching(ossecLine('refused', canonical));
    expect(victim.log()).toEqual([line, line]);
    expect(victim.allRules()).toEqual([]);
  });

  test('a person’s add refuses each of them with one line', () => {
    const written = PROTECTED.map(([, canonical, other = canonical]) => other);
    const { status, stdout, stderr, lines } = victim.person(['add', ...written]);
    expect({ status, stdout }).toEqual({ status: REFUSED, stdout: '' });
    const canonical = new Set(PROTECTED.map(([, each]) => each));
    for (const each of canonical) {
      expect(lineAbout(stderr, each)).toContain('protected');
      expect(lines.filter((line) => ossecLine('refused', each).test(line))).toHaveLength(1);
    }
    expect(lines).toHaveLength(canonical.size);
    expect(stderr.trimEnd().split('\n')).toHaveLength(canonical.size);
    expect(victim.allRules()).toEqual([]);
  });

  test('addresses next to protected ones are not refused', () => {
    const free = [`${NEAR.ipv4}.3`, '192.0.2.63', '192.0.2.128', '203.0.113.97', '2001:db8:aaab::'];
    for (const address of free) expect(victim.add(address).status).toBe(0);
    expect(victim.allRules()).toHaveLength(2 * free.length);
  });
});

describe('an own address of the host', () => {
  test.each<[string, string, string[][]]>([
    [
      'of a link that is down',
      '192.0.2.33',
      [
        ['ip', 'link', 'add', 'idle0', 'type', 'veth', 'peer', 'name', 'idle1'],
        ['ip', 'addr', 'add', '192.0.2.33/24', 'dev', 'idle0'],
      ],
    ],
    [
      'in a local network',
      '198.18.0.9',
      [['ip', 'route', 'add', 'local', '198.18.0.0/24', 'dev', 'lo']],
    ],
    [
      'in a local network of IPv6',
      '2001:db8:9::9',
      [['ip', 'route', 'add', 'local', '2001:db8:9::/64', 'dev', 'lo']],
    ],
  ])('%s is refused', (_, address, commands) => {
    for (const command of commands) victim.host.must(command);
    expect(victim.add(address).status).toBe(REFUSED);
    expect(victim.person(['add', '--force', address]).status).toBe(REFUSED);
  });
});

describe('a next hop that /proc does not show', () => {
  test.each<[string, string, string[]]>([
    [
      'such as the second of a multipath route',
      `${NEAR.ipv4}.22`,
      [
        'ip',
        'route',
        'add',
        'default',
        'metric',
        '50',
        'nexthop',
        'via',
        `${NEAR.ipv4}.21`,
        'nexthop',
        'via',
        `${NEAR.ipv4}.22`,
      ],
    ],
    [
      'such as one of another routing table',
      `${NEAR.ipv4}.23`,
      ['ip', 'route', 'add', 'default', 'via', `${NEAR.ipv4}.23`, 'table', '100'],
    ],
  ])('%s is refused after expire has seen it', (_, hop, command) => {
    victim.host.must(command);
    victim.person(['expire']);
    expect(victim.add(hop).status).toBe(REFUSED);
  });
});

describe('the refusal', () => {
  const REASONS: readonly (readonly [address: string, reason: string])[] = [
    ['127.0.0.1', 'loopback'],
    [OWN[4], 'own address (to-router)'],
    [GATEWAY[4], 'default gateway (to-router)'],
    [RESOLVER[6], 'resolver'],
    ['192.0.2.10', 'manager.example'],
    ['192.0.2.65', 'white_list'],
    ['203.0.113.99', 'protect.allow'],
    ['203.0.113.80', '/etc/firewall-drop/allow'],
  ];
  let toPerson: string;
  beforeAll(() => {
    writeFiles();
    // The person's run resolves the manager's name for the following alerts.
    toPerson = victim.person(['add', ...REASONS.map(([address]) => address)]).stderr;
    saveSnapshot(victim, 'a person was told the reasons');
    victim.reset();
  });

  test.each(REASONS)('of %s gives the reason: %s', (address, reason) => {
    loadSnapshot(victim, 'a person was told the reasons');
    expect(lineAbout(toPerson, address)).toContain(reason);
    victim.host.remove(`${victim.agent.home}/logs/firewall-drop.log`);
    expect(victim.add(address).stderr).toContain(reason);
    expect(victim.troubles()).toContainEqual(expect.stringContaining(reason));
  });
});

describe('a network that contains a protected address', () => {
  const NETWORKS: readonly (readonly [network: string, named: string])[] = [
    ['0.0.0.0/0', '0.0.0.0/8'],
    ['::/0', '::'],
    [`${NEAR.ipv4}.0/24`, OWN[4]],
    [`${NEAR.ipv4}.2/31`, GATEWAY[4]],
    [`${NEAR.ipv6}:/64`, OWN[6]],
    ['192.0.2.0/28', '192.0.2.9'],
    ['192.0.2.0/24', '192.0.2.'],
    ['192.0.2.96/29', '192.0.2.64/26'],
    ['203.0.113.96/29', '203.0.113.9'],
  ];

  test('is refused, and the address is named', () => {
    const { status, stderr } = victim.person(['add', ...NETWORKS.map(([network]) => network)]);
    expect(status).toBe(REFUSED);
    for (const [network, named] of NETWORKS) {
      expect({ network, line: lineAbout(stderr, network) }).toEqual({
        network,
        line: expect.stringContaining(`(${named}`),
      });
    }
    expect(victim.allRules()).toEqual([]);
  });

  test('or a protected address among several arguments prevents all of them from being blocked', () => {
    expect(victim.person(['add', FREE, GATEWAY[4]]).status).toBe(REFUSED);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });
});

describe('--force', () => {
  test('blocks protected addresses that can be attackers', () => {
    const addresses = [GATEWAY[4], GATEWAY[6], RESOLVER[4], '192.0.2.9', '203.0.113.99'];
    const { stderr } = victim.person(['add', ...addresses]);
    expect(victim.allRules()).toEqual([]);
    for (const address of addresses) expect(lineAbout(stderr, address)).toContain('--force');
    expect(victim.person(['add', '--force', ...addresses]).status).toBe(0);
    for (const address of addresses) expect(victim.rules(address)).toHaveLength(2);
  });

  test('does not block addresses that can never be attackers', () => {
    const written = ['127.0.0.1', '::1', '::ffff:127.8.0.1', OWN[4], OWN[6], `${NEAR.ipv4}.255`];
    const addresses = [...written, '0.0.0.0/0'];
    const { status, stderr } = victim.person(['add', '--force', ...addresses]);
    expect(status).toBe(REFUSED);
    for (const address of addresses) {
      expect(lineAbout(stderr, address.replace('::ffff:', ''))).toContain(
        'even --force does not block it',
      );
    }
    expect(victim.allRules()).toEqual([]);
  });
});

describe('the address that a person is logged in from', () => {
  const env = (peer: string): { env: Record<string, string> } => ({
    env: { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', SSH_CONNECTION: `${peer} 50000 ${OWN[4]} 22` },
  });

  test.each([
    [FREE, FREE],
    [FREE, '203.0.113.0/28'],
    ['2001:db8:ffff::7', '2001:db8:ffff::7'],
    [`::ffff:${FREE}`, FREE],
  ])('from %s, %s can be blocked with --force only', (peer, address) => {
    const refused = victim.person(['add', address], env(peer));
    expect(refused.status).toBe(REFUSED);
    expect(refused.stderr).toContain('logged in from');
    expect(victim.allRules()).toEqual([]);
    expect(victim.person(['add', '--force', address], env(peer)).status).toBe(0);
    expect(victim.allRules()).toHaveLength(2);
  });

  test('does not restrict alerts, even if an administrator has restarted execd', () => {
    expect(victim.add(FREE, env(FREE)).status).toBe(0);
  });

  test('is ignored if it is invalid', () => {
    expect(victim.person(['add', FREE], env('UNKNOWN')).status).toBe(0);
  });
});

describe('a protected address that is blocked can be unblocked', () => {
  test.each<[string, () => Response]>([
    ['Wazuh 4', () => victim.delete(GATEWAY[4])],
    ['Wazuh 5', () => victim.disable(GATEWAY[4])],
    ['OSSEC', () => victim.ossec({ srcip: GATEWAY[4], command: 'delete' })],
    ['a person', () => victim.person(['delete', GATEWAY[4]])],
  ])('by %s', (_, release) => {
    victim.host.must(['iptables', '-w', '-I', 'INPUT', '-s', GATEWAY[4], '-j', 'DROP']);
    const response = release();
    expect(response.status).toBe(0);
    expect(response.lines).toEqual([expect.stringMatching(ossecLine('delete', GATEWAY[4]))]);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('an address that the configuration does not protect', () => {
  test.each([
    ['gateways', GATEWAY[4]],
    ['resolvers', RESOLVER[4]],
    ['manager', '192.0.2.9'],
    ['white_list', '192.0.2.65'],
  ])('can be blocked with %s = false', (key, address) => {
    victim.configure(`[protect]\n${key} = false\n`);
    expect(victim.add(address).status).toBe(0);
    expect(victim.rules(address)).toHaveLength(2);
  });
});

describe('with incomplete sources of protection', () => {
  test('an alert resolves none of many names of managers, and names those that are unknown', () => {
    const server = (name: string): string => `<server><address>${name}</address></server>`;
    const names = Array.from({ length: 12 }, (_, index) => `nowhere${index}.example`);
    victim.setOssecConf(`<client>${names.map(server).join('')}</client>`);
    expect(victim.add(FREE).status).toBe(0);
    expect(victim.troubles().join('\n')).toContain('nowhere11.example');
  });

  test('a manager’s address stays protected when its name can’t be resolved any more', () => {
    victim.person(['expire']);
    const hosts = victim.host.readFile('/etc/hosts');
    victim.host.writeFile('/etc/hosts', '127.0.0.1 localhost\n');
    expect(victim.add('192.0.2.10').status).toBe(REFUSED);
    victim.host.writeFile('/etc/hosts', hosts);
  });

  test('a manager’s name that could not be resolved is resolved by the next expire', () => {
    const hosts = victim.host.readFile('/etc/hosts');
    victim.host.writeFile('/etc/hosts', '127.0.0.1 localhost\n');
    expect(victim.add(FREE).status).toBe(0);
    victim.host.writeFile('/etc/hosts', hosts);
    victim.person(['expire']);
    expect(victim.add('192.0.2.10').status).toBe(REFUSED);
  });

  test('a truncated ossec.conf protects the addresses before its end', () => {
    victim.host.writeFile(
      '/var/ossec/etc/ossec.conf',
      '<ossec_config><client><server><address>192.0.2.9</address></server><server><addr',
    );
    expect(victim.add('192.0.2.9').status).toBe(REFUSED);
    expect(victim.add(FREE).status).toBe(0);
  });

  test('an ossec.conf with two roots is read completely', () => {
    victim.host.writeFile(
      '/var/ossec/etc/ossec.conf',
      '<ossec_config></ossec_config>\n<!-- more -->\n<ossec_config><global><white_list>192.0.2.77</white_list></global></ossec_config>',
    );
    expect(victim.add('192.0.2.77').status).toBe(REFUSED);
  });

  test.each([
    ['missing', 'rm -f /etc/firewall-drop/allow'],
    ['a FIFO', 'rm -f /etc/firewall-drop/allow; mkfifo /etc/firewall-drop/allow'],
    ['a device', 'ln -sfn /dev/zero /etc/firewall-drop/allow'],
  ])('an allow file that is %s is reported and stops no block', (_, replace) => {
    victim.host.must(['bash', '-c', replace]);
    const response = victim.add(FREE);
    expect(response.status).toBe(0);
    expect(victim.troubles().join('\n')).toContain('/etc/firewall-drop/allow');
  });

  test('an invalid line of an allow file is reported, and the other lines count', () => {
    const path = '/etc/firewall-drop/allow';
    victim.host.writeFile(path, 'office.example\n203.0.113.81\n');
    expect(victim.add('203.0.113.81').status).toBe(REFUSED);
    expect(victim.troubles().join('\n')).toContain('office.example');
  });
});
