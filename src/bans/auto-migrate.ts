// Decides when all bans migrate to another backend: after an interrupted migration, after a change of the
// configuration, because of their number, or because firewalld runs.
import { backendNamed, setBackends, type BackendName, type Choice } from '../firewall/select.ts';
import type { Firewall } from '../firewall/apply.ts';
import { describeError } from '../model/errors.ts';
import type { Store } from '../state/store.ts';
import { step } from '../system/fault.ts';
import { isFirewalldActive } from '../system/procfs.ts';
import type { BanContext } from './context.ts';
import type { RunContext } from './run.ts';
import { load } from './load.ts';
import { completeMigration, migrateTo, pendingMigration, remember } from './migrate.ts';
import { ACTIVE_BACKEND } from './active-backend.ts';

/** Metadata: the last attempts. The names are those of version 0.1. */
const TO_SETS = 'promotion';
const FROM_FIREWALLD = 'evasion';

/**
 * The least time that a migration may need. A few hundred bans take less than a second. An alert with less time left
 * leaves the migration to the next run.
 */
const MIGRATION_NEEDS_MS = 5000;

/**
 * Completes a pending migration, migrates to the configured backend, and with `auto` migrates many plain rules to sets.
 * `coming` more bans are about to be added. Must be called with the writer lock. Throws as `migrateTo` does.
 */
export function migrateIfDue(context: RunContext, coming: number): void {
  const { store, firewall, interactive, deadline, reportMigration } = context;
  // The state could not record the new backend.
  if (store.volatile) return;
  if (!interactive && deadline.remainingMs() < MIGRATION_NEEDS_MS) return;
  completeMigration(context);
  // The choice depends on the active backend, which the completed migration has changed.
  const { wanted, by } = context.choice();
  const bans = store.bans.count();
  if (wanted !== firewall.backendName) {
    // An alert must not wait for a migration.
    if (!interactive && bans > 0) return;
    const from = firewall.backendName;
    const migrated = migrateTo(wanted, context);
    reportMigration(`migrated ${migrated} bans from ${from} to ${wanted}, by ${by}`);
    return;
  }
  if (by === 'auto') migrateByItself(bans + coming, context);
}

function migrateByItself(bans: number, context: RunContext): void {
  const { firewall, reportMigration } = context;
  const { promoteAt } = context.config.firewall;
  const losesRules = firewall.backendName !== 'nftables' && isFirewalldActive();
  if (losesRules && migrateFromFirewalld(bans, context)?.to === 'nftables') {
    reportMigration(
      'migrated all bans to a table of nftables: firewalld removes iptables rules at each reload',
    );
  }
  if (firewall.backendName !== 'iptables' || bans <= promoteAt) return;
  const to = migrateToSets(bans, context)?.to ?? null;
  if (to === null) return;
  reportMigration(
    `migrated all bans to sets of ${to}: ${bans} are more than firewall.promote_at = ${promoteAt}, and the cost of plain rules grows with their number`,
  );
}

/** Reports whether the wanted backend can become active at once because there are no bans. */
export function isFreeToChange(
  { wanted }: Choice,
  { backendName }: Firewall,
  store: Store,
): boolean {
  return wanted !== backendName && pendingMigration(store) === null && store.bans.count() === 0;
}

/** The result of an attempt of `auto` to migrate all bans. */
export interface MigrationAttempt {
  readonly atMs: number;
  readonly bans: number;
  /** The new backend; null if the migration failed. */
  readonly to: BackendName | null;
  /** The backends that were tried. */
  readonly tried: readonly BackendName[];
  readonly trouble: string;
}

/** Returns the last attempt to migrate plain rules to sets because of their number. */
export function lastToSets(store: Store): MigrationAttempt | null {
  return store.metadata.getJson(TO_SETS) as MigrationAttempt | null;
}

