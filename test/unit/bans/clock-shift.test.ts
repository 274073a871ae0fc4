// The wall clock can be set at any time; a block must still last as long as requested.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { block } from '../../../src/bans/block.ts';
import { followClock, lastReading } from '../../../src/bans/clock-shift.ts';
import { addressOf, holdRequest, NOON_MS, Workshop } from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');
const YEAR_MS = 365 * 86_400_000;
const BOOT = 'a1';

let host: Workshop;
beforeEach(() => {
  host = new Workshop();
});
afterEach(() => {
  host.close();
});

/** Runs with these clocks. Returns the milliseconds that the attacker stays blocked. */
function runAt(wallMs: number, uptimeMs: number, bootId = BOOT): number | null {
  const store = host.openStore();
  followClock(store, { bootId, uptimeMs, wallMs });
  store.metadata.flush();
  const expiresAtMs = store.bans.find(ATTACKER)?.holds[0]?.expiresAtMs ?? null;
  return expiresAtMs === null ? null : expiresAtMs - wallMs;
}

function blockFor(timeoutSeconds: number | null): void {
  runAt(NOON_MS, 1_000_000);
  block(ATTACKER, holdRequest({ timeoutSeconds }), host.newRun());
}

describe('the remaining time', () => {
  beforeEach(() => {
    blockFor(600);
  });

  test('decreases with the time since boot', () => {
    expect(runAt(NOON_MS + 60_000, 1_060_000)).toBe(540_000);
  });

  test.each([
    ['a year ahead', YEAR_MS],
    ['a year back', -YEAR_MS],
    ['to 1970', -NOON_MS],
    ['past 2038', Date.UTC(2040, 0, 1) - NOON_MS],
    ['an hour ahead', 3_600_000],
    ['an hour back', -3_600_000],
  ])('is the same after the wall clock was set %s', (_, stepMs) => {
    expect(runAt(NOON_MS + stepMs + 60_000, 1_060_000)).toBe(540_000);
  });

  test.each([
    ['can’t be read', 0],
    ['is not a number', NaN],
  ])('decreases while the time since boot %s, and when it is available again', (_, uptimeMs) => {
    const left = [1, 2].map((minutes) => runAt(NOON_MS + minutes * 60_000, uptimeMs));
    expect([...left, runAt(NOON_MS + 180_000, 1_180_000)]).toEqual([540_000, 480_000, 420_000]);
  });

  test('is not corrected twice', () => {
    runAt(NOON_MS + YEAR_MS + 60_000, 1_060_000);
    expect(runAt(NOON_MS + YEAR_MS + 120_000, 1_120_000)).toBe(480_000);
  });

  test('is not corrected twice by simultaneous runs, one of which has no writer lock', () => {
    const stores = [host.openStore(), host.openStore()];
    // Each run reads the metadata when it begins.
    for (const store of stores) lastReading(store);
    for (const store of stores) {
      const wallMs = NOON_MS - 3_600_000 + 60_000;
      followClock(store, { bootId: BOOT, uptimeMs: 1_060_000, wallMs });
    }
    expect(runAt(NOON_MS - 3_600_000 + 120_000, 1_120_000)).toBe(480_000);
  });

  test('is the same after the clock was set forward and back', () => {
    runAt(NOON_MS + YEAR_MS + 60_000, 1_060_000);
    expect(runAt(NOON_MS + 120_000, 1_120_000)).toBe(480_000);
  });

  test('ignores slewing by NTP', () => {
    expect(runAt(NOON_MS + 61_500, 1_060_000)).toBe(538_500);
  });

  test('is never longer than requested after a reboot with an earlier clock', () => {
    expect(runAt(NOON_MS - YEAR_MS, 10_000, 'b2')).toBe(600_000);
  });

  test('decreases over a reboot', () => {
    expect(runAt(NOON_MS + 60_000, 10_000, 'b2')).toBe(540_000);
  });

  test('is never longer than requested if the kernel has no boot id', () => {
    runAt(NOON_MS, 1_000_000, '');
    expect(runAt(NOON_MS - YEAR_MS, 1_060_000, '')).toBe(600_000);
  });
});

test('a ban without a deadline gets none when the clock is set', () => {
  blockFor(null);
  expect(runAt(NOON_MS - YEAR_MS, 1_060_000)).toBeNull();
  expect(runAt(NOON_MS + YEAR_MS, 1_120_000)).toBeNull();
});

test.each([
  ['before', 'leaves the correction to the next run'],
  ['after', 'is not followed by a second correction'],
])('a run that dies %s correcting a step %s', (when) => {
  blockFor(600);
  const store = host.openStore();
  const transaction = store.bans.transaction.bind(store.bans);
  store.bans.transaction = (work) => {
    if (when === 'after') transaction(work);
    throw new Error('killed');
  };
  const reading = { bootId: BOOT, uptimeMs: 1_060_000, wallMs: NOON_MS + YEAR_MS + 60_000 };
  expect(() => {
    followClock(store, reading);
  }).toThrow('killed');
  expect(runAt(NOON_MS + YEAR_MS + 120_000, 1_120_000)).toBe(480_000);
});

test.each(['garbage', '7', '{"bootId":"a1","uptimeMs":1}'])(
  'the invalid clock reading %s in the state is ignored',
  (reading) => {
    const store = host.openStore();
    store.metadata.set('clock', reading);
    expect(lastReading(store)).toBeNull();
    expect(() => {
      followClock(store, { bootId: BOOT, uptimeMs: 1, wallMs: NOON_MS });
    }).not.toThrow();
  },
);
