// Moves all that is blocked from one backend to another: the new one is seen to hold everything before the old one lets
// go, and a move that died is finished by the next run.
import { describeError } from '../model/errors.ts';
import {
  backendNamed,
  isBackendInstalled,
  setBackends,
  type BackendName,
} from '../firewall/select.ts';
import type { SwitchableFirewall } from '../firewall/switch.ts';
import { step } from '../system/fault.ts';
import type { Store } from '../state/store.ts';
import { forEachFamily } from './families.ts';
import { toKernelChange } from './journal.ts';

/** The backend that holds the bans of the state. */
export const MAKER_FACT = 'backend';
/** A `Move` that has begun and was not seen to end. */
const MOVE_FACT = 'backend move';
/** The last `Promotion`. */
const PROMOTION_FACT = 'promotion';
/** The same for what firewalld would take away. */
const EVASION_FACT = 'evasion';

export interface MoveTools {
  readonly store: Store;
  readonly firewall: SwitchableFirewall;
  readonly now: () => number;
  readonly warn: (message: string) => void;
  readonly isInstalled: (program: string) => boolean;
}

export interface Move {
  readonly from: BackendName;
  readonly to: BackendName;
}

/** What a run left unfinished; null: nothing. */
export function unfinishedMove(store: Store): Move | null {
  const noted = store.metadata.getJson(MOVE_FACT) as Partial<Record<keyof Move, string>> | null;
  const from = backendNamed(noted?.from ?? null);
  const to = backendNamed(noted?.to ?? null);
  return from === null || to === null ? null : { from, to };
}

/** The one of an unfinished move that is not in use and may hold a part; null: there is none, or none that could be told. */
export function otherHolder(
  inUse: BackendName,
  { store, isInstalled }: Pick<MoveTools, 'store' | 'isInstalled'>,
): BackendName | null {
  const move = unfinishedMove(store);
  const other = move === null ? null : move.from === inUse ? move.to : move.from;
  return other !== null && isBackendInstalled(other, isInstalled) ? other : null;
}

/**
 * Has `to` hold everything, and leaves nothing of ours with the one that did. Returns how many bans were moved. Throws
 * `FIREWALL` when that can't be: then the old one holds everything as before, or the next run tries again.
 */
export function moveTo(to: BackendName, tools: MoveTools): number {
  finishMove(tools);
  const { store, firewall } = tools;
  const from = backendNamed(firewall.backendName);
  if (from === null || from === to) return 0;
  // Looked at before anything is noted: what is not there at all is no reason to begin.
  firewall.of(to).tryOut();
  note(store, MOVE_FACT, JSON.stringify({ from, to }));
  step('move: noted');
  finishMove(tools);
  return store.bans.list().length;
}

/** Ends a move, whoever began it, wherever it stopped. Throws as `moveTo` does. */
export function finishMove(tools: MoveTools): void {
  const { store, firewall } = tools;
  const move = unfinishedMove(store);
  if (move === null) return;
  if (firewall.backendName === move.from) bringOver(move, tools);
  clear(move.from, tools);
  step('move: old one cleared');
  note(store, MOVE_FACT, '');
  step('move: ended');
  firewall.use(move.to, null);
}

function bringOver(move: Move, tools: MoveTools): void {
  const { store, firewall } = tools;
  const { from, to } = move;
  firewall.use(from, to);
  try {
    hold(to, tools);
  } catch (error) {
    takeBack(move, tools);
    throw error;
  }
  step('move: new one holds all');
  note(store, MAKER_FACT, to);
  step('move: new one in use');
  firewall.use(to, from);
}

/** Loads all bans of the state into the kernel by way of one backend. */
function hold(name: BackendName, { store, firewall, now }: MoveTools): void {
  const nowMs = now();
  forEachFamily(store.bans.list(), (own) => {
    firewall.of(name).apply(
      own.map((ban) => toKernelChange(ban, nowMs)),
      { trustState: false },
    );
    step('move: a family told');
  });
}

/** Where the program was removed from the host nobody can do more than say so. */
function clear(name: BackendName, { store, firewall, now, isInstalled, warn }: MoveTools): void {
  if (isBackendInstalled(name, isInstalled)) {
    const releases = store.bans.list().map((ban) => {
      return toKernelChange({ ...ban, phase: 'unblocking' }, now());
    });
    firewall.of(name).removeAll(releases);
  } else {
    warn(`${name} is no longer installed: what it may still hold in the kernel was left there`);
  }
}

