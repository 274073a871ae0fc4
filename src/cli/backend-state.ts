// Finds which backend holds the bans, which one should hold them, and why, for `backend` and `status`.
import { lastFromFirewalld, lastToSets } from '../bans/auto-migrate.ts';
import { pendingMigration } from '../bans/migrate.ts';
import type { Context } from '../context.ts';
import { setBackends, type Choice } from '../firewall/select.ts';
import { isoTime } from './output/time.ts';

const PROGRAMS = ['iptables', 'ip6tables', 'ipset', 'nft'] as const;

export type BackendState = ReturnType<typeof stateOf> & { readonly why: string };

export function inspectBackend(context: Context): BackendState {
  const choice = context.choice();
  const state = stateOf(context, choice);
  const byFirewalld = choice.by === 'auto' && lastFromFirewalld(context.store)?.to === state.inUse;
  return { ...state, why: byFirewalld ? FROM_FIREWALLD : reasonFor(choice, state) };
}

function stateOf({ store, config, firewall, isInstalled }: Context, { by, wanted }: Choice) {
  const promotion = lastToSets(store);
  const isPromotable = by === 'auto' && wanted === 'iptables';
  return {
    configured: config.firewall.backend,
    inUse: firewall.backendName,
    /** Differs from `inUse` if a migration is due. */
    wanted,
    unfinishedMove: pendingMigration(store),
    bans: store.bans.count(),
    promoteAt: config.firewall.promoteAt,
    /** The backend that `auto` migrates to beyond `promoteAt`; null if there is none or `auto` is not in use. */
    beyond: isPromotable ? (setBackends(isInstalled)[0] ?? null) : null,
    promotion: promotion && {
      at: isoTime(promotion.atMs),
      bans: promotion.bans,
      to: promotion.to,
      trouble: promotion.trouble,
    },
    tools: Object.fromEntries(PROGRAMS.map((program) => [program, isInstalled(program)])),
  };
}

const FROM_FIREWALLD = 'firewalld removes iptables rules at each reload, but not this table';

function reasonFor({ by, name, wanted }: Choice, state: ReturnType<typeof stateOf>): string {
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
