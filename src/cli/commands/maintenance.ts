// `expire`, `restore` and `reconcile`: called by a timer, at boot, and by a person.
import { setTimeout as wait } from 'node:timers/promises';
import { expireDue, LAST_EXPIRE, releaseProtected } from '../../bans/expire.ts';
import { runAll } from '../../model/parts.ts';
import { noteBoot } from '../../bans/orphans.ts';
import { clearUnknownSets, findUnknownSets } from '../../bans/migrate.ts';
import { findDrift, type Drift } from '../../bans/reconcile.ts';
import { recover } from '../../bans/recover.ts';
import { isSingle } from '../../model/address.ts';
import { describeError } from '../../model/errors.ts';
import { entriesFrom } from '../../policy/protected.ts';
import type { Context } from '../../context.ts';
import { readClock } from '../../system/procfs.ts';
import { countedSinceMs } from '../../wazuh/policy.ts';
import { ANSWER_NO, CHANGES, defineCommand, DRY_RUN } from '../command.ts';
import { MOST_NAMED } from '../addresses.ts';
import { count } from '../output/count.ts';
import { describeUnknownSets, describePendingCause } from '../figures.ts';
import { restoreAll } from '../restore.ts';
import { printSteps } from '../plan.ts';
import { enter, enterForChange, statusOfReading, type Person } from '../session.ts';

const DAY_MS = 86_400_000;
export const expire = defineCommand({
  name: 'expire',
  summary: 'Release expired bans; a timer calls this every minute',
  details:
    'Also completes the pending changes of an interrupted run, releases addresses that have become protected, resolves the names of managers again, and deletes history older than history.keep_days. With --watch, it keeps running and sleeps until the next ban ends, for hosts without systemd or cron; TERM and INT end it cleanly.',
  options: {
    watch: { kind: 'flag', describe: 'keep running, and release each ban when it expires' },
  },
  examples: [
    ['expire', 'release expired bans once'],
    ['expire --watch', 'keep releasing them, on a host without a timer'],
  ],
  exits: { 0: 'all expired bans are released', ...CHANGES },
  async run(_words, options, person) {
    if (options.watch) {
      await watch(person);
      return 0;
    }
    const context = enterForChange(person);
    expireOnce(context, person);
    return statusOfReading(context);
  },
});

function expireOnce(context: Context, person: Person): void {
  // Resolve the managers' names here, where nobody waits, and store the result for the next alert.
  context.protectedEntries();
  context.store.metadata.set(LAST_EXPIRE, String(context.now()));
  noteBoot(context.store, readClock());
  context.store.history.prune(context.now() - context.config.history.keepDays * DAY_MS);
  context.store.offences.prune(countedSinceMs(context.config, context.now()));
  runAll([
    // `enter` has already tried to recover and only printed errors. Here an error determines the exit status.
    () => recover(context, context),
    () => {
      for (const ban of expireDue(context)) person.print(`${ban.address.text} released`);
    },
    () => {
      // Only networks of root's own file: other sources can name so many that this takes long.
      const allowed = entriesFrom(context.config.protect.allow, '');
      const networks = allowed.filter(({ network }) => !isSingle(network));
      for (const { address } of releaseProtected(context.protectedEntries(), context, networks)) {
        person.print(`${address.text} released: it is protected`);
      }
    },
  ]);
}

/**
 * The longest sleep. Another run can add a ban that ends during the sleep, and that ban then ends at most this much too
 * late.
 */
const LONGEST_SLEEP_MS = 5000;
const SHORTEST_SLEEP_MS = 100;

async function watch(person: Person): Promise<void> {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  process.once('SIGTERM', end).once('SIGINT', end);
  while (!ending.signal.aborted) {
    const pause = roundOfWatch(person);
    // A signal during the sleep ends the loop.
    await wait(pause, undefined, { signal: ending.signal }).catch(() => undefined);
  }
}

/**
 * Returns how long to sleep, in milliseconds. Prints an error instead of throwing, so that the next round tries again.
 */
function roundOfWatch(person: Person): number {
  let context: Context | null = null;
  try {
    context = person.createContext();
    enter(context, person);
    expireOnce(context, person);
    const next = context.store.deadlines.nextMs();
    const left = next === null ? LONGEST_SLEEP_MS : next - context.now();
    return Math.min(LONGEST_SLEEP_MS, Math.max(SHORTEST_SLEEP_MS, left));
  } catch (error) {
    person.complain(describeError(error));
    return LONGEST_SLEEP_MS;
  } finally {
    context?.close();
  }
}

export const restoreCommand = defineCommand({
  name: 'restore',
  summary: 'Load all bans into the kernel, after a reboot or a flush',
  details:
    'Releases bans that have expired and bans of addresses that have become protected, and restores all others that are missing in the kernel. The first restore after a boot also removes rules of ended bans that an iptables-save file brought back.',
  examples: [
    ['restore', 'after a reboot, or iptables -F'],
    ['restore && firewall-drop status', 'restore, and check the result'],
  ],
  exits: { 0: 'all bans are in the kernel', ...CHANGES },
  run(_words, _options, person) {
    const context = person.createContext();
    const completed = enter(context, person);
    context.store.replaceIfDamaged();
    restoreAll(context, person, completed);
    return statusOfReading(context);
  },
});

export const reconcile = defineCommand({
  name: 'reconcile',
  summary: 'Show and repair differences between state and kernel',
  details:
    'Repairs bans whose rules are missing, duplicated or preceded by a rule that accepts, and removes sets of ours that are unknown to the state. A drop rule without a ban is shown and left alone, unless restore recognises it as ours; firewall-drop delete ADDRESS removes it. With --dry-run nothing is changed.',
  options: DRY_RUN,
  examples: [
    ['reconcile --dry-run', 'show the differences'],
    ['reconcile', 'show and repair them'],
  ],
  exits: {
    0: 'state and kernel agree',
    1: 'with --dry-run: there are differences to repair',
    ...CHANGES,
  },
  run(_words, options, person) {
    const context = person.createContext({ readOnly: options['dry-run'] });
    const completed = options['dry-run'] ? 0 : enter(context, person);
    const drift = findDrift(context);
    const unknown = findUnknownSets(context);
    describeDrift(drift).forEach(person.print);
    if (unknown !== null) person.print(describeUnknownSets(unknown, context.firewall));
    if (options['dry-run']) {
      printSteps(drift.steps, person);
      const isAgreed = drift.steps.length + drift.pending.length === 0 && unknown === null;
      return isAgreed ? statusOfReading(context) : ANSWER_NO;
    }
    if (unknown !== null) clearUnknownSets(unknown, context);
    restoreAll(context, person, completed);
    return statusOfReading(context);
  },
});

function describeDrift(drift: Drift): string[] {
  const { pending, missing, unknown } = drift;
  return [
    ...(pending.length === 0
      ? []
      : [`${count(pending.length, 'change')} pending: ${describePendingCause(drift)}`]),
    ...pending.slice(0, MOST_NAMED).map(({ address, phase }) => {
      return `${address.text}: to be ${phase === 'blocking' ? 'blocked' : 'released'}`;
    }),
    ...missing.map(({ address, lacks }) => {
      const where = lacks.length === 0 ? 'the kernel' : lacks.join(' and ');
      return `${address.text}: banned, but no rule in ${where}`;
    }),
    ...unknown.map(({ address, chains }) => {
      return `${address.text}: dropped in ${chains.join(' and ')} without a ban`;
    }),
  ];
}
