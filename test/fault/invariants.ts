/** What holds after any run that came after a crash: state, kernel and log agree. Each answer lists what is wrong. */
import { type BackendName, BACKENDS, type Kernel } from '../support/kernel.ts';
import type { Entry, State } from '../support/state.ts';

/** How often an address is found in the kernel when it is blocked: in INPUT and FORWARD, or in one set. */
const PLACES: Readonly<Record<BackendName, number>> = { iptables: 2, ipset: 1, nftables: 1 };
/** Where the rule for a set stands. */
const CHAINS = 'PREROUTING';

/** The state is sound, nothing is pending, and the kernel holds exactly the bans, by the active backend. */
export function disagreements(state: State, kernel: Kernel, configured: BackendName): string[] {
  const backend = (state.metadata.get('backend') ?? '') || configured;
  const wrong = state.integrity === 'ok' ? [] : [`integrity_check: ${state.integrity}`];
  const move = state.metadata.get('backend move') ?? '';
  if (move !== '') wrong.push(`a migration is pending: ${move}`);
  for (const [address, { phase, origins, owed }] of state.bans) {
    if (phase !== 'blocked') wrong.push(`${address} is still ${phase}`);
    if (owed !== null) wrong.push(`${address}: a line ${owed} is still to be written`);
    if (origins.length === 0) wrong.push(`${address} is blocked and nobody holds it`);
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

/** A rule refers to a set once, and what other backends made is gone. */
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

/** Whether packets from an address are dropped, whoever does it. */
export function isDropped(kernel: Kernel, address: string): boolean {
  const rules = kernel.setRules[address.includes(':') ? '6' : '4'].join(' ');
  return (
    (kernel.iptables.get(address) ?? 0) >= PLACES.iptables ||
    (kernel.ipset.has(address) && rules === CHAINS) ||
    kernel.nftables.has(address)
  );
}

/** Verbs of what was done; what was refused or failed may be logged and not be in the history, and a hold is in the history alone. */
const wasDone = ({ verb }: Entry): boolean => !['failed', 'refused', 'held'].includes(verb);

/** What was done is once in the log and once in the history. */
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
