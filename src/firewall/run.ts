// Runs the commands of a backend. Bounds their time, retries while the kernel is busy, and names the addresses in
// errors.
import type { Family } from '../model/address.ts';
import { AppError, ExecError } from '../model/errors.ts';
import type { Command, Run, RunResult } from '../system/exec.ts';
import { monotonicMs, type Deadline } from '../system/wait.ts';
import type { Backend, Change, PlannedCommand, View } from './backend.ts';

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
export function runLook(command: PlannedCommand, context: FirewallContext): RunResult {
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
