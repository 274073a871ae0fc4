// Makes the hosts of the benchmark, with a number of bans in one backend or with the plain rules of Wazuh's own
// program, and the commands to measure on them.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import { sayAdd, sayDelete } from './execd.mjs';
import * as machine from './machine.mjs';
import { clock } from './stopwatch.mjs';

const { CHECKOUT, HOME, installAgent, PEER, PROGRAM, startHost, WORK } = machine;

/** An address that is not one of the hosts' bans. */
const ADDRESS = '203.0.113.7';

/**
 * Commands for each backend that query the kernel for one address without our program, and that empty it like a reboot.
 */
const PLAIN_RULES = {
  holds: `iptables -C INPUT -s ${ADDRESS} -j DROP`,
  forget: 'iptables -F',
};
const KERNEL = {
  iptables: PLAIN_RULES,
  peer: PLAIN_RULES,
  ipset: {
    holds: `ipset test firewall-drop-4 ${ADDRESS}`,
    forget: 'iptables -t raw -F; ipset destroy',
  },
  nftables: {
    holds: `nft get element inet firewall_drop blocked4_32 { ${ADDRESS} }`,
    forget: 'nft flush ruleset',
  },
};

/**
 * How the backend's own program loads the same list: its input, its command line, and the command that removes the set.
 */
const BARE = {
  ipset: {
    lines: (list) => [
      'create bare hash:net family inet timeout 0 counters maxelem 131072',
      ...list.map((address) => `add bare ${address} timeout 86400`),
    ],
    load: 'ipset restore',
    remove: 'ipset destroy bare',
  },
  nftables: {
    lines: (list) => [
      'add table inet bare',
      'add set inet bare blocked { type ipv4_addr; counter; flags timeout; }',
      `add element inet bare blocked { ${list.map((address) => `${address} timeout 1d`).join(', ')} }`,
    ],
    load: 'nft -f -',
    remove: 'nft delete table inet bare',
  },
};

/** Returns the n-th of the 131,072 addresses of the range for benchmarks (RFC 2544). */
function nthAddress(n) {
  return `198.${18 + (n >> 16)}.${(n >> 8) & 255}.${n & 255}`;
}

function writeOnHost(host, file, lines) {
  fs.writeFileSync(host.path(file), `${lines.join('\n')}\n`);
  return file;
}

function addresses(count) {
  return Array.from({ length: count }, (_, n) => nthAddress(n));
}

function must(host, words, options = {}) {
  const [program, ...rest] = host.inside(words);
  return execFileSync(program, rest, { encoding: 'utf8', stdio: 'pipe', ...options });
}

/** Makes a host with an agent and firewall-drop, with the backend in its configuration. */
export async function hostWithBackend(backend, bans) {
  const host = await startHost();
  installAgent(host.path(''));
  fs.mkdirSync(host.path('/etc/firewall-drop'), { recursive: true });
  writeOnHost(host, '/etc/firewall-drop/config.toml', ['[firewall]', `backend = "${backend}"`]);
  fs.mkdirSync(host.path(WORK), { recursive: true });
  writeOnHost(host, `${WORK}/list`, addresses(bans));
  if (BARE[backend]) writeOnHost(host, `${WORK}/bare`, BARE[backend].lines(addresses(bans)));
  return { host, backend, bans };
}

/**
 * Makes a host with two plain rules for each address, as Wazuh's own program makes them, and with `peer` if it is
 * given.
 */
export async function hostOfToday(bans, peer) {
  const host = await startHost();
  if (peer !== null) {
    installAgent(host.path(''));
    machine.installPeer(peer, host.path(''));
  }
  const rules = addresses(bans).flatMap((address) => [
    `-A INPUT -s ${address} -j DROP`,
    `-A FORWARD -s ${address} -j DROP`,
  ]);
  must(host, ['iptables-restore'], { input: ['*filter', ...rules, 'COMMIT', ''].join('\n') });
  return { host, backend: 'today', bans };
}

