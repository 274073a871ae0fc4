// Only who made a block can release it: which backend works while another one's blocks are there, and which is to take over.
import { expect, test } from '@jest/globals';
import { DEFAULT_CONFIG } from '../../../src/config/schema.ts';
import {
  BACKEND_NAMES,
  chooseBackend,
  createBackend,
  type FirewallConfig,
  type Situation,
} from '../../../src/firewall/select.ts';

const config = (backend: FirewallConfig['backend']): FirewallConfig => ({
  ...DEFAULT_CONFIG.firewall,
  backend,
});

const ALL = ['iptables-restore', 'ipset', 'nft'];

const situation = (parts: Partial<Situation> & { readonly programs?: string[] }): Situation => ({
  active: null,
  hasBans: () => false,
  isInstalled: (program) => (parts.programs ?? ALL).includes(program),
  ...parts,
});

const hasBans = (): boolean => true;

test.each<[FirewallConfig['backend'], Parameters<typeof situation>[0], string, string]>([
  // configured, what is so, used now, to be used
  ['auto', {}, 'iptables', 'iptables'],
  ['auto', { hasBans }, 'iptables', 'iptables'],
  ['auto', { programs: ['nft'] }, 'nftables', 'nftables'],
  ['auto', { programs: [] }, 'iptables', 'iptables'],
  ['auto', { active: 'ipset', hasBans }, 'ipset', 'ipset'],
  ['auto', { active: 'ipset' }, 'ipset', 'ipset'],
  ['auto', { active: 'iptables', programs: ['nft'] }, 'iptables', 'nftables'],
  ['auto', { active: 'iptables', programs: ['nft'], hasBans }, 'iptables', 'iptables'],
  ['auto', { active: '' }, 'iptables', 'iptables'],
  ['ipset', { hasBans }, 'ipset', 'ipset'],
  ['ipset', {}, 'ipset', 'ipset'],
  ['ipset', { active: 'ipset' }, 'ipset', 'ipset'],
  ['iptables', { active: 'nftables', hasBans }, 'nftables', 'iptables'],
  ['nftables', { active: 'of a later version' }, 'nftables', 'nftables'],
])('%s, %j: %s, and to be %s', (configured, parts, name, wanted) => {
  expect(chooseBackend(config(configured), situation(parts))).toMatchObject({ name, wanted });
});

test.each(BACKEND_NAMES)('%s is made by its name', (name) => {
  expect(createBackend(name, config('auto')).name).toBe(name);
});
