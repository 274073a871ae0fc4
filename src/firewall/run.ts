// Runs the commands of a backend: bounds their time, retries while the kernel is busy, and names the addresses in
// errors. With commands that only look, it compares, plans, and takes snapshots.
import type { Family } from '../model/address.ts';
import { AppError, ExecError } from '../model/errors.ts';
import type { Command, Run, RunResult } from '../system/exec.ts';
import { monotonicMs, type Deadline } from '../system/wait.ts';
import type { Backend, Change, PlannedCommand, View, Snapshot } from './backend.ts';

export interface FirewallContext {
  readonly backend: Backend;
  readonly run: Run;
  readonly sleep: (milliseconds: number) => void;
  readonly deadline: Deadline;
  readonly programTimeoutSeconds: number;
  /** The optional chains that a family had when it was last inspected. */
  readonly extras: (family: Family) => readonly string[];
  readonly noteExtras: (family: Family, extras: readonly string[]) => void;
  /** Reports whether the kernel has no IPv6. */
  readonly isIpv6Absent: () => boolean;
  /** Reports whether other runs can change the rules of the same addresses at the same time. */
  readonly isWorkShared: () => boolean;
}

/**
 * The exit status for a lock held by another process, a race on the table, or a missing permission. The command is
 * tried again.
 */
const BUSY_STATUS = 4;
const BUSY_WAITS_MS: readonly number[] = [100, 300];
/**
 * A command that took longer has waited for the lock itself, since the programs wait at least a second. It is not
 * retried.
 */
const BUSY_WORTH_RETRYING_MS = 800;

export interface Attempt {
  readonly command: PlannedCommand;
  readonly result: RunResult;
}

/** Returns the view after the first look. */
export function look(family: Family, changes: readonly Change[], context: FirewallContext): View {
  const { backend } = context;
  const command = backend.plan(family, backend.nothingKnown, changes);
  return command === null ? backend.nothingKnown : lookWith(command, backend.nothingKnown, context);
}

export function lookWith(command: PlannedCommand, before: View, context: FirewallContext): View {
  return readResult(command, runLook(command, context), before, context);
}

/** Runs a command that changes nothing. Throws if the command fails and its failure is not an answer. */
function runLook(command: PlannedCommand, context: FirewallContext): RunResult {
  const result = runWithRetries(command, context);
  if (isAnswer(command, result)) return result;
  throw failure([], { command, result }, context);
}

export function isAnswer({ answers }: PlannedCommand, { status, stderr }: RunResult): boolean {
  if (status === 0 || answers === undefined) return status === 0;
  return status === answers.status && stderr.includes(answers.complaint);
}

export function readResult(
  command: PlannedCommand,
  { status, stdout, stderr }: RunResult,
  before: View,
  { backend }: FirewallContext,
): View {
  return backend.read(stdout, { command, status: status ?? 0, stderr, before });
}

/**
 * Inspects the kernel after a failed command. If that fails too, throws the failure of the command, which explains
 * more.
 */
export function lookAgain(
  family: Family,
  changes: readonly Change[],
  context: FirewallContext,
  failed: Attempt,
): View {
  try {
    return look(family, changes, context);
  } catch (error) {
    throw failure(changes, failed, context, error);
  }
}

export function runWithRetries(command: Command, context: FirewallContext): RunResult {
  const waits = [...BUSY_WAITS_MS];
  for (;;) {
    const started = monotonicMs();
    const result = context.run(command, timeLeft(command, context));
    const wait = result.status === BUSY_STATUS ? waits.shift() : undefined;
    if (wait === undefined || monotonicMs() - started > BUSY_WORTH_RETRYING_MS) return result;
    context.sleep(Math.min(wait, context.deadline.remainingMs()));
  }
}

function timeLeft(command: Command, context: FirewallContext): number {
  const remaining = context.deadline.remainingMs();
  if (remaining > 0) return Math.min(remaining, context.programTimeoutSeconds * 1000);
  throw new AppError('FIREWALL', `no time was left to run ${command.program}`);
}

/** Returns the error for a failed command. `changes` is empty for a command that only looks. */
export function failure(
  changes: readonly Change[],
  { command, result }: Attempt,
  { backend }: FirewallContext,
  cause?: unknown,
): ExecError {
  const about = changes.length === 0 ? '' : `${subject(changes)}: `;
  const advice = backend.advice?.(result.stderr) ?? '';
  return new ExecError(command, result, { about, advice, cause });
}

export function subject(changes: readonly Change[]): string {
  const named = changes.slice(0, 3).map((change) => change.address.text);
  const more = changes.length - named.length;
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
}

