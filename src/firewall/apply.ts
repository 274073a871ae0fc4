// The firewall as the rest of the program uses it. It applies changes and verifies them in the kernel.
import type { Family } from '../model/address.ts';
import type { ForeignRules } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { partsOf } from '../model/parts.ts';
import type { Command } from '../system/exec.ts';
import { deadlineIn, type Deadline } from '../system/wait.ts';
import type { Change, PlannedCommand, View, Snapshot } from './backend.ts';
import {
  failure,
  isAnswer,
  look,
  lookAgain,
  lookWith,
  readResult,
  runWithRetries,
  subject,
  type FirewallContext,
  type Attempt,
  byFamily,
  compare,
  mostAttempts,
  MOST_LOOKS,
  planOnly,
  takeSnapshot,
  type Comparison,
} from './run.ts';

export type { FirewallContext } from './run.ts';

export interface ApplyOptions {
  /**
   * True if the state says that every address still needs its change. The change is then tried at once, and the kernel
   * is inspected only after a failure. Otherwise the kernel is inspected first.
   */
  readonly trustState: boolean;
  /** The time limit for the programs, if it is shorter than that of the run. */
  readonly withinMs?: number | undefined;
}

export interface ApplyResult {
  /** `unchanged` if the kernel was already as required. */
  readonly outcome: 'changed' | 'unchanged';
  /** The foreign rules of addresses for which they differ from the requested change, by the text of the address. */
  readonly foreign: ReadonlyMap<string, ForeignRules>;
}

export interface Firewall {
  readonly backendName: string;
  /** The largest number of addresses to unblock with one call. */
  readonly mostReleases: number;
  /** Makes and verifies `changes` in the kernel. Throws `FIREWALL` if one of them can't be verified. */
  apply(changes: readonly Change[], options: ApplyOptions): ApplyResult;
  /** Compares the kernel with `changes` and changes nothing. Throws `FIREWALL` if the kernel can't be inspected. */
  compare(changes: readonly Change[]): Comparison;
  /** Returns the commands that `apply` would run now. Runs only commands that look. */
  plan(changes: readonly Change[]): Command[];
  /**
   * Returns everything that the kernel holds for a family, with counters. Throws `FIREWALL` if the kernel can't be
   * inspected.
   */
  snapshot(family: Family): Snapshot;
  /**
   * Throws `FIREWALL` if the programs or the kernel lack what the backend needs, as far as commands that only look can
   * tell.
   */
  checkUsable(): void;
  /** Reports whether our sets or our table exist in the kernel. Throws `FIREWALL` if the kernel can't be inspected. */
  holdsOurSets(): boolean;
  /**
   * Removes everything that is ours from the kernel: the rules of `releases`, or all sets, the rules that match them,
   * and the table. Throws `FIREWALL` if the removal can't be verified.
   */
  removeAll(releases: readonly Change[]): void;
}

export function createFirewall(context: FirewallContext): Firewall {
  return {
    backendName: context.backend.name,
    mostReleases: context.backend.mostReleases,
    apply: (changes, options) => apply(changes, context, options),
    compare: (changes) => compare(changes, context),
    plan: (changes) => planOnly(changes, context),
    snapshot: (family) => takeSnapshot(family, context),
    checkUsable: () => {
      const { backend } = context;
      const before = backend.nothingKnown;
      const first = [backend.plan(4, before, []), backend.planRemoval?.(4, before) ?? null];
      for (const command of first) if (command !== null) lookWith(command, before, context);
    },
    holdsOurSets: () => ([4, 6] as const).some((family) => holdsSets(family, context)),
    removeAll: (releases) => {
      if (context.backend.planRemoval === undefined) releaseAll(releases, context);
      else for (const family of [4, 6] as const) removeSets(family, context);
    },
  };
}

/** Removes the newest rules first, because iptables finds those soonest. */
function releaseAll(releases: readonly Change[], context: FirewallContext): void {
  for (const part of partsOf(releases.toReversed(), context.backend.mostReleases)) {
    apply(part, context, { trustState: false });
  }
}

function holdsSets(family: Family, context: FirewallContext): boolean {
  const { backend } = context;
  const before = backend.nothingKnown;
  const command = backend.planRemoval?.(family, before) ?? null;
  if (command === null) return false;
  return backend.planRemoval?.(family, lookWith(command, before, context)) !== null;
}

/** The usual removal lists sets and rules, removes rules, removes sets, and lists again. */
const MOST_REMOVAL_STEPS = 10;

function removeSets(family: Family, context: FirewallContext): void {
  try {
    removeStepwise(family, context);
  } catch (error) {
    // An empty IPv6 set can stay, because no rule can match it in a kernel without IPv6.
    if (family === 4 || !context.isIpv6Absent()) throw error;
  }
}

function removeStepwise(family: Family, context: FirewallContext): void {
  let view = context.backend.nothingKnown;
  for (let step = 0; step < MOST_REMOVAL_STEPS; step += 1) {
    const command: PlannedCommand | null = context.backend.planRemoval?.(family, view) ?? null;
    if (command === null) return;
    view = lookWith(command, view, context);
  }
  throw new AppError(
    'FIREWALL',
    `${context.backend.name}: our sets or rules reappeared after they were removed: another program keeps creating them`,
  );
}

