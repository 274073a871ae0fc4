// Rules from a saved file are removed only if all evidence says that they were ours.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { block } from '../../../src/bans/block.ts';
import { noteBoot, releaseOrphans, type SavedFile } from '../../../src/bans/orphans.ts';
import { recover } from '../../../src/bans/recover.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import { heldBy, readRules } from '../../../src/firewall/iptables/rules.ts';
import type { ClockReading } from '../../../src/system/procfs.ts';
import { refuses } from '../support/kernel.ts';
import {
  NOTHING_PROTECTED,
  addressOf,
  codeOf,
  holdRequest,
  NOON_MS,
  Workshop,
} from '../support/workshop.ts';

const A = '203.0.113.9';
const ATTACKER = addressOf(A);
const DROP = `-s ${A}/32 -j DROP`;
const CHAINS = ['INPUT', 'FORWARD'];
const MINUTE_MS = 60_000;
const PATH = '/etc/iptables/rules.v4';

let host: Workshop;
beforeEach(() => {
  host = new Workshop();
});
afterEach(() => {
  host.close();
});

function clockOf(bootId: string, upMs = MINUTE_MS): ClockReading {
  return { bootId, uptimeMs: upMs, wallMs: host.nowMs };
}

function later(minutes: number): void {
  host.nowMs += minutes * MINUTE_MS;
}

/** Returns the output of iptables-save. */
function savedNow(): string {
  return host.kernel.run({ program: 'iptables-save', args: [], input: '' }, 1000).stdout;
}

function fileOf(text: string, savedMs: number): SavedFile {
  return { path: PATH, savedMs, held: heldBy(readRules(text).rules, [...CHAINS, 'DOCKER-USER']) };
}

/** Blocks for ten minutes, with a save in the middle. */
function blockSaveRelease({
  whileBlocked = (): void => undefined,
  isNoted = true,
} = {}): SavedFile {
  const context = host.newRun();
  if (isNoted) noteBoot(context.store, clockOf('first'));
  block(ATTACKER, holdRequest(), context);
  later(5);
  whileBlocked();
  const file = fileOf(savedNow(), host.nowMs);
  later(5);
  unblock(ATTACKER, { origin: 'wazuh', alertRef: holdRequest().alertRef }, host.newRun());
  return file;
}

/** Reboots: the kernel loses all rules, and the saved file is loaded. */
function reboot({ held }: SavedFile): void {
  later(60);
  host.kernel.flush();
  for (const { chains } of held.values())
    for (const chain of chains) host.kernel.insert(chain, DROP);
  later(1);
}

function look(file: SavedFile, clock = clockOf('second'), backendName = 'iptables'): string[] {
  const run = host.newRun();
  const context = { ...run, firewall: { ...run.firewall, backendName } };
  const orphans = releaseOrphans({ files: [file], clock, chains: CHAINS }, context);
  context.store.metadata.flush();
  return orphans.map(({ address, path }) => `${address.text} from ${path}`);
}

test('a rule that was saved during its ban and loaded at boot is removed with a line and a reason', () => {
  const file = blockSaveRelease();
  reboot(file);
  expect(look(file)).toEqual([`${A} from ${PATH}`]);
  expect(host.rulesFor(A)).toEqual([0, 0]);
  expect(host.log.lines).toHaveLength(3);
  expect(host.log.lines.at(-1)).toMatch(/^delete 203\.0\.113\.9 /);
  const filter = { address: ATTACKER, sinceMs: 0, afterId: 0, limit: 1 };
  expect(host.openStore().history.find(filter)[0]?.reason).toBe(`came back from ${PATH}`);
  expect(host.openStore().bans.list()).toEqual([]);
});

describe('a rule stays if it', () => {
  test('was saved after our ban had ended', () => {
    blockSaveRelease();
    later(1);
    for (const chain of CHAINS) host.kernel.insert(chain, DROP);
    const file = fileOf(savedNow(), host.nowMs);
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('was saved before our first ban', () => {
    const file = { ...blockSaveRelease(), savedMs: NOON_MS - MINUTE_MS };
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('has no ban in the state', () => {
    const file = blockSaveRelease();
    host.openStore().history.prune(host.nowMs + 1);
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('was only in one chain', () => {
    const file = blockSaveRelease({
      whileBlocked: () => {
        host.kernel.remove('FORWARD', DROP);
      },
    });
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 0]);
  });

  test('was saved beside another rule with the same text', () => {
    const file = blockSaveRelease({
      whileBlocked: () => {
        host.kernel.insert('INPUT', DROP);
      },
    });
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([2, 1]);
  });

  test('is in one chain of the file, and another program made one in the other chain', () => {
    const file = blockSaveRelease({
      whileBlocked: () => {
        host.kernel.remove('FORWARD', DROP);
      },
    });
    reboot(file);
    host.kernel.insert('FORWARD', DROP);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('was saved between two of our bans', () => {
    blockSaveRelease();
    later(1);
    for (const chain of CHAINS) host.kernel.insert(chain, DROP);
    const file = fileOf(savedNow(), host.nowMs);
    blockSaveRelease();
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('has got another rule with the same text beside it', () => {
    const file = blockSaveRelease();
    reboot(file);
    host.kernel.insert('INPUT', DROP);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([2, 1]);
  });

  test('drops an address that is blocked again', () => {
    const file = blockSaveRelease();
    later(1);
    block(ATTACKER, holdRequest({ timeoutSeconds: null }), host.newRun());
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('may have been added later, because there was no boot', () => {
    const file = blockSaveRelease();
    reboot(file);
    expect(look(file, clockOf('first'))).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('may have been added after the first run of this boot', () => {
    const file = blockSaveRelease();
    later(60);
    host.kernel.flush();
    expect(look(file)).toEqual([]);
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('came after a release in the same boot', () => {
    const file = blockSaveRelease();
    for (const chain of CHAINS) host.kernel.insert(chain, DROP);
    expect(look(file, clockOf('second', 30 * MINUTE_MS))).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('is plain while our bans are in sets', () => {
    const file = blockSaveRelease();
    reboot(file);
    expect(look(file, clockOf('second'), 'nftables')).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('was loaded in a boot without an id', () => {
    const file = blockSaveRelease();
    reboot(file);
    expect(look(file, clockOf(''))).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });

  test('was loaded before any boot was recorded', () => {
    const file = blockSaveRelease({ isNoted: false });
    reboot(file);
    expect(look(file)).toEqual([]);
    expect(host.rulesFor(A)).toEqual([1, 1]);
  });
});

test('a file without rules of ours does not lead to a look at the kernel', () => {
  const file = { ...blockSaveRelease(), held: new Map() };
  const before = host.kernel.commands.length;
  expect(look(file)).toEqual([]);
  expect(host.kernel.commands).toHaveLength(before);
});

test('a removal that the kernel refuses stays pending, and the next run completes it', () => {
  const file = blockSaveRelease();
  reboot(file);
  host.kernel.disturbAlways((command, work) =>
    /^-D /m.test(command.input) ? refuses(3, 'no')(command, work) : work(),
  );
  expect(codeOf(() => look(file))).toBe('FIREWALL');
  expect(host.rulesFor(A)).toEqual([1, 1]);
  host.kernel.disturbAlways(null);
  recover(host.newRun(), NOTHING_PROTECTED);
  expect(host.rulesFor(A)).toEqual([0, 0]);
});
