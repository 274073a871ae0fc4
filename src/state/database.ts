// Opens the state: one SQLite file, migrated, durable at every commit, set aside when it is damaged.
import { lstatSync, mkdirSync, renameSync, type Stats } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { AppError, describeError } from '../model/errors.ts';
import { monotonicMs, sleep } from '../system/wait.ts';
import { MIGRATIONS } from './migrations.ts';

export interface OpenOptions {
  /** Null: in memory only. */
  readonly directory: string | null;
  readonly readOnly?: boolean;
  /** Only the holder of the writer lock may set a damaged file aside: two at once would set aside each other's new one. */
  readonly mayRepair: boolean;
  readonly nowMs: number;
}

export interface OpenedDatabase {
  readonly database: DatabaseSync;
  /** Which files it is, where they are on disk. */
  readonly identity?: string;
  /** True when the state can't be kept on disk: what is written is lost at exit. */
  readonly volatile: boolean;
  /** There is a state, and nothing of it could be read. */
  readonly unread?: boolean;
  /** What went wrong on the way, for a person; empty when nothing did. */
  readonly problems: readonly string[];
}

const FILE_NAME = 'state.db';
/** SQLite's own files beside ours; a damaged store takes them along. */
const COMPANIONS = ['', '-wal', '-shm', '-journal'];
const BUSY_TIMEOUT_MS = 2000;
const BUSY_PAUSE_MS = 5;
const SQLITE_BUSY = 5;
/** A write-ahead log is read at every start, so it is kept short: this many pages of 4 KiB. */
const CHECKPOINT_PAGES = 128;

/** SQLite result codes that speak of the file's content and not of its surroundings (sqlite.org/rescode.html). */
const DAMAGE_CODES: readonly number[] = [1, 11, 17, 24, 26];

/** Opens the state, or one in memory when there is no other way: a broken state never stops a block. */
export function openDatabase(options: OpenOptions): OpenedDatabase {
  if (options.directory === null) return volatile([]);
  if (options.readOnly === true) return openToRead(options.directory);
  try {
    return { ...openOnDisk(options.directory), volatile: false, problems: [] };
  } catch (error) {
    const problem = describeProblem(options.directory, error);
    if (!options.mayRepair || !isDamage(error)) return copyOfFile(options.directory, problem);
    const next = replaceDamaged(options);
    return { ...next, problems: [problem, ...next.problems] };
  }
}

function describeProblem(directory: string, error: unknown): string {
  return `the state in ${directory}/${FILE_NAME} can't be used (firewall-drop doctor says what to do): ${describeError(error)}`;
}

/**
 * Sets the state aside and begins a new one, with what could be read of the old one, from `copyInMemory`; for the holder of
 * the writer lock only.
 */
export function replaceDamaged(
  { directory, nowMs }: OpenOptions,
  readable = openInMemory(),
): OpenedDatabase {
  if (directory === null) return volatile([], readable);
  const aside = `${FILE_NAME}.damaged-${new Date(nowMs).toISOString().replace(/[:.]/g, '-')}`;
  try {
    setAside(directory, aside);
    const opened = openOnDisk(directory);
    copyTables(readable, opened.database);
    const kept = Number(readable.prepare('SELECT count(*) AS kept FROM bans').get()?.['kept']);
    const problem = `the state was set aside as ${directory}/${aside}, and a new one was begun; bans taken over: ${kept}`;
    return { ...opened, volatile: false, problems: [problem] };
  } catch (error) {
    return volatile([`the state can't be replaced: ${describeError(error)}`], readable);
  }
}

function volatile(problems: readonly string[], database = openInMemory()): OpenedDatabase {
  return { database, volatile: true, problems };
}

function openInMemory(): DatabaseSync {
  const database = new DatabaseSync(':memory:');
  migrate(database);
  return database;
}

/** The same with the bans, the metadata and the offences of a store that can't be written any more, where they can be read. */
export function copyInMemory(source: DatabaseSync): OpenedDatabase {
  const database = new DatabaseSync(':memory:');
  try {
    // An earlier version's is migrated as its file would be.
    migrate(database, Math.min(versionOf(source), MIGRATIONS.length));
    copyTables(source, database);
    migrate(database);
    return volatile([], database);
  } catch {
    // It can't be read either, and half of it would be wrong.
    database.close();
    return { ...volatile([]), unread: true };
  }
}

function copyOfFile(directory: string, problem: string): OpenedDatabase {
  const { database, unread = false } = openToRead(directory);
  try {
    const copy = copyInMemory(database);
    return { ...copy, unread: unread || copy.unread === true, problems: [problem] };
  } finally {
    // All connections of a process share one view of the log's index: left open, it would make a later one read-only.
    database.close();
  }
}

