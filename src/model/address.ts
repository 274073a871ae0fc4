// Addresses and networks: read strictly, printed canonically, compared as numbers and never as text.

export type Family = 4 | 6;

/** One address, or (from a person only) a network. Past the parsers nothing else stands for an address. */
export interface Address {
  readonly family: Family;
  /** The network's first address as a number of 32 or 128 bits. */
  readonly value: bigint;
  /** 32 or 128 for one address. */
  readonly prefixLength: number;
  /** Canonical text (RFC 5952), with `/N` only where it is a network. Safe in argument lists, file names and log lines. */
  readonly text: string;
}

const WIDTH = { 4: 32, 6: 128 } as const;
const LONGEST_TEXT = 45;
const HEX_GROUP = /^[0-9a-fA-F]{1,4}$/;
const MAPPED_IPV4 = 0xffffn;

/**
 * Reads a literal address as an alert may hold it: dotted quad or RFC 4291 text, nothing around it.
 * IPv4-mapped IPv6 is folded to IPv4, because IPv4 packets never meet an IPv6 rule.
 */
export function parseAddress(text: string): Address | null {
  if (text.length > LONGEST_TEXT) return null;
  const ipv4 = parseIpv4(text);
  // Only the canonical text is read, so that it needs no printing.
  if (ipv4 !== null) return { family: 4, value: BigInt(ipv4), prefixLength: WIDTH[4], text };
  const ipv6 = parseIpv6(text);
  if (ipv6 === null) return null;
  return ipv6 >> 32n === MAPPED_IPV4 ? makeAddress(4, ipv6 & 0xffffffffn) : makeAddress(6, ipv6);
}

/** Reads an address or a network whose host bits are zero, as a person or a configuration may write it. */
export function parseExactNetwork(text: string): Address | null {
  const slash = text.indexOf('/');
  const network = parseNetwork(text);
  if (slash < 0 || network === null) return network;
  const isExact = parseAddress(text.slice(0, slash))?.value === network.value;
  return isExact && !text.includes('.', slash) ? network : null;
}

/**
 * Like `parseExactNetwork`, but as a white list may write it: host bits are cut off, `192.0.2.7/24`, and an IPv4 prefix may be
 * a dotted mask, `192.0.2.0/255.255.255.0`.
 */
export function parseNetwork(text: string): Address | null {
  const slash = text.indexOf('/');
  if (slash < 0) return parseAddress(text);
  const address = parseAddress(text.slice(0, slash));
  const written = text.slice(slash + 1);
  const length = parseByte(written) ?? maskLength(written);
  if (address === null || length === null) return null;
  const { family, value } = address;
  // `::ffff:192.0.2.0/120` is 192.0.2.0/24: its length counts the 96 bits that folding took away.
  const prefixLength = family === 4 && text.includes(':') ? length - 96 : length;
  if (prefixLength < 0 || prefixLength > WIDTH[family]) return null;
  return makeAddress(family, value, prefixLength);
}

/** `255.255.255.0` is 24; null for anything else, a mask with a hole too. */
function maskLength(text: string): number | null {
  const bits = parseIpv4(text)?.toString(2).padStart(32, '0');
  return bits === undefined || bits.includes('01') ? null : bits.lastIndexOf('1') + 1;
}

/** Whether every address of `inner` lies in `outer`. */
export function contains(outer: Address, inner: Address): boolean {
  if (outer.family !== inner.family || outer.prefixLength > inner.prefixLength) return false;
  const shift = hostBits(outer);
  return inner.value >> shift === outer.value >> shift;
}

/** Whether two networks share an address; one then contains the other. */
export function overlaps(one: Address, other: Address): boolean {
  return one.prefixLength <= other.prefixLength ? contains(one, other) : contains(other, one);
}

export function isSingle(address: Address): boolean {
  return address.prefixLength === WIDTH[address.family];
}

/** The text with its prefix length even for one address, as iptables prints it: `192.0.2.7/32`. */
export function withPrefix(address: Address): string {
  return isSingle(address) ? `${address.text}/${address.prefixLength}` : address.text;
}

/** A network from its parts; bits past the prefix are cut off. */
export function makeAddress(family: Family, value: bigint, prefixLength?: number): Address {
  const prefix = prefixLength ?? WIDTH[family];
  const shift = BigInt(WIDTH[family] - prefix);
  const network = (value >> shift) << shift;
  const bare = family === 4 ? printIpv4(network) : printIpv6(network);
  const text = prefix === WIDTH[family] ? bare : `${bare}/${prefix}`;
  return { family, value: network, prefixLength: prefix, text };
}

/** Every network that contains an address, other than itself, widest first. */
export function widerNetworks({ family, value, prefixLength }: Address): Address[] {
  return Array.from({ length: prefixLength }, (_, length) => makeAddress(family, value, length));
}

/** The last address of a network: in IPv4 its directed broadcast. */
export function lastAddress(network: Address): Address {
  return makeAddress(network.family, network.value | ((1n << hostBits(network)) - 1n));
}

function hostBits({ family, prefixLength }: Address): bigint {
  return BigInt(WIDTH[family] - prefixLength);
}

/** In plain numbers: every alert reads all that is protected, and a white list may be long. */
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

/** Decimal, without zeros before it. A pattern would have to be compiled at every start. */
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

/** Groups of one side of `::`; the last of the whole text may be a dotted quad. */
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

/** As the URL standard has it, which is RFC 5952: the longest run of zero groups is left out, the first of equals. */
function printIpv6(value: bigint): string {
  const hex = value.toString(16).padStart(32, '0');
  const groups = Array.from({ length: 8 }, (_, index) => hex.slice(4 * index, 4 * index + 4));
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}
