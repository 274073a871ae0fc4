// execd waits for the program without limit. Whatever other processes block, a run ends in bounded time and reports the
// truth.
import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, describe, expect, test } from '@jest/globals';
import { answerTo, wazuh4Message } from '../support/alerts.ts';
import { createVictim, ossecLine, STATE_DIRECTORY, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const STORE = `${STATE_DIRECTORY}/state.db`;
const UNAVAILABLE = 69;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

/** Runs a Node script inside the host. Returns a function that ends it. */
async function during(code: string): Promise<() => Promise<unknown>> {
  const script = `const { DatabaseSync } = require('node:sqlite');
    ${code}
    console.log('ready');
    process.stdin.on('end', () => process.exit()).resume();`;
  const child = victim.host.spawn([process.execPath, '-e', script]);
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await eventually('it to be ready', () => said.includes('ready'));
  const ended = once(child, 'exit');
  return () => {
    child.stdin?.end();
    return ended;
  };
}

describe('while another process locks the state forever', () => {
  test.each([
    ['for writing', `globalThis.held = new DatabaseSync('${STORE}'); held.exec('BEGIN IMMEDIATE')`],
    [
      'for himself alone',
      `globalThis.held = new DatabaseSync('${STORE}', { timeout: 5000 });
       held.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE')`,
    ],
  ])(
    '%s, addresses are blocked and unblocked in bounded time, and the log says why it took long',
    async (_, code) => {
      victim.add(B);
      const release = await during(code);
      const added = victim.add(A);
      expect(added.status).toBe(0);
      expect(victim.rules(A)).toHaveLength(2);
      expect(added.lines).toEqual([expect.stringMatching(ossecLine('add', A))]);
      expect(victim.troubles().join('\n')).toContain('state');
      const deleted = victim.delete(B);
      expect(deleted.status).toBe(0);
      expect(deleted.lines).toEqual([expect.stringMatching(ossecLine('delete', B))]);
      expect(victim.rules(B)).toEqual([]);
      await release();
      expect(victim.delete(A).status).toBe(0);
      expect(victim.delete(B).status).toBe(0);
      expect(victim.allRules()).toEqual([]);
      expect(victim.bans()).toEqual([]);
    },
  );
});

describe('a full pipe that nobody reads', () => {
  const respondInto = (descriptor: 1 | 2): number | null => {
    const message = wazuh4Message({ srcip: A });
    // The shell also opens the pipe for reading. Without a reader, writing would fail at once.
    const script = `fifo=/var/tmp/fifo$$; mkfifo $fifo; exec 9<>$fifo
      dd if=/dev/zero of=$fifo bs=4096 count=16 2>/dev/null
      exec active-response/bin/firewall-drop ${descriptor}>$fifo`;
    return victim.host.run(['bash', '-c', script], {
      cwd: victim.agent.home,
      input: message + answerTo(message, 'continue'),
    }).status;
  };

  test('prevents a block if it is stdout, and the run ends at the bound', () => {
    victim.configure('[limits]\ntotal_seconds = 5\n');
    expect(respondInto(1)).toBe(UNAVAILABLE);
    expect(victim.log()).toEqual([expect.stringMatching(ossecLine('failed', A))]);
    expect(victim.allRules()).toEqual([]);
  });

  test('delays nothing if it is stderr', () => {
    victim.configure('nonsense = 1\n');
    expect(respondInto(2)).toBe(0);
    expect(victim.troubles().join('\n')).toContain('nonsense');
    expect(victim.rules(A)).toHaveLength(2);
  });
});

test('a pending IPv6 change that fails takes only a part of an alert’s time, and the IPv4 address is blocked', () => {
  const A6 = '2001:db8:ffff::7';
  const link = '/etc/alternatives/ip6tables-restore';
  expect(victim.add(A6).status).toBe(0);
  victim.host.writeFile('/run/hangs', '#!/bin/sh\nexec sleep 600\n', { mode: '0755' });
  victim.host.symlink('/run/hangs', link);
  try {
    victim.configure('[firewall]\nprogram_timeout_seconds = 1\n');
    expect(victim.delete(A6).status).toBe(UNAVAILABLE);
    victim.configure('[firewall]\nprogram_timeout_seconds = 120\n[limits]\ntotal_seconds = 20\n');
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
  } finally {
    victim.host.useIptables('nft');
  }
});
