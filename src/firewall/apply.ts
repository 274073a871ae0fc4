// The firewall as the rest of the program sees it: changes go in, and come back only when the kernel was seen to obey.
import type { ForeignRules } from '../model/ban.ts';
import type { Family } from '../model/address.ts';
import { AppError } from '../model/errors.ts';
import type { Command, Run, RunResult } from '../system/exec.ts';
import { deadlineIn, monotonicMs, type Deadline } from '../system/wait.ts';
import type { Backend, Change, PlannedCommand, Snapshot, View } from './backend.ts';

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
  readonly trustState: boolean;
  /** How long the programs may take, where that is less than the run has. */
  readonly withinMs?: number;
}

export interface ApplyResult {
  /** Whether the kernel had to be changed, or was found as asked. */
  readonly outcome: 'changed' | 'unchanged';
  /** By the address's text: rules of somebody else, of the changes that were to find them out and have any. */
  readonly foreign: ReadonlyMap<string, ForeignRules>;
}

/** How the kernel differs from what is wanted. */
export interface Comparison {
  /** The changes that the kernel is not as. */
  readonly missing: readonly Change[];
  /** All is blocked as wanted, and the kernel would end some of it too early. */
  readonly late: boolean;
}

/** How often one family is changed and looked at before we admit that something works against us. */
const MOST_ATTEMPTS = 5;
/** A plan looks a few times before and after each of its changes: at entries, at sets, at rules. */
const MOST_LOOKS = 4;
/** Status 4: the program met a lock, a race on the table, or no permission. Waits before trying again. */
const BUSY_STATUS = 4;
const BUSY_WAITS_MS: readonly number[] = [100, 300];
/** The program itself waits for a second at least before it gives up on the lock. */
const BUSY_WORTH_RETRYING_MS = 800;
/** Loading and listing 100,000 entries takes 2 s; a machine may be slow, and busy. */
const LONGEST_LOOK_SECONDS_EACH = 0.001;
/** How much of a program's complaint goes into our own. */
const LONGEST_QUOTE = 500;

export interface Firewall {
  readonly backendName: string;
  /** How many addresses are best released at once. */
  readonly mostReleases: number;
  /** Brings the kernel to `changes`. Throws `FIREWALL` when it was not seen to hold every one of them. */
  apply(changes: readonly Change[], options: ApplyOptions): ApplyResult;
  /** Looks only. Throws `FIREWALL` when the kernel can't be asked. */
  compare(changes: readonly Change[]): Comparison;
  /** The commands that `apply` would run now; only looks. */
  plan(changes: readonly Change[]): Command[];
  /** Everything that the kernel holds for a family, with counters. Throws `FIREWALL` when it can't be asked. */
  snapshot(family: Family): Snapshot;
  /** Throws `FIREWALL` when its programs or the kernel can't do what it needs, as far as looking tells. */
  tryOut(): void;
  /**
   * Takes everything of ours out of the kernel: the rules of `releases`, or all sets, rules for them and the table. Throws
   * `FIREWALL` when that was not seen to be so.
   */
  removeAll(releases: readonly Change[]): void;
}

export function createFirewall(tools: ApplyTools): Firewall {
  return {
    backendName: tools.backend.name,
    mostReleases: tools.backend.mostReleases,
    apply: (changes, options) => apply(changes, tools, options),
    compare: (changes) => compare(changes, tools),
    plan: (changes) => planOnly(changes, tools),
    snapshot: (family) => takeSnapshot(family, tools),
    tryOut: () => {
      look(4, [], tools);
      const first = tools.backend.planRemoval?.(4, null) ?? null;
      if (first !== null) lookWith(first, null, tools);
    },
    removeAll: (releases) => {
      if (tools.backend.planRemoval === undefined) releaseAll(releases, tools);
      else for (const family of [4, 6] as const) removeSets(family, tools);
    },
  };
}

/** The newest first, where iptables finds them soonest. */
function releaseAll(releases: readonly Change[], tools: ApplyTools): void {
  const { mostReleases } = tools.backend;
  for (const family of [4, 6] as const) {
    const own = releases.filter(({ address }) => address.family === family).toReversed();
    for (let from = 0; from < own.length; from += mostReleases) {
      apply(own.slice(from, from + mostReleases), tools, { trustState: false });
    }
  }
}

/** Looks at sets and rules, takes rules out, then sets, and looks again. */
const MOST_REMOVAL_STEPS = 10;

