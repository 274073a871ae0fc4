// When what is blocked moves from one backend to another: after an interruption, by the configuration, or by number.
import type { Choice } from '../firewall/select.ts';
import type { Firewall } from '../firewall/apply.ts';
import type { Deadline } from '../system/wait.ts';
import type { Store } from '../state/store.ts';
import { evade, finishMove, moveTo, promote, unfinishedMove, type MoveTools } from './migrate.ts';

export interface Arrangement {
  readonly choice: Choice;
  /** `auto` moves more bans than this into sets. */
  readonly promoteAt: number;
  /** Whether firewalld runs, which takes all rules of iptables away at each reload. */
  readonly losesRules: boolean;
  /** How many bans are about to be added. */
  readonly coming: number;
  /** An alert's, which does not wait for what nobody asked it for; null: somebody may wait. */
  readonly deadline: Deadline | null;
  /** Hears of every move, and why. */
  readonly tell: (message: string) => void;
}

/** A move of some hundred bans takes less than a second; an alert that has no more than this left leaves it to the next. */
const MOVE_NEEDS_MS = 5000;

/**
 * Finishes a move, follows the configuration, and has `auto` move many plain rules into sets. For the holder of the writer
 * lock. Throws as `moveTo` does.
 */
export function arrangeBackend(arrangement: Arrangement, tools: MoveTools): void {
  const { choice, deadline, tell } = arrangement;
  const { store, firewall } = tools;
  if (deadline !== null && deadline.remainingMs() < MOVE_NEEDS_MS) return;
  finishMove(tools);
  if (choice.wanted !== firewall.backendName) {
    if (deadline !== null && store.bans.count() > 0) return;
    const from = firewall.backendName;
    const moved = moveTo(choice.wanted, tools);
    tell(`moved ${moved} bans from ${from} to ${choice.wanted}, by ${choice.by}`);
    return;
  }
  if (choice.by === 'auto') chooseAnew(arrangement, tools);
}

function chooseAnew({ promoteAt, coming, losesRules, tell }: Arrangement, tools: MoveTools): void {
  const { store, firewall } = tools;
  const bans = store.bans.count() + coming;
  const isRuled = firewall.backendName !== 'nftables';
  if (losesRules && isRuled && evade(bans, tools)?.to === 'nftables') {
    tell(
      'moved all bans into a table of our own: firewalld takes rules of iptables away at each reload',
    );
  }
  if (firewall.backendName !== 'iptables' || bans <= promoteAt) return;
  const to = promote(bans, tools)?.to ?? null;
  if (to === null) return;
  tell(
    `moved all bans into sets of ${to}: ${bans} are more than firewall.promote_at = ${promoteAt}, and plain rules cost by their number`,
  );
}

/** Whether another backend may take over at once because nothing is blocked. */
export function isFree({ wanted }: Choice, { backendName }: Firewall, store: Store): boolean {
  return wanted !== backendName && unfinishedMove(store) === null && store.bans.count() === 0;
}
