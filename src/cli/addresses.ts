// Reads the addresses that a person gives: as arguments, in a file, or on standard input.
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
 * Arguments and the lines of `file` (`-`: standard input) together. Throws `USAGE` when there is neither, and `BAD_DATA`
 * for an argument that is no address: what was typed is done whole or not at all. A list is done as far as it can be, and says
 * which lines were left out: `list.txt:7: …`.
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
  // A download may have failed.
  if (found.size === 0 && mistakes.length === 0) note('the list has no addresses');
  return { addresses: [...found.values()], mistakes };
}

/** More than this are counted, not named. */
export const MOST_NAMED = 20;

/** Of a list, as the indexes of the state have them: in no order, each would touch another page. Few stay as they are. */
export function inTextOrder(addresses: readonly Address[]): readonly Address[] {
  if (addresses.length <= MOST_NAMED) return addresses;
  return addresses.toSorted((one, other) => (one.text < other.text ? -1 : 1));
}

/** One address, as an argument. Throws `BAD_DATA` with what to write instead. */
export function readAddress(text: string): Address {
  const address = parseExactNetwork(text);
  if (address === null) throw new AppError('BAD_DATA', describeMistake(text));
  return address;
}

/**
 * Pairs of which the second contains the first and one is new, each once: the smaller adds nothing while the larger is
 * there. Wider networks are looked up by their text, one prefix length after the other, since lists have thousands.
 */
export function findOverlaps(
  addresses: readonly Address[],
  known: readonly Address[],
): (readonly [inner: Address, outer: Address])[] {
  // Most lists have no networks at all, and then nothing can lie in another.
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

/** The networks of a list that contain an address, widest first. */
export function widerIn(networks: ReadonlyMap<string, Address>, inner: Address): Address[] {
  if (networks.size === 0) return [];
  return widerNetworks(inner).flatMap(({ text }) => networks.get(text) ?? []);
}

function nameOf(file: string | undefined): string {
  return file === undefined || file === '-' ? 'standard input' : file;
}

/** A file, or with `-` standard input. Throws `BAD_DATA` when it can't be read. */
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
  if (text.includes(',')) return 'separate addresses with blanks, not commas';
  if (HOST_NAME.test(text)) return 'host names are not resolved; write the addresses that it has';
  return 'write for example 203.0.113.9, 203.0.113.0/24 or 2001:db8::9';
}

/** With a letter that no IPv6 address has at its end, as top-level domains have. */
const HOST_NAME = /^(?:[A-Za-z0-9-]+\.)+[A-Za-z]{2,}\.?$/;
