// Runs many processes at once: the outcome is one that some serial order gives, and every process finishes.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import type { RunResult } from '../support/host.ts';
import { BACKENDS, type BackendName, flushKernel, readKernel } from '../support/kernel.ts';
import { readState } from '../support/state.ts';
import { createVictim, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';
import { disagreements } from './invariants.ts';
import { readLog } from './stage.ts';

/** Not adjacent, because nftables can print adjacent addresses as a range. */
const SAME = ['203.0.113.7', '203.0.113.9', '2001:db8:ffff::7'] as const;
const OTHERS = Array.from({ length: 25 }, (_, index) => `198.51.100.${2 * index + 1}`);
/** The largest values that the configuration allows, because the processes wait for each other. */
const LOCK_WAIT_SECONDS = 60;
const TOTAL_SECONDS = 120;

const FIREWALL = 69;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
  flushKernel(victim.host);
});
afterAll(() => victim.dispose());

function configure(backend: BackendName): void {
  victim.configure(`[firewall]\nbackend = "${backend}"\n[limits]
    lock_wait_seconds = ${LOCK_WAIT_SECONDS}\ntotal_seconds = ${TOTAL_SECONDS}`);
}

interface Ended extends RunResult {
  readonly what: string;
}

async function person(verb: 'add' | 'delete', address: string): Promise<Ended> {
  return { what: `a person’s ${verb} ${address}`, ...(await victim.start([verb, address]).ended) };
}

async function execd(verb: 'add' | 'delete', address: string): Promise<Ended> {
  const asked = verb === 'add' ? victim.startAdd(address) : victim.startDelete(address);
  return { what: `${verb} ${address}`, ...(await asked) };
}

/**
 * Starts alerts and commands of persons at once. Half of them concern separate addresses, some of which are released at
 * once, and half concern the same three addresses.
 */
function storm(count: number): Promise<Ended>[] {
  const same = (index: number): string => SAME[index % SAME.length] ?? SAME[0];
  const other = (index: number): string => OTHERS[index % OTHERS.length] ?? OTHERS[0] ?? '';
  return Array.from({ length: count }, (_, index) => {
    const round = Math.floor(index / 4);
    if (index % 8 === 3) return person(index % 16 === 3 ? 'add' : 'delete', same(round));
    switch (index % 4) {
      case 0:
        return execd('add', other(round));
      case 1:
        return execd('add', same(round));
      case 2:
        return execd(round % 2 === 0 ? 'delete' : 'add', same(round + 1));
      default:
        return execd(round % 3 === 0 ? 'delete' : 'add', other(round));
    }
  });
}

/** Checks that the last line of each address matches its state. Lines are written in the order of the changes. */
function expectLastWord(addresses: readonly string[]): void {
  const { bans } = readState(victim.host.pid);
  for (const address of addresses) {
    const about = readLog(victim).filter((entry) => entry.address === address);
    const last = about.findLast(({ verb }) => verb !== 'failed' && verb !== 'kept');
    expect({ address, blocked: bans.has(address) }).toEqual({
      address,
      blocked: last !== undefined && last.verb !== 'delete',
    });
  }
}

function found(backend: BackendName): string[] {
  return disagreements(readState(victim.host.pid), readKernel(victim.host), backend);
}

const EVERYBODY = [...SAME, ...OTHERS];

/** Releases all addresses, and checks that nothing is left. */
function clearUp(backend: BackendName): void {
  expect(victim.person(['delete', ...EVERYBODY]).status).toBe(0);
  expect(readState(victim.host.pid).bans).toEqual(new Map());
  expect(found(backend)).toEqual([]);
}

describe.each(BACKENDS)('%s: processes at once', (backend) => {
  test('12 that add and delete the same and different addresses succeed, and the last line of an address is true', async () => {
    configure(backend);
    const ended = await Promise.all(storm(12));
    expect(ended.filter(({ status, stderr }) => status !== 0 || stderr !== '')).toEqual([]);
    expect(found(backend)).toEqual([]);
    expectLastWord(EVERYBODY);
    clearUp(backend);
  });

  test('the next run makes state and kernel agree if none of 12 alerts for two addresses waits for the lock', async () => {
    victim.configure(`[firewall]\nbackend = "${backend}"\n[limits]\nlock_wait_seconds = 0`);
    for (let round = 0; round < 5; round += 1) {
      const alerts = Array.from({ length: 12 }, (_, index) => {
        return execd((index + round) % 4 < 2 ? 'add' : 'delete', SAME[index % 2] ?? '');
      });
      const odd = (await Promise.all(alerts)).filter(({ status }) => status !== 0);
      // Each succeeds, or reports that another run changed the kernel.
      expect(odd.filter(({ status }) => status !== FIREWALL)).toEqual([]);
      expect(victim.person(['expire']).status).toBe(0);
      expect(found(backend)).toEqual([]);
      clearUp(backend);
    }
  });

  test('8 that add and delete while the rules are flushed report their success truthfully, and one restore repairs the rest', async () => {
    configure(backend);
    const flusher = flushAllTheWhile(backend);
    const ended = await Promise.all(storm(8));
    // No run has killed the flushing process.
    expect(flusher.exitCode ?? flusher.signalCode).toBeNull();
    flusher.kill('SIGKILL');
    await once(flusher, 'close');
    const odd = ended.filter(({ status, stderr }) => {
      return status !== 0 && !(status === FIREWALL && stderr.includes('keeps changing the rules'));
    });
    expect(odd).toEqual([]);
    expect(ended.filter(({ status }) => status === 0).length).toBeGreaterThan(0);
    expect(victim.person(['restore']).status).toBe(0);
    expect(found(backend)).toEqual([]);
    expectLastWord(EVERYBODY);
    clearUp(backend);
  });
});

const FLUSHES: Readonly<Record<BackendName, string>> = {
  iptables: 'iptables -w -F; ip6tables -w -F',
  ipset: 'iptables -w -t raw -F; ip6tables -w -t raw -F; ipset flush',
  nftables: 'nft flush ruleset',
};

function flushAllTheWhile(backend: BackendName): ChildProcess {
  const script = `while :; do ${FLUSHES[backend]}; sleep 0.1; done`;
  return victim.host.spawn(['bash', '-c', script], { stdio: ['ignore', 'ignore', 'ignore'] });
}

test('6 processes that wait for the xtables lock of iptables-legacy succeed once it is free', async () => {
  victim.host.useIptables('legacy');
  configure('iptables');
  const script = 'exec 9>/run/xtables.lock; flock 9; echo held; read -r _; exit 0';
  const holder = victim.host.spawn(['bash', '-c', script]);
  let said = '';
  holder.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await eventually('the lock to be held', () => said.includes('held'));
  const runs = OTHERS.slice(0, 6).map((address) => execd('add', address));
  await eventually('a run to wait for the lock', () => {
    return (
      victim.host.run(['pgrep', '--ns', String(victim.host.pid), '-f', 'restore']).status === 0
    );
  });
  holder.stdin?.end();
  const ended = await Promise.all(runs);
  expect(ended.filter(({ status }) => status !== 0)).toEqual([]);
  expect(found('iptables')).toEqual([]);
  clearUp('iptables');
  victim.host.useIptables('nft');
});
