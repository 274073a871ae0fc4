// Cuts the connections of an address that the kernel tracks, so that no later packet passes for a part of one.
//
// An address that began a connection is the source of its original direction, one that was called is the source of the
// replies, whatever was translated between. `conntrack` takes a network for the first only, so of networks, as
// of many addresses, the flows are listed once, and what is in the listing goes.
import { contains, isSingle, parseAddress, type Address, type Family } from '../model/address.ts';
import { AppError } from '../model/errors.ts';
import { programError, type Command, type Run, type RunResult } from '../system/exec.ts';
import type { Deadline } from '../system/wait.ts';

export const CONNTRACK = 'conntrack';

export interface CutContext {
  readonly run: Run;
  readonly deadline: Deadline;
  readonly programTimeoutSeconds: number;
}

/** Up to so many addresses cost less one by one than by a listing of all flows. */
const FEW = 4;
/** A flow may end by itself between being found and being deleted, and the rest is then left. */
const MOST_ATTEMPTS = 3;

/** What is run first for `addresses`: all there is to do for few, and for more the listing that the rest follows from. */
export function planCut(addresses: readonly Address[]): Command[] {
  return eachFamily(addresses).flatMap(([family, own]) => {
    if (!isFew(own)) return [listFlows(family)];
    return own.flatMap(({ text }) => SIDES.map((side) => deletion(family, side, text)));
  });
}

/** Throws `FIREWALL` when the flows of an address could not be deleted. That there are none is as good. */
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

/** The source of the original direction, and that of the replies. */
const SIDES = ['-s', '-r'] as const;
type Side = (typeof SIDES)[number];

function deletion(family: Family, side: Side, text: string): Command {
  return { program: CONNTRACK, args: ['-D', '-f', `ipv${family}`, side, text], input: '' };
}

function listFlows(family: Family): Command {
  return { program: CONNTRACK, args: ['-L', '-f', `ipv${family}`], input: '' };
}

/** Both directions of a flow; some protocols have words of their own between them. */
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

/** Returns what the command printed. */
function runCommand(command: Command, context: CutContext): string {
  for (let attempt = 1; ; attempt += 1) {
    const result = context.run(command, timeLeft(context));
    if (result.status === 0 || hadNone(result)) return result.stdout;
    if (attempt === MOST_ATTEMPTS || !hasJustEnded(result)) {
      throw programError(command, result, { about: `${command.args.at(-1) ?? ''}: ` });
    }
  }
}

/** The block itself is done: what is left of the run's time is for more than this. */
function timeLeft({ deadline, programTimeoutSeconds }: CutContext): number {
  const remaining = deadline.remainingMs() / 2;
  if (remaining > 0) return Math.min(remaining, programTimeoutSeconds * 1000);
  throw new AppError('FIREWALL', `no time was left to run ${CONNTRACK}`);
}

/** The status is 1 for failures as well. */
function hadNone({ status, stderr }: RunResult): boolean {
  return status === 1 && stderr.includes(': 0 flow entries have been ');
}

function hasJustEnded({ status, stderr }: RunResult): boolean {
  return status === 1 && stderr.includes("such conntrack doesn't exist");
}
