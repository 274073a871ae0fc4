// Which backend holds the bans, which one is to hold them, and why: for `backend` and `status`.
import { lastFromFirewalld, lastToSets } from '../bans/auto-migrate.ts';
import { pendingMigration } from '../bans/migrate.ts';
import type { Context } from '../context.ts';
import { setBackends, type BackendName, type Choice } from '../firewall/select.ts';
import { isoTime } from './output/time.ts';

const PROGRAMS = ['iptables', 'ip6tables', 'ipset', 'nft'] as const;

export interface BackendState {
  readonly configured: BackendName | 'auto';
  readonly inUse: string;
  /** Another one than `inUse` where a migration is due. */
  readonly wanted: BackendName;
  readonly why: string;
  readonly unfinishedMove: { readonly from: BackendName; readonly to: BackendName } | null;
  readonly bans: number;
  readonly promoteAt: number;
  /** Where `auto` goes beyond `promoteAt`; null: nowhere, or it does not choose. */
  readonly beyond: BackendName | null;
  readonly promotion: {
    readonly at: string;
    readonly bans: number;
    readonly to: BackendName | null;
    readonly trouble: string;
  } | null;
  readonly tools: Readonly<Record<string, boolean>>;
}

export function inspectBackend(context: Context): BackendState {
  const { store, config, firewall, isInstalled } = context;
  const choice = context.choice();
  const promotion = lastToSets(store);
  const isPromotable = choice.by === 'auto' && choice.wanted === 'iptables';
  const beyond = isPromotable ? (setBackends(isInstalled)[0] ?? null) : null;
  const state = {
    configured: config.firewall.backend,
    inUse: firewall.backendName,
    wanted: choice.wanted,
    unfinishedMove: pendingMigration(store),
    bans: store.bans.count(),
    promoteAt: config.firewall.promoteAt,
    beyond,
    promotion: promotion && {
      at: isoTime(promotion.atMs),
      bans: promotion.bans,
      to: promotion.to,
      trouble: promotion.trouble,
    },
    tools: Object.fromEntries(PROGRAMS.map((program) => [program, isInstalled(program)])),
  };
  const byFirewalld = choice.by === 'auto' && lastFromFirewalld(store)?.to === firewall.backendName;
  return { ...state, why: byFirewalld ? FROM_FIREWALLD : reasonFor(choice, state) };
}

const FROM_FIREWALLD = 'firewalld removes rules of iptables at each reload, and leaves this';

function reasonFor({ by, name, wanted }: Choice, state: Omit<BackendState, 'why'>): string {
  if (state.inUse !== name)
    return 'its sets are in the kernel, and the state does not say of what; until everything is released';
  if (name !== wanted)
    return `${wanted} is configured; the next expire or restore migrates the bans`;
  if (by === 'config') return 'firewall.backend names it';
  const { promotion, promoteAt, beyond, tools } = state;
  if (wanted === 'iptables') {
    if (beyond !== null)
      return `plain rules while there are no more than ${promoteAt} bans, then ${beyond}`;
    const stays = 'plain rules, however many bans there are';
    return `${stays}: neither ipset nor nft is installed`;
  }
  if (promotion?.to === wanted)
    return `${promotion.bans} bans were more than firewall.promote_at allowed; it stays until everything is released`;
  if (!(tools['iptables'] ?? false)) return 'iptables is not installed';
  return 'it holds what is blocked, and stays until everything is released';
}