/** Returns the last attempt to migrate to a table of nftables because firewalld runs. */
export function lastFromFirewalld(store: Store): MigrationAttempt | null {
  return store.metadata.getJson(FROM_FIREWALLD) as MigrationAttempt | null;
}

/** Migrates plain rules to the first set backend that works. Returns and reports as `attempt` does. */
export function migrateToSets(bans: number, context: BanContext): MigrationAttempt | null {
  const candidates = setBackends(context.isInstalled);
  const staying = `${bans} bans stay plain rules, whose cost grows with their number`;
  const missing = 'neither ipset nor nft is installed';
  return attempt({ bans, candidates, staying, missing, metadata: TO_SETS }, context);
}

/**
 * Migrates iptables rules, which firewalld removes at each reload, to a table of nftables. Returns and reports as
 * `attempt` does.
 */
function migrateFromFirewalld(bans: number, context: BanContext): MigrationAttempt | null {
  const candidates = setBackends(context.isInstalled).filter((name) => name === 'nftables');
  const staying = 'blocks stay iptables rules, which firewalld removes at each reload';
  const missing = 'nft is not installed';
  return attempt({ bans, candidates, staying, missing, metadata: FROM_FIREWALLD }, context);
}

interface Attempt {
  readonly bans: number;
  readonly candidates: readonly BackendName[];
  /** The warning if no candidate works. */
  readonly staying: string;
  /** The reason if there are no candidates. */
  readonly missing: string;
  readonly metadata: string;
}

/**
 * The time after which a failed migration is tried again, because programs or modules may have been installed. Until
 * then no alert spends time on it.
 */
const TRY_AGAIN_AFTER_MS = 86_400_000;

/**
 * Tries the candidates in order. Returns the result, or null if the same candidates failed recently. Reports a reason
 * for failure only once.
 */
function attempt(plan: Attempt, context: BanContext): MigrationAttempt | null {
  const { store, now, warn } = context;
  const { bans, candidates: tried, staying, missing, metadata } = plan;
  const last = store.metadata.getJson(metadata) as MigrationAttempt | null;
  const failedBefore = last?.to === null && last.tried.join() === tried.join();
  if (failedBefore && now() - last.atMs < TRY_AGAIN_AFTER_MS) return null;
  const { to, trouble } =
    tried.length === 0 ? { to: null, trouble: missing } : migrateToFirst(tried, context);
  if (to === null && trouble !== last?.trouble) warn(`${staying}: ${trouble}`);
  step('migrate: attempted');
  const result = { atMs: now(), bans, to, tried, trouble };
  remember(store, metadata, JSON.stringify(result));
  return result;
}

function migrateToFirst(
  candidates: readonly BackendName[],
  context: BanContext,
): Pick<MigrationAttempt, 'to' | 'trouble'> {
  const troubles: string[] = [];
  for (const to of candidates) {
    try {
      migrateTo(to, context);
      return { to, trouble: '' };
    } catch (error) {
      troubles.push(`${to}: ${describeError(error)}`);
    }
  }
  return { to: null, trouble: troubles.join('; ') };
}

/** Removes our sets, the rules that match them, and our table once there are no bans, so that `auto` starts over. */
export function clearBackend(context: BanContext): void {
  const { store, firewall } = context;
  if (store.bans.list().length > 0 || pendingMigration(store) !== null) return;
  firewall.removeAll([]);
  step('migrate: backend cleared');
  // An alert without the writer lock may have added a ban at the same moment. Without bans, it uses the set name and the
  // variant of the current configuration.
  const begun = store.bans.transaction(() => {
    const bans = store.bans.list();
    const over = bans.length > 0 ? [] : [ACTIVE_BACKEND, TO_SETS, FROM_FIREWALLD];
    for (const name of over) store.metadata.set(name, '');
    return bans;
  });
  const active = backendNamed(firewall.backendName);
  if (begun.length === 0 || active === null) return;
  store.metadata.reload();
  firewall.use(active, null);
  load(begun, context);
}