/** ipset takes plain rules away as it takes over: they come back before the sets go. */
function takeBack({ from, to }: Move, tools: MoveTools): void {
  const { store, firewall } = tools;
  try {
    hold(from, tools);
    step('take back: old one holds all');
    clear(to, tools);
    step('take back: new one cleared');
  } catch {
    // The trouble that stopped the move is on its way to the caller; the move stays noted for the next run.
    return;
  }
  note(store, MOVE_FACT, '');
  firewall.use(from, null);
}

/** Durable on return: what comes next depends on it. */
function note(store: Store, name: string, value: string): void {
  store.metadata.set(name, value);
  store.metadata.flush();
}

/** What became of the last attempt of `auto` to move what is blocked. */
export interface Promotion {
  readonly atMs: number;
  readonly bans: number;
  /** Where they went; null: they stayed. */
  readonly to: BackendName | null;
  /** What was tried, and why they stayed. */
  readonly tried: readonly BackendName[];
  readonly trouble: string;
}

/** Of plain rules into sets, because there were many. */
export function lastPromotion(store: Store): Promotion | null {
  return store.metadata.getJson(PROMOTION_FACT) as Promotion | null;
}

/** Of rules of iptables into a table of our own, because firewalld runs. */
export function lastEvasion(store: Store): Promotion | null {
  return store.metadata.getJson(EVASION_FACT) as Promotion | null;
}

/** Moves plain rules into sets, of the first backend that can. Returns and says what `attemptMove` does. */
export function promote(bans: number, tools: MoveTools): Promotion | null {
  const candidates = setBackends(tools.isInstalled);
  const staying = `${bans} bans stay plain rules, which cost by their number`;
  const missing = 'neither ipset nor nft is installed';
  return attemptMove({ bans, candidates, staying, missing, metadata: PROMOTION_FACT }, tools);
}

/** Moves what firewalld would take away at each reload to where it leaves it. The same as `promote` otherwise. */
export function evade(bans: number, tools: MoveTools): Promotion | null {
  const candidates = setBackends(tools.isInstalled).filter((name) => name === 'nftables');
  const staying = 'blocks stay rules of iptables, which firewalld takes away at each reload';
  const missing = 'nft is not installed';
  return attemptMove({ bans, candidates, staying, missing, metadata: EVASION_FACT }, tools);
}

interface Attempt {
  readonly bans: number;
  readonly candidates: readonly BackendName[];
  /** What is said where none of them can. */
  readonly staying: string;
  /** Why, where there are no candidates. */
  readonly missing: string;
  readonly metadata: string;
}

/** Something may have been installed or loaded meanwhile; until then no alert pays for another attempt. */
const TRY_AGAIN_AFTER_MS = 86_400_000;

/**
 * Returns what became of it, or null when the same was tried in vain not long ago. Why everything stays is said once.
 */
function attemptMove(attempt: Attempt, tools: MoveTools): Promotion | null {
  const { store, now, warn } = tools;
  const { bans, candidates: tried, staying, missing, metadata } = attempt;
  const last = store.metadata.getJson(metadata) as Promotion | null;
  const failedBefore = last?.to === null && last.tried.join() === tried.join();
  if (failedBefore && now() - last.atMs < TRY_AGAIN_AFTER_MS) return null;
  const { to, trouble } =
    tried.length === 0 ? { to: null, trouble: missing } : moveToFirst(tried, tools);
  if (to === null && trouble !== last?.trouble) warn(`${staying}: ${trouble}`);
  step('attempt: moved');
  const promotion = { atMs: now(), bans, to, tried, trouble };
  note(store, metadata, JSON.stringify(promotion));
  return promotion;
}

function moveToFirst(
  candidates: readonly BackendName[],
  tools: MoveTools,
): Pick<Promotion, 'to' | 'trouble'> {
  const troubles: string[] = [];
  for (const to of candidates) {
    try {
      moveTo(to, tools);
      return { to, trouble: '' };
    } catch (error) {
      troubles.push(`${to}: ${describeError(error)}`);
    }
  }
  return { to: null, trouble: troubles.join('; ') };
}

/** Nothing is blocked any more: no set, rule for one or table of ours stays, and `auto` begins anew. */
export function leaveNothing({ store, firewall }: MoveTools): void {
  if (store.bans.list().length > 0 || unfinishedMove(store) !== null) return;
  firewall.removeAll([]);
  step('leave nothing: kernel told');
  note(store, MAKER_FACT, '');
  note(store, PROMOTION_FACT, '');
  note(store, EVASION_FACT, '');
}
