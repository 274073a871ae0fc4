// Builds commands for ipset, and the rule that matches a set.
//
// `ipset -` reads commands as if typed at a prompt: it continues after a failed command, can test and list in between,
// and always exits with status 0. One process thus changes and verifies. Long lists go through `ipset restore`, which
// is twice as fast but prints nothing, so the set is listed afterwards.
import type { Family } from '../../model/address.ts';
import type { Command } from '../../system/exec.ts';
import type { Change, PlannedCommand } from '../backend.ts';
import { editTable, listRules, type IptablesOptions, type TableEdits } from '../iptables/rules.ts';

export interface IpsetOptions extends IptablesOptions {
  /** The base name of the sets: `-4` is appended for IPv4, `-6` for IPv6. */
  readonly setName: string;
  /** The largest number of entries in a set. */
  readonly maxEntries: number;
}

/**
 * The longest timeout of an entry: the kernel counts milliseconds in 31 bits. For longer timeouts, the program unblocks
 * the address at the deadline in the state.
 */
const LONGEST_TIMEOUT_SECONDS = 2_147_483;

export function setNameOf(family: Family, { setName }: IpsetOptions): string {
  return `${setName}-${family}`;
}

/** Returns the rule for our set, as iptables prints it. */
export function setRuleOf(family: Family, options: IpsetOptions): string {
  return `-m set --match-set ${setNameOf(family, options)} src -j DROP`;
}

/**
 * The failure of iptables-legacy on a kernel without the table `raw`: it needs a kernel module for each table. The
 * error comes after `filter` was changed and listed.
 */
const NO_RAW_TABLE = { status: 2, complaint: "unable to initialize table 'raw'" };
const NO_RAW_TABLE_TO_SAVE = { status: 1, complaint: 'Table does not exist' };

/** Returns a command that edits rules and lists both tables that can hold rules of ours. */
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

/** Returns commands that list both tables and the set, with counters. */
export function listAll(family: Family, options: IpsetOptions): PlannedCommand[] {
  return [
    listRules(family, options),
    { ...listRules(family, options, 'raw'), answers: NO_RAW_TABLE_TO_SAVE },
    list(setNameOf(family, options)),
  ];
}

/** Returns the timeout for the kernel in whole seconds; null if the entry has none. The kernel writes that as 0. */
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

/** Returns an `ipset -` command. Its exit status is always 0, so only its output tells what happened. */
export function script(lines: readonly string[]): PlannedCommand {
  const looks = lines.every((line) => /^(?:test|list) /.test(line));
  const command = { program: 'ipset', args: ['-exist', '-'], input: [...lines, ''].join('\n') };
  return looks ? { ...command, effect: 'look' } : command;
}

export function restore(lines: readonly string[]): Command {
  return { program: 'ipset', args: ['-exist', 'restore'], input: [...lines, ''].join('\n') };
}

export function list(name: string): PlannedCommand {
  return script([`list ${name}`]);
}
