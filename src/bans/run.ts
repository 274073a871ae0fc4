// The frame of every run that changes bans: it takes the writer lock, recovers before the work of the command, and
// expires and migrates after it.
import type { Config } from '../config/schema.ts';
import type { Choice } from '../firewall/select.ts';
import { describeError, type AppError } from '../model/errors.ts';
import type { ProtectedEntry } from '../policy/protected.ts';
import { isWriterLockHeld, shareWork, takeWriterLock } from '../state/lock.ts';
import { step } from '../system/fault.ts';
import { findWhereabouts, inhabitantOf, readClock } from '../system/procfs.ts';
import type { Deadline } from '../system/wait.ts';
import { findActiveSets, ACTIVE_BACKEND, notePlaces } from './active-backend.ts';
import { isFreeToChange, migrateIfDue } from './auto-migrate.ts';
import { followClock } from './clock-shift.ts';
import type { BanContext } from './context.ts';
import { expireDue, releaseProtected } from './expire.ts';
import { claimBackend, otherBackend } from './migrate.ts';
import { claimNamespace } from './namespace.ts';
import { recover } from './recover.ts';

export const LOCK_DIRECTORY = '/run/firewall-drop';
/** The share of an alert's time that recovery may take. */
const RECOVERY_SHARE = 0.25;
/** The share of an alert's time that waiting for the writer lock may take. */
const LOCK_SHARE = 0.75;
/**
 * A run without the writer lock unblocks only addresses that are overdue by this time, and leaves others to the holder.
 * Several such runs would otherwise unblock the same addresses at once.
 */
const LONGEST_OVERDUE_MS = 60_000;

export interface RunContext extends BanContext {
  readonly config: Config;
  /** True if a person is waiting, who can wait long. execd must not wait. */
  readonly interactive: boolean;
  readonly deadline: Deadline;
  /** Returns the active backend and the wanted one. */
  readonly choice: () => Choice;
  readonly protectedEntries: () => readonly ProtectedEntry[];
  /** Returns the protected entries that this run has determined so far. */
  readonly knownProtected: () => readonly ProtectedEntry[];
  /** Logs a migration and its reason. */
  readonly reportMigration: (message: string) => void;
}

/**
 * Takes the writer lock. Returns null, or the reason why it was not taken. Throws if the state belongs to another
 * network namespace.
 */
export function beginRun(context: RunContext): AppError | null {
  const { store, config, deadline, firewall, choice, interactive, protectedEntries } = context;
  // Resolve and remember host names now, before alerts have to wait for the lock.
  if (interactive) protectedEntries();
  const waitMs = Math.min(
    config.limits.lockWaitSeconds * 1000,
    deadline.remainingMs() * LOCK_SHARE,
  );
  const trouble = takeWriterLock(LOCK_DIRECTORY, waitMs);
  store.reopenIfReplaced();
  if (trouble === null) store.allowRepair();
  // If the lock file can't be used, no run holds the lock, and pending changes need not be left to another run.
  else if (!interactive && trouble.code === 'LOCK_BUSY') shareWork(LOCK_DIRECTORY);
  // The previous or current holder of the lock may have migrated all bans.
  store.metadata.reload();
  const notice = claimNamespace({ store, here: findWhereabouts(), inhabitantOf });
  if (notice !== '') context.warn(notice);
  const { name } = choice();
  firewall.use(name, otherBackend(name, context));
  return trouble;
}

/**
 * Prepares the work of the command: adjusts deadlines to the clock and completes pending changes. `trouble` is the
 * reason why the run has no writer lock, or null. Reports failures instead of throwing.
 */
export function recoverPending(context: RunContext, trouble: AppError | null): void {
  const { store, firewall, now, interactive, deadline, choice, protectedEntries } = context;
  step('run: begun');
  const isBusy = trouble?.code === 'LOCK_BUSY';
  if (!store.metadata.get(ACTIVE_BACKEND)) {
    const found = findActiveSets(choice(), store, (name) => firewall.of(name));
    if (found !== null) firewall.use(found, null);
    // The holder of the lock records it, and may be migrating all bans.
    if (!isBusy) store.bans.transaction(() => claimBackend(context));
  }
  notePlaces(context.config.firewall, store);
  followClock(store, readClock(now()));
  step('run: clock followed');
  // An alert is handled before a migration, unless there are no bans to migrate.
  if (interactive || isFreeToChange(choice(), firewall, store)) migrate(context);
  // The pending changes may belong to the holder of the lock.
  if (isBusy) return;
  attempt('the changes of an interrupted run could not be completed', context, () => {
    // Limit the time, so that a change that can't be completed does not use up the time of every alert.
    const share = interactive ? {} : { withinMs: deadline.remainingMs() * RECOVERY_SHARE };
    recover(context, { protectedEntries, ...share });
  });
  step('run: recovered');
}

/**
 * Migrates all bans if that is due, given that `coming` more are about to be added. Reports failures instead of
 * throwing.
 */
export function migrate(context: RunContext, coming = 0): void {
  // Without the lock, another run may be migrating.
  if (!isWriterLockHeld()) return;
  attempt('the bans could not be migrated to another backend', context, () => {
    migrateIfDue(context, coming);
  });
}

/** Finishes a run: unblocks addresses whose bans are due, and migrates. Reports failures instead of throwing. */
export function endRun(context: RunContext): void {
  attempt('expired bans could not be released', context, () => {
    expireDue(context, isWriterLockHeld() ? 0 : LONGEST_OVERDUE_MS);
  });
  attempt('protected addresses could not be released', context, () => {
    releaseProtected(context.knownProtected(), context);
  });
  migrate(context);
  context.store.metadata.flush();
  step('run: ended');
}

function attempt(what: string, { warn }: RunContext, work: () => void): void {
  try {
    work();
  } catch (error) {
    warn(`${what}: ${describeError(error)}`);
  }
}
