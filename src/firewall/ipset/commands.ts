// The text of commands for ipset and of the rule that asks a set.
//
// `ipset -` reads commands as a person would type them: it goes on after one that failed, tests and lists between them,
// and always exits with status 0. So one process both changes and shows what the kernel holds. Many entries go in by
// `ipset restore`, which is twice as fast and says nothing, and the set is listed after it.
import type { Family } from '../../model/address.ts';
import type { Command } from '../../system/exec.ts';
import type { Change, PlannedCommand } from '../backend.ts';
import { editTable, listRules, type IptablesOptions, type TableEdits } from '../iptables/rules.ts';

export interface IpsetOptions extends IptablesOptions {
  /** The set of IPv4 is this with `-4`, that of IPv6 with `-6`. */
  readonly setName: string;
  /** How many entries a set may hold. */
  readonly maxEntries: number;
}

/** The kernel counts the time in 32 bits of milliseconds, half of them. What is longer is ended by us, by the state. */
const LONGEST_TIMEOUT_SECONDS = 2_147_483;

export function setNameOf(family: Family, { setName }: IpsetOptions): string {
  return `${setName}-${family}`;
}

/** As iptables prints it. */
export function setRuleOf(family: Family, options: IpsetOptions): string {
  return `-m set --match-set ${setNameOf(family, options)} src -j DROP`;
}

/**
 * iptables-legacy needs a kernel module for each of its tables, and some kernels are built without that of `raw`. The
 * complaint comes after `filter` was changed and listed.
 */
const NO_RAW_TABLE = { status: 2, complaint: "unable to initialize table 'raw'" };
const NO_RAW_TABLE_TO_SAVE = { status: 1, complaint: 'Table does not exist' };

/** Edits of the rules, and a listing of both tables in which there may be some of ours. */
export function editRules(
  family: Family,
  options: IpsetOptions,
  { table, edits }: Omit<TableEdits, 'listed'>,
): PlannedCommand {
  const command = editTable(family, options, { table, edits, listed: ['filter', 'raw'] });
  return { ...command, answers: NO_RAW_TABLE };
}

export function lookAtRules(family: Family, options: IpsetOptions): PlannedCommand {
  return { ...editRules(family, options, { table: 'filter', edits: [] }), effect: 'look' };
}

/** Listings with counters: of both tables, and of the set. */
export function listAll(family: Family, options: IpsetOptions): PlannedCommand[] {
  return [
    listRules(family, options),
    { ...listRules(family, options, 'raw'), answers: NO_RAW_TABLE_TO_SAVE },
    list(setNameOf(family, options)),
  ];
}

/** The kernel takes 0 for never, and so does null here. */
export function kernelTimeout({ timeoutSeconds = null }: Change): number | null {
  if (timeoutSeconds === null || timeoutSeconds > LONGEST_TIMEOUT_SECONDS) return null;
  return Math.max(1, Math.ceil(timeoutSeconds));
}

export function creation(name: string, family: Family, { maxEntries }: IpsetOptions): string {
  const inet = family === 4 ? 'inet' : 'inet6';
  return `create ${name} hash:net family ${inet} timeout 0 counters comment maxelem ${maxEntries}`;
}

export function edit(name: string, change: Change): string {
  const { text } = change.address;
  if (change.to === 'released') return `del ${name} ${text}`;
  return `add ${name} ${text} timeout ${kernelTimeout(change) ?? 0}`;
}

export function test(name: string, { address }: Change): string {
  return `test ${name} ${address.text}`;
}

/** The status is 0 whatever happens: the answers count. */
export function ask(lines: readonly string[]): PlannedCommand {
  const looks = lines.every((line) => /^(?:test|list) /.test(line));
  const command = { program: 'ipset', args: ['-exist', '-'], input: [...lines, ''].join('\n') };
  return looks ? { ...command, effect: 'look' } : command;
}

export function restore(lines: readonly string[]): Command {
  return { program: 'ipset', args: ['-exist', 'restore'], input: [...lines, ''].join('\n') };
}

export function list(name: string): PlannedCommand {
  return ask([`list ${name}`]);
}
