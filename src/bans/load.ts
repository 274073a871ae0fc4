// Applies the state to the kernel: after a loss of rules, in another backend, and after other runs changed the same
// addresses at the same time.
import type { ApplyResult, Firewall } from '../firewall/apply.ts';
import type { Change } from '../firewall/backend.ts';
import { backendNamed } from '../firewall/select.ts';
import type { Address } from '../model/address.ts';
import { remainingSeconds, type Ban } from '../model/ban.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { forEachFamily } from '../model/parts.ts';
import { ACTIVE_BACKEND } from './active-backend.ts';

type LoadContext = Pick<BanContext, 'store' | 'firewall' | 'now'>;

/** Makes one backend hold bans as the state has them, for a restore or a migration. Throws as `commit` does. */
export function load(
  bans: readonly Ban[],
  { store, firewall, now }: LoadContext,
  backend: Firewall = firewall,
): ApplyResult[] {
  const results: ApplyResult[] = [];
  forEachFamily(bans, (own) => {
    const changes = own.map((ban) => toKernelChange(ban, now()));
    const result = backend.apply(changes, { trustState: false });
    step('journal: bans loaded');
    // Runs without the writer lock may have unblocked some of the addresses in the meantime. Nothing would remove their
    // new blocks later.
    const left = new Set(store.bans.heldBy(null).map(({ text }) => text));
    const gone = own.filter(({ address }) => !left.has(address.text));
    backend.apply(releasesOf(gone, now()), { trustState: false });
    // While another backend is filled, plain rules belong to the active backend and are not foreign.
    if (backend === firewall) store.bans.noteForeign(result.foreign);
    results.push(result);
  });
  return results;
}

/**
 * Bounds the retries: other runs can keep changing the same addresses, and the last one to finish verifies the result.
 */
const MOST_ROUNDS = 5;

/** Applies the state of some addresses to the kernel. Repeats that if the state has changed in the meantime. */
export function followState(
  addresses: readonly Address[],
  { store, firewall, now }: LoadContext,
  backend: Firewall = firewall,
): void {
  const wantedNow = (): Change[] => {
    const bans = store.bans.findAll(addresses);
    return addresses.map((address) => {
      const ban = bans.get(address.text);
      if (ban === undefined) return { address, to: 'released', foreign: 'find' };
      return toKernelChange(ban, now());
    });
  };
  let wanted = wantedNow();
  for (let times = 0; times < MOST_ROUNDS; times += 1) {
    backend.apply(wanted, { trustState: false });
    const applied = wanted;
    wanted = wantedNow();
    if (wanted.every(({ to }, at) => to === applied[at]?.to)) return;
  }
}

/**
 * For a run without the writer lock: if the holder of the lock has migrated all bans since this run determined the
 * active backend, repeats the changes of this run in the new one.
 */
export function followMigration(addresses: readonly Address[], context: LoadContext): void {
  const { store, firewall, now } = context;
  const known = store.metadata.get(ACTIVE_BACKEND);
  store.metadata.reload();
  const active = backendNamed(store.metadata.get(ACTIVE_BACKEND));
  const former = backendNamed(firewall.backendName);
  if (active === null || active === known || former === null || active === former) return;
  firewall.use(active, former);
  // Release first: ipset treats plain rules of a released address as older than its set and removes them.
  const held = [...store.bans.findAll(addresses).values()];
  firewall.of(former).apply(releasesOf(held, now()), { trustState: false });
  followState(addresses, context, firewall.of(active));
}

/** Returns the changes that unblock bans, for a backend that must no longer hold them. */
export function releasesOf(bans: readonly Ban[], nowMs: number): Change[] {
  return bans.map((ban) => toKernelChange({ ...ban, phase: 'unblocking' }, nowMs));
}

/** Returns the kernel change that a ban in the state requires. */
export function toKernelChange(
  { address, phase, holds, foreign }: Pick<Ban, 'address' | 'phase' | 'holds' | 'foreign'>,
  nowMs: number,
): Change {
  const known = foreign ?? 'find';
  if (phase === 'unblocking') return { address, foreign: known, to: 'released' };
  const timeoutSeconds = remainingSeconds(holds, nowMs);
  return { address, foreign: known, to: 'blocked', timeoutSeconds };
}