function copyTables(source: DatabaseSync, copy: DatabaseSync): void {
  copy.exec('BEGIN');
  for (const table of ['bans', 'holds', 'facts', 'offences']) {
    const columns = copy.prepare('SELECT name FROM pragma_table_info(?)').all(table);
    // An earlier version has no such table.
    if (columns.length === 0) continue;
    const names = columns.map(({ name }) => String(name));
    const select = source.prepare(`SELECT ${names.join(', ')} FROM ${table}`);
    const values = names.map(() => '?').join(', ');
    const insert = copy.prepare(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${values})`);
    for (const row of select.iterate()) insert.run(...names.map((name) => row[name] ?? null));
  }
  copy.exec('COMMIT');
}

/** Whether an error means that the file itself is unsound, so that another try on it would fail the same way. */
export function isDamage(error: unknown): boolean {
  return error instanceof Damage || DAMAGE_CODES.includes(resultCodeOf(error) & 0xff);
}

/** Whether an error means that another connection has the file. */
export function isBusy(error: unknown): boolean {
  return (resultCodeOf(error) & 0xff) === SQLITE_BUSY;
}

/** Of an error of SQLite's; 0 of any other. */
function resultCodeOf(error: unknown): number {
  return typeof error === 'object' && error !== null && 'errcode' in error
    ? Number(error.errcode)
    : 0;
}

/** Content that SQLite can read and that is not ours. */
export class Damage extends AppError {
  constructor(message: string, cause?: unknown) {
    super('STORE', message, cause);
  }
}

/** Empty on a host without a state, and for someone who may not read it. */
function openToRead(directory: string): OpenedDatabase {
  const path = `${directory}/${FILE_NAME}`;
  try {
    if (statsOf(path) === undefined) return volatile([]);
    requireOwnDirectory(directory);
    for (const companion of COMPANIONS) requireRegularFile(`${path}${companion}`);
    // A reader of a write-ahead log would otherwise write to the index beside it; without a log the file is complete.
    const how = statsOf(`${path}-wal`) === undefined ? 'immutable=1' : 'readonly_shm=1';
    const database = new DatabaseSync(`file:${path}?mode=ro&${how}`, {
      readOnly: true,
      timeout: BUSY_TIMEOUT_MS,
    });
    if (versionOf(database) >= MIGRATIONS.length) {
      return { database, volatile: false, problems: [] };
    }
    try {
      return copyInMemory(database);
    } finally {
      database.close();
    }
  } catch (error) {
    // Only root may read it; others ask what an alert would do as if nothing had happened yet.
    const problems = process.geteuid?.() === 0 ? [describeProblem(directory, error)] : [];
    return { ...volatile(problems), unread: true };
  }
}

function openOnDisk(directory: string): Pick<OpenedDatabase, 'database' | 'identity'> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  requireOwnDirectory(directory);
  const path = `${directory}/${FILE_NAME}`;
  // Before it is opened: one that is replaced at this moment then counts as another.
  const file = inodeOf(path);
  for (const companion of COMPANIONS) requireRegularFile(`${path}${companion}`);
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    beginLog(database);
    // Else the journal of a statement that meets a conflict goes into a file of its own once a list is long.
    database.exec(
      `PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY; PRAGMA wal_autocheckpoint = ${CHECKPOINT_PAGES}`,
    );
    migrate(database);
  } catch (error) {
    database.close();
    throw error;
  }
  return { database, identity: [file ?? inodeOf(path), inodeOf(`${path}-wal`)].join(' ') };
}

/** Whether what was opened no longer lies there: another run has set it aside, or somebody has put a backup in its place. */
export function isReplaced(directory: string, identity: string): boolean {
  const path = `${directory}/${FILE_NAME}`;
  return [inodeOf(path), inodeOf(`${path}-wal`)].join(' ') !== identity;
}

function inodeOf(path: string): string | undefined {
  const stats = statsOf(path);
  return stats && `${stats.dev}:${stats.ino}`;
}

/** Of a new file two first runs at once want to begin one: SQLite refuses one of them at once, where else it would wait. */
function beginLog(database: DatabaseSync): void {
  const givesUpAt = monotonicMs() + BUSY_TIMEOUT_MS;
  for (;;) {
    try {
      database.exec('PRAGMA journal_mode = WAL');
      return;
    } catch (error) {
      if (!isBusy(error) || monotonicMs() >= givesUpAt) throw error;
      sleep(BUSY_PAUSE_MS);
    }
  }
}

function requireOwnDirectory(directory: string): void {
  const stats = lstatSync(directory);
  const owner = process.getuid?.();
  if (stats.isDirectory() && stats.uid === owner && (stats.mode & 0o022) === 0) return;
  throw new AppError(
    'STORE',
    `${directory} must be a directory that root owns and nobody else can write to`,
  );
}

function requireRegularFile(path: string): void {
  const stats = statsOf(path);
  if (stats === undefined || stats.isFile()) return;
  throw new Damage(`${path} is not a regular file`);
}

function statsOf(path: string): Stats | undefined {
  return lstatSync(path, { throwIfNoEntry: false });
}

/** What a later version of this program has added is left alone: both may be installed, and the bans are of both. */
function migrate(database: DatabaseSync, to = MIGRATIONS.length): void {
  if (versionOf(database) >= to) return;
  // Taken before the version is read again: two first runs at once must not both create the tables.
  database.exec('BEGIN IMMEDIATE');
  const version = versionOf(database);
  for (const step of MIGRATIONS.slice(version, to)) database.exec(step);
  database.exec(`PRAGMA user_version = ${Math.max(version, to)}; COMMIT`);
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
}

/** Moves the files away under a dated name, where a person can look into them; links are moved, not followed. */
function setAside(directory: string, name: string): void {
  for (const companion of COMPANIONS) {
    const path = `${directory}/${FILE_NAME}${companion}`;
    if (statsOf(path) !== undefined) renameSync(path, `${directory}/${name}${companion}`);
  }
}
