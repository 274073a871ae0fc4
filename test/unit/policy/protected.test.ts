// The addresses that must never be blocked, in any notation.
import { describe, expect, test } from '@jest/globals';
import { parseAddress } from '../../../src/model/address.ts';
import {
  describeProtection,
  entriesFrom,
  findProtection,
  universalEntries,
} from '../../../src/policy/protected.ts';
import { addressOf } from '../support/workshop.ts';

describe('no attacker on any host can have the address', () => {
  test.each([
    ['0.0.0.0', 'this network'],
    ['0.1.2.3', 'this network'],
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['224.0.0.1', 'multicast'],
    ['239.255.255.250', 'multicast'],
    ['255.255.255.255', 'broadcast'],
    ['240.0.0.1', 'reserved'],
    ['255.255.255.254', 'reserved'],
    ['::', 'unspecified'],
    ['::1', 'loopback'],
    ['0:0:0:0:0:0:0:1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::ffff:0.0.0.0', 'this network'],
    ['ff02::1', 'multicast'],
  ])('%s', (text, why) => {
    const address = parseAddress(text);
    expect(address && findProtection(address, universalEntries())?.why).toBe(why);
  });

  test.each(['0.0.0.0/0', '::/0', '128.0.0.0/1', '::/127'])(
    'or be all of the network %s, which contains such an address',
    (text) => {
      expect(findProtection(addressOf(text), universalEntries())).not.toBeNull();
    },
  );

  test.each(['192.0.2.1', '203.0.113.9', '223.255.255.255', '2001:db8::1', '::2', 'fe80::1'])(
    'but an attacker can have %s',
    (text) => {
      expect(findProtection(addressOf(text), universalEntries())).toBeNull();
    },
  );

  test('not even with --force can a person block it', () => {
    expect(universalEntries().every((entry) => entry.always)).toBe(true);
  });
});

describe('an entry', () => {
  const office = entriesFrom(['203.0.113.7/24', ' 2001:db8::1 '], 'office');

  test('protects its whole network even if it is written with host bits', () => {
    expect(findProtection(addressOf('203.0.113.200'), office)?.why).toBe('office');
    expect(findProtection(addressOf('203.0.114.1'), office)).toBeNull();
  });

  test('protects from a block of a network that contains it', () => {
    expect(findProtection(addressOf('203.0.0.0/16'), office)?.why).toBe('office');
    expect(findProtection(addressOf('2001:db8::/32'), office)?.why).toBe('office');
  });

  test.each([
    ['10.0.0.0/255.0.0.0', '10.200.0.1'],
    ['192.0.2.7/255.255.255.128', '192.0.2.100'],
    ['192.0.2.7/255.255.255.255', '192.0.2.7'],
    ['192.0.2.7/0.0.0.0', '203.0.113.1'],
  ])('with a dotted mask, %s, protects %s', (text, inside) => {
    expect(findProtection(addressOf(inside), entriesFrom([text], 'office'))).not.toBeNull();
  });

  test.each([
    '10.0.0.0/255.0.255.0',
    '10.0.0.0/255.0.0',
    '2001:db8::/255.0.0.0x',
    '10.0.0.0/1.1.1.1',
  ])('with an invalid mask, %s, protects no address', (text) => {
    expect(entriesFrom([text], 'office')).toEqual([]);
  });

  test('that is not an address protects nothing', () => {
    expect(entriesFrom(['manager.example', '', '1.2.3', '-'], 'typing mistakes')).toEqual([]);
  });

  test('is described by its network and its reason', () => {
    const [entry] = entriesFrom(['198.51.100.1'], 'default gateway (eth0)');
    expect(entry && describeProtection(entry)).toBe('198.51.100.1: default gateway (eth0)');
  });
});
