// What becomes of a person's hold when the address is added again, and how that is said.
import { describe, expect, test } from '@jest/globals';
import type { Made } from '../../../src/bans/block.ts';
import { holdAfter, sayBlocked, type Order } from '../../../src/cli/manual-hold.ts';
import type { Person } from '../../../src/cli/session.ts';
import { makeHold, type Ban, type Hold } from '../../../src/model/ban.ts';
import { addressOf, holdRequest } from '../support/workshop.ts';

const NOW_MS = Date.UTC(2026, 10, 29, 12);
const HOUR_MS = 3_600_000;
const TIMES = { usualSeconds: 86_400, nowMs: NOW_MS };
const PLAIN: Order = { timeoutSeconds: undefined, reason: undefined, force: false, replace: false };

/** Made an hour ago for so long. */
function holdFor(timeoutSeconds: number | null, parts: Partial<Hold> = {}): Hold {
  const request = holdRequest({ origin: 'manual', timeoutSeconds, reason: 'scans' });
  return { ...makeHold(request, NOW_MS - HOUR_MS), ...parts };
}

function banWith(...holds: Hold[]): Ban {
  const address = addressOf('203.0.113.9');
  return { address, phase: 'blocked', sinceMs: NOW_MS - HOUR_MS, holds, foreign: {} };
}

function endOf(order: Partial<Order>, before: Ban | null): number | null {
  return holdAfter({ ...PLAIN, ...order }, before, TIMES).expiresAtMs;
}

describe('an address without a hold of a person', () => {
  test.each([
    ['no ban', null],
    ['a ban of Wazuh', banWith(holdFor(600, { origin: 'wazuh' }))],
    ['a ban that is being released', { ...banWith(holdFor(null)), phase: 'unblocking' as const }],
  ])('gets the usual timeout: %s', (_, before) => {
    const hold = holdAfter(PLAIN, before, TIMES);
    expect(hold).toMatchObject({ timeoutSeconds: 86_400, reason: '', forced: false });
    expect(hold.expiresAtMs).toBe(NOW_MS + 24 * HOUR_MS);
  });

  test('gets the timeout that is said, and none for never', () => {
    expect(endOf({ timeoutSeconds: 60 }, null)).toBe(NOW_MS + 60_000);
    expect(endOf({ timeoutSeconds: null }, null)).toBeNull();
  });
});

describe('an address that a person holds already', () => {
  test.each([
    ['longer than the usual timeout', 7 * 86_400],
    ['shorter', 7200],
    ['for ever', null],
  ])('keeps its end without --timeout: %s', (_, seconds) => {
    const before = holdFor(seconds);
    const after = holdAfter(PLAIN, banWith(before), TIMES);
    const { expiresAtMs, timeoutSeconds, addedMs, reason } = before;
    expect(after).toMatchObject({ expiresAtMs, timeoutSeconds, addedMs, reason });
  });

  test('gets another end by --timeout, and keeps its reason', () => {
    const after = holdAfter({ ...PLAIN, timeoutSeconds: 60 }, banWith(holdFor(null)), TIMES);
    expect(after).toMatchObject({ expiresAtMs: NOW_MS + 60_000, reason: 'scans' });
  });

  test('gets another reason by --reason, and keeps its end', () => {
    const after = holdAfter({ ...PLAIN, reason: 'again' }, banWith(holdFor(null)), TIMES);
    expect(after).toMatchObject({ expiresAtMs: null, reason: 'again' });
  });

  test('begins anew with --replace', () => {
    const after = holdAfter({ ...PLAIN, replace: true }, banWith(holdFor(null)), TIMES);
    expect(after).toMatchObject({ expiresAtMs: NOW_MS + 24 * HOUR_MS, reason: '' });
  });

  test('stays forced', () => {
    const before = banWith(holdFor(null, { forced: true }));
    expect(holdAfter(PLAIN, before, TIMES).forced).toBe(true);
    expect(holdAfter({ ...PLAIN, replace: true }, before, TIMES).forced).toBe(false);
  });
});

describe('what is said', () => {
  function said(made: readonly Made[]): string[] {
    const lines: string[] = [];
    sayBlocked(made, NOW_MS, { print: (line: string) => lines.push(line) } as unknown as Person);
    return lines;
  }
  const address = addressOf('203.0.113.9');
  const hold = makeHold(
    holdRequest({ origin: 'manual', timeoutSeconds: 7500, reason: 'scans' }),
    NOW_MS,
  );

  test.each<[string, Ban | null, string]>([
    ['a new block', null, '203.0.113.9 blocked until 14:05 UTC (2h 5m)'],
    [
      'one that stays as it is',
      banWith(hold),
      '203.0.113.9 was blocked already, until 14:05 UTC (2h 5m)',
    ],
    [
      'one with another end',
      banWith(holdFor(null)),
      '203.0.113.9 blocked until 14:05 UTC (2h 5m), before: until it is released',
    ],
    [
      'one with another reason',
      banWith({ ...hold, reason: 'old' }),
      '203.0.113.9 was blocked already, until 14:05 UTC (2h 5m); the reason is new',
    ],
    [
      'one that Wazuh holds as well',
      banWith(holdFor(7200, { origin: 'wazuh' })),
      '203.0.113.9 blocked until 14:05 UTC (2h 5m); wazuh holds it until 13:00 UTC (1h)',
    ],
  ])('of %s', (_, before, line) => {
    expect(said([{ address, before, hold }])).toEqual([line]);
  });

  test('of many is one line', () => {
    const many = Array.from({ length: 30 }, () => ({ address, before: null, hold }));
    expect(said(many)).toEqual(['30 blocked until 14:05 UTC (2h 5m)']);
    const again = [...many, { address, before: banWith(hold), hold }];
    expect(said(again)).toEqual(['31 blocked until 14:05 UTC (2h 5m); 1 of them were already']);
  });
});
