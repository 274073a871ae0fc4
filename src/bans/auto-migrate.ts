// When all bans migrate to another backend: after an interruption, by the configuration, by their number, or where firewalld
// runs.
import { setBackends, type BackendName, type Choice } from '../firewall/select.ts';
import type { Firewall } from '../firewall/apply.ts';
import { describeError } from '../model/errors.ts';
import type { Store } from '../state/store.ts';
import { step } from '../system/fault.ts';
import type { Deadline } from '../system/wait.ts';
import type { BanContext } from './context.ts';
import { load } from './load.ts';
import { completeMigration, migrateTo, pendingMigration, remember } from './migrate.ts';
import { ACTIVE_BACKEND } from './places.ts';

/** Metadata: the last attempts, under the names that version 0.1 gave them. */
const TO_SETS = 'promotion';
const FROM_FIREWALLD = 'evasion';

export interface MigrationPlan {
  readonly choice: Choice;
  /** `auto` migrates more bans than this to sets. */
  readonly promoteAt: number;
  /** Whether firewalld runs, which removes all rules of iptables at each reload. */
  readonly losesRules: boolean;
  /** How many bans are about to be added. */
  readonly coming: number;
  /** An alert's, which does not wait for what nobody asked it for; null: somebody may wait. */
  readonly deadline: Deadline | null;
  /** Called for every migration, with its reason. */
  readonly report: (message: string) => void;
}

/** A migration of some hundred bans takes less than a second; an alert that has no more than this left leaves it to the next. */
const MIGRATION_NEEDS_MS = 5000;

/**
 * Completes a pending migration, follows the configuration, and has `auto` migrate many plain rules to sets. For the holder
 * of the writer lock. Throws as `migrateTo` does.
 */
export function migrateIfDue(plan: MigrationPlan, context: BanContext): void {
  const { choice, deadline, report } = plan;
  const { store, firewall } = context;
  // Nothing would record where the bans are.
  if (store.volatile) return;
  if (deadline !== null && deadline.remainingMs() < MIGRATION_NEEDS_MS) return;
  completeMigration(context);
  if (choice.wanted !== firewall.backendName) {
    if (deadline !== null && store.bans.count() > 0) return;
    const from = firewall.backendName;
    const migrated = migrateTo(choice.wanted, context);
    report(`migrated ${migrated} bans from ${from} to ${choice.wanted}, by ${choice.by}`);
    return;
  }
  if (choice.by === 'auto') migrateByItself(plan, context);
}

function migrateByItself(plan: MigrationPlan, context: BanContext): void {
  const { promoteAt, coming, losesRules, report } = plan;
  const { store, firewall } = context;
  const bans = store.bans.count() + coming;
  const isRuled = firewall.backendName !== 'nftables';
  if (losesRules && isRuled && migrateFromFirewalld(bans, context)?.to === 'nftables') {
    report(
      'migrated all bans into a table of our own: firewalld takes rules of iptables away at each reload',
    );
  }
  if (firewall.backendName !== 'iptables' || bans <= promoteAt) return;
  const to = migrateToSets(bans, context)?.to ?? null;
  if (to === null) return;
  report(
    `migrated all bans into sets of ${to}: ${bans} are more than firewall.promote_at = ${promoteAt}, and plain rules cost by their number`,
  );
}

/** Whether another backend may become active at once because there are no bans. */
export function isFreeToChange(
  { wanted }: Choice,
  { backendName }: Firewall,
  store: Store,
): boolean {
  return wanted !== backendName && pendingMigration(store) === null && store.bans.count() === 0;
}

/** What became of an attempt of `auto` to migrate all bans. */
export interface MigrationAttempt {
  readonly atMs: number;
  readonly bans: number;
  /** The new backend; null: they stayed. */
  readonly to: BackendName | null;
  /** What was tried, and why they stayed. */
  readonly tried: readonly BackendName[];
  readonly trouble: string;
}

/** The last attempt to migrate plain rules to sets because there were many. */
export function lastToSets(store: Store): MigrationAttempt | null {
  return store.metadata.getJson(TO_SETS) as MigrationAttempt | null;
}

/** The last attempt to migrate to a table of our own because firewalld runs. */
export function lastFromFirewalld(store: Store): MigrationAttempt | null {
  return store.metadata.getJson(FROM_FIREWALLD) as MigrationAttempt | null;
}

/** Migrates plain rules to sets, of the first backend that can. Returns and reports what `attempt` does. */
export function migrateToSets(bans: number, context: BanContext): MigrationAttempt | null {
  const candidates = setBackends(context.isInstalled);
  const staying = `${bans} bans stay plain rules, which cost by their number`;
  const missing = 'neither ipset nor nft is installed';
  return attempt({ bans, candidates, staying, missing, metadata: TO_SETS }, context);
}

/** Migrates what firewalld would remove at each reload to a table that it leaves. Otherwise as `migrateToSets`. */
function migrateFromFirewalld(bans: number, context: BanContext): MigrationAttempt | null {
  const candidates = setBackends(context.isInstalled).filter((name) => name === 'nftables');
  const staying = 'blocks stay rules of iptables, which firewalld takes away at each reload';
  const missing = 'nft is not installed';
  return attempt({ bans, candidates, staying, missing, metadata: FROM_FIREWALLD }, context);
}

interface Attempt {
  readonly bans: number;
  readonly candidates: readonly BackendName[];
  /** What is reported where none of them can. */
  readonly staying: string;
  /** Why, where there are no candidates. */
  readonly missing: string;
  readonly metadata: string;
}

/** Something may have been installed or loaded meanwhile; until then no alert pays for another attempt. */
const TRY_AGAIN_AFTER_MS = 86_400_000;

/** Returns what became of it, or null when the same failed not long ago. Why the bans stay is reported once. */
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

/** Once there are no bans: removes our sets, the rules for them and our table, so that `auto` begins anew. */
export function clearBackend(context: BanContext): void {
  const { store, firewall } = context;
  if (store.bans.list().length > 0 || pendingMigration(store) !== null) return;
  firewall.removeAll([]);
  step('migrate: backend cleared');
  // An alert without the writer lock may have begun a ban at the same moment.
  const begun = store.bans.list();
  if (begun.length > 0) {
    load(begun, context);
    return;
  }
  remember(store, ACTIVE_BACKEND, '');
  remember(store, TO_SETS, '');
  remember(store, FROM_FIREWALLD, '');
}