function apply(
  changes: readonly Change[],
  context: FirewallContext,
  { trustState, withinMs }: ApplyOptions,
): ApplyResult {
  const bounded =
    withinMs === undefined ? context : { ...context, deadline: earlierDeadline(context, withinMs) };
  const results = byFamily(changes, context, UNCHANGED, (family, own) =>
    applyFamily(family, own, bounded, trustState),
  );
  return {
    outcome: results.some(({ outcome }) => outcome === 'changed') ? 'changed' : 'unchanged',
    foreign: new Map(results.flatMap(({ foreign }) => [...foreign])),
  };
}

const UNCHANGED: ApplyResult = { outcome: 'unchanged', foreign: new Map() };

function earlierDeadline({ deadline }: FirewallContext, withinMs: number): Deadline {
  const own = deadlineIn(withinMs);
  return { remainingMs: () => Math.min(own.remainingMs(), deadline.remainingMs()) };
}

function applyFamily(
  family: Family,
  requested: readonly Change[],
  context: FirewallContext,
  trustState: boolean,
): ApplyResult {
  const { backend } = context;
  let view = trustState
    ? backend.expect(requested, context.extras(family))
    : look(family, requested, context);
  let changes = trustState ? requested : withForeign(requested, view, false, context);
  let failed: Attempt | null = null;
  let changed = false;
  let attempts = 0;
  let looks = 0;
  for (;;) {
    const command = backend.plan(family, view, changes);
    if (command === null) {
      context.noteExtras(family, view.extras);
      return { outcome: changed ? 'changed' : 'unchanged', foreign: foreignIn(requested, changes) };
    }
    if (command.effect === 'look') looks += 1;
    else attempts += 1;
    if (attempts > mostAttempts(changes) || looks > mostAttempts(changes) + attempts * MOST_LOOKS) {
      throw attemptsExhausted(changes);
    }
    // The kernel was inspected after the failure and needs the same command, which would fail the same way.
    if (failed !== null && isSame(failed.command, command)) throw failure(changes, failed, context);
    const result = runWithRetries(command, context);
    changed ||= command.effect === undefined;
    const succeeded = isAnswer(command, result);
    // A successful look does not clear the failure of a change, and a successful change does not clear that of a look.
    if (!succeeded) failed = { command, result };
    else if (isLook(failed?.command) === isLook(command)) failed = null;
    view = succeeded
      ? readResult(command, result, view, context)
      : lookAgain(family, changes, context, { command, result });
    changes = withForeign(changes, view, trustState && succeeded, context);
  }
}

function isLook(command: PlannedCommand | undefined): boolean {
  return command?.effect === 'look';
}

function isSame(one: Command, other: Command): boolean {
  const wordsOf = ({ program, args }: Command): string => [program, ...args].join('\n');
  return one.input === other.input && wordsOf(one) === wordsOf(other);
}

/**
 * Fills in which rules of a view are foreign, if the view includes rules. While other runs work, a rule that seems to
 * be foreign can be theirs. It then counts as ours, because a rule that is left would block its address forever.
 */
function withForeign(
  changes: readonly Change[],
  view: View,
  made: boolean,
  { backend, isWorkShared }: FirewallContext,
): readonly Change[] {
  const found = changes.map((change) => {
    if (change.foreign === undefined || hasNoForeignRules(change)) return change;
    const foreign = backend.foreignOf?.(view, change, made) ?? null;
    return foreign === null ? change : { ...change, foreign };
  });
  const isNew = ({ foreign }: Change, index: number): boolean => {
    return foreign !== 'find' && changes[index]?.foreign === 'find';
  };
  const hasNew = found.some((change, index) => isNew(change, index) && !hasNoForeignRules(change));
  if (!hasNew || !isWorkShared()) return found;
  return found.map((change, index) => (isNew(change, index) ? { ...change, foreign: {} } : change));
}

function hasNoForeignRules({ foreign }: Change): boolean {
  return typeof foreign === 'object' && Object.keys(foreign).length === 0;
}

/** Returns the foreign rules that differ from those in the requested change. */
function foreignIn(
  requested: readonly Change[],
  changes: readonly Change[],
): Map<string, ForeignRules> {
  const found = changes.flatMap((change, index): [string, ForeignRules][] => {
    const { address, foreign } = change;
    if (typeof foreign !== 'object' || foreign === requested[index]?.foreign) return [];
    return requested[index]?.foreign === 'find' && hasNoForeignRules(change)
      ? []
      : [[address.text, foreign]];
  });
  return new Map(found);
}

function attemptsExhausted(changes: readonly Change[]): AppError {
  const times = mostAttempts(changes);
  return new AppError(
    'FIREWALL',
    `${subject(changes)}: changed ${times} times, but the kernel never showed the result: another program keeps changing the rules`,
  );
}
