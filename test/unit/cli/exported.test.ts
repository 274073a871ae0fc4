// The parser of `import` is strict, because another host or another person wrote the file.
import { describe, expect, test } from '@jest/globals';
import { readExported } from '../../../src/cli/commands/transfer.ts';

const HOLD = {
  origin: 'wazuh',
  since: '2026-11-29T12:00:00.000Z',
  expires: '2026-11-29T13:00:00.000Z',
  timeoutSeconds: 3600,
  alertId: '1628597593.1234567',
  ruleId: '5710',
  reason: 'sshd',
  forced: false,
};
const BAN = { schema: 1, address: '203.0.113.9', holds: [HOLD] };

function read(...lines: unknown[]): ReturnType<typeof readExported> {
  const texts = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line)));
  return readExported(texts.join('\n'), 'bans.jsonl');
}

test('reads a ban with its holds and their ends, alerts and reasons', () => {
  const { bans, mistakes } = read(BAN, '');
  expect(mistakes).toEqual([]);
  expect(bans).toHaveLength(1);
  expect(bans[0]?.address.text).toBe('203.0.113.9');
  expect(bans[0]?.holds).toEqual([
    {
      origin: 'wazuh',
      addedMs: Date.UTC(2026, 10, 29, 12),
      timeoutSeconds: 3600,
      expiresAtMs: Date.UTC(2026, 10, 29, 13),
      alertRef: { alertId: '1628597593.1234567', ruleId: '5710' },
      reason: 'sshd',
      forced: false,
    },
  ]);
});

test('reads the bans that escalation counts, also for an address without holds', () => {
  const countedBans = ['2026-11-28T12:00:00.000Z', HOLD.since];
  const { bans, mistakes } = read(
    { ...BAN, since: HOLD.since, countedBans },
    { schema: 1, address: '203.0.113.8', holds: [], countedBans },
  );
  expect(mistakes).toEqual([]);
  const countedMs = [Date.UTC(2026, 10, 28, 12), Date.UTC(2026, 10, 29, 12)];
  expect(bans).toMatchObject([
    { holds: [{}], sinceMs: countedMs[1], countedMs },
    { holds: [], sinceMs: null, countedMs },
  ]);
});

test('reads a hold without an end as one without a timeout', () => {
  const { bans } = read({ ...BAN, holds: [{ ...HOLD, expires: null }] });
  expect(bans[0]?.holds[0]).toMatchObject({ expiresAtMs: null, timeoutSeconds: null });
});

describe('import reports a line by its number if it', () => {
  test.each([
    ['is text', 'x'],
    ['is a number', 7],
    ['is null', null],
    ['is a list', [BAN]],
    ['has no address', { ...BAN, address: 5 }],
    ['has a host name', { ...BAN, address: 'example.org' }],
    ['has host bits', { ...BAN, address: '203.0.113.9/24' }],
    ['has neither holds nor counted bans', { ...BAN, holds: [] }],
    ['has an invalid time of a counted ban', { ...BAN, countedBans: ['x'] }],
    ['has a number of counted bans', { ...BAN, countedBans: 2 }],
    ['has an invalid hold', { ...BAN, holds: [null] }],
    ['has an unknown origin', { ...BAN, holds: [{ ...HOLD, origin: 'x' }] }],
    ['has an invalid start', { ...BAN, holds: [{ ...HOLD, since: 'x' }] }],
    [
      'has an end before the start',
      { ...BAN, holds: [{ ...HOLD, expires: '2026-11-29T11:00:00Z' }] },
    ],
    [
      'has an end outside the range of dates',
      { ...BAN, holds: [{ ...HOLD, expires: '+300000-11-29T11:00:00Z' }] },
    ],
    ['has an alert id of letters', { ...BAN, holds: [{ ...HOLD, alertId: 'x y' }] }],
    ['has a rule id of letters', { ...BAN, holds: [{ ...HOLD, ruleId: '5710\n' }] }],
  ])('%s', (_, line) => {
    const { bans, mistakes } = read(BAN, line);
    expect(bans).toHaveLength(1);
    expect(mistakes).toEqual(['bans.jsonl:2: not a line of firewall-drop export']);
  });
});

test('shortens a reason to one line', () => {
  const { bans } = read({ ...BAN, holds: [{ ...HOLD, reason: `a\n${'b'.repeat(1000)}` }] });
  expect(bans[0]?.holds[0]?.reason).not.toContain('\n');
  expect(bans[0]?.holds[0]?.reason.length).toBeLessThan(300);
});
