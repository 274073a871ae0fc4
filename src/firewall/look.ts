// Looks at the kernel through a backend without changing it: what differs, what would be run, what it holds.
import type { Family } from '../model/address.ts';
import { partsOf } from '../model/parts.ts';
import type { Command } from '../system/exec.ts';
import type { Change, View } from './backend.ts';
import type { Snapshot } from './snapshot.ts';
import { ask, lookWith, type FirewallContext } from './run.ts';

/** How the kernel differs from what is wanted. */
export interface Comparison {
  /** The changes that the kernel is not as. */
  readonly missing: readonly Change[];
  /** Those that it is as, and would end too early. */
  readonly late: readonly Change[];
}

/** A plan looks a few times before and after each of its changes: at entries, at sets, at rules. */
export const MOST_LOOKS = 4;
/** Loading and listing 100,000 entries takes 2 s; a machine may be slow, and busy. */
const LONGEST_LOOK_SECONDS_EACH = 0.001;
/** How often one family is changed and looked at before we admit that something works against us. */
const MOST_ATTEMPTS = 5;

/** A backend may take a long list in parts, of a thousand at least. */
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
 * Does `work` for each family that changes are of; `done` is what it gives where nothing is left to do.
 *
 * A kernel without IPv6 drops nothing of it: what is to be released there is, also where ip6tables can't say so. Such a
 * release would stay pending, and fail, in every run to come.
 */
export function byFamily<T>(
  changes: readonly Change[],
  { backend, isIpv6Absent }: FirewallContext,
  done: T,
  work: (family: Family, own: readonly Change[]) => T,
): T[] {
  const lasting = changes.map((change) => outlivingTheLook(change, changes.length));
  return ([4, 6] as const).flatMap((family) => {
    const own = lasting.filter(({ address }) => address.family === family);
    try {
      return partsOf(own, backend.mostChanges).map((part) => work(family, part));
    } catch (error) {
      const isNothing = family === 6 && own.every(({ to }) => to === 'released');
      if (isNothing && isIpv6Absent()) return [done];
      throw error;
    }
  });
}

/** Looks until the backend has seen all that it plans by. */
function lookAtAll(family: Family, changes: readonly Change[], context: FirewallContext): View {
  let view = context.backend.nothingKnown;
  for (let looks = 0; looks < MOST_LOOKS; looks += 1) {
    const command = context.backend.plan(family, view, changes);
    if (command?.effect !== 'look') break;
    view = lookWith(command, view, context);
  }
  return view;
}

/**
 * An entry that the kernel ended before we looked would seem never to have been made. We still end it in time by the state: what
 * is longer here counts only where nothing of ours runs any more.
 */
function outlivingTheLook(change: Change, among: number): Change {
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
  return backend.readSnapshot(commands.map((command) => ask(command, context).stdout));
}
