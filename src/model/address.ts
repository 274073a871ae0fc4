// Addresses and networks: parsed strictly, printed canonically, and compared as numbers instead of text.

export type Family = 4 | 6;

/**
 * A single address or a network. Networks come only from persons and the configuration. After parsing, addresses are
 * always of this type.
 */
export interface Address {
  readonly family: Family;
  /** The first address of the network as a number of 32 or 128 bits. */
  readonly value: bigint;
  /** 32 or 128 for a single address. */
  readonly prefixLength: number;
  /** The canonical text (RFC 5952), with `/N` only for a network. Safe in argument lists, file names and log lines. */
  readonly text: string;
}

const WIDTH = { 4: 32, 6: 128 } as const;
const LONGEST_TEXT = 45;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;
const MAPPED_IPV4 = 0xffffn;

/**
 * Parses a literal address from an alert: a dotted quad or RFC 4291 text without anything around it. Returns null for
 * other text. Converts IPv4-mapped IPv6 to IPv4, because IPv4 packets never match an IPv6 rule.
 */
export function parseAddress(text: string): Address | null {
  if (text.length > LONGEST_TEXT) return null;
  const ipv4 = parseIpv4(text);
  // `parseIpv4` accepts only canonical text, which needs no reprinting.
  if (ipv4 !== null) return { family: 4, value: BigInt(ipv4), prefixLength: WIDTH[4], text };
  const ipv6 = parseIpv6(text);
  if (ipv6 === null) return null;
  return ipv6 >> 32n === MAPPED_IPV4 ? makeAddress(4, ipv6 & 0xffffffffn) : makeAddress(6, ipv6);
}

/**
 * Parses an address, or a network whose host bits are zero, from a person or a configuration. Returns null for other
 * text.
 */
export function parseExactNetwork(text: string): Address | null {
  const slash = text.indexOf('/');
  const network = parseNetwork(text);
  if (slash < 0 || network === null) return network;
  const isExact = parseAddress(text.slice(0, slash))?.value === network.value;
  return isExact && !text.includes('.', slash) ? network : null;
}

/**
 * Parses an address or a network from a white list. In addition to `parseExactNetwork`, accepts host bits
 * (`192.0.2.7/24`), which are cleared, and dotted masks (`192.0.2.0/255.255.255.0`).
 */
export function parseNetwork(text: string): Address | null {
  const slash = text.indexOf('/');
  if (slash < 0) return parseAddress(text);
  const address = parseAddress(text.slice(0, slash));
  const written = text.slice(slash + 1);
  const length = parseByte(written) ?? maskLength(written);
  if (address === null || length === null) return null;
  const { family, value } = address;
  // `::ffff:192.0.2.0/120` is 192.0.2.0/24: its length includes the 96 bits of the IPv4-mapped prefix.
  const prefixLength = family === 4 && text.includes(':') ? length - 96 : length;
  if (prefixLength < 0 || prefixLength > WIDTH[family]) return null;
  return makeAddress(family, value, prefixLength);
}

/** Returns the length of a dotted mask, such as 24 for `255.255.255.0`; null if the text is not a contiguous mask. */
function maskLength(text: string): number | null {
  const bits = parseIpv4(text)?.toString(2).padStart(32, '0');
  return bits === undefined || bits.includes('01') ? null : bits.lastIndexOf('1') + 1;
}

/** Reports whether `outer` contains every address of `inner`. */
export function contains(outer: Address, inner: Address): boolean {
  if (outer.family !== inner.family || outer.prefixLength > inner.prefixLength) return false;
  const shift = hostBits(outer);
  return inner.value >> shift === outer.value >> shift;
}

/** Reports whether two networks share an address. One of them then contains the other. */
export function overlaps(one: Address, other: Address): boolean {
  return one.prefixLength <= other.prefixLength ? contains(one, other) : contains(other, one);
}

export function isSingle(address: Address): boolean {
  return address.prefixLength === WIDTH[address.family];
}

