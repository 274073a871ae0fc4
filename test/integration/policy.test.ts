// Checks policy on the built executable with execd and real packets, for each backend: the effect of the manager's
// arguments, the configuration and a group's file on an alert, the end of each ban, and that explain predicts it.
import { join } from 'node:path';
import { readFileSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { type JsonObject, wazuh4Message } from '../support/alerts.ts';
import { startExecd, type Execd } from '../support/execd-client.ts';
import { createHost, type TestHost } from '../support/host.ts';
import { importBans } from '../support/imported.ts';
import { connectHosts, NEAR } from '../support/network.ts';
import { changeState } from '../support/state.ts';
import { canPing } from '../support/traffic.ts';
import { createVictim, type Victim } from '../support/victim.ts';
import { collectLines, eventually } from '../support/wait.ts';

const REFUSED = 65;
const A = `${NEAR.ipv4}.1`;
const A6 = `${NEAR.ipv6}:1`;
const GROUP_FILE = '/var/ossec/etc/shared/firewall-drop.toml';

let attacker: TestHost;
let victim: Victim;
let execd: Execd;
beforeAll(async () => {
  [attacker, victim] = await Promise.all([createHost('attacker'), createVictim()]);
  connectHosts(attacker, victim.host);
});
afterAll(async () => {
  await Promise.all([attacker.dispose(), victim.dispose()]);
});

/** Returns the alert of a manual response from the manager, which has no id and no rule. */
const byHand = (srcip: string): JsonObject => ({ data: { srcip } });

const reaches = (family: 'ipv4' | 'ipv6' = 'ipv4'): boolean => {
  return canPing(attacker, family === 'ipv4' ? `${NEAR.ipv4}.2` : `${NEAR.ipv6}:2`);
};

/** Returns verb and address of each line of active-responses.log. */
const lines = (): string[] => victim.log().map((line) => line.split(/ +/).slice(7, 10).join(' '));

const origins = (address: string): string[] => {
  return (victim.banOn(address)?.holds ?? []).map(({ origin }) => origin).sort();
};

/** Returns the policy decisions that explain prints for an alert. */
function explained(message: string): string[] {
  const { stdout } = victim.host.run([victim.agent.program(), 'explain', '--json'], {
    input: message,
  });
  return (JSON.parse(stdout) as { decidedBy: string[] }).decidedBy;
}

/** Starts an execd for each test. Returns a function that sets the configuration besides the backend. */
function setUp(backend: string): (toml: string) => void {
  const configure = (toml: string): void => {
    victim.configure(`[firewall]\nbackend = "${backend}"\n${toml}`);
  };
  beforeEach(async () => {
    configure('');
    victim.setTimeouts(600);
    execd = await startExecd(victim.host);
  });
  afterEach(async () => {
    await execd.kill();
    clean();
  });
  return configure;
}

function clean(): void {
  victim.reset();
  victim.host.remove(GROUP_FILE);
}

describe.each(['iptables', 'ipset', 'nftables'])('with %s', (backend) => {
  const configure = setUp(backend);

  test('the manager sets the deadline of a ban, keeps it beyond execd’s delete, and releases it', async () => {
    await execd.alert(A, { timeoutSeconds: 600, extraArguments: ['keep', 'timeout=2h'] });
    expect(victim.banOn(A)?.holds).toMatchObject([{ origin: 'policy', timeoutSeconds: 7200 }]);
    expect(reaches()).toBe(false);
    execd.expire();
    expect(await execd.released(A)).toMatchObject({ status: 0 });
    expect(reaches()).toBe(false);
    const release = await execd.alert(byHand(A), { extraArguments: ['release'] });
    expect(release).toMatchObject({ status: 0, keyLine: '' });
    expect(reaches()).toBe(true);
    expect(lines()).toEqual([`add - ${A}`, `kept - ${A}`, `delete - ${A}`]);
    expect(victim.bans()).toEqual([]);
  });

  test('a network is banned instead of an address, and released as a whole', async () => {
    // The victim's own address is in the attacker's network, so only other networks can be banned.
    configure('[aggregate]\nipv6_prefix = 64\nipv4_count = 3\n');
    expect(await execd.alert(A6, { timeoutSeconds: 600 })).toMatchObject({ status: 0 });
    expect(origins(A6)).toEqual(['wazuh']);
    const offender = '2001:db8:77::9';
    const { keyLine } = await execd.alert(offender, { timeoutSeconds: 600 });
    expect(keyLine).toContain('"keys":["2001:db8:77::/64"]');
    expect(origins('2001:db8:77::/64')).toEqual(['wazuh']);
    for (const last of [1, 2, 3]) await execd.alert(`203.0.113.${last}`, { timeoutSeconds: 600 });
    expect(origins('203.0.113.0/24')).toEqual(['policy']);
    expect(victim.banOn('203.0.113.1')).toBeUndefined();
    expect(victim.person(['status', '203.0.113.200']).status).toBe(0);
    execd.expire();
    await execd.released('2001:db8:77::/64');
    await execd.released('203.0.113.2');
    expect(victim.banOn('2001:db8:77::/64')).toBeUndefined();
    expect(origins('203.0.113.0/24')).toEqual(['policy']);
    expect(lines().filter((line) => line === 'kept - 203.0.113.2')).toHaveLength(2);
    expect(victim.person(['delete', '203.0.113.2']).stderr).toContain(
      'firewall-drop delete 203.0.113.0/24 releases the whole network',
    );
    await execd.alert(byHand('203.0.113.2'), { extraArguments: ['release'] });
    expect(victim.person(['status', '203.0.113.200']).status).toBe(1);
    expect(victim.bans()).toEqual([]);
  });

  test('an agent’s stop ends no ban: none of 300 packets passes, and each ban ends at its deadline', async () => {
    configure(
      'keep_on_agent_stop = true\nkill_connections = false\n[limits]\nbans_per_minute = 0\n',
    );
    const all = sources(300);
    addAddresses(all);
    const [first = '', second = '', ...others] = all;
    for (const address of [first, second]) await execd.alert(address, { timeoutSeconds: 600 });
    importBans(victim, others, 660);
    // A delete of a kept ban runs no firewall program, so all deletes are tried with only one backend.
    const pending = backend === 'nftables' ? all.length : 10;
    await execd.know(others.slice(0, pending - 2), 600);
    expect(await execd.stop()).toHaveLength(pending);
    expect(victim.bans()).toHaveLength(all.length);
    expect(await arrivals(all)).toEqual([]);
    expect(lines().filter((line) => line.startsWith('kept'))).toHaveLength(pending);
    for (const { holds } of victim.bans()) {
      expect(holds).toMatchObject([{ origin: 'wazuh', timeoutSeconds: 660 }]);
    }
    await expectEndsInTime(new Map(all.map((address, index) => [address, index * 3])));
    expect((await arrivals(all)).toSorted()).toEqual(all.toSorted());
  });
});

// These decisions do not depend on the backend, which gets an address and a deadline, or nothing.
describe('with any backend', () => {
  const configure = setUp('ipset');

  test('the n-th ban lasts at least the n-th timeout, even across restarts of the agent', async () => {
    configure('[escalation]\ntimeouts = ["10m", "1h"]\n');
    await execd.alert(A, { timeoutSeconds: 600 });
    await execd.stop();
    victim.endTime(A);
    victim.person(['expire']);
    expect(reaches()).toBe(true);
    expect(explained(wazuh4Message({ srcip: A }))).toEqual([
      `escalation: ban 2 of ${A} within 30d, at least 1h`,
    ]);
    execd = await startExecd(victim.host);
    await execd.alert(A, { timeoutSeconds: 600 });
    execd.expire();
    await execd.released(A);
    expect(reaches()).toBe(false);
    expect(victim.banOn(A)?.holds).toMatchObject([{ origin: 'repeat', timeoutSeconds: 3600 }]);
    expect(victim.person(['list']).stdout).toContain('2, next 1h');
    expect(victim.person(['status', A]).stdout).toContain(
      `escalation: 2 bans of ${A} within 30d; the next lasts at least 1h`,
    );
    expect(victim.person(['forgive', A]).stdout).toBe(`${A}: 2 bans forgotten\n`);
    victim.endTime(A);
    victim.person(['expire']);
    expect(reaches()).toBe(true);
    expect(explained(wazuh4Message({ srcip: A }))).toEqual([
      `escalation: ban 1 of ${A} within 30d, at least 10m`,
    ]);
  });

  test('an entry ignores an alert or sets its end, and a group’s file only shortens and protects', async () => {
    configure(`
[[policy]]
rule_id = [5720]
action = "ignore"
[[policy]]
rule_id = [5710]
timeout = "24h"
`);
    const ignored = wazuh4Message({ srcip: A, ruleId: '5720' });
    expect(explained(ignored)).toEqual([
      '[[policy]] 1 of /etc/firewall-drop/config.toml: action = "ignore"',
    ]);
    const refused = await execd.alert(A, { ruleId: '5720', timeoutSeconds: 600 });
    expect(refused).toMatchObject({ status: REFUSED, keyLine: '' });
    expect(reaches()).toBe(true);
    victim.host.writeFile(
      GROUP_FILE,
      '[protect]\nallow = ["2001:db8:1::1"]\n[[policy]]\ntimeout_max = "1h"\n[firewall]\nbackend = "auto"\n',
      { uid: 1001, gid: 1001 },
    );
    expect(explained(wazuh4Message({ srcip: A }))).toEqual([
      '[[policy]] 2 of /etc/firewall-drop/config.toml: timeout = "24h"',
      `[[policy]] 1 of ${GROUP_FILE}: timeout_max = "1h"`,
    ]);
    await execd.alert(A, { timeoutSeconds: 600 });
    expect(victim.banOn(A)?.holds).toMatchObject([{ origin: 'policy', timeoutSeconds: 3600 }]);
    expect(reaches()).toBe(false);
    expect(await execd.alert(A6)).toMatchObject({ status: REFUSED });
    expect(reaches('ipv6')).toBe(true);
    expect(victim.troubles()).toContainEqual(
      expect.stringContaining(`${GROUP_FILE}:6: \`firewall.backend\` is refused`),
    );
  });

  test('alerts beyond the bans per minute are refused, and commands of a person are not', async () => {
    configure('[limits]\nbans_per_minute = 2\n');
    for (const last of [1, 2]) await execd.alert(`203.0.113.${last}`);
    expect(explained(wazuh4Message({ srcip: '203.0.113.3' }))).toEqual([
      'limits.bans_per_minute = 2: this many bans began within the last minute',
    ]);
    for (const last of [3, 4]) {
      expect(await execd.alert(`203.0.113.${last}`)).toMatchObject({ status: REFUSED });
    }
    expect(lines().slice(2)).toEqual([
      'refused - 203.0.113.3',
      'failed - 203.0.113.3',
      'refused - 203.0.113.4',
    ]);
    expect(victim.person(['add', '203.0.113.5']).status).toBe(0);
    expect(victim.bans()).toHaveLength(3);
  });
});

/** Sets the end of each ban in milliseconds from now, and checks with repeated runs that each ban ends on time. */
async function expectEndsInTime(endsIn: ReadonlyMap<string, number>): Promise<void> {
  const endsMs = new Map(Array.from(endsIn, ([address, ms]) => [address, Date.now() + ms]));
  changeState(victim.host.pid, (database) => {
    const update = database.prepare('UPDATE holds SET expires_at_ms = ? WHERE address = ?');
    for (const [address, ms] of endsMs) update.run(ms, address);
  });
  const wrong: string[] = [];
  await eventually('the end of all bans', () => {
    const beforeMs = Date.now();
    victim.person(['expire']);
    const afterMs = Date.now();
    const banned = new Set(victim.bans().map(({ address }) => address));
    for (const [address, ms] of endsMs) {
      if (ms <= beforeMs && banned.has(address)) wrong.push(`${address} is still banned`);
      if (ms > afterMs && !banned.has(address)) wrong.push(`${address} ended too early`);
    }
    return banned.size === 0;
  });
  expect(wrong).toEqual([]);
}

/** Returns addresses in the attacker's own networks, half of each family. */
function sources(count: number): string[] {
  return Array.from({ length: count }, (_, index) => {
    return index % 2 === 0 ? `${NEAR.ipv4}.${50 + index / 2}` : `2001:db8:1::a:${index}`;
  });
}

const CONTROL = `${NEAR.ipv4}.1`;

function addAddresses(addresses: readonly string[]): void {
  const commands = addresses.map((address) => {
    return address.includes(':')
      ? `address replace ${address}/64 dev to-victim nodad`
      : `address replace ${address}/24 dev to-victim`;
  });
  // A banned address cannot resolve the victim's link address. Others would wait for the timeout of its query.
  const [link] = JSON.parse(
    victim.host.must(['ip', '-j', 'link', 'show', 'to-attacker']),
  ) as readonly { address: string }[];
  const where = `lladdr ${link?.address} dev to-victim nud permanent`;
  const known = [`${NEAR.ipv4}.2`, `${NEAR.ipv6}:2`].map(
    (own) => `neighbour replace ${own} ${where}`,
  );
  attacker.must(['ip', '-batch', '-'], { input: [...commands, ...known].join('\n') });
}

const PORT = 9000;
const HEAR = `
const { createSocket } = require('node:dgram');
for (const type of ['udp4', 'udp6']) {
  const socket = createSocket({ type, ipv6Only: type === 'udp6' });
  socket.on('message', (_, { address }) => console.log(address));
  socket.bind(${PORT}, () => console.log('ready'));
}`;
const SEND = `
const { createSocket } = require('node:dgram');
const { once } = require('node:events');
(async () => {
  for (const address of process.argv.slice(1)) {
    const socket = createSocket(address.includes(':') ? 'udp6' : 'udp4');
    socket.bind({ address });
    await once(socket, 'listening');
    const to = address.includes(':') ? '${NEAR.ipv6}:2' : '${NEAR.ipv4}.2';
    await new Promise((done) => socket.send('x', ${PORT}, to, done));
    socket.close();
  }
})();`;

/**
 * Returns the addresses from which a packet arrives. Packets of one link keep their order, so the arrival of the last
 * one shows that all others have arrived or were dropped.
 */
async function arrivals(addresses: readonly string[]): Promise<string[]> {
  const listener = victim.host.spawn([process.execPath, '-e', HEAR], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  try {
    if (listener.stdout === null) throw new Error('no output to read');
    const heard = collectLines(listener.stdout);
    await eventually('both listeners', () => heard.filter((line) => line === 'ready').length === 2);
    attacker.must([process.execPath, '-e', SEND, ...addresses, CONTROL]);
    await eventually('the packet of the control', () => heard.includes(CONTROL));
    return heard.filter((line) => line !== 'ready' && line !== CONTROL);
  } finally {
    listener.kill('SIGKILL');
  }
}

describe('docs/policy.md', () => {
  const blocks = new Map(
    Array.from(
      readFileSync(join(__dirname, '../../docs/policy.md'), 'utf8').matchAll(
        /^```(?:toml|sh) (\S+)\n([^]*?)^```$/gm,
      ),
      ([, name = '', text = '']) => [name, text],
    ),
  );
  const block = (name: string): string => {
    const text = blocks.get(name);
    if (text === undefined) throw new Error(`docs/policy.md has no block ${name}`);
    return text;
  };
  afterEach(() => {
    clean();
  });

  test('has only recipes that are tested here', () => {
    expect([...blocks.keys()].sort()).toEqual([
      'entries',
      'escalation',
      'forgive',
      'group',
      'manager',
      'networks',
    ]);
  });

  test('has an API call that releases: execd passes on its body', () => {
    const body = /-d '([^']+)'/.exec(block('manager'))?.[1] ?? '';
    const call = JSON.parse(body) as {
      command: string;
      arguments: string[];
      alert: { data: { srcip: string } };
    };
    expect(call.command).toBe('!firewall-drop');
    const { srcip } = call.alert.data;
    victim.add(srcip);
    victim.respond(wazuh4Message({ alert: byHand(srcip), extraArguments: call.arguments }));
    expect(victim.rules(srcip)).toEqual([]);
    expect(lines().at(-1)).toBe(`delete - ${srcip}`);
  });

  test('has recipes that lengthen each ban, and that forgive', () => {
    victim.configure(block('escalation'));
    const ends = ['10m', '1h', '24h', '7d', '7d'].map((text) => {
      const said = explained(wazuh4Message({ srcip: '203.0.113.9' }));
      expect(said).toEqual([expect.stringMatching(new RegExp(`at least ${text}$`))]);
      victim.add('203.0.113.9');
      return victim.person(['delete', '203.0.113.9']).status;
    });
    expect(ends).toEqual([0, 0, 0, 0, 0]);
    const forgive =
      'firewall-drop() { "$1" "${@:2}"; }; program=$1; firewall-drop() { "$program" "$@"; }\n';
    victim.host.must(['bash', '-c', forgive + block('forgive'), 'recipe', victim.agent.program()]);
    expect(explained(wazuh4Message({ srcip: '203.0.113.9' }))[0]).toContain('ban 1 of');
  });

  test('has a recipe for a day after brute force, and never for the office', () => {
    victim.configure(block('entries'));
    expect(victim.add('192.0.2.9').status).toBe(REFUSED);
    victim.add('203.0.113.9', { ruleId: '5712' });
    expect(victim.banOn('203.0.113.9')?.holds).toMatchObject([{ timeoutSeconds: 86_400 }]);
  });

  test('has a recipe for milder bans in one group of agents', () => {
    victim.host.writeFile(GROUP_FILE, block('group'));
    expect(victim.add('198.51.100.9').status).toBe(REFUSED);
    expect(victim.add('203.0.113.9', { ruleId: '31151' }).status).toBe(REFUSED);
    victim.add('203.0.113.10');
    expect(victim.banOn('203.0.113.10')?.holds).toMatchObject([{ timeoutSeconds: 600 }]);
    // A mistake in the file would be reported with its line.
    expect(victim.troubles().filter((line) => /firewall-drop\.toml:\d/.test(line))).toEqual([]);
  });

  test('has a recipe for networks, floods and stops of the agent', () => {
    victim.configure(block('networks'));
    victim.setTimeouts(600);
    victim.add('2001:db8:77::9');
    expect(origins('2001:db8:77::/64')).toEqual(['wazuh']);
    victim.delete('2001:db8:77::9');
    expect(origins('2001:db8:77::/64')).toEqual(['wazuh']);
    expect(victim.troubles()).toEqual([]);
  });
});
