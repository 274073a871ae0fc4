// Removes the connections of an address from the kernel's connection tracking, so that later packets do not pass as
// part of an established connection.
//
// An address that opened a connection is the source of its original direction. An address that accepted one is the
// source of the reply direction, whatever address translation is in between. `conntrack` accepts a network only for the
// original direction. For networks and for long lists, all flows are therefore listed once, and the matching ones
// deleted.
import { contains, isSingle, parseAddress, type Address, type Family } from '../model/address.ts';
import { AppError, ExecError, describeError } from '../model/errors.ts';
import type { Store } from '../state/store.ts';
import type { Command, Run, RunResult } from '../system/exec.ts';
import type { Deadline } from '../system/wait.ts';

export const CONNTRACK = 'conntrack';

export interface CutContext {
  readonly run: Run;
  readonly deadline: Deadline;
  readonly programTimeoutSeconds: number;
}

/** Up to this many addresses, deleting flows address by address is faster than listing all flows. */
const FEW = 4;
/** The limit for retries. `conntrack -D` stops early if a flow ends between being found and being deleted. */
const MOST_ATTEMPTS = 3;

/** Returns the commands to run first: for few addresses all commands, for more the listing of all flows. */
export function planCut(addresses: readonly Address[]): Command[] {
  return eachFamily(addresses).flatMap(([family, own]) => {
    if (!isFew(own)) return [listFlows(family)];
    return own.flatMap(({ text }) => SIDES.map((side) => deletion(family, side, text)));
  });
}

/**
 * Deletes the tracked flows of addresses; an address without flows is a success. Throws `FIREWALL` if a deletion fails.
 */
export function cutConnections(addresses: readonly Address[], context: CutContext): void {
  for (const [family, own] of eachFamily(addresses)) {
    const commands = isFew(own)
      ? planCut(own)
      : deletionsOf(family, own, runCommand(listFlows(family), context));
    for (const command of commands) runCommand(command, context);
  }
}

function eachFamily(addresses: readonly Address[]): [Family, Address[]][] {
  return [...Map.groupBy(addresses, ({ family }) => family)];
}

function isFew(addresses: readonly Address[]): boolean {
  return addresses.length <= FEW && addresses.every(isSingle);
}

/** The options for the source of the original direction and of the reply direction. */
const SIDES = ['-s', '-r'] as const;
type Side = (typeof SIDES)[number];

function deletion(family: Family, side: Side, text: string): Command {
  return { program: CONNTRACK, args: ['-D', '-f', `ipv${family}`, side, text], input: '' };
}

function listFlows(family: Family): Command {
  return { program: CONNTRACK, args: ['-L', '-f', `ipv${family}`], input: '' };
}

/** Matches both directions of a flow. Some protocols print words of their own between them. */
const FLOW = /\bsrc=(\S+) .*\bsrc=(\S+) /;

function deletionsOf(family: Family, wanted: readonly Address[], listing: string): Command[] {
  const singles = new Set(wanted.filter(isSingle).map(({ text }) => text));
  const networks = wanted.filter((address) => !isSingle(address));
  const isWanted = (source: string): boolean => {
    if (singles.has(source)) return true;
    const address = networks.length === 0 ? null : parseAddress(source);
    return address !== null && networks.some((network) => contains(network, address));
  };
  const found = listing.split('\n').map((line) => FLOW.exec(line));
  return SIDES.flatMap((side, index) => {
    const sources = new Set(found.flatMap((flow) => flow?.[index + 1] ?? []));
    return [...sources].filter(isWanted).map((source) => deletion(family, side, source));
  });
}

/** Runs a command and returns its standard output. */
function runCommand(command: Command, context: CutContext): string {
  for (let attempt = 1; ; attempt += 1) {
    const result = context.run(command, timeLeft(context));
    if (result.status === 0 || foundNoFlow(result)) return result.stdout;
    if (attempt === MOST_ATTEMPTS || !flowHasEnded(result)) {
      throw new ExecError(command, result, { about: `${command.args.at(-1) ?? ''}: ` });
    }
  }
}

/** Returns at most half of the remaining time: the address is already blocked, and the run has more to do. */
function timeLeft({ deadline, programTimeoutSeconds }: CutContext): number {
  const remaining = deadline.remainingMs() / 2;
  if (remaining > 0) return Math.min(remaining, programTimeoutSeconds * 1000);
  throw new AppError('FIREWALL', `no time was left to run ${CONNTRACK}`);
}

/** Reports whether `conntrack` found no flow. Its exit status is then 1, as for a failure. */
function foundNoFlow({ status, stderr }: RunResult): boolean {
  return status === 1 && stderr.includes(': 0 flow entries have been ');
}

function flowHasEnded({ status, stderr }: RunResult): boolean {
  return status === 1 && stderr.includes("such conntrack doesn't exist");
}

export interface ConnectionContext extends CutContext {
  readonly store: Store;
  readonly warn: (message: string) => void;
  readonly isInstalled: (program: string) => boolean;
}

/** Metadata: not empty if the missing program has been reported. */
const REPORTED_MISSING = 'conntrack missing';

export function forgetConnections(addresses: readonly Address[], context: ConnectionContext): void {
  if (addresses.length === 0 || isMissing(context)) return;
  try {
    cutConnections(addresses, context);
  } catch (error) {
    context.warn(`blocked, but open connections may still be tracked: ${describeError(error)}`);
  }
}

/** Reports whether the program is missing. Warns only once, because every alert would repeat the warning. */
function isMissing({ store, warn, isInstalled }: ConnectionContext): boolean {
  const missing = !isInstalled(CONNTRACK);
  if (missing && !store.metadata.get(REPORTED_MISSING)) {
    warn(
      `firewall.kill_connections is true and ${CONNTRACK} is not installed: open connections stay tracked, although their packets are dropped`,
    );
  }
  if (missing !== Boolean(store.metadata.get(REPORTED_MISSING)))
    store.metadata.set(REPORTED_MISSING, missing ? 'yes' : '');
  return missing;
}
