// Brings the kernel to what the state says: after a loss, for another backend, and where other runs have changed the same
// addresses at the same time.
import type { ApplyResult, Firewall } from '../firewall/apply.ts';
import type { Change } from '../firewall/backend.ts';
import { backendNamed } from '../firewall/select.ts';
import type { Address } from '../model/address.ts';
import { remainingSeconds, type Ban } from '../model/ban.ts';
import { step } from '../system/fault.ts';
import type { BanContext } from './context.ts';
import { forEachFamily } from './families.ts';
import { ACTIVE_BACKEND } from './places.ts';

type LoadContext = Pick<BanContext, 'store' | 'firewall' | 'now'>;

/** Has the kernel, by way of one backend, hold bans as the state does: for a restore, and for a migration. Throws as `commit` does. */
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
    // Runs without the writer lock may have released some of them meanwhile: now they would stay for good.
    const left = new Set(store.bans.heldBy(null).map(({ text }) => text));
    const gone = own.filter(({ address }) => !left.has(address.text));
    backend.apply(releasesOf(gone, now()), { trustState: false });
    // Another backend is filled beside the one that is active, whose plain rules are ours.
    if (backend === firewall) store.bans.noteForeign(result.foreign);
    results.push(result);
  });
  return results;
}

/** Other runs may go on changing the same addresses; one of them has the last word, and looks after it. */
const MOST_FOLLOWED = 5;

/** Brings the kernel to what the state says of some addresses, until it says the same afterwards. */
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
  for (let times = 0; times < MOST_FOLLOWED; times += 1) {
    backend.apply(wanted, { trustState: false });
    const applied = wanted;
    wanted = wantedNow();
    if (wanted.every(({ to }, at) => to === applied[at]?.to)) return;
  }
}

/** Without the lock: whoever has it may have migrated all bans since this run found out where they are. */
export function followMigration(addresses: readonly Address[], context: LoadContext): void {
  const { store, firewall, now } = context;
  const known = store.metadata.get(ACTIVE_BACKEND);
  store.metadata.reload();
  const active = backendNamed(store.metadata.get(ACTIVE_BACKEND));
  const former = backendNamed(firewall.backendName);
  if (active === null || active === known || former === null || active === former) return;
  firewall.use(active, former);
  // First, since ipset takes plain rules for ones from before there was a set, and removes them as well.
  const held = [...store.bans.findAll(addresses).values()];
  firewall.of(former).apply(releasesOf(held, now()), { trustState: false });
  followState(addresses, context, firewall.of(active));
}

/** For a backend that shall no longer hold these bans. */
export function releasesOf(bans: readonly Ban[], nowMs: number): Change[] {
  return bans.map((ban) => toKernelChange({ ...ban, phase: 'unblocking' }, nowMs));
}

/** What the state says that the kernel shall do. */
export function toKernelChange(
  { address, phase, holds, foreign }: Pick<Ban, 'address' | 'phase' | 'holds' | 'foreign'>,
  nowMs: number,
): Change {
  const known = foreign ?? 'find';
  if (phase === 'unblocking') return { address, foreign: known, to: 'released' };
  const timeoutSeconds = remainingSeconds(holds, nowMs);
  return { address, foreign: known, to: 'blocked', timeoutSeconds };
}
