// What work on bans is done with in tests: a real store in a directory of its own, the real backend, a fake kernel.
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
import { createBackend, type BackendName } from '../../../src/firewall/select.ts';
import type { ProtectedEntry } from '../../../src/policy/protected.ts';
import { createSwitchableFirewall, type SwitchableFirewall } from '../../../src/firewall/switch.ts';
import type { Run } from '../../../src/system/exec.ts';
import { Store } from '../../../src/state/store.ts';
import { FakeKernel } from './kernel.ts';
import { MemoryLog } from './log.ts';

/** For a recovery on a host without protected addresses. */
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

/** Blocks a list at once, each address for the same hold. */
export function blockAll(
  addresses: readonly Address[],
  request: HoldRequest,
  context: BanContext,
): void {
  const holds = makeHolds(request, context.now());
  blockEach(addresses, { holdsFor: () => holds }, context);
}

/** The real backend, configured as the fake kernel is made. */
export function backendNamed(name: BackendName): Backend {
  return createBackend(name, DEFAULT_CONFIG.firewall);
}

export function firewallFor(
  run: Run,
  store: Store | null = null,
  backend = backendNamed('iptables'),
): Firewall {
  return createFirewall({
    backend,
    run,
    sleep: () => undefined,
    deadline: { remainingMs: () => 20_000 },
    programTimeoutSeconds: 15,
    isIpv6Absent: () => false,
    extras: (family) => JSON.parse(store?.metadata.get(`extras ${family}`) ?? '[]') as string[],
    noteExtras: (family, extras) => store?.metadata.set(`extras ${family}`, JSON.stringify(extras)),
  });
}

/** The firewall of a run, which may migrate to another backend. */
export function firewallsFor(
  run: Run,
  store: Store,
  first: BackendName = 'iptables',
): SwitchableFirewall {
  return createSwitchableFirewall(
    (name) => firewallFor(run, store, backendNamed(name)),
    () => first,
  );
}

/** One host: what outlives a run, and the context of the run at hand. */
export class Workshop {
  readonly directory = mkdtempSync(join(tmpdir(), 'state-'));
  readonly kernel = new FakeKernel();
  readonly log = new MemoryLog();
  readonly warnings: string[] = [];
  /** Of which addresses the connections were cut, call by call. */
  readonly cut: string[][] = [];
  readonly progress: [done: number, total: number][] = [];
  nowMs = NOON_MS;
  countsOffences = false;

  /** The context of another run on the same host. */
  newRun(backend: BackendName = 'iptables'): BanContext {
    const store = this.openStore();
    return {
      store,
      firewall: firewallsFor(this.kernel.run, store, backend),
      isInstalled: () => true,
      responseLog: this.log,
      now: () => this.nowMs,
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

  /** As a full disk would: what is written to a table of the state fails, what is read does not. */
  refuseWritesTo(table: 'bans' | 'holds'): void {
    const database = new DatabaseSync(join(this.directory, 'state.db'));
    database.exec(
      `CREATE TRIGGER full_disk BEFORE INSERT ON ${table} BEGIN SELECT RAISE(ABORT, 'disk is full'); END`,
    );
    database.close();
  }

  /** How many rules the kernel has for an address, in INPUT and in FORWARD. */
  rulesFor(text: string): [number, number] {
    const address = addressOf(text);
    const full = text.includes('/') ? text : `${text}/${address.family === 4 ? 32 : 128}`;
    const count = (chain: string): number =>
      this.kernel.rules(chain, address.family).filter((rule) => rule === `-s ${full} -j DROP`)
        .length;
    return [count('INPUT'), count('FORWARD')];
  }

  /** Who holds an address, by the state on disk. */
  holders(text: string): Origin[] {
    return (this.openStore().bans.find(addressOf(text))?.holds ?? [])
      .map((hold) => hold.origin)
      .sort();
  }

  close(): void {
    rmSync(this.directory, { recursive: true });
  }
}

/** The code of the AppError that `work` throws, or what it threw instead. */
export function codeOf(work: () => unknown): unknown {
  try {
    work();
  } catch (error) {
    return typeof error === 'object' && error !== null && 'code' in error ? error.code : error;
  }
  return 'nothing was thrown';
}