/** How the kernel differs from a list of changes. */
export interface Comparison {
  /** The changes that are not in effect. */
  readonly missing: readonly Change[];
  /** The changes that are in effect with a timeout that is too short. */
  readonly late: readonly Change[];
}

/** The most looks before or after one change: a plan lists entries, sets and rules. */
export const MOST_LOOKS = 4;
/**
 * The longest time a look may take, in seconds per entry. Loading and listing 100,000 entries takes 2 s; the machine
 * may be slow and busy.
 */
const LONGEST_LOOK_SECONDS_EACH = 0.001;
/** How many times one family is changed and inspected before the run reports that another program interferes. */
const MOST_ATTEMPTS = 5;

/** Returns the largest number of attempts. A backend can split a long list into parts of at least a thousand. */
export function mostAttempts(changes: readonly Change[]): number {
  return MOST_ATTEMPTS + Math.floor(changes.length / 1000);
}

export function compare(changes: readonly Change[], context: FirewallContext): Comparison {
  const found = byFamily(changes, context, ALL_AS_WANTED, (family, own) =>
    compareFamily(family, own, context),
  );
  return {
    missing: found.flatMap(({ missing }) => missing),
    late: found.flatMap(({ late }) => late),
  };
}

const ALL_AS_WANTED: Comparison = { missing: [], late: [] };

function compareFamily(
  family: Family,
  changes: readonly Change[],
  context: FirewallContext,
): Comparison {
  const { backend } = context;
  const view = lookAtAll(family, changes, context);
  const command = backend.plan(family, view, changes);
  const missing: Change[] = [];
  const late: Change[] = [];
  if (command === null || command.effect === 'look') return { missing, late };
  for (const change of changes) {
    const alone = backend.plan(family, view, [change]);
    if (alone !== null) (alone.effect === 'refresh' ? late : missing).push(change);
  }
  return { missing, late };
}

/**
 * Calls `work` for each family of `changes`.
 *
 * If `work` fails for IPv6 releases and the kernel has no IPv6, returns `done` for them: nothing is blocked there, even
 * if ip6tables can't confirm it. Otherwise such a release would stay pending and fail in every later run.
 */
export function byFamily<T>(
  changes: readonly Change[],
  { isIpv6Absent }: FirewallContext,
  done: T,
  work: (family: Family, own: readonly Change[]) => T,
): T[] {
  const lasting = changes.map((change) => outlastingTheLook(change, changes.length));
  return ([4, 6] as const).flatMap((family) => {
    const own = lasting.filter(({ address }) => address.family === family);
    if (own.length === 0) return [];
    try {
      return [work(family, own)];
    } catch (error) {
      const onlyReleases = family === 6 && own.every(({ to }) => to === 'released');
      if (onlyReleases && isIpv6Absent()) return [done];
      throw error;
    }
  });
}

/** Runs the looks that the backend plans until the view is complete. */
function lookAtAll(family: Family, changes: readonly Change[], context: FirewallContext): View {
  let view = context.backend.nothingKnown;
  for (let looks = 0; looks < mostAttempts(changes); looks += 1) {
    const command = context.backend.plan(family, view, changes);
    if (command?.effect !== 'look') break;
    view = lookWith(command, view, context);
  }
  return view;
}

/**
 * Extends a timeout that could expire before the kernel is inspected: the entry would then seem never to have been
 * made. The program still unblocks the address at the deadline in the state, so the extension matters only if no run
 * follows.
 */
function outlastingTheLook(change: Change, among: number): Change {
  const { timeoutSeconds = null } = change;
  const least = among * LONGEST_LOOK_SECONDS_EACH;
  if (timeoutSeconds === null || timeoutSeconds >= least) return change;
  return { ...change, timeoutSeconds: least };
}

export function planOnly(changes: readonly Change[], context: FirewallContext): Command[] {
  return byFamily(changes, context, [], (family, own) => planFamily(family, own, context)).flat();
}

function planFamily(
  family: Family,
  changes: readonly Change[],
  context: FirewallContext,
): Command[] {
  const { backend } = context;
  const commands: Command[] = [];
  let view = backend.nothingKnown;
  const most = mostAttempts(changes) + MOST_LOOKS;
  for (let round = 0; round <= most; round += 1) {
    const command = backend.plan(family, view, changes);
    if (command === null) break;
    if (command.effect === undefined) commands.push(command);
    view =
      command.effect === 'look'
        ? lookWith(command, view, context)
        : backend.simulate(view, command, changes);
  }
  return commands;
}

export function takeSnapshot(family: Family, context: FirewallContext): Snapshot {
  const { backend } = context;
  const commands = backend.snapshot(family);
  return backend.readSnapshot(commands.map((command) => runLook(command, context).stdout));
}
