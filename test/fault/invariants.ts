/**
 * Checks the invariants after the run that follows a crash: state, kernel and log agree. Each function lists
 * violations.
 */
import { type BackendName, BACKENDS, type Kernel } from '../support/kernel.ts';
import type { Entry, State } from '../support/state.ts';

/** The number of entries of a blocked address in the kernel: in INPUT and FORWARD, or in one set. */
const PLACES: Readonly<Record<BackendName, number>> = { iptables: 2, ipset: 1, nftables: 1 };
/** The chain with the rule for a set. */
const CHAINS = 'PREROUTING';

/**
 * Returns violations of this rule: the state is intact, nothing is pending, and the kernel has exactly the bans, in the
 * active backend.
 */
export function disagreements(state: State, kernel: Kernel, configured: BackendName): string[] {
  const backend = (state.metadata.get('backend') ?? '') || configured;
  const wrong = state.integrity === 'ok' ? [] : [`integrity_check: ${state.integrity}`];
  const move = state.metadata.get('backend move') ?? '';
  if (move !== '') wrong.push(`a migration is pending: ${move}`);
  for (const [address, { phase, origins, owed }] of state.bans) {
    if (phase !== 'blocked') wrong.push(`${address} is still ${phase}`);
    if (owed !== null) wrong.push(`${address}: a line ${owed} was not written`);
    if (origins.length === 0) wrong.push(`${address} is blocked and has no hold`);
  }
  for (const name of BACKENDS) {
    for (const address of new Set([...state.bans.keys(), ...kernel[name].keys()])) {
      const places = name === backend && state.bans.has(address) ? PLACES[name] : 0;
      const found = kernel[name].get(address) ?? 0;
      if (found !== places) wrong.push(`${address}: ${found} times in ${name}, not ${places}`);
    }
  }
  return [...wrong, ...leftovers(kernel, backend)];
}

/** Returns violations of this rule: one rule refers to each set, and nothing of other backends is left. */
function leftovers(kernel: Kernel, backend: string): string[] {
  const wrong: string[] = [];
  for (const family of ['4', '6'] as const) {
    const isInUse = [...kernel.ipset.keys()].some((address) => {
      return address.includes(':') === (family === '6');
    });
    const chains = kernel.setRules[family].join(' ');
    if (isInUse ? chains !== CHAINS : chains !== '' && chains !== CHAINS) {
      wrong.push(`rules refer to the set of IPv${family} in: ${chains || 'no chain'}`);
    }
  }
  const asked = kernel.setRules['4'].length + kernel.setRules['6'].length > 0;
  if (backend !== 'ipset' && (kernel.hasSets || asked)) wrong.push('sets of ipset were left');
  if (backend !== 'nftables' && kernel.hasTable) wrong.push('the table of nftables was left');
  return wrong;
}

/** Reports whether packets from an address are dropped by any backend. */
export function isDropped(kernel: Kernel, address: string): boolean {
  const rules = kernel.setRules[address.includes(':') ? '6' : '4'].join(' ');
  return (
    (kernel.iptables.get(address) ?? 0) >= PLACES.iptables ||
    (kernel.ipset.has(address) && rules === CHAINS) ||
    kernel.nftables.has(address)
  );
}

/**
 * Reports whether an entry is a change. Refusals and failures can be in the log alone, and a hold is in the history
 * alone.
 */
const wasDone = ({ verb }: Entry): boolean => !['failed', 'refused', 'held'].includes(verb);

/** Returns violations of this rule: each change is in the log as often as in the history. */
export function unequalEntries(log: readonly Entry[], history: readonly Entry[]): string[] {
  const counts = new Map<string, number>();
  const count = (entries: readonly Entry[], by: number): void => {
    for (const { verb, address, alertId } of entries.filter(wasDone)) {
      const key = `${verb} ${address} ${alertId}`;
      counts.set(key, (counts.get(key) ?? 0) + by);
    }
  };
  count(log, 1);
  count(history, -1);
  return Array.from(counts).flatMap(([key, surplus]) => {
    if (surplus === 0) return [];
    const difference = `${Math.abs(surplus)} ${surplus > 0 ? 'more' : 'fewer'}`;
    return [`"${key}": ${difference} in the log than in the history`];
  });
}
