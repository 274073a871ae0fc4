/** What books and kernel say after a crash, read past the program under test. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { FLUSH_RULES } from '../support/namespaces.ts';
import { STATE_DIRECTORY, type Victim } from '../support/victim.ts';

export const BACKENDS = ['iptables', 'ipset', 'nftables'] as const;
export type BackendName = (typeof BACKENDS)[number];

/** How often an address stands in the kernel when it is blocked: in INPUT and FORWARD, or in one set. */
const PLACES: Readonly<Record<BackendName, number>> = { iptables: 2, ipset: 1, nftables: 1 };

export function useBackend(victim: Victim, backend: BackendName, more = ''): void {
  victim.configure(`[limits]\ngrace_seconds = 0\n[firewall]\nbackend = "${backend}"\n${more}`);
}

/** Rules and sets of all kinds are gone; books and logs stay. */
export function flushKernel(victim: Victim): void {
  const script = `${FLUSH_RULES}; ipset destroy; nft flush ruleset`;
  victim.host.must(['bash', '-c', script]);
}

export interface Books {
  readonly integrity: string;
  /** By address. */
  readonly phases: ReadonlyMap<string, string>;
}

/** The file itself, not what our `list` makes of it. A copy: SQLite follows /proc/PID/root to the wrong place. */
export function readBooks(victim: Victim): Books {
  using copy = copyStore(victim);
  using database = new DatabaseSync(copy.path);
  const { integrity_check: integrity } = database.prepare('PRAGMA integrity_check').get() ?? {};
  const rows = database.prepare('SELECT address, phase FROM bans').all();
  return {
    integrity: String(integrity),
    phases: new Map(rows.map(({ address, phase }) => [String(address), String(phase)])),
  };
}

function copyStore(victim: Victim): Disposable & { readonly path: string } {
  const directory = mkdtempSync(join(tmpdir(), 'books-'));
  const source = `/proc/${victim.host.pid}/root${STATE_DIRECTORY}`;
  for (const name of ['state.db', 'state.db-wal']) {
    const file = join(source, name);
    if (existsSync(file)) copyFileSync(file, join(directory, name));
  }
  return {
    path: join(directory, 'state.db'),
    [Symbol.dispose]: () => {
      rmSync(directory, { recursive: true });
    },
  };
}

/** Each address that is dropped, and in how many places. */
export function readKernel(victim: Victim, backend: BackendName): Map<string, number> {
  const text = victim.host.must(['bash', '-c', LISTINGS[backend]]);
  const counts = new Map<string, number>();
  for (const [, address = ''] of text.matchAll(ADDRESSES[backend])) {
    counts.set(address, (counts.get(address) ?? 0) + 1);
  }
  return counts;
}

const LISTINGS: Readonly<Record<BackendName, string>> = {
  iptables: 'iptables -w -S; ip6tables -w -S',
  ipset: 'ipset save',
  nftables: 'nft list table inet firewall_drop 2>/dev/null; true',
};
const ADDRESSES: Readonly<Record<BackendName, RegExp>> = {
  iptables: /^-A \S+ -s (\S+)\/(?:32|128) -j DROP$/gm,
  ipset: /^add firewall-drop-[46] (\S+)/gm,
  nftables: /((?:203\.0\.113|198\.51\.100)\.\d+|2001:db8:[0-9a-f:]+)/g,
};

/** What is wrong between the two; empty where every ban is in the kernel as often as it should be and nothing else is. */
export function findDisagreements(victim: Victim, backend: BackendName): string[] {
  const { integrity, phases } = readBooks(victim);
  const kernel = readKernel(victim, backend);
  const wrong = integrity === 'ok' ? [] : [`integrity_check: ${integrity}`];
  for (const [address, phase] of phases) {
    if (phase !== 'blocked') wrong.push(`${address} is still ${phase}`);
  }
  for (const address of new Set([...phases.keys(), ...kernel.keys()])) {
    const places = phases.has(address) ? PLACES[backend] : 0;
    const found = kernel.get(address) ?? 0;
    if (found !== places) wrong.push(`${address}: ${found} times in the kernel, not ${places}`);
  }
  return wrong;
}

/** The verbs of the log's lines about an address, in order. */
export function verbsAbout(victim: Victim, address: string): string[] {
  return victim.log().flatMap((line) => {
    const words = line.split(' ');
    const at = words.indexOf('-');
    return words[at + 1] === address ? [words[at - 1] ?? ''] : [];
  });
}
