import { describe, expect, jest, test } from '@jest/globals';
import { parseAddress } from '../../../src/model/address.ts';
import type { ApplyOptions, Firewall } from '../../../src/firewall/apply.ts';
import type { Comparison } from '../../../src/firewall/run.ts';
import type { Change } from '../../../src/firewall/backend.ts';
import { createSwitchableFirewall } from '../../../src/firewall/select.ts';

interface Asked {
  readonly name: string;
  readonly changes: readonly Change[];
  readonly options: ApplyOptions;
}

/** Returns backends that only record the calls. */
function openRecorders(asked: Asked[]): (name: string) => Firewall {
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

test('the active backend is determined on first use, and not at all if another one is set before', () => {
  const first = jest.fn(() => 'iptables' as const);
  const firewall = createSwitchableFirewall(openRecorders([]), first);
  firewall.use('ipset', null);
  expect(firewall.backendName).toBe('ipset');
  expect(first).not.toHaveBeenCalled();
  expect(createSwitchableFirewall(openRecorders([]), first).backendName).toBe('iptables');
  expect(first).toHaveBeenCalledTimes(1);
});

describe('while a migration is pending', () => {
  test('neither backend is assumed to match the state', () => {
    const asked: Asked[] = [];
    const firewall = createSwitchableFirewall(openRecorders(asked), () => 'iptables');
    firewall.use('ipset', 'iptables');
    firewall.apply([changeTo('blocked')], { trustState: true });
    expect(asked[0]).toMatchObject({ name: 'ipset', options: { trustState: false } });
  });

  test('an address that only the old backend still blocks counts as blocked', () => {
    const open = openRecorders([]);
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

  test('addresses are unblocked in both backends and blocked only in the new one', () => {
    const asked: Asked[] = [];
    const firewall = createSwitchableFirewall(openRecorders(asked), () => 'iptables');
    firewall.use('ipset', 'iptables');
    firewall.apply([changeTo('released')], { trustState: true });
    firewall.apply([changeTo('blocked')], { trustState: true });
    const released = asked.filter(({ changes }) => changes.some(({ to }) => to === 'released'));
    const blocked = asked.filter(({ changes }) => changes.some(({ to }) => to === 'blocked'));
    expect(released.map(({ name }) => name)).toEqual(['ipset', 'iptables']);
    expect(blocked.map(({ name }) => name)).toEqual(['ipset']);
  });
});
