// `backend`: what holds the blocks in the kernel, why, and moving them to another backend by hand.
import { expireDue } from '../../bans/expire.ts';
import {
  CHOSEN_FACT,
  finishMove,
  lastEvasion,
  lastPromotion,
  moveTo,
  unfinishedMove,
} from '../../bans/migrate.ts';
import { finishInterrupted } from '../../bans/reconcile.ts';
import { AppError } from '../../model/errors.ts';
import {
  BACKEND_NAMES,
  backendNamed,
  firstChoice,
  isBackendInstalled,
  setBackends,
  type BackendName,
  type Choice,
} from '../../firewall/select.ts';
import { CONFIG_FILE } from '../../agent-files.ts';
import type { Context } from '../../context.ts';
import { isServiceActive } from '../../system/services.ts';
import { defineCommand } from '../command.ts';
import { lockOrThrow, type Person } from '../session.ts';
import { isoTime } from '../output/time.ts';

const SCHEMA_VERSION = 1;
const PROGRAMS = ['iptables', 'ip6tables', 'ipset', 'nft'] as const;

export const backend = defineCommand({
  name: 'backend',
  summary: 'Show what holds the blocks in the kernel, why, and what else this host could use',
  details:
    'With firewall.backend = "auto" it also says what happens beyond firewall.promote_at bans. A move that was interrupted is named until the next run has finished it.',
  options: { json: { kind: 'flag', describe: 'JSON, see docs/json.md' } },
  examples: [
    ['backend', 'rules or sets, and why'],
    ['backend --json', 'the same for programs'],
  ],
  needsRoot: true,
  run(_words, { json }, person) {
    const state = inspectBackend(person.createContext());
    if (json) person.print(JSON.stringify({ schema: SCHEMA_VERSION, ...state }));
    else describe(state).forEach(person.print);
    return 0;
  },
});

export const backendUse = defineCommand({
  name: 'backend use',
  summary: 'Move everything that is blocked to another backend',
  details:
    'The new one is seen to hold every block, with the time that is left to it, before the rules, sets and table of the old one go; no packet gets through meanwhile. It stays chosen, also for what comes later, until backend use auto. Where firewall.backend names one in the configuration, only that one can be moved to. A move that was interrupted is finished by the next run, whatever it does.',
  positional: {
    name: 'backend',
    describe: 'iptables: plain rules; ipset or nftables: sets; auto: rules while they are few',
    count: 'one',
    choices: [...BACKEND_NAMES, 'auto'],
  },
  options: {},
  examples: [
    ['backend use ipset', 'all blocks into sets'],
    ['backend use auto', 'back to what the number of bans asks for'],
  ],
  needsRoot: true,
  run([word = ''], _options, person) {
    use(backendNamed(word) ?? 'auto', person.createContext(), person);
    return 0;
  },
});

function use(wanted: BackendName | 'auto', context: Context, person: Person): void {
  const { backend: configured } = context.config.firewall;
  refuseAgainst(configured, wanted);
  lockOrThrow(context);
  const from = context.firewall.backendName;
  context.settle();
  // What `settle` could only complain of decides the exit status here.
  finishMove(context);
  finishInterrupted(context);
  for (const { address } of expireDue(context)) {
    person.print(`${address.text} released: its time is over`);
  }
  const to = wanted === 'auto' ? pickFor(context) : wanted;
  choose(wanted === 'auto' || configured !== 'auto' ? '' : wanted, to, context);
  const bans = context.store.count();
  person.print(
    from === to ? `${to} holds all ${bans} bans` : `${bans} bans moved from ${from} to ${to}`,
  );
}

/** The choice becomes durable with the move: who finishes it must not undo it. */
function choose(chosen: string, to: BackendName, context: Context): void {
  const { store } = context;
  const before = store.metadata(CHOSEN_FACT) ?? '';
  store.setMetadata(CHOSEN_FACT, chosen);
  try {
    moveTo(to, context);
  } catch (error) {
    store.setMetadata(CHOSEN_FACT, before);
    throw error;
  } finally {
    store.flush();
  }
}

function refuseAgainst(configured: BackendName | 'auto', wanted: BackendName | 'auto'): void {
  if (configured === 'auto' || configured === wanted) return;
  const other = wanted === 'auto' ? '' : ` or "${wanted}"`;
  throw new AppError(
    'USAGE',
    `firewall.backend = "${configured}" in ${CONFIG_FILE} decides: change it there first, to "auto"${other}`,
  );
}

/** What `auto` would choose on a host that has so many bans and no history. */
function pickFor({ config, store, isInstalled }: Context): BackendName {
  if (isServiceActive('firewalld') && isBackendInstalled('nftables', isInstalled))
    return 'nftables';
  const sets = store.count() > config.firewall.promoteAt ? setBackends(isInstalled)[0] : undefined;
  return sets ?? firstChoice(isInstalled);
}

export interface BackendState {
  readonly configured: BackendName | 'auto';
  readonly inUse: string;
  /** Another one than `inUse` where a move is due. */
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
  const promotion = lastPromotion(store);
  const isPromotable = choice.by === 'auto' && choice.wanted === 'iptables';
  const beyond = isPromotable ? (setBackends(isInstalled)[0] ?? null) : null;
  const state = {
    configured: config.firewall.backend,
    inUse: firewall.backendName,
    wanted: choice.wanted,
    unfinishedMove: unfinishedMove(store),
    bans: store.count(),
    promoteAt: config.firewall.promoteAt,
    beyond,
    promotion:
      promotion === null
        ? null
        : {
            at: isoTime(promotion.atMs),
            bans: promotion.bans,
            to: promotion.to,
            trouble: promotion.trouble,
          },
    tools: Object.fromEntries(PROGRAMS.map((program) => [program, isInstalled(program)])),
  };
  const evaded = choice.by === 'auto' && lastEvasion(store)?.to === firewall.backendName;
  return { ...state, why: evaded ? EVADED : reasonFor(choice, state) };
}

const EVADED = 'firewalld takes rules of iptables away at each reload, and leaves this';

function reasonFor({ by, name, wanted }: Choice, state: Omit<BackendState, 'why'>): string {
  if (name !== wanted)
    return `${wanted} is to hold all that is blocked, and the next run of a person or timer moves it`;
  if (by === 'config') return 'firewall.backend names it';
  if (by === 'person') return 'chosen by firewall-drop backend use';
  const { promotion, promoteAt, beyond, tools } = state;
  if (wanted === 'iptables') {
    if (beyond !== null)
      return `plain rules while there are no more than ${promoteAt} bans, then ${beyond}`;
    const stays = 'plain rules, however many bans there are';
    return `${stays}: neither ipset nor nft is installed`;
  }
  if (promotion?.to === wanted)
    return `${promotion.bans} bans were more than ${promoteAt}; it stays until everything is released`;
  if (!(tools['iptables'] ?? false)) return 'iptables is not installed';
  return 'it holds what is blocked, and stays until everything is released';
}

function describe(state: BackendState): string[] {
  const { configured, inUse, why, unfinishedMove: move, bans, promotion, tools } = state;
  const present = PROGRAMS.map((program) => `${program} ${tools[program] === true ? 'yes' : 'no'}`);
  return [
    `configured   ${configured}`,
    `in use       ${inUse}: ${why}`,
    ...(move === null
      ? []
      : [`unfinished   a move from ${move.from} to ${move.to}: the next run ends it`]),
    ...(promotion?.to === null ? [`not moved    ${promotion.trouble}`] : []),
    `installed    ${present.join(', ')}`,
    `bans         ${bans}`,
  ];
}
