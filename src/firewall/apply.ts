// The firewall as the rest of the program uses it: changes go in, and success is the kernel seen to hold them.
import type { Family } from '../model/address.ts';
import type { ForeignRules } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { partsOf } from '../model/parts.ts';
import type { Command } from '../system/exec.ts';
import { deadlineIn, type Deadline } from '../system/wait.ts';
import type { Backend, Change, PlannedCommand, View } from './backend.ts';
import type { Snapshot } from './snapshot.ts';
import {
  byFamily,
  compare,
  mostAttempts,
  MOST_LOOKS,
  planOnly,
  takeSnapshot,
  type Comparison,
} from './look.ts';
import {
  failure,
  isAnswer,
  look,
  lookAgain,
  lookWith,
  readResult,
  runPatiently,
  subject,
  type FirewallContext,
  type Attempt,
} from './run.ts';

export type { FirewallContext } from './run.ts';

export interface ApplyOptions {
  /**
   * True when the state says that every address is in the other state: the change is tried at once, and only a failure
   * makes us look. Otherwise we look first.
   */
  readonly trustState: boolean;
  /** How long the programs may take, where that is less than the run has. */
  readonly withinMs?: number | undefined;
}

export interface ApplyResult {
  /** Whether the kernel had to be changed, or was found as asked. */
  readonly outcome: 'changed' | 'unchanged';
  /** By the address's text: rules of somebody else, of the changes that were to find them out and have any. */
  readonly foreign: ReadonlyMap<string, ForeignRules>;
}

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
  /** Throws `FIREWALL` when its programs or the kernel can't do what it needs, as far as looking shows. */
  tryOut(): void;
  /** Whether sets or a table of ours are in the kernel. Throws `FIREWALL` when it can't be asked. */
  isThere(): boolean;
  /**
   * Takes everything of ours out of the kernel: the rules of `releases`, or all sets, rules for them and the table. Throws
   * `FIREWALL` when that was not seen to be so.
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
    tryOut: () => {
      const { backend } = context;
      const before = backend.nothingKnown;
      const first = [backend.plan(4, before, []), backend.planRemoval?.(4, before) ?? null];
      for (const command of first) if (command !== null) lookWith(command, before, context);
    },
    isThere: () => ([4, 6] as const).some((family) => holdsSets(family, context)),
    removeAll: (releases) => {
      if (context.backend.planRemoval === undefined) releaseAll(releases, context);
      else for (const family of [4, 6] as const) removeSets(family, context);
    },
  };
}

/** The newest first, where iptables finds them soonest. */
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

/** Looks at sets and rules, takes rules out, then sets, and looks again. */
const MOST_REMOVAL_STEPS = 10;

function removeSets(family: Family, context: FirewallContext): void {
  try {
    removeStepwise(family, context);
  } catch (error) {
    // An empty set may stay, which nothing can ask there.
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
    `${context.backend.name}: what is ours was taken out and is there again: another program keeps making it`,
  );
}

function apply(
  changes: readonly Change[],
  context: FirewallContext,
  { trustState, withinMs }: ApplyOptions,
): ApplyResult {
  const bounded =
    withinMs === undefined ? context : { ...context, deadline: sooner(context, withinMs) };
  const results = byFamily(changes, context, UNCHANGED, (family, own) =>
    applyFamily(family, own, bounded, trustState),
  );
  return {
    outcome: results.some(({ outcome }) => outcome === 'changed') ? 'changed' : 'unchanged',
    foreign: new Map(results.flatMap(({ foreign }) => [...foreign])),
  };
}

const UNCHANGED: ApplyResult = { outcome: 'unchanged', foreign: new Map() };

function sooner({ deadline }: FirewallContext, withinMs: number): Deadline {
  const own = deadlineIn(withinMs);
  return { remainingMs: () => Math.min(own.remainingMs(), deadline.remainingMs()) };
}

function applyFamily(
  family: Family,
  asked: readonly Change[],
  context: FirewallContext,
  trustState: boolean,
): ApplyResult {
  const { backend } = context;
  let view = trustState
    ? backend.expect(asked, context.extras(family))
    : look(family, asked, context);
  let changes = trustState ? asked : withForeign(asked, view, false, backend);
  let failed: Attempt | null = null;
  let changed = false;
  let attempts = 0;
  let looks = 0;
  for (;;) {
    const command = backend.plan(family, view, changes);
    if (command === null) {
      context.noteExtras(family, view.extras);
      return { outcome: changed ? 'changed' : 'unchanged', foreign: foreignIn(asked, changes) };
    }
    if (command.effect === 'look') looks += 1;
    else attempts += 1;
    if (attempts > mostAttempts(changes) || looks > MOST_LOOKS + attempts * MOST_LOOKS) {
      throw endless(changes);
    }
    // The kernel was looked at since, and the same thing is still to be done: once more would fail the same way.
    if (failed !== null && isSame(failed.command, command)) throw failure(changes, failed, context);
    const result = runPatiently(command, context);
    changed ||= command.effect === undefined;
    const succeeded = isAnswer(command, result);
    // What a look finds out does not make up for a change that failed, nor a change for a look.
    if (!succeeded) failed = { command, result };
    else if (isLook(failed?.command) === isLook(command)) failed = null;
    view = succeeded
      ? readResult(command, result, view, context)
      : lookAgain(family, changes, context, { command, result });
    changes = withForeign(changes, view, trustState && succeeded, backend);
  }
}

function isLook(command: PlannedCommand | undefined): boolean {
  return command?.effect === 'look';
}

function isSame(one: Command, other: Command): boolean {
  const wordsOf = ({ program, args }: Command): string => [program, ...args].join('\n');
  return one.input === other.input && wordsOf(one) === wordsOf(other);
}

/** Determines, by a view that shows rules, which of them are somebody else's. */
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

/** The rules of others that were found to be otherwise than the change had them. */
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
