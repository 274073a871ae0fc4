// Parsing of addresses. Accepted text goes into the argument lists of programs that run as root.
import { isIP, isIPv4 } from 'node:net';
import { describe, expect, test } from '@jest/globals';
import fc from 'fast-check';
import ipaddr from 'ipaddr.js';
import {
  contains,
  isSingle,
  lastAddress,
  makeAddress,
  overlaps,
  parseAddress,
  parseExactNetwork,
  parseNetwork,
  withPrefix,
} from '../../../src/model/address.ts';
import { addressOf } from '../support/workshop.ts';
import { effort } from '../../support/effort.ts';

describe('an alert can block only a single literal address', () => {
  test.each([
    '',
    ' ',
    '-',
    '-h',
    '--help',
    '-F',
    '1.2.3.4 -j ACCEPT',
    '0.0.0.0/0',
    '192.0.2.4/8',
    '192.0.2.4/32',
    '::/0',
    '2001:db8::/32',
    'attacker.example',
    'localhost',
    '192.0.2.1\n',
    '192.0.2.1\0',
    ' 192.0.2.1',
    '192.0.2.1 ',
    '\t192.0.2.1',
    '192.0.2.1\r',
    '\ufeff192.0.2.1',
    '192.0.2.1\u200b',
    '192.0.2.1\u00a0',
    '\u0661\u0669\u0662.0.2.1',
    '\uff11\uff19\uff12.0.2.1',
    '192\u30020\u30022\u30021',
    '192\u20240\u20242\u20241',
    '[::1]',
    '[2001:db8::1]',
    '!192.0.2.1',
    '192.0.2.1,192.0.2.2',
    '192.0.2.1;192.0.2.2',
    '192.0.2.1-192.0.2.9',
    '192.0.2.1:80',
    '$(id)',
    '1.2.3',
    '1',
    '16909060',
    '010.0.0.1',
    '192.0.2.01',
    '0x7f.1',
    '0x7f.0.0.1',
    '192.0.2.256',
    '192.0.2.1.',
    '.192.0.2.1',
    '192.0.2.1.5',
    '192..2.1',
    '+192.0.2.1',
    '192.0.2.-1',
    '1e1.0.2.1',
    'fe80::1%eth0',
    '2001:db8::1%1',
    ':::',
    ':',
    '::1::',
    '2001:db8::1::2',
    '2001:db8::12345',
    '2001:db8:0:0:0:0:0',
    '2001:db8:0:0:0:0:0:0:0',
    '2001:db8:0:0:0:0:0:0::',
    '2001:db8:0:0::0:0:0:0',
    ':2001:db8::1',
    '2001:db8::1:',
    '2001:db8::g',
    '192.0.2.1::',
    '::192.0.2.1:1',
    '::192.0.2',
    '::192.0.02.1',
    '::ffff:192.0.2.1:0',
    '1:2:3:4:5:6:7:192.0.2.1',
  ])('%j is refused', (text) => {
    expect(parseAddress(text)).toBeNull();
  });

  test.each([
    ['60,000 letters', 'a'.repeat(60_000)],
    ['60,000 colons', ':'.repeat(60_000)],
    ['60,000 dots', '.'.repeat(60_000)],
    ['60,000 groups', '0:'.repeat(60_000)],
    ['an address with zeros up to any length', `${'0'.repeat(60_000)}:db8::1`],
  ])('%s are refused', (_, text) => {
    expect(parseAddress(text)).toBeNull();
  });
});

