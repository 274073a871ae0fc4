// The firewall as the rest of the program sees it: changes go in, and come back only when the kernel was seen to obey.
import type { Family } from '../ban/address.ts';
import { AppError } from '../errors.ts';
import type { Command, Run, RunResult } from '../os/run.ts';
import { monotonicMs, type Deadline } from '../os/wait.ts';
import type { Backend, Census, Change, View } from './backend.ts';

export interface ApplyTools {
  readonly backend: Backend;
  readonly run: Run;
  readonly sleep: (milliseconds: number) => void;
  readonly deadline: Deadline;
  readonly programTimeoutSeconds: number;
  /** The chains beyond the usual that a family had when last seen, and where to note a difference. */
  readonly extras: (family: Family) => readonly string[];
  readonly noteExtras: (family: Family, extras: readonly string[]) => void;
}

export interface ApplyOptions {
  /**
   * True when the books say that every address is in the other state: the change is tried at once, and only a failure
   * makes us inspect. Otherwise we inspect first.
   */
  readonly trustBooks: boolean;
}

/** Whether the kernel had to be changed, or was found as asked. */
export type ApplyOutcome = 'changed' | 'unchanged';

/** How often one family is planned and looked at before we admit that something works against us. */
const MOST_ROUNDS = 5;
/** Status 4: the program met a lock, a race on the table, or no permission. Waits before trying again. */
const BUSY_STATUS = 4;
const BUSY_WAITS_MS: readonly number[] = [100, 300];
/** The program itself waits for a second at least before it gives up on the lock. */
const BUSY_WORTH_RETRYING_MS = 800;
/** How much of a program's complaint goes into our own. */
const LONGEST_QUOTE = 500;

export interface Firewall {
  readonly backendName: string;
  /** Brings the kernel to `changes`. Throws `FIREWALL` when it was not seen to hold every one of them. */
  apply(changes: readonly Change[], options: ApplyOptions): ApplyOutcome;
  /** The commands that `apply` would run now; only looks. */
  plan(changes: readonly Change[]): Command[];
  /** Everything that the kernel holds for a family, with counters. Throws `FIREWALL` when it can't be asked. */
  census(family: Family): Census;
}

export function createFirewall(tools: ApplyTools): Firewall {
  return {
    backendName: tools.backend.name,
    apply: (changes, options) => apply(changes, tools, options),
    plan: (changes) => planOnly(changes, tools),
    census: (family) => takeCensus(family, tools),
  };
}

function apply(
  changes: readonly Change[],
  tools: ApplyTools,
  { trustBooks }: ApplyOptions,
): ApplyOutcome {
  let outcome: ApplyOutcome = 'unchanged';
  for (const family of [4, 6] as const) {
    const own = changes.filter((change) => change.address.family === family);
    if (own.length > 0 && applyFamily(family, own, tools, trustBooks)) outcome = 'changed';
  }
  return outcome;
}

function planOnly(changes: readonly Change[], tools: ApplyTools): Command[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = changes.filter((change) => change.address.family === family);
    if (own.length === 0) return [];
    const command = tools.backend.plan(family, look(family, tools), own);
    return command === null ? [] : [command];
  });
}

function takeCensus(family: Family, tools: ApplyTools): Census {
  const command = tools.backend.census(family);
  const result = runPatiently(command, tools);
  if (result.status !== 0) throw failure([], { command, result });
  return tools.backend.readCensus(result.stdout);
}

interface Attempt {
  readonly command: Command;
  readonly result: RunResult;
}

function applyFamily(
  family: Family,
  changes: readonly Change[],
  tools: ApplyTools,
  trustBooks: boolean,
): boolean {
  const { backend } = tools;
  let view = trustBooks ? backend.expect(changes, tools.extras(family)) : look(family, tools);
  let failed: Attempt | null = null;
  for (let round = 0; round < MOST_ROUNDS; round += 1) {
    const command = backend.plan(family, view, changes);
    if (command === null) {
      tools.noteExtras(family, view.extras);
      return round > 0;
    }
    // The kernel was looked at since, and the same thing is still to be done: once more would fail the same way.
    if (failed?.command.input === command.input) throw failure(changes, failed);
    const result = runPatiently(command, tools);
    failed = result.status === 0 ? null : { command, result };
    view =
      failed === null ? backend.read(result.stdout) : lookAgain(family, changes, tools, failed);
  }
  throw new AppError(
    'FIREWALL',
    `${subject(changes)}: changed ${MOST_ROUNDS} times and never found as asked: another program keeps changing the rules`,
  );
}

function look(family: Family, tools: ApplyTools): View {
  const command = tools.backend.inspect(family);
  const result = runPatiently(command, tools);
  if (result.status !== 0) throw failure([], { command, result });
  return tools.backend.read(result.stdout);
}

/** After a failure. Should looking fail as well, the failure is the better explanation. */
function lookAgain(
  family: Family,
  changes: readonly Change[],
  tools: ApplyTools,
  failed: Attempt,
): View {
  try {
    return look(family, tools);
  } catch (error) {
    throw failure(changes, failed, error);
  }
}

function runPatiently(command: Command, tools: ApplyTools): RunResult {
  const waits = [...BUSY_WAITS_MS];
  for (;;) {
    const started = monotonicMs();
    const result = tools.run(command, timeLeft(command, tools));
    const wait = result.status === BUSY_STATUS ? waits.shift() : undefined;
    // A program that itself waited for the lock is not asked to wait again.
    if (wait === undefined || monotonicMs() - started > BUSY_WORTH_RETRYING_MS) return result;
    tools.sleep(Math.min(wait, tools.deadline.remainingMs()));
  }
}

function timeLeft(command: Command, tools: ApplyTools): number {
  const remaining = tools.deadline.remainingMs();
  if (remaining > 0) return Math.min(remaining, tools.programTimeoutSeconds * 1000);
  throw new AppError('FIREWALL', `no time was left to run ${command.program}`);
}

function failure(
  changes: readonly Change[],
  { command, result }: Attempt,
  cause?: unknown,
): AppError {
  const how =
    result.trouble === '' ? `exited with status ${result.status ?? 'none'}` : result.trouble;
  const printed = result.stderr
    .trim()
    .slice(0, LONGEST_QUOTE)
    .replace(/\s*\n\s*/g, '; ');
  const quote = printed === '' ? '' : `: ${printed}`;
  const whom = changes.length === 0 ? '' : `${subject(changes)}: `;
  return new AppError('FIREWALL', `${whom}${command.program} ${how}${quote}`, cause);
}

function subject(changes: readonly Change[]): string {
  const named = changes.slice(0, 3).map((change) => change.address.text);
  const more = changes.length - named.length;
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
}
