// Releasing: what goes, what stays because others still hold it, and what the log is told.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import type { Origin } from '../../../src/model/ban.ts';
import { ProgramMissing } from '../../../src/model/errors.ts';
import { block } from '../../../src/bans/block.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { recover } from '../../../src/bans/recover.ts';
import { unblock, unblockAll, type ReleaseOutcome } from '../../../src/bans/unblock.ts';
import { dies, refuses } from '../support/kernel.ts';
import {
  addressOf,
  blockAll,
  codeOf,
  holdRequest,
  NOTHING_PROTECTED,
  Workshop,
} from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');
const RULE = '-s 203.0.113.9/32 -j DROP';
const DELETE_LINE = 'delete 203.0.113.9 1620563486.6306696 31151';

let host: Workshop;
let context: BanContext;
beforeEach(() => {
  host = new Workshop();
  context = host.newRun();
});
afterEach(() => {
  host.close();
});

function release(origin: Origin | null, by: BanContext = context): ReleaseOutcome {
  return unblock(ATTACKER, { origin, alertRef: holdRequest().alertRef }, by);
}

describe('an unblock', () => {
  test('leaves no rule and no ban, and is one line', () => {
    block(ATTACKER, holdRequest(), context);
    expect(release('wazuh')).toBe('released');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.openStore().bans.list()).toEqual([]);
    expect(host.log.lines.slice(1)).toEqual([DELETE_LINE]);
  });

  test('takes one process where the state is right', () => {
    block(ATTACKER, holdRequest(), context);
    const before = host.kernel.commands.length;
    release('wazuh');
    expect(host.kernel.commands).toHaveLength(before + 1);
  });

  test('ends what thirty adds began', () => {
    for (let count = 0; count < 30; count++) block(ATTACKER, holdRequest(), context);
    release('wazuh');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('removes the copies that another program left, though our state has none', () => {
    for (let count = 0; count < 3; count++) host.kernel.insert('INPUT', RULE);
    release('wazuh');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('succeeds where the kernel was flushed', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.flush();
    expect(release('wazuh', host.newRun())).toBe('released');
    expect(host.openStore().bans.list()).toEqual([]);
  });

  test('removes the other rule where an administrator removed one', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.remove('INPUT', RULE);
    release('wazuh', host.newRun());
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('of an address that is not blocked changes nothing, writes no line and is not counted', () => {
    expect(release('wazuh')).toBe('absent');
    expect(host.log.lines).toEqual([]);
    expect(host.openStore().bans.list()).toEqual([]);
    expect(host.openStore().history.tallies()).toEqual([]);
    expect(host.kernel.changingCommands).toBe(0);
  });

  test.each(['iptables', 'ipset'] as const)(
    'of an address that is dropped as a part of a network finds nothing to release, with %s',
    (backend) => {
      block(addressOf('203.0.113.0/24'), holdRequest(), host.newRun(backend));
      expect(release('wazuh', host.newRun(backend))).toBe('absent');
      expect(host.log.lines).toEqual(['add 203.0.113.0/24 1620563486.6306696 31151']);
    },
  );

  test('of an address without a ban removes the rules that another program left for it', () => {
    for (const chain of ['INPUT', 'INPUT', 'FORWARD']) host.kernel.insert(chain, RULE);
    expect(release('wazuh')).toBe('released');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.log.lines).toEqual([DELETE_LINE]);
  });

  test.each([
    ['before our block', true],
    ['and we never blocked', false],
  ])('by a person names the addresses that another program dropped %s', (_, isBlocked) => {
    host.kernel.insert('INPUT', '-s 203.0.113.9/32 -j DROP');
    if (isBlocked) block(ATTACKER, holdRequest(), context);
    const { alertRef } = holdRequest();
    const { foreign } = unblockAll([ATTACKER], { origin: null, alertRef, named: true }, context);
    expect(foreign).toEqual([ATTACKER]);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('touches no other address', () => {
    block(ATTACKER, holdRequest(), context);
    block(addressOf('203.0.113.90'), holdRequest(), context);
    release('wazuh');
    expect(host.rulesFor('203.0.113.90')).toEqual([1, 1]);
    expect(host.openStore().bans.list()).toHaveLength(1);
  });
});

describe('an address that others hold too', () => {
  beforeEach(() => {
    block(ATTACKER, holdRequest(), context);
    block(ATTACKER, holdRequest({ origin: 'manual', timeoutSeconds: null }), context);
  });

  test('stays blocked, and the log says `kept` and never `delete`', () => {
    expect(release('wazuh')).toBe('kept');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.holders('203.0.113.9')).toEqual(['manual']);
    expect(host.log.lines.at(-1)).toBe('kept 203.0.113.9 1620563486.6306696 31151');
  });

  test('is a line `failed` when the kernel refuses, and `kept` once it obeys', () => {
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(codeOf(() => release('wazuh'))).toBe('FIREWALL');
    expect(host.log.lines.at(-1)).toBe('failed 203.0.113.9 1620563486.6306696 31151');
    host.kernel.disturbAlways(null);
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.log.lines.at(-1)).toBe('kept 203.0.113.9 1620563486.6306696 31151');
    expect(host.holders('203.0.113.9')).toEqual(['manual']);
  });

  test('is unblocked with its last hold', () => {
    release('wazuh');
    expect(release('manual')).toBe('released');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('is unblocked at once by a person, who ends all holds', () => {
    expect(release(null)).toBe('released');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.openStore().bans.list()).toEqual([]);
  });

  test('is released by execd where a person released it and the kernel refused', () => {
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(codeOf(() => release(null))).toBe('FIREWALL');
    host.kernel.disturbAlways(null);
    expect(release('wazuh')).toBe('released');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.openStore().bans.list()).toEqual([]);
  });

  test('is kept when execd ends a hold that it never had', () => {
    release('wazuh');
    expect(release('wazuh')).toBe('kept');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });
});

describe('an unblock that the kernel refuses', () => {
  beforeEach(() => {
    block(ATTACKER, holdRequest(), context);
  });

  test('is an error and a line `failed`, never `delete`', () => {
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(codeOf(() => release('wazuh'))).toBe('FIREWALL');
    expect(host.log.lines.at(-1)).toBe('failed 203.0.113.9 1620563486.6306696 31151');
  });

  test('stays pending in the state, so that the next run tries again', () => {
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(codeOf(() => release('wazuh'))).toBe('FIREWALL');
    expect(host.openStore().bans.pending()).toMatchObject([{ phase: 'unblocking' }]);
  });

  test('is no failure when the program did its work and then crashed', () => {
    host.kernel.disturb(dies);
    expect(release('wazuh')).toBe('released');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });
});

describe('a list', () => {
  const list = ['203.0.113.1', '203.0.113.2', '2001:db8::1'].map(addressOf);
  const everything = { origin: null, alertRef: holdRequest().alertRef };

  test('is unblocked in one process for each family, with one line for each address', () => {
    for (const address of list) block(address, holdRequest(), context);
    const before = host.kernel.commands.length;
    unblockAll(list, everything, context);
    expect(host.kernel.commands).toHaveLength(before + 2);
    expect(host.kernel.rules('INPUT')).toEqual([]);
    expect(host.log.lines.filter((line) => line.startsWith('delete'))).toHaveLength(3);
  });

  test('is divided into what is unblocked and what other holds keep', () => {
    for (const address of list) block(address, holdRequest(), context);
    block(list[0] ?? ATTACKER, holdRequest({ origin: 'manual' }), context);
    const { released, kept } = unblockAll(list, { ...everything, origin: 'wazuh' }, context);
    expect(kept.map(({ text }) => text)).toEqual(['203.0.113.1']);
    expect(released.map(({ text }) => text)).toEqual(['203.0.113.2', '2001:db8::1']);
  });

  test('that one family refuses says `failed` for that family only', () => {
    for (const address of list) block(address, holdRequest(), context);
    host.kernel.disturbAlways((command, work) =>
      command.program.startsWith('ip6') ? refuses(3, 'no IPv6 here')(command, work) : work(),
    );
    expect(codeOf(() => unblockAll(list, everything, context))).toBe('FIREWALL');
    expect(host.kernel.rules('INPUT')).toEqual([]);
    expect(host.log.lines.filter((line) => line.startsWith('failed'))).toEqual([
      'failed 2001:db8::1 1620563486.6306696 31151',
    ]);
  });

  test('of thousands goes in parts, each of which is complete when it is reported', () => {
    const many = Array.from({ length: 1500 }, (_, n) =>
      addressOf(`198.51.${100 + (n >> 8)}.${n & 255}`),
    );
    blockAll(many, holdRequest(), context);
    const before = host.kernel.commands.length;
    unblockAll(many, everything, context);
    expect(host.kernel.commands).toHaveLength(before + 2);
    expect(host.kernel.rules('INPUT')).toEqual([]);
    expect(host.openStore().bans.list()).toEqual([]);
    expect(host.progress.slice(-2)).toEqual([
      [1000, 1500],
      [1500, 1500],
    ]);
  });
});

test('of an address without a ban fails once where the firewall program is missing, and stays pending for no later run', () => {
  const [banned, unknown] = [ATTACKER, addressOf('203.0.113.8')];
  block(banned, holdRequest(), context);
  host.kernel.disturbAlways(() => {
    throw new ProgramMissing('iptables-restore was not found');
  });
  expect(
    codeOf(() =>
      unblockAll([unknown, banned], { origin: null, alertRef: holdRequest().alertRef }, context),
    ),
  ).toBe('FIREWALL');
  expect(host.log.lines.filter((line) => line.startsWith('failed'))).toHaveLength(2);
  expect(host.openStore().bans.pending()).toMatchObject([{ address: banned }]);
});

test('a full disk does not stop an unblock', () => {
  block(ATTACKER, holdRequest(), context);
  host.refuseWritesTo('bans');
  expect(release('wazuh', host.newRun())).toBe('released');
  expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
});