function removeSets(family: Family, tools: ApplyTools): void {
  let view: View | null = null;
  for (let step = 0; step < MOST_REMOVAL_STEPS; step += 1) {
    const command: PlannedCommand | null = tools.backend.planRemoval?.(family, view) ?? null;
    if (command === null) return;
    view = lookWith(command, view, tools);
  }
  throw new AppError(
    'FIREWALL',
    `${tools.backend.name}: what is ours was taken out and is there again: another program keeps making it`,
  );
}

function apply(
  changes: readonly Change[],
  tools: ApplyTools,
  { trustState, withinMs }: ApplyOptions,
): ApplyResult {
  const bounded = withinMs === undefined ? tools : { ...tools, deadline: sooner(tools, withinMs) };
  const results = ([4, 6] as const).flatMap((family) => {
    const own = ofFamily(family, changes);
    return own.length > 0 ? [applyFamily(family, own, bounded, trustState)] : [];
  });
  return {
    outcome: results.some(({ outcome }) => outcome === 'changed') ? 'changed' : 'unchanged',
    foreign: new Map(results.flatMap(({ foreign }) => [...foreign])),
  };
}

function sooner({ deadline }: ApplyTools, withinMs: number): Deadline {
  const own = deadlineIn(withinMs);
  return { remainingMs: () => Math.min(own.remainingMs(), deadline.remainingMs()) };
}

function compare(changes: readonly Change[], tools: ApplyTools): Comparison {
  const missing: Change[] = [];
  let late = false;
  for (const family of [4, 6] as const) {
    const own = ofFamily(family, changes);
    if (own.length === 0) continue;
    const view = lookAtAll(family, own, tools);
    const command = tools.backend.plan(family, view, own);
    late ||= command?.effect === 'refresh';
    if (command === null || command.effect !== undefined) continue;
    missing.push(
      ...own.filter((change) => {
        const alone = tools.backend.plan(family, view, [change]);
        return alone !== null && alone.effect !== 'refresh';
      }),
    );
  }
  return { missing, late };
}

/** Looks until the backend has seen all that it plans by. */
function lookAtAll(family: Family, changes: readonly Change[], tools: ApplyTools): View {
  let view = look(family, changes, tools);
  for (let looks = 1; looks < MOST_LOOKS; looks += 1) {
    const command = tools.backend.plan(family, view, changes);
    if (command?.effect !== 'look') break;
    view = lookWith(command, view, tools);
  }
  return view;
}

function ofFamily(family: Family, changes: readonly Change[]): Change[] {
  return changes
    .filter((change) => change.address.family === family)
    .map((change) => outlivingTheLook(change, changes.length));
}

/**
 * An entry that the kernel ended before we looked would seem never to have been made. The books still end it in time: what
 * is longer here counts only where nothing of ours runs any more.
 */
function outlivingTheLook(change: Change, among: number): Change {
  const { timeoutSeconds = null } = change;
  if (timeoutSeconds === null) return change;
  return { ...change, timeoutSeconds: Math.max(timeoutSeconds, among * LONGEST_LOOK_SECONDS_EACH) };
}

function planOnly(changes: readonly Change[], tools: ApplyTools): Command[] {
  return ([4, 6] as const).flatMap((family) => {
    const own = ofFamily(family, changes);
    if (own.length === 0) return [];
    return planFamily(family, own, tools);
  });
}

function planFamily(family: Family, changes: readonly Change[], tools: ApplyTools): Command[] {
  const { backend } = tools;
  const commands: Command[] = [];
  let view = look(family, changes, tools);
  const most = mostAttempts(changes) + MOST_LOOKS;
  for (let round = 0; round < most; round += 1) {
    const command = backend.plan(family, view, changes);
    if (command === null) break;
    if (command.effect === undefined) commands.push(command);
    view =
      command.effect === 'look'
        ? lookWith(command, view, tools)
        : backend.simulate(view, command, changes);
  }
  return commands;
}

function takeSnapshot(family: Family, tools: ApplyTools): Snapshot {
  const { backend } = tools;
  const ofSet = backend.snapshotOfSet?.(family);
  const members = ofSet === undefined ? undefined : outputOf(ofSet, tools);
  return backend.readSnapshot(outputOf(backend.snapshot(family), tools), members);
}

function outputOf(command: Command, tools: ApplyTools): string {
  const result = runPatiently(command, tools);
  if (result.status !== 0) throw failure([], { command, result }, tools);
  return result.stdout;
}

interface Attempt {
  readonly command: PlannedCommand;
  readonly result: RunResult;
}

