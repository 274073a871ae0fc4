import { describe, expect, jest, test } from '@jest/globals';
import { parseAddress } from '../../../src/model/address.ts';
import type { ApplyOptions, Firewall } from '../../../src/firewall/apply.ts';
import type { Comparison } from '../../../src/firewall/look.ts';
import type { Change } from '../../../src/firewall/backend.ts';
import { createSwitchableFirewall } from '../../../src/firewall/switch.ts';

interface Asked {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly options: ApplyOptions;
}

/** Backends that only note what they are asked. */
function openNoting(asked: Asked[]): (name: string) => Firewall {
  return (name) => ({
    backendName: name,
    mostReleases: Infinity,
    apply: (changes, options) => {
      asked.push({ name, changes, options });
      return { outcome: 'changed', foreign: new Map() };
    },
    compare: (changes) => ({ missing: changes, late: [] }),
    plan: () => [],
    snapshot: () => ({ held: new Map(), rules: [], policies: new Map() }),
    checkUsable: () => undefined,
    holdsOurSets: () => false,
    removeAll: () => undefined,
  });
}

function changeTo(to: Change['to']): Change {
  const address = parseAddress('203.0.113.7');
  if (address === null) throw new Error('no address');
  return { address, to };
}

test('the active backend is found out where something is first asked of it, and not before another one is used', () => {
  const first = jest.fn(() => 'iptables' as const);
  const firewall = createSwitchableFirewall(openNoting([]), first);
  firewall.use('ipset', null);
  expect(firewall.backendName).toBe('ipset');
  expect(first).not.toHaveBeenCalled();
  expect(createSwitchableFirewall(openNoting([]), first).backendName).toBe('iptables');
  expect(first).toHaveBeenCalledTimes(1);
});

describe('while a migration is pending', () => {
  test('the state is trusted about neither backend', () => {
    const asked: Asked[] = [];
    const firewall = createSwitchableFirewall(openNoting(asked), () => 'iptables');
    firewall.use('ipset', 'iptables');
    firewall.apply([changeTo('blocked')], { trustState: true });
    expect(asked[0]).toMatchObject({ name: 'ipset', options: { trustState: false } });
  });

  test('an address that the old backend alone still blocks is one to unblock', () => {
    const open = openNoting([]);
    const firewall = createSwitchableFirewall(
      (name) => {
        const compare = (): Comparison => ({ missing: [], late: [] });
        return name === 'ipset' ? { ...open(name), compare } : open(name);
      },
      () => 'iptables',
    );
    firewall.use('ipset', 'iptables');
    const [release, block] = [changeTo('released'), changeTo('blocked')];
    expect(firewall.compare([release, block]).missing).toEqual([release]);
  });

  test('addresses are unblocked in both backends and blocked in the new one alone', () => {
    const asked: Asked[] = [];
    const firewall = createSwitchableFirewall(openNoting(asked), () => 'iptables');
    firewall.use('ipset', 'iptables');
    firewall.apply([changeTo('released')], { trustState: true });
    firewall.apply([changeTo('blocked')], { trustState: true });
    const released = asked.filter(({ changes }) => changes.some(({ to }) => to === 'released'));
    const blocked = asked.filter(({ changes }) => changes.some(({ to }) => to === 'blocked'));
    expect(released.map(({ name }) => name)).toEqual(['ipset', 'iptables']);
    expect(blocked.map(({ name }) => name)).toEqual(['ipset']);
  });
});
