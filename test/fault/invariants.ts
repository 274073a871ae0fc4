/** What holds after any run that came after a crash: books, kernel and log tell the same. Each answer lists what is wrong. */
import type { Books, Kernel, Told } from './scene.ts';

export type BackendName = 'iptables' | 'ipset' | 'nftables';
export const BACKENDS: readonly BackendName[] = ['iptables', 'ipset', 'nftables'];

/** How often an address stands in the kernel when it is blocked: in INPUT and FORWARD, or in one set. */
const PLACES: Readonly<Record<BackendName, number>> = { iptables: 2, ipset: 1, nftables: 1 };
/** Where the rule for a set stands. */
const CHAINS = 'PREROUTING';

/** The books are sound, nothing is unfinished, and the kernel holds exactly what they say, by the backend that they name. */
export function disagreements(books: Books, kernel: Kernel, configured: BackendName): string[] {
  const backend = (books.facts.get('backend') ?? '') || configured;
  const wrong = books.integrity === 'ok' ? [] : [`integrity_check: ${books.integrity}`];
  const move = books.facts.get('backend move') ?? '';
  if (move !== '') wrong.push(`a move is unfinished: ${move}`);
  for (const [address, { phase, origins, owed }] of books.bans) {
    if (phase !== 'blocked') wrong.push(`${address} is still ${phase}`);
    if (owed !== null) wrong.push(`${address}: a line ${owed} is still owed`);
    if (origins.length === 0) wrong.push(`${address} is blocked and nobody holds it`);
  }
  for (const name of BACKENDS) {
    for (const address of new Set([...books.bans.keys(), ...kernel[name].keys()])) {
      const places = name === backend && books.bans.has(address) ? PLACES[name] : 0;
      const found = kernel[name].get(address) ?? 0;
      if (found !== places) wrong.push(`${address}: ${found} times in ${name}, not ${places}`);
    }
  }
  return [...wrong, ...strayParts(kernel, backend)];
}

/** Sets are asked once, and what no backend in use has made is gone. */
function strayParts(kernel: Kernel, backend: string): string[] {
  const wrong: string[] = [];
  for (const family of ['4', '6'] as const) {
    const isInUse = [...kernel.ipset.keys()].some((address) => {
      return address.includes(':') === (family === '6');
    });
    const chains = kernel.setRules[family].join(' ');
    if (isInUse ? chains !== CHAINS : chains !== '' && chains !== CHAINS) {
      wrong.push(`the set of IPv${family} is asked in: ${chains || 'no chain'}`);
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

/** Verbs whose lines say that something was done; what was refused or failed may be told without being booked. */
const isDeed = ({ verb }: Told): boolean => verb !== 'failed' && verb !== 'refused';

/** Each deed stands once in the log and once in the history. */
export function untruths(log: readonly Told[], history: readonly Told[]): string[] {
  const counts = new Map<string, number>();
  const count = (told: readonly Told[], by: number): void => {
    for (const { verb, address, alertId } of told.filter(isDeed)) {
      const key = `${verb} ${address} ${alertId}`;
      counts.set(key, (counts.get(key) ?? 0) + by);
    }
  };
  count(log, 1);
  count(history, -1);
  return Array.from(counts).flatMap(([key, surplus]) => {
    if (surplus === 0) return [];
    return [`"${key}": ${Math.abs(surplus)} too ${surplus > 0 ? 'often' : 'seldom'} in the log`];
  });
}