function applyFamily(
  family: Family,
  asked: readonly Change[],
  tools: ApplyTools,
  trustState: boolean,
): ApplyResult {
  const { backend } = tools;
  let changes = asked;
  let view = trustState
    ? backend.expect(changes, tools.extras(family))
    : look(family, changes, tools);
  if (!trustState) changes = withForeign(changes, view, false, backend);
  let failed: Attempt | null = null;
  let changed = false;
  let attempts = 0;
  let looks = 0;
  for (;;) {
    const command = backend.plan(family, view, changes);
    if (command === null) {
      tools.noteExtras(family, view.extras);
      return { outcome: changed ? 'changed' : 'unchanged', foreign: foreignIn(asked, changes) };
    }
    if (command.effect === 'look') looks += 1;
    else attempts += 1;
    if (attempts > mostAttempts(changes) || looks > MOST_LOOKS + attempts * MOST_LOOKS) {
      throw endless(changes);
    }
    // The kernel was looked at since, and the same thing is still to be done: once more would fail the same way.
    if (failed?.command.input === command.input) throw failure(changes, failed, tools);
    const result = runPatiently(command, tools);
    changed ||= command.effect === undefined;
    failed = isAnswer(command, result) ? null : { command, result };
    view =
      failed === null
        ? readResult(command, result, view, tools)
        : lookAgain(family, changes, tools, failed);
    if (trustState) changes = withForeign(changes, view, failed === null, backend);
  }
}

/** Settles, by a view that shows rules, which of them are somebody else's. */
function withForeign(
  changes: readonly Change[],
  view: View,
  made: boolean,
  backend: Backend,
): readonly Change[] {
  return changes.map((change) => {
    if (change.foreign === undefined || hasNone(change)) return change;
    const foreign = backend.foreignOf?.(view, change, made) ?? null;
    return foreign === null ? change : { ...change, foreign };
  });
}

function hasNone({ foreign }: Change): boolean {
  return typeof foreign === 'object' && Object.keys(foreign).length === 0;
}

/** What was found to be otherwise than was said. */
function foreignIn(
  asked: readonly Change[],
  changes: readonly Change[],
): Map<string, ForeignRules> {
  const found = changes.flatMap((change, index): [string, ForeignRules][] => {
    const { address, foreign } = change;
    if (typeof foreign !== 'object' || foreign === asked[index]?.foreign) return [];
    return asked[index]?.foreign === 'find' && hasNone(change) ? [] : [[address.text, foreign]];
  });
  return new Map(found);
}

function endless(changes: readonly Change[]): AppError {
  const times = mostAttempts(changes);
  return new AppError(
    'FIREWALL',
    `${subject(changes)}: changed ${times} times and never found as asked: another program keeps changing the rules`,
  );
}

/** A backend may take a long list in parts, of a thousand at least. */
function mostAttempts(changes: readonly Change[]): number {
  return MOST_ATTEMPTS + Math.floor(changes.length / 1000);
}

function look(family: Family, changes: readonly Change[], tools: ApplyTools): View {
  return lookWith(tools.backend.inspect(family, changes), null, tools);
}

function lookWith(command: PlannedCommand, before: View | null, tools: ApplyTools): View {
  const result = runPatiently(command, tools);
  if (!isAnswer(command, result)) throw failure([], { command, result }, tools);
  return readResult(command, result, before, tools);
}

function isAnswer({ answers }: PlannedCommand, { status }: RunResult): boolean {
  return status === 0 || (status === 1 && answers === true);
}

function readResult(
  command: PlannedCommand,
  { status, stdout, stderr }: RunResult,
  before: View | null,
  { backend }: ApplyTools,
): View {
  return backend.read(stdout, { command, status: status ?? 0, stderr, before });
}

/** After a failure. Should looking fail as well, the failure is the better explanation. */
function lookAgain(
  family: Family,
  changes: readonly Change[],
  tools: ApplyTools,
  failed: Attempt,
): View {
  try {
    return look(family, changes, tools);
  } catch (error) {
    throw failure(changes, failed, tools, error);
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
  { backend }: ApplyTools,
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
  const advice = backend.advice?.(result.stderr) ?? '';
  const message = `${whom}${command.program} ${how}${quote}`;
  return new AppError('FIREWALL', advice === '' ? message : `${message}; ${advice}`, cause);
}

function subject(changes: readonly Change[]): string {
  const named = changes.slice(0, 3).map((change) => change.address.text);
  const more = changes.length - named.length;
  return more > 0 ? `${named.join(', ')} and ${more} more` : named.join(', ');
}
