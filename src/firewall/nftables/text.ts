// The text that nft reads: each step of a transaction as one or a few lines, and the names in it.
//
// Single addresses are in one set, and networks in one for each prefix length, asked by the masked source address: plain
// hash sets, which take overlapping networks and which no change has to be read back for. (Interval sets refuse overlaps,
// and nft reads the whole set before each change of one.)
import { makeAddress, type Address, type Family } from '../../model/address.ts';
import type { Command } from '../../system/exec.ts';

export const TABLE = 'inet firewall_drop';

/** Hooks that a packet to this host or through it meets. */
export const HOOKS = ['input', 'forward'] as const;

/** The filter tables of others, iptables' among them, are at 0: what they accept was dropped by us before. */
export const PRIORITY = -10;

/** One step of a transaction. Each does what it says whatever was there before. */
export type Step =
  /** The table, these sets of at most `size` entries, and one rule for each in each of our chains. */
  | { readonly do: 'make'; readonly sets: readonly string[]; readonly size: number }
  | { readonly do: 'add' | 'delete'; readonly set: string; readonly elements: readonly string[] }
  | { readonly do: 'delete table' };

/** A command that takes all of the steps, or none. */
export function transaction(steps: readonly Step[]): Command {
  return { program: 'nft', args: ['-f', '-'], input: `${steps.flatMap(linesOf).join('\n')}\n` };
}

function linesOf(step: Step): string[] {
  switch (step.do) {
    case 'make':
      return [
        `add table ${TABLE}`,
        ...linesOfSets(step),
        ...HOOKS.flatMap((hook) => linesOfHook(hook, step.sets)),
      ];
    case 'add':
    case 'delete':
      return [`${step.do} element ${TABLE} ${step.set} { ${step.elements.join(', ')} }`];
    case 'delete table':
      return [`add table ${TABLE}`, `delete table ${TABLE}`];
  }
}

function linesOfSets({ sets, size }: Extract<Step, { do: 'make' }>): string[] {
  return sets.map((name) => {
    const type = name.startsWith('blocked4') ? 'ipv4_addr' : 'ipv6_addr';
    return `add set ${TABLE} ${name} { type ${type}; flags timeout; size ${size}; counter; }`;
  });
}

function linesOfHook(hook: string, sets: readonly string[]): string[] {
  return [
    `add chain ${TABLE} ${hook} { type filter hook ${hook} priority ${PRIORITY}; policy accept; }`,
    `flush chain ${TABLE} ${hook}`,
    ...sets.map((name) => `add rule ${TABLE} ${hook} ${matchOf(name)} drop`),
  ];
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
