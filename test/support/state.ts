/**
 * Reads and changes the state of a host without the executable. Works on a copy, because SQLite resolves /proc/PID/root
 * to the root of this machine.
 */
import {
  copyFileSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { banToJson } from '../../src/cli/output/json.ts';
import { Store } from '../../src/state/store.ts';

export const STATE_DIRECTORY = '/var/lib/firewall-drop';
const FILE = 'state.db';

interface ListedHold {
  readonly origin: string;
  readonly since: string;
  readonly expires: string | null;
  readonly timeoutSeconds: number | null;
  readonly alertId: string;
  readonly ruleId: string;
  readonly reason: string;
}

/** A ban as `list --json` prints it, without the fields from the kernel. */
export interface ListedBan {
  readonly address: string;
  readonly family: number;
  readonly phase: string;
  readonly since: string;
  readonly holds: readonly ListedHold[];
}

/** Returns all bans as `list --json` prints them, the oldest hold first. `pid` is the id of a process in the host. */
export function readBans(pid: number): readonly ListedBan[] {
  if (!existsSync(join(placeOf(pid), FILE))) return [];
  return inCopy(pid, (directory) => {
    const options = { directory, mayRepair: false, nowMs: Date.now() };
    const store = new Store(options, (problem) => {
      throw new Error(problem);
    });
    const unknown = { backend: '', kernel: 'unknown', held: undefined, escalation: null } as const;
    const since = ({ holds, sinceMs }: ReturnType<Store['bans']['list']>[number]): number => {
      return Math.min(
        ...holds.map(({ addedMs }) => addedMs),
        holds.length > 0 ? Infinity : sinceMs,
      );
    };
    const bans = store.bans.list().toSorted((a, b) => since(a) - since(b));
    store.close();
    return bans.map((ban) => banToJson({ ban, ...unknown }) as unknown as ListedBan);
  });
}

/** Moves the deadlines of all holds on these addresses into the past. The program must not run at the same time. */
export function endTimeOf(pid: number, addresses: readonly string[]): void {
  // There is no file before the first run.
  if (addresses.length === 0) return;
  changeState(pid, (database) => {
    const sql = 'UPDATE holds SET expires_at_ms = ? WHERE address = ? AND expires_at_ms > 0';
    for (const address of addresses) {
      const { changes } = database.prepare(sql).run(Date.now() - 1, address);
      if (changes === 0) throw new Error(`no hold on ${address} has a deadline`);
    }
  });
}

/** Changes the file, and checkpoints its write-ahead log. The program must not run at the same time. */
export function changeState(pid: number, change: (database: DatabaseSync) => void): void {
  inCopy(pid, (directory) => {
    const database = new DatabaseSync(join(directory, FILE));
    change(database);
    // Closing a database that was never read leaves its log unchanged.
    database.exec('PRAGMA wal_checkpoint(TRUNCATE)');
    database.close();
    writeFileSync(join(placeOf(pid), FILE), readFileSync(join(directory, FILE)));
    for (const beside of ['-wal', '-shm']) {
      rmSync(join(placeOf(pid), `${FILE}${beside}`), { force: true });
    }
  });
}

/** An entry of the history, or a line of the response log. */
export interface Entry {
  readonly verb: string;
  readonly address: string;
  readonly alertId: string;
}

interface RecordedBan {
  readonly phase: string;
  /** Sorted. */
  readonly origins: readonly string[];
  /** The verb of the log line that is still to be written; null if there is none. */
  readonly owed: string | null;
}

export interface State {
  /** The result of SQLite's integrity check; `ok` if the file is intact. */
  readonly integrity: string;
  /** The bans by address. */
  readonly bans: ReadonlyMap<string, RecordedBan>;
  readonly history: readonly Entry[];
  readonly metadata: ReadonlyMap<string, string>;
}

/** Reads the tables directly, without the code under test. */
export function readState(pid: number): State {
  return inCopy(pid, (directory) => {
    using database = new DatabaseSync(join(directory, FILE));
    return stateOf(database);
  });
}

function stateOf(database: DatabaseSync): State {
  const all = (sql: string): Record<string, unknown>[] => database.prepare(sql).all();
  const integrity = String(all('PRAGMA integrity_check')[0]?.['integrity_check']);
  // A run that was killed before it made the tables has changed nothing.
  const [{ tables } = { tables: 0 }] = all('SELECT count(*) AS tables FROM sqlite_schema');
  if (tables === 0) return { integrity, bans: new Map(), history: [], metadata: new Map() };
  const holds = Map.groupBy(all('SELECT address, origin FROM holds ORDER BY origin'), (row) => {
    return String(row['address']);
  });
  const bans = all('SELECT address, phase, owed FROM bans').map((row) => {
    const address = String(row['address']);
    const origins = (holds.get(address) ?? []).map(({ origin }) => String(origin));
    return [address, { phase: String(row['phase']), origins, owed: verbOf(row['owed']) }] as const;
  });
  const history = all('SELECT verb, address, alert_id FROM history ORDER BY id').map((row) => {
    const { verb, address, alert_id: alertId } = row;
    return { verb: String(verb), address: String(address), alertId: String(alertId) };
  });
  const metadata = all('SELECT name, value FROM facts').map(({ name, value }) => {
    return [String(name), String(value)] as const;
  });
  return { integrity, bans: new Map(bans), history, metadata: new Map(metadata) };
}

function verbOf(owed: unknown): string | null {
  return typeof owed === 'string' ? (JSON.parse(owed) as { verb: string }).verb : null;
}

function placeOf(pid: number): string {
  return `/proc/${pid}/root${STATE_DIRECTORY}`;
}

function inCopy<T>(pid: number, use: (directory: string) => T): T {
  const directory = mkdtempSync(join(tmpdir(), 'state-'));
  try {
    for (const name of [FILE, `${FILE}-wal`]) {
      const file = join(placeOf(pid), name);
      if (existsSync(file)) copyFileSync(file, join(directory, name));
    }
    return use(directory);
  } finally {
    rmSync(directory, { recursive: true });
  }
}
