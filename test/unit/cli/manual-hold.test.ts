// The hold of a person when an address is added again, and the messages about it.
import { describe, expect, test } from '@jest/globals';
import type { Made } from '../../../src/bans/block.ts';
import { holdAfter, printBlocked, type Order } from '../../../src/cli/manual-hold.ts';
import type { Person } from '../../../src/cli/session.ts';
import { makeHold, type Ban, type Hold } from '../../../src/model/ban.ts';
import { addressOf, holdRequest } from '../support/workshop.ts';

const NOW_MS = Date.UTC(2026, 10, 29, 12);
const HOUR_MS = 3_600_000;
const TIMES = { usualSeconds: 86_400, nowMs: NOW_MS };
const PLAIN: Order = { timeoutSeconds: undefined, reason: undefined, force: false, replace: false };

/** Returns a hold that was added an hour ago with this timeout. */
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

describe('an address without a manual hold', () => {
  test.each([
    ['no ban', null],
    ['a ban of Wazuh', banWith(holdFor(600, { origin: 'wazuh' }))],
    ['a ban that is being released', { ...banWith(holdFor(null)), phase: 'unblocking' as const }],
  ])('gets the usual timeout if it has %s', (_, before) => {
    const hold = holdAfter(PLAIN, before, TIMES);
    expect(hold).toMatchObject({ timeoutSeconds: 86_400, reason: '', forced: false });
    expect(hold.expiresAtMs).toBe(NOW_MS + 24 * HOUR_MS);
  });

  test('gets the given timeout, and no end for never', () => {
    expect(endOf({ timeoutSeconds: 60 }, null)).toBe(NOW_MS + 60_000);
    expect(endOf({ timeoutSeconds: null }, null)).toBeNull();
  });
});

describe('an address with a manual hold', () => {
  test.each([
    ['after the usual timeout', 7 * 86_400],
    ['before the usual timeout', 7200],
    ['never', null],
  ])('that ends %s keeps its end without --timeout', (_, seconds) => {
    const before = holdFor(seconds);
    const after = holdAfter(PLAIN, banWith(before), TIMES);
    const { expiresAtMs, timeoutSeconds, addedMs, reason } = before;
    expect(after).toMatchObject({ expiresAtMs, timeoutSeconds, addedMs, reason });
  });

  test('gets a new end with --timeout, and keeps its reason', () => {
    const after = holdAfter({ ...PLAIN, timeoutSeconds: 60 }, banWith(holdFor(null)), TIMES);
    expect(after).toMatchObject({ expiresAtMs: NOW_MS + 60_000, reason: 'scans' });
  });

  test('gets a new reason with --reason, and keeps its end', () => {
    const after = holdAfter({ ...PLAIN, reason: 'again' }, banWith(holdFor(null)), TIMES);
    expect(after).toMatchObject({ expiresAtMs: null, reason: 'again' });
  });

  test('starts over with --replace', () => {
    const after = holdAfter({ ...PLAIN, replace: true }, banWith(holdFor(null)), TIMES);
    expect(after).toMatchObject({ expiresAtMs: NOW_MS + 24 * HOUR_MS, reason: '' });
  });

  test('stays forced', () => {
    const before = banWith(holdFor(null, { forced: true }));
    expect(holdAfter(PLAIN, before, TIMES).forced).toBe(true);
    expect(holdAfter({ ...PLAIN, replace: true }, before, TIMES).forced).toBe(false);
  });
});

describe('the message', () => {
  function said(made: readonly Made[]): string[] {
    const lines: string[] = [];
    printBlocked(made, NOW_MS, { print: (line: string) => lines.push(line) } as unknown as Person);
    return lines;
  }
  const address = addressOf('203.0.113.9');
  const hold = makeHold(
    holdRequest({ origin: 'manual', timeoutSeconds: 7500, reason: 'scans' }),
    NOW_MS,
  );

  test.each<[string, Ban | null, string]>([
    ['a new ban', null, '203.0.113.9 blocked until 14:05 UTC (2h 5m)'],
    ['an unchanged ban', banWith(hold), '203.0.113.9 was already blocked until 14:05 UTC (2h 5m)'],
    [
      'a ban with a new end',
      banWith(holdFor(null)),
      '203.0.113.9 blocked until 14:05 UTC (2h 5m); previously until released',
    ],
    [
      'a ban with a new reason',
      banWith({ ...hold, reason: 'old' }),
      '203.0.113.9 was already blocked until 14:05 UTC (2h 5m); reason changed',
    ],
    [
      'a ban that Wazuh holds as well',
      banWith(holdFor(7200, { origin: 'wazuh' })),
      '203.0.113.9 blocked until 14:05 UTC (2h 5m); wazuh holds it until 13:00 UTC (1h)',
    ],
  ])('about %s tells its end and what changed', (_, before, line) => {
    expect(said([{ address, before, hold }])).toEqual([line]);
  });

  test('about many bans is one line', () => {
    const many = Array.from({ length: 30 }, () => ({ address, before: null, hold }));
    expect(said(many)).toEqual(['30 blocked until 14:05 UTC (2h 5m)']);
    const again = [...many, { address, before: banWith(hold), hold }];
    expect(said(again)).toEqual(['31 blocked until 14:05 UTC (2h 5m); already blocked before: 1']);
  });
});
