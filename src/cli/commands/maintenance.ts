// `expire`, `restore` and `reconcile`: called by a timer, at boot, and by a person in doubt.
import { setTimeout as wait } from 'node:timers/promises';
import { expireDue, LAST_EXPIRE } from '../../bans/expire.ts';
import { familiesInUse, inTurn } from '../../bans/families.ts';
import { noteBoot } from '../../bans/orphans.ts';
import { clearUnknownSets, findUnknownSets } from '../../bans/migrate.ts';
import { releaseProtected } from '../../bans/protected.ts';
import { findDrift, type Drift } from '../../bans/reconcile.ts';
import { recover } from '../../bans/recover.ts';
import { isSingle } from '../../model/address.ts';
import { describeError } from '../../model/errors.ts';
import { entriesFrom } from '../../policy/protected.ts';
import type { Context } from '../../context.ts';
import { readClock } from '../../system/clock.ts';
import { countedSinceMs } from '../../wazuh/policy.ts';
import { ANSWER_NO, CHANGES, defineCommand, DRY_RUN } from '../command.ts';
import { MOST_NAMED } from '../addresses.ts';
import { count } from '../output/count.ts';
import { describeUnknownSets, whyPending } from '../figures.ts';
import { restoreAll } from '../restore.ts';
import { printSteps } from '../plan.ts';
import { enter, enterForChange, statusOfLook, type Person } from '../session.ts';

const DAY_MS = 86_400_000;
export const expire = defineCommand({
  name: 'expire',
  summary: 'Release what is due; for a timer, every minute',
  details:
    'Also completes the pending changes of an interrupted run, releases addresses that have become protected, looks up the names of managers again, and drops history that is older than history.keep_days. With --watch it stays and sleeps until the next block ends, for hosts without systemd or cron; TERM and INT end it cleanly.',
  options: {
    watch: { kind: 'flag', describe: 'stay, and release each block when its time is over' },
  },
  examples: [
    ['expire', 'release blocks whose time is over'],
    ['expire --watch', 'stay and do so, where there is no timer'],
  ],
  exits: { 0: 'all that was due is released', ...CHANGES },
  async run(_words, options, person) {
    if (options.watch) await watch(person);
    else expireOnce(enterForChange(person), person);
    return 0;
  },
});

function expireOnce(context: Context, person: Person): void {
  // Names of managers are looked up here, where nobody waits, and remembered for the next alert.
  context.protectedEntries();
  context.store.metadata.set(LAST_EXPIRE, String(context.now()));
  noteBoot(context.store, readClock());
  context.store.history.prune(context.now() - context.config.history.keepDays * DAY_MS);
  context.store.offences.prune(countedSinceMs(context.config, context.now()));
  inTurn([
    // Asked again after `recover`, which only says what went wrong: here it decides the exit status.
    () => recover(context, context),
    () => {
      for (const ban of expireDue(context)) person.print(`${ban.address.text} released`);
    },
    () => {
      // Of root's own file alone: another may name so many that this takes long.
      const allowed = entriesFrom(context.config.protect.allow, '');
      const networks = allowed.filter(({ network }) => !isSingle(network));
      for (const { address } of releaseProtected(context.protectedEntries(), context, networks)) {
        person.print(`${address.text} released: it is protected`);
      }
    },
  ]);
}

/** Others may block for less than what we sleep for: nobody waits longer than this for the end of a block. */
const LONGEST_SLEEP_MS = 5000;
const SHORTEST_SLEEP_MS = 100;

async function watch(person: Person): Promise<void> {
  const ending = new AbortController();
  const end = (): void => ending.abort();
  process.once('SIGTERM', end).once('SIGINT', end);
  while (!ending.signal.aborted) {
    const pause = roundOfWatch(person);
    // An abort while asleep is the end that was asked for.
    await wait(pause, undefined, { signal: ending.signal }).catch(() => undefined);
  }
}

/** Returns how long to sleep. Trouble of one round is said, and the next one tries again. */
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
    'Blocks whose time is over are released, as are those of addresses that have become protected; all others are put back where they are missing. The first restore after a boot also removes rules that a file of iptables-save brought back, where it was saved during a ban that has ended since.',
  examples: [
    ['restore', 'after a reboot, or iptables -F'],
    ['restore && firewall-drop status', 'and see how it stands'],
  ],
  exits: { 0: 'all bans are in the kernel', ...CHANGES },
  run(_words, _options, person) {
    const context = person.createContext();
    restoreAll(context, person, enter(context, person));
    return statusOfLook(context);
  },
});

export const reconcile = defineCommand({
  name: 'reconcile',
  summary: 'Show and repair differences between state and kernel',
  details:
    'A ban without its rules, with them twice, or behind a rule that accepts, is repaired; sets of ours that the state knows nothing of are removed. A drop rule that belongs to no ban is shown and, unless restore recognises it as ours, left alone; firewall-drop delete ADDRESS removes it. With --dry-run nothing is changed.',
  options: DRY_RUN,
  examples: [
    ['reconcile --dry-run', 'is everything as it should be?'],
    ['reconcile', 'make it so'],
  ],
  exits: {
    0: 'state and kernel agree',
    1: 'with --dry-run: there is something to repair',
    ...CHANGES,
  },
  run(_words, options, person) {
    const context = person.createContext({ readOnly: options['dry-run'] });
    const completed = options['dry-run'] ? 0 : enter(context, person);
    const drift = findDrift(context, familiesInUse(context.store));
    const unknown = findUnknownSets(context);
    describeDrift(drift).forEach(person.print);
    if (unknown !== null) person.print(describeUnknownSets(unknown, context.firewall));
    if (options['dry-run']) {
      printSteps(drift.steps, person);
      const isAgreed = drift.steps.length + drift.pending.length === 0 && unknown === null;
      return isAgreed ? statusOfLook(context) : ANSWER_NO;
    }
    if (unknown !== null) clearUnknownSets(unknown, context);
    restoreAll(context, person, completed);
    return statusOfLook(context);
  },
});

function describeDrift(drift: Drift): string[] {
  const { pending, missing, unknown } = drift;
  return [
    ...(pending.length === 0
      ? []
      : [`${count(pending.length, 'change')} pending: ${whyPending(drift)}`]),
    ...pending.slice(0, MOST_NAMED).map(({ address, phase }) => {
      return `${address.text}: to be ${phase === 'blocking' ? 'blocked' : 'released'}`;
    }),
    ...missing.map(({ address, lacks }) => {
      const where = lacks.length === 0 ? 'the kernel' : lacks.join(' and ');
      return `${address.text}: banned, but no rule in ${where}`;
    }),
    ...unknown.map(({ address, chains }) => {
      return `${address.text}: dropped in ${chains.join(' and ')}, and there is no ban`;
    }),
  ];
}
