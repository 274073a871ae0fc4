// Migrates all bans from one backend to another: the new one is seen to hold everything before the old one is cleared, and
// a migration that was interrupted is completed by the next run.
import type { Ban } from '../model/ban.ts';
import { AppError } from '../model/errors.ts';
import { backendNamed, isBackendInstalled, type BackendName } from '../firewall/select.ts';
import { step } from '../system/fault.ts';
import type { Store } from '../state/store.ts';
import type { BanContext } from './context.ts';
import { findOtherSets } from './active-backend.ts';
import { load, releasesOf } from './load.ts';
import { ACTIVE_BACKEND } from './places.ts';

/** Metadata: a `Migration` that has begun and was not seen to end. */
const PENDING_MIGRATION = 'backend move';

type MigrationContext = Pick<BanContext, 'store' | 'firewall' | 'now' | 'warn' | 'isInstalled'>;

export interface Migration {
  readonly from: BackendName;
  readonly to: BackendName;
}

/** The migration that an interrupted run began; null: there is none. */
export function pendingMigration(store: Store): Migration | null {
  const found = store.metadata.getJson(PENDING_MIGRATION) as Partial<
    Record<keyof Migration, string>
  > | null;
  const from = backendNamed(found?.from ?? null);
  const to = backendNamed(found?.to ?? null);
  return from === null || to === null ? null : { from, to };
}

/** The backend of a pending migration that is not active and may hold a part; null: there is none, or it is not installed. */
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
 * Has `to` hold everything, and clears the active backend of what is ours. Returns how many bans were migrated. Throws
 * `FIREWALL` when that can't be: then the old one holds everything as before, or the next run tries again.
 */
export function migrateTo(to: BackendName, context: MigrationContext): number {
  completeMigration(context);
  const { store, firewall } = context;
  const from = backendNamed(firewall.backendName);
  if (from === null || from === to) return 0;
  // Before anything is recorded: a backend that does not work at all is no reason to begin.
  firewall.of(to).tryOut();
  remember(store, PENDING_MIGRATION, JSON.stringify({ from, to }));
  step('migrate: recorded');
  if (store.volatile) {
    throw new AppError('STORE', "the state can't be written, and would not say where the bans are");
  }
  completeMigration(context);
  return store.bans.list().length;
}

/**
 * A backend whose sets drop something beside the active one, where no migration left them; null: there is none, or the state
 * can't say so.
 */
export function findUnknownSets(context: MigrationContext): BackendName | null {
  const { store, firewall, isInstalled } = context;
  if (store.volatile || pendingMigration(store) !== null) return null;
  return findOtherSets(firewall.backendName, (name) => firewall.of(name), isInstalled);
}

/**
 * Clears a backend that no migration left: what it holds is that of another state, such as the one before a backup was put
 * back. As if a migration from it had been interrupted. Throws as `migrateTo` does.
 */
export function clearUnknownSets(from: BackendName, context: MigrationContext): void {
  const { store, firewall } = context;
  remember(store, PENDING_MIGRATION, JSON.stringify({ from, to: firewall.backendName }));
  completeMigration(context);
}

/** Completes a pending migration, wherever it was interrupted. Throws as `migrateTo` does. */
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

/** Returns the bans that the new backend was seen to hold. */
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
 * What runs without the writer lock did meanwhile, to any of the bans: those that end from now on find the new backend
 * active.
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

/** A backend whose program was removed from the host can't be cleared, which is reported. */
function clear(name: BackendName, context: MigrationContext): void {
  const { store, firewall, now, isInstalled, warn } = context;
  if (isBackendInstalled(name, isInstalled)) {
    firewall.of(name).removeAll(releasesOf(store.bans.list(), now()));
  } else {
    warn(`${name} is no longer installed: what it may still hold in the kernel was left there`);
  }
}

/** ipset removes plain rules as it is filled: they are added again before the sets are removed. */
function rollBack({ from, to }: Migration, context: MigrationContext): void {
  const { store, firewall } = context;
  try {
    load(store.bans.list(), context, firewall.of(from));
    step('migrate: old backend filled again');
    clear(to, context);
    step('migrate: new backend cleared');
  } catch {
    // The error that stopped the migration is thrown to the caller; the migration stays pending for the next run.
    return;
  }
  remember(store, PENDING_MIGRATION, '');
  firewall.use(from, null);
}

/** Durable on return: what comes next depends on it. */
export function remember(store: Store, name: string, value: string): void {
  store.metadata.set(name, value);
  store.metadata.flush();
}
