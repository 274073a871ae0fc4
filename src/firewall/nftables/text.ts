// Builds the text that nft reads: the lines of a transaction, and the names in them.
//
// Single addresses are in one set. Networks are in one set per prefix length, which rules match by the masked source
// address. These are plain hash sets: they accept overlapping networks, and nft need not read them back for a change.
// (Interval sets refuse overlaps, and nft reads the whole set before each change of one.)
import { makeAddress, type Address, type Family } from '../../model/address.ts';
import type { Command } from '../../system/exec.ts';

export const TABLE = 'inet firewall_drop';

/**
 * Our chain and its hook. Its priority is before defragmentation (-400), iptables' raw table (-300) and connection
 * tracking (-200), so dropped packets cost no reassembly and no connection lookup, whether they are for this host, for
 * forwarding, or for a container.
 */
export const CHAIN = 'prerouting';
export const PRIORITY = -450;

/**
 * The chains of earlier versions. A table that such a version made keeps dropping until the first block replaces its
 * chains.
 */
export const FORMER_CHAINS = ['input', 'forward'];
export const FORMER_PRIORITY = -10;

/** The longest argument, in characters. Linux refuses an argument of more than 128 KiB (`MAX_ARG_STRLEN`, execve(2)). */
const LONGEST_ARGUMENT = 100_000;
/** Ends an argument after a comma, where the space that nft puts between arguments belongs. */
const ARGUMENT = new RegExp(`(?! )[^]{1,${LONGEST_ARGUMENT}}(?:,(?= )|$)`, 'g');

/**
 * Returns a command that applies all lines or none. nft gets them as arguments instead of `-f -`, for which versions such
 * as 0.9.8 and 1.0.9 open `/dev/stdin`. That fails because standard input of our children is a socket.
 */
export function transaction(lines: readonly string[]): Command {
  return { program: 'nft', args: lines.join('\n').match(ARGUMENT) ?? [], input: '' };
}

/** Returns a line that edits elements. `create` fails if an element exists, `delete` if one does not. */
export function edit(
  verb: 'add' | 'create' | 'delete',
  set: string,
  elements: readonly string[],
): string {
  return `${verb} element ${TABLE} ${set} { ${elements.join(', ')} }`;
}

/**
 * Returns the lines that make the table, the sets with at most `size` entries each, and our chain with one rule per
 * set, and that remove the chains of earlier versions.
 */
export function makeTable(sets: readonly string[], size: number): string[] {
  return [
    `add table ${TABLE}`,
    ...sets.map((name) => {
      const type = name.startsWith('blocked4') ? 'ipv4_addr' : 'ipv6_addr';
      return `add set ${TABLE} ${name} { type ${type}; flags timeout; size ${size}; counter; }`;
    }),
    ...[CHAIN, ...FORMER_CHAINS].flatMap(removalLines),
    `add chain ${TABLE} ${CHAIN} { type filter hook ${CHAIN} priority ${PRIORITY}; policy accept; }`,
    ...sets.map((name) => `add rule ${TABLE} ${CHAIN} ${matchOf(name)} drop`),
  ];
}

/** Returns the lines that remove our chains and empty the sets. The sets stay because foreign rules can match them. */
export function emptyTable(sets: readonly string[]): string[] {
  const emptied = sets.map((name) => `flush set ${TABLE} ${name}`);
  return [...[CHAIN, ...FORMER_CHAINS].flatMap(removalLines), ...emptied];
}

/**
 * Returns the lines that remove a chain whether or not it exists: `add` is a no-op for an existing chain, and `delete`
 * fails for a missing one. A chain is recreated, because its priority can't be changed.
 */
function removalLines(chain: string): string[] {
  const name = `${TABLE} ${chain}`;
  return [`add chain ${name}`, `flush chain ${name}`, `delete chain ${name}`];
}

/** Returns the name of the set for an address: family and prefix length, such as `blocked4_32`. */
export function setNameOf({ family, prefixLength }: Address): string {
  return `blocked${family}_${prefixLength}`;
}

export const SET_NAME = /^blocked([46])_([0-9]{1,3})$/;

export function matchOf(name: string): string {
  const [, family, length] = SET_NAME.exec(name) ?? [];
  const source = family === '4' ? 'ip saddr' : 'ip6 saddr';
  const mask = maskOf(family === '4' ? 4 : 6, Number(length));
  return mask === null ? `${source} @${name}` : `${source} & ${mask} == @${name}`;
}

export function maskOf(family: Family, prefixLength: number): string | null {
  const width = family === 4 ? 32 : 128;
  if (prefixLength === width) return null;
  const all = (1n << BigInt(width)) - 1n;
  return bareText(makeAddress(family, all, prefixLength));
}

/** Returns the address without its prefix length, which is part of the name of the set. */
export function bareText({ text }: Address): string {
  return text.replace(/\/.*/, '');
}
