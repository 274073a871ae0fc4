// The host for tests of bans: a real store in its own directory, the real backends, and a fake kernel.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { parseExactNetwork, type Address } from '../../../src/model/address.ts';
import { makeHolds, type HoldRequest, type Origin } from '../../../src/model/ban.ts';
import { blockEach } from '../../../src/bans/block.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { DEFAULT_CONFIG } from '../../../src/config/schema.ts';
import { createFirewall, type Firewall } from '../../../src/firewall/apply.ts';
import type { Backend } from '../../../src/firewall/backend.ts';
import {
  createBackend,
  type BackendName,
  createSwitchableFirewall,
  type SwitchableFirewall,
} from '../../../src/firewall/select.ts';
import type { ProtectedEntry } from '../../../src/policy/protected.ts';
import type { Run } from '../../../src/system/exec.ts';
import { Store } from '../../../src/state/store.ts';
import { FakeKernel } from './kernel.ts';
import { MemoryLog } from './log.ts';

/** The options of a recovery on a host without protected addresses. */
export const NOTHING_PROTECTED = { protectedEntries: (): readonly ProtectedEntry[] => [] };

export const NOON_MS = Date.UTC(2024, 4, 7, 12);

export function addressOf(text: string): Address {
  const address = parseExactNetwork(text);
  if (address === null) throw new Error(`${text} is not an address`);
  return address;
}

export function holdRequest(parts: Partial<HoldRequest> = {}): HoldRequest {
  const alertRef = { alertId: '1620563486.6306696', ruleId: '31151' };
  return { origin: 'wazuh', timeoutSeconds: 600, alertRef, reason: 'scan', ...parts };
}

/** Blocks a list of addresses with equal holds. */
export function blockAll(
  addresses: readonly Address[],
  request: HoldRequest,
  context: BanContext,
): void {
  const holds = makeHolds(request, context.now());
  blockEach(addresses, { holdsFor: () => holds }, context);
}

/** Returns the real backend, configured for the fake kernel. */
export function backendNamed(name: BackendName): Backend {
  return createBackend(name, DEFAULT_CONFIG.firewall);
}

export function firewallFor(
  run: Run,
  store: Store | null = null,
  backend = backendNamed('iptables'),
  isWorkShared = () => false,
): Firewall {
  return createFirewall({
    backend,
    run,
    sleep: () => undefined,
    deadline: { remainingMs: () => 20_000 },
    programTimeoutSeconds: 15,
    isIpv6Absent: () => false,
    isWorkShared,
    extras: (family) => JSON.parse(store?.metadata.get(`extras ${family}`) ?? '[]') as string[],
    noteExtras: (family, extras) => store?.metadata.set(`extras ${family}`, JSON.stringify(extras)),
  });
}

/** Returns the firewall of a run, which can migrate to another backend. */
export function firewallsFor(
  run: Run,
  store: Store,
  first: BackendName = 'iptables',
  isWorkShared = () => false,
): SwitchableFirewall {
  return createSwitchableFirewall(
    (name) => firewallFor(run, store, backendNamed(name), isWorkShared),
    () => first,
  );
}

/** One host: everything that outlives a run, and the context of the current run. */
export class Workshop {
  readonly directory = mkdtempSync(join(tmpdir(), 'state-'));
  readonly kernel = new FakeKernel();
  readonly log = new MemoryLog();
  readonly warnings: string[] = [];
  /** The addresses whose connections were removed, call by call. */
  readonly cut: string[][] = [];
  readonly progress: [done: number, total: number][] = [];
  nowMs = NOON_MS;
  countsOffences = false;
  /** True while a run without the writer lock works. */
  isWorkShared = false;

  /** Returns the context of a new run on the same host. */
  newRun(backend: BackendName = 'iptables'): BanContext {
    const store = this.openStore();
    return {
      store,
      firewall: firewallsFor(this.kernel.run, store, backend, () => this.isWorkShared),
      isInstalled: () => true,
      responseLog: this.log,
      now: () => this.nowMs,
      isWorkShared: () => this.isWorkShared,
      countsOffences: this.countsOffences,
      warn: (message) => this.warnings.push(message),
      cutConnections: (addresses) => this.cut.push(addresses.map(({ text }) => text)),
      onProgress: (done, total) => this.progress.push([done, total]),
    };
  }

  openStore(mayRepair = true): Store {
    return new Store({ directory: this.directory, mayRepair, nowMs: this.nowMs }, (problem) =>
      this.warnings.push(problem),
    );
  }

  /** Makes writes to one table fail as on a full disk. Reads still work. */
  refuseWritesTo(table: 'bans' | 'holds'): void {
    const database = new DatabaseSync(join(this.directory, 'state.db'));
    database.exec(
      `CREATE TRIGGER full_disk BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, 'disk is full'); END`,
    );
    database.close();
  }

  /** Returns the number of rules for an address in INPUT and in FORWARD. */
  rulesFor(text: string): [number, number] {
    const address = addressOf(text);
    const full = text.includes('/') ? text : `${text}/${address.family === 4 ? 32 : 128}`;
    const count = (chain: string): number =>
      this.kernel.rules(chain, address.family).filter((rule) => rule === `-s ${full} -j DROP`)
        .length;
    return [count('INPUT'), count('FORWARD')];
  }

  /** Returns the origins that hold an address, according to the state on disk. */
  holders(text: string): Origin[] {
    return (this.openStore().bans.find(addressOf(text))?.holds ?? [])
      .map((hold) => hold.origin)
      .sort();
  }

  close(): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** Returns the code of the `AppError` that `work` throws, or a description of anything else. */
export function codeOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return typeof error === 'object' && error !== null && 'code' in error ? error.code : error;
  }
  return 'nothing was thrown';
}
