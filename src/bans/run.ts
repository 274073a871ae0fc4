// The frame of every run that changes bans: the writer lock, recovery before the work at hand, expiry and migration after it.
import type { Config } from '../config/schema.ts';
import type { Choice } from '../firewall/select.ts';
import { describeError, type AppError } from '../model/errors.ts';
import type { ProtectedEntry } from '../policy/protected.ts';
import { isWriterLockHeld, shareWork, takeWriterLock } from '../state/lock.ts';
import { readClock } from '../system/clock.ts';
import { step } from '../system/fault.ts';
import { findWhereabouts, inhabitantOf } from '../system/namespaces.ts';
import { isFirewalldActive } from '../system/services.ts';
import type { Deadline } from '../system/wait.ts';
import { findActiveSets } from './active-backend.ts';
import { isFreeToChange, migrateIfDue } from './auto-migrate.ts';
import { followClock } from './clock-shift.ts';
import type { BanContext } from './context.ts';
import { expireDue } from './expire.ts';
import { otherBackend } from './migrate.ts';
import { claimNamespace } from './namespace.ts';
import { ACTIVE_BACKEND, notePlaces } from './places.ts';
import { releaseProtected } from './protected.ts';
import { recover } from './recover.ts';

export const LOCK_DIRECTORY = '/run/firewall-drop';
/** The part of an alert's time that completing the pending changes of other runs may take. */
const RECOVERY_SHARE = 0.25;
/** The part of it that waiting for the writer lock may take. */
const LOCK_SHARE = 0.75;
/** Several runs without the lock would release the same addresses at once: for so long they leave that to whoever has it. */
const LONGEST_OVERDUE_MS = 60_000;

export interface RunContext extends BanContext {
  readonly config: Config;
  /** A person is waiting, who may wait long; execd may not be made to wait. */
  readonly interactive: boolean;
  readonly deadline: Deadline;
  /** Which backend is active, and which one shall be. */
  readonly choice: () => Choice;
  readonly protectedEntries: () => readonly ProtectedEntry[];
  /** Whether runs without the writer lock are at work. */
  readonly isWorkShared: () => boolean;
  /** Those that this run has asked for so far. */
  readonly knownProtected: () => readonly ProtectedEntry[];
  /** Writes to our own log that all bans were migrated, and why. */
  readonly reportMigration: (message: string) => void;
}

/** Takes the writer lock. Null when it was taken, otherwise why not. Throws where the state is that of another network namespace. */
export function beginRun(context: RunContext): AppError | null {
  const { store, config, deadline, firewall, choice, interactive, protectedEntries } = context;
  // Names are looked up and remembered before alerts have to wait for this lock.
  if (interactive) protectedEntries();
  const waitMs = Math.min(
    config.limits.lockWaitSeconds * 1000,
    deadline.remainingMs() * LOCK_SHARE,
  );
  const trouble = takeWriterLock(LOCK_DIRECTORY, waitMs);
  store.reopenIfReplaced();
  if (trouble === null) store.allowRepair();
  // Where the lock can't be used nobody has it, and pending changes are not left to anybody.
  else if (!interactive && trouble.code === 'LOCK_BUSY') shareWork(LOCK_DIRECTORY);
  // Whoever had the lock, or still has it, may have migrated all bans meanwhile.
  store.metadata.reload();
  const news = claimNamespace({ store, here: findWhereabouts(), inhabitantOf });
  if (news !== '') context.warn(news);
  const { name } = choice();
  firewall.use(name, otherBackend(name, context));
  return trouble;
}

/**
 * Before the work at hand: follows the clock and completes pending changes. `trouble` is why there is no writer lock, or
 * null. Failures are reported, not thrown.
 */
export function recoverPending(context: RunContext, trouble: AppError | null): void {
  const { store, firewall, now, interactive, deadline, choice } = context;
  const { protectedEntries, isWorkShared } = context;
  step('run: begun');
  const isBusy = trouble?.code === 'LOCK_BUSY';
  if (!store.metadata.get(ACTIVE_BACKEND)) {
    const found = findActiveSets(choice(), store, (name) => firewall.of(name));
    if (found !== null) firewall.use(found, null);
    // Whoever has the lock records it, and may be migrating all bans.
    if (!isBusy) store.metadata.set(ACTIVE_BACKEND, firewall.backendName);
  }
  notePlaces(context.config.firewall, store);
  followClock(store, readClock(now()));
  step('run: clock followed');
  // An alert comes before a migration, unless there is nothing to migrate.
  if (interactive || isFreeToChange(choice(), firewall, store)) migrate(context);
  // They may be of a run that is at work.
  if (isBusy) return;
  attempt('what an interrupted run began could not be completed', context, () => {
    // One change that can't be completed must not take all of an alert's time, again and again.
    const share = interactive ? {} : { withinMs: deadline.remainingMs() * RECOVERY_SHARE };
    recover(context, { protectedEntries, isWorkShared, ...share });
  });
  step('run: recovered');
}

/** Migrates all bans where that is due, with so many more about to come. Failures are reported, not thrown. */
export function migrate(context: RunContext, coming = 0): void {
  // Without the lock another run may be doing the same.
  if (!isWriterLockHeld()) return;
  const { config, choice, interactive, deadline, reportMigration } = context;
  attempt('what is blocked could not be migrated to another backend', context, () => {
    const plan = {
      choice: choice(),
      promoteAt: config.firewall.promoteAt,
      losesRules: isFirewalldActive(),
      coming,
      deadline: interactive ? null : deadline,
      report: reportMigration,
    };
    migrateIfDue(plan, context);
  });
}

/** After the work at hand: unblocks what is due, and migrates. Failures are reported, not thrown. */
export function endRun(context: RunContext): void {
  attempt('blocks whose time is over could not be released', context, () => {
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
