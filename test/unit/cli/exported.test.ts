// What `export` wrote is read strictly: another host, or another hand, wrote the file.
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

test('a ban has its holds with their ends, alerts and reasons', () => {
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

test('what escalation counts is read, also of an address without holds', () => {
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

test('a hold without an end has no timeout', () => {
  const { bans } = read({ ...BAN, holds: [{ ...HOLD, expires: null }] });
  expect(bans[0]?.holds[0]).toMatchObject({ expiresAtMs: null, timeoutSeconds: null });
});

describe('a line is refused by its number', () => {
  test.each([
    ['text', 'x'],
    ['a number', 7],
    ['null', null],
    ['a list', [BAN]],
    ['no address', { ...BAN, address: 5 }],
    ['a name', { ...BAN, address: 'example.org' }],
    ['host bits', { ...BAN, address: '203.0.113.9/24' }],
    ['no holds and nothing counted', { ...BAN, holds: [] }],
    ['counted bans that are none', { ...BAN, countedBans: ['x'] }],
    ['a number of counted bans', { ...BAN, countedBans: 2 }],
    ['holds that are none', { ...BAN, holds: [null] }],
    ['an unknown origin', { ...BAN, holds: [{ ...HOLD, origin: 'x' }] }],
    ['no beginning', { ...BAN, holds: [{ ...HOLD, since: 'x' }] }],
    [
      'an end before the beginning',
      { ...BAN, holds: [{ ...HOLD, expires: '2026-11-29T11:00:00Z' }] },
    ],
    [
      'an end that no clock shows',
      { ...BAN, holds: [{ ...HOLD, expires: '+300000-11-29T11:00:00Z' }] },
    ],
    ['an alert id of letters', { ...BAN, holds: [{ ...HOLD, alertId: 'x y' }] }],
    ['a rule id of letters', { ...BAN, holds: [{ ...HOLD, ruleId: '5710\n' }] }],
  ])('%s', (_, line) => {
    const { bans, mistakes } = read(BAN, line);
    expect(bans).toHaveLength(1);
    expect(mistakes).toEqual(['bans.jsonl:2: this is not a line of firewall-drop export']);
  });
});

test('a reason is one short line', () => {
  const { bans } = read({ ...BAN, holds: [{ ...HOLD, reason: `a\n${'b'.repeat(1000)}` }] });
  expect(bans[0]?.holds[0]?.reason).not.toContain('\n');
  expect(bans[0]?.holds[0]?.reason.length).toBeLessThan(300);
});
