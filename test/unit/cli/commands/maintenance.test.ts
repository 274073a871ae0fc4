// The commands that a timer calls: each does what it can, even if one part fails.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { block } from '../../../../src/bans/block.ts';
import { recover } from '../../../../src/bans/recover.ts';
import { unblock } from '../../../../src/bans/unblock.ts';
import type { CommandSpec } from '../../../../src/cli/command.ts';
import { expire, reconcile, restoreCommand } from '../../../../src/cli/commands/maintenance.ts';
import type { Person } from '../../../../src/cli/session.ts';
import { makeHold } from '../../../../src/model/ban.ts';
import { DEFAULT_CONFIG } from '../../../../src/config/schema.ts';
import type { Context } from '../../../../src/context.ts';
import { refuses, type Disturbance } from '../../support/kernel.ts';
import {
  addressOf,
  codeOf,
  holdRequest,
  NOON_MS,
  NOTHING_PROTECTED,
  Workshop,
} from '../../support/workshop.ts';

const withoutIpv6: Disturbance = (command, work) =>
  command.program.startsWith('ip6') ? refuses(3, 'no IPv6 here')(command, work) : work();

let host: Workshop;
let printed: string[] = [];
/** True if a command that takes the lock completes pending changes, as it does unless the kernel refuses. */
let recovers = false;
beforeEach(() => {
  recovers = false;
  host = new Workshop();
  printed = [];
});
afterEach(() => {
  host.close();
});

async function runCommand(command: CommandSpec, options = {}): Promise<number> {
  const run = host.newRun();
  const context = {
    ...run,
    config: DEFAULT_CONFIG,
    lock: () => null,
    recover: () => {
      if (recovers) recover(run, NOTHING_PROTECTED);
    },
    protectedEntries: () => [],
  } as unknown as Context;
  const person: Person = {
    createContext: () => context,
    print: (line) => printed.push(line),
    complain: () => undefined,
    note: () => undefined,
    name: 'root',
    loggedInFrom: null,
    commands: [],
    terminal: { width: null, height: null, colours: false, watchesErrors: false, ask: null },
  };
  return command.run([], options, person);
}

/** Leaves a pending release of an IPv6 address on a host without IPv6 tables, which can never be completed. */
function leaveUnfinishedIpv6(): void {
  const release = { origin: 'wazuh', alertRef: holdRequest().alertRef } as const;
  host.kernel.disturbAlways(withoutIpv6);
  expect(codeOf(() => unblock(addressOf('2001:db8::9'), release, host.newRun()))).toBe('FIREWALL');
}

describe('`expire`', () => {
  test('unblocks an address whose ban has expired, and prints it', async () => {
    block(addressOf('203.0.113.9'), holdRequest(), host.newRun());
    host.nowMs = NOON_MS + 600_000;
    await runCommand(expire);
    expect(printed).toEqual(['203.0.113.9 released']);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('unblocks expired bans even if a pending change can’t be completed', async () => {
    block(addressOf('203.0.113.9'), holdRequest(), host.newRun());
    leaveUnfinishedIpv6();
    host.nowMs = NOON_MS + 600_000;
    await expect(runCommand(expire)).rejects.toMatchObject({ code: 'FIREWALL' });
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });
});

describe('`restore`', () => {
  test('restores bans that a reboot removed, and counts them', async () => {
    block(addressOf('203.0.113.9'), holdRequest(), host.newRun());
    host.kernel.flush();
    await runCommand(restoreCommand);
    expect(printed).toEqual(['1 ban restored']);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('does not restore an expired ban', async () => {
    block(addressOf('203.0.113.9'), holdRequest(), host.newRun());
    host.kernel.flush();
    host.nowMs = NOON_MS + 600_000;
    await runCommand(restoreCommand);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('restores the other bans if a pending change can’t be completed', async () => {
    block(addressOf('203.0.113.9'), holdRequest(), host.newRun());
    leaveUnfinishedIpv6();
    host.kernel.flush();
    await expect(runCommand(restoreCommand)).rejects.toMatchObject({ code: 'FIREWALL' });
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });
});

/** Leaves two pending changes, as a bulk add does that is interrupted before it changes the kernel. */
function leaveTwoPending(): void {
  const { store, responseLog } = host.newRun();
  const hold = makeHold(holdRequest(), NOON_MS);
  const begun = { phase: 'blocking', line: null, offset: responseLog.offset(), hold } as const;
  const addresses = ['203.0.113.9', '203.0.113.10'].map(addressOf);
  store.bans.begin(
    addresses.map((address) => ({ ...begun, address })),
    NOON_MS,
  );
}

test.each([
  ['`reconcile`', reconcile],
  ['`restore`', restoreCommand],
])('%s reports the pending changes that it completes as restored', async (_, command) => {
  leaveTwoPending();
  recovers = true;
  await runCommand(command);
  expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  expect(printed).toEqual(['2 bans restored']);
});

describe('`reconcile --dry-run`', () => {
  test('exits with 0 if state and kernel agree', async () => {
    block(addressOf('203.0.113.9'), holdRequest(), host.newRun());
    expect(await runCommand(reconcile, { 'dry-run': true })).toBe(0);
  });

  test('exits with 1 after an interrupted run, counts the pending changes and prints the commands for them', async () => {
    leaveTwoPending();
    expect(await runCommand(reconcile, { 'dry-run': true })).toBe(1);
    expect(printed[0]).toBe('2 changes pending: an earlier run was interrupted');
    expect(printed.join('\n')).toContain('-I INPUT 1 -s 203.0.113.10/32 -j DROP');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('exits with 1 if state and kernel differ, prints the commands, and changes nothing', async () => {
    block(addressOf('203.0.113.9'), holdRequest(), host.newRun());
    host.kernel.flush();
    expect(await runCommand(reconcile, { 'dry-run': true })).toBe(1);
    expect(printed.join('\n')).toContain('-I INPUT 1 -s 203.0.113.9/32 -j DROP');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });
});
