// Reads the addresses that a person gives as arguments, in a file or on standard input.
import { readFileSync } from 'node:fs';
import {
  isSingle,
  parseAddress,
  parseExactNetwork,
  parseNetwork,
  widerNetworks,
  type Address,
} from '../model/address.ts';
import { AppError, orThrow } from '../model/errors.ts';
import { quote } from '../system/printable.ts';
import type { Person } from './session.ts';

/**
 * Reads addresses from the arguments and from the lines of `file` (`-` is standard input). Throws `USAGE` if there is
 * neither and `BAD_DATA` if an argument is not an address, because typed addresses are processed all or none. Invalid
 * lines of a file are reported as `list.txt:7: …` and skipped.
 */
export function readAddresses(
  words: readonly string[],
  file: string | undefined,
  { complain, note }: Pick<Person, 'complain' | 'note'>,
): { readonly addresses: readonly Address[]; readonly mistakes: readonly string[] } {
  if (words.length === 0 && file === undefined) {
    throw new AppError('USAGE', 'name addresses as arguments, or a list with --file');
  }
  const found = new Map<string, Address>();
  const mistakes: string[] = [];
  for (const address of words.map(readAddress)) found.set(address.text, address);
  const lines = file === undefined ? [] : readText(file).split('\n');
  for (const [index, line] of lines.entries()) {
    const text = line.replace(/#.*/, '').trim();
    const address = parseExactNetwork(text);
    if (address !== null) found.set(address.text, address);
    else if (text !== '') mistakes.push(`${nameOf(file)}:${index + 1}: ${describeMistake(text)}`);
  }
  mistakes.forEach(complain);
  // An empty list can be the result of a failed download.
  if (found.size === 0 && mistakes.length === 0) note('the list contains no addresses');
  return { addresses: [...found.values()], mistakes };
}

/** The largest number of addresses that messages name one by one. Longer lists are only counted. */
export const MOST_NAMED = 20;

/**
 * Sorts a long list in the order of the database index, so that consecutive addresses share pages. Returns a short list
 * unchanged.
 */
export function sortLongList(addresses: readonly Address[]): readonly Address[] {
  if (addresses.length <= MOST_NAMED) return addresses;
  return addresses.toSorted((one, other) => (one.text < other.text ? -1 : 1));
}

/** Parses one argument. Throws `BAD_DATA`, with advice, if it is not an address. */
export function readAddress(text: string): Address {
  const address = parseExactNetwork(text);
  if (address === null) throw new AppError('BAD_DATA', describeMistake(text));
  return address;
}

/**
 * Returns the pairs in which `outer` contains `inner` and at least one of the two is new. Blocking `inner` has no
 * effect while `outer` is blocked. Looks up each wider prefix by its text, because lists can have thousands of entries.
 */
export function findOverlaps(
  addresses: readonly Address[],
  known: readonly Address[],
): (readonly [inner: Address, outer: Address])[] {
  // Without networks, no entry can contain another.
  if (known.every(isSingle) && addresses.every(isSingle)) return [];
  const all = new Map([...known, ...addresses].map((one) => [one.text, one]));
  const networks = new Map([...all].filter(([, one]) => !isSingle(one)));
  const isNew = new Set(addresses.map((one) => one.text));
  return [...all.values()].flatMap((inner) => {
    return widerIn(networks, inner)
      .filter((outer) => isNew.has(inner.text) || isNew.has(outer.text))
      .map((outer) => [inner, outer] as const);
  });
}

/** Returns the networks of a list that contain an address, widest first. */
export function widerIn(networks: ReadonlyMap<string, Address>, inner: Address): Address[] {
  if (networks.size === 0) return [];
  return widerNetworks(inner).flatMap(({ text }) => networks.get(text) ?? []);
}

function nameOf(file: string | undefined): string {
  return file === undefined || file === '-' ? 'standard input' : file;
}

/** Reads a file, or standard input for `-`. Throws `BAD_DATA` if it can't be read. */
export function readText(file: string): string {
  return orThrow('BAD_DATA', `${file} can't be read`, () => {
    return readFileSync(file === '-' ? 0 : file, 'utf8');
  });
}

function describeMistake(text: string): string {
  return `${quote(text)} is not an address or a network: ${adviceFor(text)}`;
}

function adviceFor(text: string): string {
  const network = parseNetwork(text);
  if (network !== null && parseAddress(text) === null) {
    const what = text.includes('.', text.indexOf('/')) ? 'mask is dotted' : 'host bits are set';
    return `its ${what}; did you mean ${network.text}?`;
  }
  if (text.includes(',')) return 'separate addresses with spaces, not commas';
  if (HOST_NAME.test(text)) return 'host names are not resolved; use the addresses of the host';
  return 'use the form 203.0.113.9, 203.0.113.0/24 or 2001:db8::9';
}

/** A name that ends in at least two letters, as top-level domains do. No IPv6 address has that form. */
const HOST_NAME = /^(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\.?$/;
