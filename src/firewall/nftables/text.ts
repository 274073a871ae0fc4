// The text that nft reads: the lines of a transaction, and the names in it.
//
// Single addresses are in one set, and networks in one for each prefix length, asked by the masked source address: plain
// hash sets, which take overlapping networks and which no change has to be read back for. (Interval sets refuse overlaps,
// and nft reads the whole set before each change of one.)
import { makeAddress, type Address, type Family } from '../../model/address.ts';
import type { Command } from '../../system/exec.ts';

export const TABLE = 'inet firewall_drop';

/**
 * Our chain and its hook: before defragmentation (-400), iptables' raw table (-300) and connection tracking (-200). What
 * is dropped here costs no fragments put together and no lookup of its connection, whether it is for this host, to be
 * forwarded or for a container.
 */
export const CHAIN = 'prerouting';
export const PRIORITY = -450;

/** Where earlier versions dropped: a table that one of them made goes on dropping until the first block. */
export const FORMER_CHAINS = ['input', 'forward'];
export const FORMER_PRIORITY = -10;

/**
 * The longest argument, in characters; the kernel refuses one of more than 128 KiB (`MAX_ARG_STRLEN`, execve(2)).
 */
const LONGEST_ARGUMENT = 100_000;
const ARGUMENT = new RegExp(`(?! )[^]{1,${LONGEST_ARGUMENT}}(?:,(?= )|$)`, 'g');

/**
 * Returns a command that runs all of the lines as one transaction. They are arguments, which nft joins with spaces: for
 * `-f -` nft 0.9.8 to 1.0.9 open `/dev/stdin`, and standard input of our children is a socket, which can't be opened.
 */
export function transaction(lines: readonly string[]): Command {
  return { program: 'nft', args: lines.join('\n').match(ARGUMENT) ?? [], input: '' };
}

/** Returns the text that nft makes of the arguments of a transaction. */
export function textOf({ args }: Pick<Command, 'args'>): string {
  return args.filter((word) => !word.startsWith('-')).join(' ');
}

/** `create` fails for what is there, `delete` for what is not. */
export function edit(
  verb: 'add' | 'create' | 'delete',
  set: string,
  elements: readonly string[],
): string {
  return `${verb} element ${TABLE} ${set} { ${elements.join(', ')} }`;
}

/** The table, these sets of at most `size` entries, one rule for each in our chain, and no former chain. */
export function makeTable(sets: readonly string[], size: number): string[] {
  return [
    `add table ${TABLE}`,
    ...sets.map((name) => {
      const type = name.startsWith('blocked4') ? 'ipv4_addr' : 'ipv6_addr';
      return `add set ${TABLE} ${name} { type ${type}; flags timeout; size ${size}; counter; }`;
    }),
    ...[CHAIN, ...FORMER_CHAINS].flatMap(linesOfRemoval),
    `add chain ${TABLE} ${CHAIN} { type filter hook ${CHAIN} priority ${PRIORITY}; policy accept; }`,
    ...sets.map((name) => `add rule ${TABLE} ${CHAIN} ${matchOf(name)} drop`),
  ];
}

/** No chain of ours, and nothing in these sets, which a rule of somebody else may ask. */
export function emptyTable(sets: readonly string[]): string[] {
  const emptied = sets.map((name) => `flush set ${TABLE} ${name}`);
  return [...[CHAIN, ...FORMER_CHAINS].flatMap(linesOfRemoval), ...emptied];
}

/** Adding what is there changes nothing, and what is not there could not be deleted. A chain can't be given another priority. */
function linesOfRemoval(chain: string): string[] {
  const name = `${TABLE} ${chain}`;
  return [`add chain ${name}`, `flush chain ${name}`, `delete chain ${name}`];
}

/** `blocked4_32`: the family, and the length of what its entries have in common. */
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

/** An element has no length: its set has. */
export function bareText({ text }: Address): string {
  return text.replace(/\/.*/, '');
}
