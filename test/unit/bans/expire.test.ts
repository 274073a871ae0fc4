// Expiry: a block with a timeout ends exactly in time and is logged as a release.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { block } from '../../../src/bans/block.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { recover } from '../../../src/bans/recover.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { refuses } from '../support/kernel.ts';
import {
  NOTHING_PROTECTED,
  addressOf,
  codeOf,
  holdRequest,
  NOON_MS,
  Workshop,
} from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');

let host: Workshop;
let context: BanContext;
beforeEach(() => {
  host = new Workshop();
  context = host.newRun();
});
afterEach(() => {
  host.close();
});

function expiredAt(nowMs: number): string[] {
  host.nowMs = nowMs;
  return expireDue(host.newRun()).map((ban) => ban.address.text);
}

test('a block for ten minutes ends after ten minutes and not before', () => {
  block(ATTACKER, holdRequest({ timeoutSeconds: 600 }), context);
  expect(expiredAt(NOON_MS + 599_999)).toEqual([]);
  expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  expect(expiredAt(NOON_MS + 600_000)).toEqual(['203.0.113.9']);
  expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  expect(host.openStore().bans.list()).toEqual([]);
});

test('a block without a timeout never expires', () => {
  block(ATTACKER, holdRequest({ timeoutSeconds: null }), context);
  expect(expiredAt(NOON_MS + 1e12)).toEqual([]);
});

test('an expiry is logged as `delete`, with the alert that began the ban', () => {
  block(ATTACKER, holdRequest(), context);
  expiredAt(NOON_MS + 600_000);
  expect(host.log.lines.at(-1)).toBe('delete 203.0.113.9 1620563486.6306696 31151');
});

test('the line of an expiry names the alert that kept the address longest', () => {
  block(ATTACKER, holdRequest({ timeoutSeconds: 900 }), context);
  const alertRef = { alertId: '1.2', ruleId: '3' };
  block(ATTACKER, holdRequest({ origin: 'manual', timeoutSeconds: 60, alertRef }), context);
  expiredAt(NOON_MS + 900_000);
  expect(host.log.lines.at(-1)).toBe('delete 203.0.113.9 1620563486.6306696 31151');
});

test('hundreds of due blocks are unblocked with one process per family', () => {
  for (let host_ = 1; host_ <= 200; host_++)
    block(addressOf(`198.51.100.${host_}`), holdRequest(), context);
  block(addressOf('2001:db8::9'), holdRequest(), context);
  const before = host.kernel.commands.length;
  expect(expiredAt(NOON_MS + 600_000)).toHaveLength(201);
  expect(host.kernel.commands).toHaveLength(before + 2);
  expect(host.kernel.rules('INPUT')).toEqual([]);
});

test('no process runs if no block is due', () => {
  block(ATTACKER, holdRequest(), context);
  const before = host.kernel.commands.length;
  expiredAt(NOON_MS + 1);
  expect(host.kernel.commands).toHaveLength(before);
});

describe('an address that others hold longer', () => {
  test('stays blocked without a line and loses the expired hold', () => {
    block(ATTACKER, holdRequest({ timeoutSeconds: 60 }), context);
    block(ATTACKER, holdRequest({ origin: 'manual', timeoutSeconds: null }), context);
    const lines = [...host.log.lines];
    expect(expiredAt(NOON_MS + 60_000)).toEqual([]);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.holders('203.0.113.9')).toEqual(['manual']);
    expect(host.log.lines).toEqual(lines);
  });
});

test('a ban whose rules were flushed still expires', () => {
  block(ATTACKER, holdRequest(), context);
  host.kernel.flush();
  expect(expiredAt(NOON_MS + 600_000)).toEqual(['203.0.113.9']);
  expect(host.openStore().bans.list()).toEqual([]);
});

describe('an expiry that the kernel refuses', () => {
  test('throws an error without a `delete` line and is completed by the next run', () => {
    block(ATTACKER, holdRequest(), context);
    const lines = [...host.log.lines];
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(codeOf(() => expiredAt(NOON_MS + 600_000))).toBe('FIREWALL');
    expect(host.log.lines).toEqual(lines);
    host.kernel.disturbAlways(null);
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.log.lines.slice(lines.length)).toEqual([
      'delete 203.0.113.9 1620563486.6306696 31151',
    ]);
  });

  test('of one family does not delay the other', () => {
    block(addressOf('2001:db8::9'), holdRequest(), context);
    block(ATTACKER, holdRequest(), context);
    host.kernel.disturbAlways((command, work) =>
      command.program.startsWith('ip6') ? refuses(3, 'no IPv6 here')(command, work) : work(),
    );
    expect(codeOf(() => expiredAt(NOON_MS + 600_000))).toBe('FIREWALL');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });
});
