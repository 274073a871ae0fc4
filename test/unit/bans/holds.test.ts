// Timeouts of set entries: the kernel never removes an entry before the last hold of its ban ends.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { block, ensureBlocked } from '../../../src/bans/block.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import { DONE } from '../support/kernel.ts';
import { addressOf, firewallsFor, holdRequest, Workshop } from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');
const NEVER = holdRequest({ origin: 'manual', timeoutSeconds: null });
const ALERT = holdRequest({ timeoutSeconds: 600 });

let host: Workshop;
beforeEach(() => {
  host = new Workshop();
});
afterEach(() => {
  host.close();
});

/** A fake nft that confirms every check, and the elements that were added. */
function nftables(added: string[]): BanContext {
  const ours = { family: 'inet', table: 'firewall_drop' };
  const left = { payload: { protocol: 'ip', field: 'saddr' } };
  const expr = [{ match: { op: '==', left, right: '@blocked4_32' } }, { drop: null }];
  const hook = 'prerouting';
  const listing = {
    nftables: [
      { set: { ...ours, name: 'blocked4_32' } },
      { chain: { ...ours, name: hook, hook, prio: -450 } },
      { rule: { ...ours, chain: hook, expr } },
    ],
  };
  const context = host.newRun();
  return {
    ...context,
    firewall: firewallsFor(
      ({ args }) => {
        const lines = args.flatMap((text) => text.split('\n'));
        added.push(...lines.filter((line) => line.startsWith('add element')));
        return args.includes('-j') ? { ...DONE, stdout: JSON.stringify(listing) } : DONE;
      },
      context.store,
      'nftables',
    ),
  };
}

test.each([
  ['continue', block],
  ['abort', ensureBlocked],
])(
  'an entry of ipset without a timeout gets none when an alert adds a hold of 600 s after %s',
  (_, alert) => {
    const secondsLeft = (): number | null =>
      host.kernel.sets.secondsLeft('firewall-drop-4', ATTACKER.text);
    block(ATTACKER, NEVER, host.newRun('ipset'));
    expect(secondsLeft()).toBeNull();
    alert(ATTACKER, ALERT, host.newRun('ipset'));
    expect(secondsLeft()).toBeNull();
  },
);

describe('an entry of ipset ends with the last of its holds', () => {
  const ALSO = [{ origin: 'repeat', timeoutSeconds: 3600 }] as const;
  const secondsLeft = (): number | null =>
    host.kernel.sets.secondsLeft('firewall-drop-4', ATTACKER.text);

  test.each([
    ['continue', block],
    ['abort', ensureBlocked],
  ])('if escalation extends the ban of an alert after %s', (_, alert) => {
    alert(ATTACKER, { ...ALERT, also: ALSO }, host.newRun('ipset'));
    expect(secondsLeft()).toBe(3600);
  });

  test('at a later time if an abort moves its deadline, without a line', () => {
    block(ATTACKER, ALERT, host.newRun('ipset'));
    host.nowMs += 500_000;
    host.kernel.sets.advance(500_000);
    expect(ensureBlocked(ATTACKER, ALERT, host.newRun('ipset'))).toBe(false);
    expect(secondsLeft()).toBe(600);
    expect(host.log.lines).toHaveLength(1);
  });

  test('after the hold without a deadline was ended', () => {
    const endless = holdRequest({ timeoutSeconds: null });
    block(ATTACKER, { ...endless, also: ALSO }, host.newRun('ipset'));
    expect(secondsLeft()).toBeNull();
    const release = { origin: 'wazuh', alertRef: ALERT.alertRef } as const;
    expect(unblock(ATTACKER, release, host.newRun('ipset'))).toBe('kept');
    expect(secondsLeft()).toBe(3600);
  });

  test('without the old holds of an interrupted release', () => {
    block(ATTACKER, NEVER, host.newRun('ipset'));
    const { address, phase } = { address: ATTACKER, phase: 'unblocking' } as const;
    host.openStore().bans.begin([{ address, phase, line: null, offset: null, hold: null }], 0);
    block(ATTACKER, ALERT, host.newRun('ipset'));
    expect(secondsLeft()).toBe(600);
  });
});

test('an element of nftables without a timeout gets none when an alert adds a hold of 600 s', () => {
  const added: string[] = [];
  block(ATTACKER, NEVER, nftables(added));
  block(ATTACKER, ALERT, nftables(added));
  expect(added.length).toBeGreaterThan(0);
  expect(added.filter((line) => line.includes('timeout'))).toEqual([]);
});

test('an element of nftables lasts as long as the longest hold', () => {
  const added: string[] = [];
  block(ATTACKER, holdRequest({ origin: 'manual', timeoutSeconds: 5000 }), nftables(added));
  block(ATTACKER, ALERT, nftables(added));
  expect(added.at(-1)).toContain('timeout 5000s');
});
