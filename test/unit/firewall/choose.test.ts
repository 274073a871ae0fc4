// Only who made a block can release it: which backend works while another one's blocks are there.
import { expect, test } from '@jest/globals';
import { chooseName, createBackend, type FirewallConfig } from '../../../src/firewall/choose.ts';

const config = (backend: FirewallConfig['backend']): FirewallConfig => ({
  backend,
  variant: 'auto',
  chains: ['INPUT', 'FORWARD'],
  docker: true,
  lockWaitSeconds: 10,
  setName: 'firewall-drop',
  maxEntries: 2000,
});

test.each([
  // wanted, maker, bans, then: used, its own books, objected
  ['auto', null, true, 'iptables', true, false],
  ['iptables', 'iptables', true, 'iptables', true, false],
  ['ipset', null, false, 'ipset', true, false],
  ['ipset', null, true, 'ipset', false, false],
  ['ipset', 'iptables', true, 'ipset', false, false],
  ['ipset', 'ipset', true, 'ipset', true, false],
  ['nftables', 'iptables', true, 'iptables', true, true],
  ['iptables', 'ipset', true, 'ipset', true, true],
  ['auto', 'nftables', true, 'nftables', true, true],
  ['auto', 'nftables', false, 'iptables', true, false],
  ['nftables', 'of a later version', false, 'nftables', true, false],
] as const)('%s after %s, with bans: %s → %s', (wanted, maker, bans, name, isMaker, objects) => {
  const choice = chooseName(config(wanted), maker, () => bans);
  expect(choice).toMatchObject({ name, isMaker });
  expect(choice.objection !== '').toBe(objects);
});

test.each(['iptables', 'ipset', 'nftables'] as const)('%s is made by its name', (name) => {
  expect(createBackend(name, config('auto')).name).toBe(name);
});
