// Migrates all bans from one backend to another. The old backend is cleared only after the new one is verified to hold
// every ban. The next run completes an interrupted migration.
import type { Ban } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { backendNamed, isBackendInstalled, type BackendName } from '../firewall/select.ts';
import { step } from '../system/fault.ts';
import type { Store } from '../state/store.ts';
import type { BanContext } from './context.ts';
import { findOtherSets, ACTIVE_BACKEND } from './active-backend.ts';
import { load, releasesOf } from './load.ts';

/** Metadata: a `Migration` that has begun and is not complete. */
const PENDING_MIGRATION = 'backend move';

type MigrationContext = Pick<BanContext, 'store' | 'firewall' | 'now' | 'warn' | 'isInstalled'>;

export interface Migration {
  readonly from: BackendName;
  readonly to: BackendName;
}

/** Returns the migration that an interrupted run began; null if there is none. */
export function pendingMigration(store: Store): Migration | null {
  const found = store.metadata.getJson(PENDING_MIGRATION) as Partial<
    Record<keyof Migration, string>
  > | null;
  const from = backendNamed(found?.from ?? null);
  const to = backendNamed(found?.to ?? null);
  return from === null || to === null ? null : { from, to };
}

/**
 * Returns the inactive backend of a pending migration, which may hold some of the bans; null if there is none or its
 * programs are not installed.
 */
export function otherBackend(
  active: BackendName,
  { store, isInstalled }: Pick<BanContext, 'store' | 'isInstalled'>,
): BackendName | null {
  const migration = pendingMigration(store);
  const other =
    migration === null ? null : migration.from === active ? migration.to : migration.from;
  return other !== null && isBackendInstalled(other, isInstalled) ? other : null;
}

/**
 * Uses the backend that the state names as active now. If it names none, records the one that this run uses. Must be
 * called in a transaction: while some runs have no writer lock, `flush` can remove everything, or a migration can end,
 * after this run has determined the active backend and before it records a change.
 */
export function claimBackend({ store, firewall, isInstalled }: MigrationContext): void {
  store.metadata.reload();
  const active = backendNamed(store.metadata.get(ACTIVE_BACKEND));
  if (active === null) store.metadata.set(ACTIVE_BACKEND, firewall.backendName);
  else if (active !== firewall.backendName) {
    firewall.use(active, otherBackend(active, { store, isInstalled }));
  }
}

/**
 * Makes `to` hold all bans, and clears the active backend. Returns the number of bans. Throws `FIREWALL` after a
 * failure: the old backend then holds all bans as before, or the next run tries again.
 */
export function migrateTo(to: BackendName, context: MigrationContext): number {
  completeMigration(context);
  const { store, firewall } = context;
  const from = backendNamed(firewall.backendName);
  if (from === null || from === to) return 0;
  // Check the new backend before recording anything, so that a backend that does not work at all leaves no pending
  // migration.
  firewall.of(to).checkUsable();
  remember(store, PENDING_MIGRATION, JSON.stringify({ from, to }));
  step('migrate: recorded');
  if (store.volatile) {
    throw new AppError(
      'STORE',
      "the state can't be written, so it could not record which backend holds the bans",
    );
  }
  completeMigration(context);
  return store.bans.list().length;
}

/**
 * Returns a backend whose sets drop packets beside the active one, although no migration is pending; null if there is
 * none or the state can't tell.
 */
export function findUnknownSets(context: MigrationContext): BackendName | null {
  const { store, firewall, isInstalled } = context;
  if (store.volatile || pendingMigration(store) !== null) return null;
  return findOtherSets(firewall.backendName, (name) => firewall.of(name), isInstalled);
}

/**
 * Clears a backend with the bans of another state, such as the state before a backup was restored. Treats it as an
 * interrupted migration from that backend. Throws as `migrateTo` does.
 */
export function clearUnknownSets(from: BackendName, context: MigrationContext): void {
  const { store, firewall } = context;
  remember(store, PENDING_MIGRATION, JSON.stringify({ from, to: firewall.backendName }));
  completeMigration(context);
}

/** Completes a pending migration from wherever it was interrupted. Throws as `migrateTo` does. */
export function completeMigration(context: MigrationContext): void {
  const { store, firewall } = context;
  const migration = pendingMigration(store);
  if (migration === null) return;
  const loaded = firewall.backendName === migration.from ? fill(migration, context) : [];
  catchUp(loaded, migration.to, context);
  clear(migration.from, context);
  step('migrate: old backend cleared');
  remember(store, PENDING_MIGRATION, '');
  step('migrate: confirmed');
  firewall.use(migration.to, null);
}

/** Fills the new backend and makes it active. Returns the bans that it was verified to hold. */
function fill(migration: Migration, context: MigrationContext): readonly Ban[] {
  const { store, firewall } = context;
  const { from, to } = migration;
  const bans = store.bans.list();
  firewall.use(from, to);
  try {
    load(bans, context, firewall.of(to));
  } catch (error) {
    rollBack(migration, context);
    throw error;
  }
  step('migrate: new backend filled');
  remember(store, ACTIVE_BACKEND, to);
  step('migrate: new backend active');
  firewall.use(to, from);
  return bans;
}

/**
 * Applies the changes that runs without the writer lock made to any of the bans in the meantime. Runs that end later
 * find the new backend active.
 */
function catchUp(loaded: readonly Ban[], to: BackendName, context: MigrationContext): void {
  const { store, firewall, now } = context;
  const bans = store.bans.list();
  load(bans, context, firewall.of(to));
  const left = new Set(bans.map(({ address }) => address.text));
  const gone = loaded.filter(({ address }) => !left.has(address.text));
  firewall.of(to).apply(releasesOf(gone, now()), { trustState: false });
  step('migrate: caught up');
}

/** Removes everything from a backend. If its program is no longer installed, only warns. */
function clear(name: BackendName, context: MigrationContext): void {
  const { store, firewall, now, isInstalled, warn } = context;
  if (isBackendInstalled(name, isInstalled)) {
    firewall.of(name).removeAll(releasesOf(store.bans.list(), now()));
  } else {
    warn(
      `${name} is no longer installed: anything that it still holds in the kernel was left there`,
    );
  }
}

/**
 * Undoes a failed migration. Filling the ipset backend removes plain rules, so they are added again before the sets are
 * removed.
 */
function rollBack({ from, to }: Migration, context: MigrationContext): void {
  const { store, firewall } = context;
  try {
    load(store.bans.list(), context, firewall.of(from));
    step('migrate: old backend filled again');
    clear(to, context);
    step('migrate: new backend cleared');
  } catch {
    // The caller gets the error that stopped the migration, which stays pending for the next run.
    return;
  }
  remember(store, PENDING_MIGRATION, '');
  firewall.use(from, null);
}

/** Writes metadata durably before it returns, because the next steps depend on it. */
export function remember(store: Store, name: string, value: string): void {
  store.metadata.set(name, value);
  store.metadata.flush();
}