describe('every notation of an address has the same canonical text', () => {
  test.each([
    ['192.0.2.4', '192.0.2.4'],
    ['::ffff:192.0.2.4', '192.0.2.4'],
    ['::FFFF:c000:204', '192.0.2.4'],
    ['0:0:0:0:0:ffff:192.0.2.4', '192.0.2.4'],
    ['0000:0000:0000:0000:0000:ffff:192.000.002.004', null],
    ['0000:0000:0000:0000:0000:ffff:203.113.113.113', '203.113.113.113'],
    ['2001:DB8:0::1', '2001:db8::1'],
    ['2001:0db8:0000:0000:0000:0000:0000:0001', '2001:db8::1'],
    ['2001:db8::0:1', '2001:db8::1'],
    ['2001:db8:0:1:0:0:0:1', '2001:db8:0:1::1'],
    // RFC 5952, sections 4.2.2 and 4.2.3: a single zero group stays, and the first of two equal runs is shortened.
    ['2001:db8::1:1:1:1:1', '2001:db8:0:1:1:1:1:1'],
    ['2001:db8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
    ['1:2:3:4:5:6:7::', '1:2:3:4:5:6:7:0'],
    ['::2:3:4:5:6:7:8', '0:2:3:4:5:6:7:8'],
    ['2001:db8::', '2001:db8::'],
    ['::192.0.2.4', '::c000:204'],
    ['64:ff9b::192.0.2.4', '64:ff9b::c000:204'],
    ['::', '::'],
  ])('%s is %s', (text, canonical) => {
    expect(parseAddress(text)?.text ?? null).toBe(canonical);
  });

  test('an IPv4-mapped address becomes IPv4, because IPv4 packets never match an IPv6 rule', () => {
    expect(parseAddress('::ffff:192.0.2.4')?.family).toBe(4);
  });
});

/** The characters of addresses, so that random text resembles one. */
const nearlyAddress = fc.oneof(
  fc.string({ unit: fc.constantFrom(...Array.from('0123456789abcdefF:./%x -')), maxLength: 50 }),
  fc
    .array(fc.oneof(fc.nat(300).map(String), fc.constantFrom('', '00', '0x1', '1e2', '-1')), {
      minLength: 3,
      maxLength: 5,
    })
    .map((parts) => parts.join('.')),
  fc
    .array(
      fc.oneof(
        fc.nat(0x11000).map((group) => group.toString(16)),
        fc.constantFrom('', '', '0'),
      ),
      { minLength: 2, maxLength: 10 },
    )
    .map((parts) => parts.join(':')),
  fc.ipV4Extended(),
);

/** Generates IPv6 addresses in any text form. */
const ipv6Text = fc
  .tuple(fc.ipV6(), fc.boolean())
  .map(([text, upper]) => (upper ? text.toUpperCase() : text));

describe('compared with other parsers', () => {
  test('the parser accepts exactly the IPv4 addresses, and IPv6 addresses without a zone, that Node accepts', () => {
    fc.assert(
      fc.property(fc.oneof(nearlyAddress, fc.ipV4(), ipv6Text), (text) => {
        const isAddress = isIP(text) !== 0 && !text.includes('%');
        expect(parseAddress(text) !== null).toBe(isAddress);
      }),
      { numRuns: effort(500) },
    );
  });

  test('the parser gives IPv6 text in any form the address and text that ipaddr.js gives it', () => {
    fc.assert(
      fc.property(ipv6Text, (text) => {
        // ipaddr.js takes the old IPv4-compatible form for a mapped one; inet_pton(3) and the kernel do not.
        fc.pre(!/^::\d+\.\d+\.\d+\.\d+$/.test(text));
        const theirs = ipaddr.process(text);
        const ours = parseAddress(text);
        expect(ours?.family).toBe(theirs.kind() === 'ipv4' ? 4 : 6);
        const canonical =
          theirs instanceof ipaddr.IPv6 ? theirs.toRFC5952String() : theirs.toString();
        expect(ours?.text).toBe(canonical);
      }),
      { numRuns: effort(300) },
    );
  });

  test('the text of an address parses as the same address', () => {
    const value = fc.oneof(
      fc.bigInt(0n, 2n ** 128n - 1n),
      // Mostly zeros, so that runs of zeros are shortened.
      fc
        .array(fc.constantFrom(0, 0, 0, 1, 0xffff), { minLength: 8, maxLength: 8 })
        .map((groups) => groups.reduce((sum, group) => (sum << 16n) | BigInt(group), 0n)),
    );
    fc.assert(
      fc.property(value, (number) => {
        fc.pre(number >> 32n !== 0xffffn);
        const made = makeAddress(6, number);
        expect(parseAddress(made.text)).toEqual(made);
        expect(made.text).toBe(ipaddr.IPv6.parse(made.text).toRFC5952String());
      }),
      { numRuns: effort(300) },
    );
  });

  test('the canonical text is safe in an argument list for any input', () => {
    fc.assert(
      fc.property(fc.oneof(nearlyAddress, ipv6Text), (text) => {
        const address = parseNetwork(text);
        if (address !== null) expect(address.text).toMatch(/^[0-9a-f:.]{2,39}(?:\/[0-9]{1,3})?$/);
      }),
    );
  });

  test('networks contain the same addresses as in ipaddr.js', () => {
    const address = fc.oneof(fc.ipV4(), fc.ipV6());
    fc.assert(
      fc.property(address, address, fc.nat(128), (network, inner, length) => {
        // ipaddr.js takes the old IPv4-compatible form for a mapped one; inet_pton(3) and the kernel do not.
        fc.pre(!/^::[0-9]+\./.test(network));
        const width = isIPv4(network) ? 32 : 128;
        const cidr = `${network}/${length % (width + 1)}`;
        const outer = parseNetwork(cidr);
        const single = parseAddress(inner);
        if (outer === null || single === null || outer.text.includes('.') !== isIPv4(network))
          return;
        const theirs = ipaddr.parse(single.text);
        const sameKind = (theirs.kind() === 'ipv4' ? 4 : 6) === outer.family;
        const expected = sameKind && theirs.match(ipaddr.parseCIDR(cidr));
        expect(contains(outer, single)).toBe(expected);
      }),
      { numRuns: effort(200) },
    );
  });
});

describe('a network from a person', () => {
  test.each([
    ['203.0.113.0/24', '203.0.113.0/24'],
    ['203.0.113.9/32', '203.0.113.9'],
    ['203.0.113.9', '203.0.113.9'],
    ['2001:DB8::/32', '2001:db8::/32'],
    ['2001:db8::9/128', '2001:db8::9'],
    ['0.0.0.0/0', '0.0.0.0/0'],
    ['::/0', '::/0'],
    ['::ffff:203.0.113.0/120', '203.0.113.0/24'],
    ['::ffff:203.0.113.9/128', '203.0.113.9'],
  ])('%s is %s', (text, canonical) => {
    expect(parseExactNetwork(text)?.text).toBe(canonical);
  });

  test.each([
    '203.0.113.0/',
    '203.0.113.0/33',
    '203.0.113.0/024',
    '203.0.113.0/+8',
    '203.0.113.0/ 24',
    '203.0.113.0/24 ',
    '203.0.113.0/24/24',
    '203.0.113.0/255.255.255.0',
    '2001:db8::/129',
    '2001:db8::/-1',
    '/24',
    // An IPv4-mapped network wider than all of IPv4 would cover both families.
    '::ffff:0.0.0.0/95',
  ])('%j is none', (text) => {
    expect(parseExactNetwork(text)).toBeNull();
  });

  test('with host bits is refused and not corrected', () => {
    expect(parseExactNetwork('203.0.113.9/24')).toBeNull();
    expect(parseExactNetwork('2001:db8::9/64')).toBeNull();
  });

  test('with host bits loses them in a white list', () => {
    expect(parseNetwork('203.0.113.9/24')?.text).toBe('203.0.113.0/24');
    expect(parseNetwork('2001:db8::9/64')?.text).toBe('2001:db8::/64');
    expect(parseNetwork('::ffff:203.0.113.9/120')?.text).toBe('203.0.113.0/24');
  });
});

describe('networks', () => {
  test('contain their addresses and themselves, and no neighbours', () => {
    const network = addressOf('203.0.113.0/25');
    expect(contains(network, addressOf('203.0.113.127'))).toBe(true);
    expect(contains(network, network)).toBe(true);
    expect(contains(network, addressOf('203.0.113.128'))).toBe(false);
    expect(contains(network, addressOf('203.0.113.0/24'))).toBe(false);
  });

  test('of different families never contain each other', () => {
    expect(contains(addressOf('::/0'), addressOf('203.0.113.9'))).toBe(false);
    expect(contains(addressOf('0.0.0.0/0'), addressOf('2001:db8::1'))).toBe(false);
  });

  test('overlap symmetrically', () => {
    const [wide, narrow] = [addressOf('203.0.113.0/24'), addressOf('203.0.113.64/26')];
    expect(overlaps(wide, narrow)).toBe(true);
    expect(overlaps(narrow, wide)).toBe(true);
    expect(overlaps(addressOf('203.0.113.0/26'), narrow)).toBe(false);
  });

  test('differ from their first address', () => {
    expect(addressOf('203.0.113.0/24').text).not.toBe(addressOf('203.0.113.0').text);
    expect(isSingle(addressOf('203.0.113.0/24'))).toBe(false);
    expect(isSingle(addressOf('203.0.113.0/32'))).toBe(true);
    expect(isSingle(addressOf('2001:db8::/32'))).toBe(false);
  });
});

test('rules have a prefix length even for a single address, as iptables prints them', () => {
  expect(withPrefix(addressOf('203.0.113.9'))).toBe('203.0.113.9/32');
  expect(withPrefix(addressOf('2001:db8::9'))).toBe('2001:db8::9/128');
  expect(withPrefix(addressOf('203.0.113.0/24'))).toBe('203.0.113.0/24');
});

test('the last address of a network is its broadcast address', () => {
  expect(lastAddress(addressOf('203.0.113.0/24')).text).toBe('203.0.113.255');
  expect(lastAddress(addressOf('203.0.113.9')).text).toBe('203.0.113.9');
});

test('host bits are cleared, so that equal networks have equal texts', () => {
  expect(makeAddress(4, 0xcb_00_71_09n, 24).text).toBe('203.0.113.0/24');
});
