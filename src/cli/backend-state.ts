// Finds which backend holds the bans, which one should hold them, and why, for `backend` and `status`.
import { lastFromFirewalld, lastToSets } from '../bans/auto-migrate.ts';
import { pendingMigration } from '../bans/migrate.ts';
import type { Context } from '../context.ts';
import { setBackends, type BackendName, type Choice } from '../firewall/select.ts';
import { isoTime } from './output/time.ts';

const PROGRAMS = ['iptables', 'ip6tables', 'ipset', 'nft'] as const;

export interface BackendState {
  readonly configured: BackendName | 'auto';
  readonly inUse: string;
  /** Differs from `inUse` if a migration is due. */
  readonly wanted: BackendName;
  readonly why: string;
  readonly unfinishedMove: { readonly from: BackendName; readonly to: BackendName } | null;
  readonly bans: number;
  readonly promoteAt: number;
  /** The backend that `auto` migrates to beyond `promoteAt`; null if there is none or `auto` is not in use. */
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

const FROM_FIREWALLD = 'firewalld removes iptables rules at each reload, but not this table';

function reasonFor({ by, name, wanted }: Choice, state: Omit<BackendState, 'why'>): string {
  if (state.inUse !== name)
    return 'its sets are in the kernel, but the state does not say why; it stays until everything is released';
  if (name !== wanted)
    return `${wanted} is configured; the next expire or restore migrates the bans`;
  if (by === 'config') return 'set by firewall.backend';
  const { promotion, promoteAt, beyond, tools } = state;
  if (wanted === 'iptables') {
    if (beyond !== null) return `plain rules up to ${promoteAt} bans, then ${beyond}`;
    const stays = 'plain rules for any number of bans';
    return `${stays}: neither ipset nor nft is installed`;
  }
  if (promotion?.to === wanted)
    return `${promotion.bans} bans exceeded ${promoteAt}; it stays until everything is released`;
  if (!(tools['iptables'] ?? false)) return 'iptables is not installed';
  return 'it holds the current bans; it stays until everything is released';
}