/** Returns the subjects in the order of a round: each release follows its block. */
export function singleSubjects({ host, backend }) {
  if (backend === 'today') return plainSubjects(host);
  const program = backend === 'peer' ? PEER : PROGRAM;
  const respond = (talk, hear) => clock(host, [program], { cwd: HOME, talk, hear });
  const both = {
    add: () => respond(sayAdd(ADDRESS), true),
    delete: () => respond(sayDelete(ADDRESS), false),
  };
  if (backend === 'peer') return both;
  return {
    ...both,
    list: () => clock(host, [`${HOME}/${PROGRAM}`, 'list', '--json']),
  };
}

function plainSubjects(host) {
  const both = async (action) => {
    const laps = [];
    for (const chain of ['INPUT', 'FORWARD']) {
      laps.push(await clock(host, ['iptables', '-w', action, chain, '-s', ADDRESS, '-j', 'DROP']));
    }
    return {
      wallMs: laps[0].wallMs + laps[1].wallMs,
      cpuMs: laps[0].cpuMs + laps[1].cpuMs,
      peakKiB: Math.max(laps[0].peakKiB, laps[1].peakKiB),
    };
  };
  return { add: () => both('-I'), delete: () => both('-D') };
}

/** Throws unless, according to the kernel, one add blocks and one delete releases. */
export async function proveSingles(setting) {
  if (setting.backend === 'today') return;
  const subjects = singleSubjects(setting);
  await subjects.add();
  must(setting.host, ['bash', '-c', KERNEL[setting.backend].holds]);
  await subjects.delete();
  let held = true;
  try {
    must(setting.host, ['bash', '-c', KERNEL[setting.backend].holds]);
  } catch {
    held = false;
  }
  if (held) throw new Error(`${setting.backend}: ${ADDRESS} is held after its delete`);
}

/** Measures each command that concerns all bans of a host once. Leaves the host with all bans. */
export async function measureBulk({ host, backend, bans }, limitMs) {
  const program = `${HOME}/${PROGRAM}`;
  const run = (...words) => clock(host, [program, ...words], { limitMs });
  const load = () => run('add', '--file', `${WORK}/list`, '--timeout', '1d');
  const laps = {};
  await run('flush', '--yes');
  if (BARE[backend]) {
    const bare = ['bash', '-c', `exec ${BARE[backend].load} < ${WORK}/bare`];
    laps['bare load'] = await clock(host, bare, { limitMs });
    must(host, ['bash', '-c', BARE[backend].remove]);
  }
  laps.load = await load();
  // All addresses are blocked already, so only their deadlines change.
  laps['load again'] = await load();
  expectCount(host, bans);
  makeDue(host);
  laps.expire = await run('expire');
  expectCount(host, 0);
  await load();
  must(host, ['bash', '-c', KERNEL[backend].forget]);
  laps.restore = await run('restore');
  laps.flush = await run('flush', '--yes');
  expectCount(host, 0);
  await load();
  return laps;
}

/** Makes all bans due at once. Waiting for their deadlines would take too long. */
function makeDue(host) {
  const update = `
    const { DatabaseSync } = require('node:sqlite');
    const state = new DatabaseSync('/var/lib/firewall-drop/state.db');
    state.prepare('UPDATE holds SET timeout_seconds = 1, expires_at_ms = ?').run(Date.now());
    state.close();
  `;
  must(host, [`${CHECKOUT}/node_modules/.bin/node`, '-e', update]);
}

function expectCount(host, expected) {
  const program = `${HOME}/${PROGRAM}`;
  const { length } = JSON.parse(
    must(host, [program, 'list', '--json'], { maxBuffer: 1024 * 1024 * 1024 }),
  ).bans;
  if (length !== expected) throw new Error(`${length} are banned, and should be ${expected}`);
}

/** Returns the lower bounds, measured on an empty host. */
export function floorSubjects(host) {
  return {
    'bare Node': () => clock(host, [machine.NODE.packed, '-e', '0']),
    'a program that does nothing': () => clock(host, ['true']),
  };
}