/** Returns the text with a prefix length even for a single address, as iptables prints it: `192.0.2.7/32`. */
export function withPrefix(address: Address): string {
  return isSingle(address) ? `${address.text}/${address.prefixLength}` : address.text;
}

/** Creates a network from its parts. Clears the host bits. */
export function makeAddress(family: Family, value: bigint, prefixLength?: number): Address {
  const prefix = prefixLength ?? WIDTH[family];
  const shift = BigInt(WIDTH[family] - prefix);
  const network = (value >> shift) << shift;
  const bare = family === 4 ? printIpv4(network) : printIpv6(network);
  const text = prefix === WIDTH[family] ? bare : `${bare}/${prefix}`;
  return { family, value: network, prefixLength: prefix, text };
}

/** Returns every network that contains an address, except itself, widest first. */
export function widerNetworks({ family, value, prefixLength }: Address): Address[] {
  return Array.from({ length: prefixLength }, (_, length) => makeAddress(family, value, length));
}

/** Returns the last address of a network, which in IPv4 is its directed broadcast address. */
export function lastAddress(network: Address): Address {
  return makeAddress(network.family, network.value | ((1n << hostBits(network)) - 1n));
}

function hostBits({ family, prefixLength }: Address): bigint {
  return BigInt(WIDTH[family] - prefixLength);
}

/**
 * Parses IPv4 with numbers instead of bigints, because every alert parses all protected addresses and white lists can
 * be long.
 */
function parseIpv4(text: string): number | null {
  const parts = text.split('.', 5);
  if (parts.length !== 4) return null;
  let value = 0;
  for (const part of parts) {
    const byte = parseByte(part);
    if (byte === null) return null;
    value = value * 256 + byte;
  }
  return value;
}

/** Parses a decimal byte without leading zeros. Uses no regular expression, which would be compiled at every start. */
function parseByte(text: string): number | null {
  const byte = Number(text);
  return byte >= 0 && byte <= 255 && String(byte) === text ? byte : null;
}

function parseIpv6(text: string): bigint | null {
  if (!text.includes(':')) return null;
  const halves = text.split('::', 3);
  if (halves.length > 2) return null;
  const compressed = halves.length === 2;
  const head = parseGroups(halves[0] ?? '', !compressed);
  const tail = parseGroups(halves[1] ?? '', true);
  if (head === null || tail === null) return null;
  const missing = 8 - head.length - tail.length;
  if (compressed ? missing < 1 : missing !== 0) return null;
  const groups = [...head, ...Array<number>(missing).fill(0), ...tail];
  return groups.reduce((value, group) => (value << 16n) | BigInt(group), 0n);
}

/** Parses the groups on one side of `::`. The last group of the whole text can be a dotted quad. */
function parseGroups(text: string, mayEndInIpv4: boolean): number[] | null {
  if (text === '') return [];
  const groups: number[] = [];
  const parts = text.split(':', 10);
  for (const [index, part] of parts.entries()) {
    const ipv4 = mayEndInIpv4 && index === parts.length - 1 ? parseIpv4(part) : null;
    if (ipv4 !== null) groups.push(ipv4 >>> 16, ipv4 & 0xffff);
    else if (HEX_GROUP.test(part)) groups.push(Number.parseInt(part, 16));
    else return null;
  }
  return groups;
}

function printIpv4(value: bigint): string {
  const bits = Number(value);
  return `${bits >>> 24}.${(bits >>> 16) & 0xff}.${(bits >>> 8) & 0xff}.${bits & 0xff}`;
}

/** The URL standard prints addresses as RFC 5952 does: it omits the longest run of zero groups, or the first of equally long ones. */
function printIpv6(value: bigint): string {
  const hex = value.toString(16).padStart(32, '0');
  const groups = Array.from({ length: 8 }, (_, index) => hex.slice(4 * index, 4 * index + 4));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
