// Opens the state, one SQLite file: migrates its schema, makes every commit durable, and sets a damaged file aside.
import { lstatSync, mkdirSync, renameSync, type Stats } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { AppError, describeError } from '../model/errors.ts';
import { monotonicMs, sleep } from '../system/wait.ts';
import { MIGRATIONS } from './migrations.ts';

export interface OpenOptions {
  /** The directory of the file; null for a state in memory. */
  readonly directory: string | null;
  readonly readOnly?: boolean;
  /**
   * True for the holder of the writer lock, which alone may set a damaged file aside. Two runs would set aside each
   * other's new file.
   */
  readonly mayRepair: boolean;
  readonly nowMs: number;
}

export interface OpenedDatabase {
  readonly database: DatabaseSync;
  /** Identifies the files by their inodes; absent for a state in memory. */
  readonly identity?: string;
  /** True if the state is in memory, so that writes are lost at exit. */
  readonly volatile: boolean;
  /** True if there is a state but none of it could be read. */
  readonly unread?: boolean;
  /** True if the state has a history that could not be read: a copy in memory lacks it. */
  readonly lacksHistory?: boolean;
  /** Messages about problems while opening; empty if there were none. */
  readonly problems: readonly string[];
}

const FILE_NAME = 'state.db';
/**
 * The suffixes of the state file and of the files that SQLite puts beside it. A damaged state is set aside with all of
 * them.
 */
const COMPANIONS = ['', '-wal', '-shm', '-journal'];
const BUSY_TIMEOUT_MS = 2000;
const BUSY_PAUSE_MS = 5;
const SQLITE_BUSY = 5;
/** The limit for the write-ahead log, in pages of 4 KiB. Every start reads the log, so it is kept short. */
const CHECKPOINT_PAGES = 128;

/**
 * The SQLite result codes for damaged contents, as opposed to problems with the disk or with locks
 * (sqlite.org/rescode.html).
 */
const DAMAGE_CODES: readonly number[] = [1, 11, 17, 24, 26];

/**
 * Opens the state, or an empty or copied state in memory if the file can't be used: a broken state never prevents a
 * block.
 */
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
 * Sets the state aside and creates a new one with the contents of `readable`, which `copyInMemory` saved from the old
 * one. Only the holder of the writer lock may call it.
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
    const problem = `the state was set aside as ${directory}/${aside}, and a new one was created; bans copied from it: ${kept}`;
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

/** Returns a state in memory with the bans, metadata and offences of `source`, if they can be read. */
export function copyInMemory(source: DatabaseSync): OpenedDatabase {
  const database = new DatabaseSync(':memory:');
  try {
    // Start with the schema version of `source`, so that its rows are migrated as its file would be.
    migrate(database, Math.min(versionOf(source), MIGRATIONS.length));
    copyTables(source, database);
    migrate(database);
    return volatile([], database);
  } catch {
    // The source can't be read. A partial copy would be wrong, so drop it.
    database.close();
    return { ...volatile([]), unread: true };
  }
}

function copyOfFile(directory: string, problem: string): OpenedDatabase {
  const { database, unread = false } = openToRead(directory);
  try {
    const { unread: isLost = false, ...copy } = copyInMemory(database);
    return { ...copy, unread: unread || isLost, lacksHistory: true, problems: [problem] };
  } finally {
    // All connections of a process share one mapping of the write-ahead log's index. An open read-only connection would
    // make later ones read-only.
    database.close();
  }
}

function copyTables(source: DatabaseSync, copy: DatabaseSync): void {
  copy.exec('BEGIN');
  for (const table of ['bans', 'holds', 'facts', 'offences']) {
    const columns = copy.prepare('SELECT name FROM pragma_table_info(?)').all(table);
    // States of earlier versions lack some tables.
    if (columns.length === 0) continue;
    const names = columns.map(({ name }) => String(name));
    const select = source.prepare(`SELECT ${names.join(', ')} FROM ${table}`);
    const values = names.map(() => '?').join(', ');
    const insert = copy.prepare(`INSERT INTO ${table} (${names.join(', ')}) VALUES (${values})`);
    for (const row of select.iterate()) insert.run(...names.map((name) => row[name] ?? null));
  }
  copy.exec('COMMIT');
}

/**
 * Reports whether an error means that the contents of the file are damaged, so that a retry would fail in the same way.
 */
export function isDamage(error: unknown): boolean {
  return error instanceof Damage || DAMAGE_CODES.includes(resultCodeOf(error) & 0xff);
}

/** Reports whether an error means that another connection has locked the file. */
export function isBusy(error: unknown): boolean {
  return (resultCodeOf(error) & 0xff) === SQLITE_BUSY;
}

/** Returns the result code of an SQLite error; 0 for other errors. */
function resultCodeOf(error: unknown): number {
  return typeof error === 'object' && error !== null && 'errcode' in error
    ? Number(error.errcode)
    : 0;
}

/** The error for contents that SQLite can read but this program did not write. */
export class Damage extends AppError {
  constructor(message: string, cause?: unknown) {
    super('STORE', message, cause);
  }
}

/** Opens the state read-only. Returns an empty state if there is no file or the user may not read it. */
function openToRead(directory: string): OpenedDatabase {
  const path = `${directory}/${FILE_NAME}`;
  try {
    if (statsOf(path) === undefined) return volatile([]);
    requireOwnDirectory(directory);
    for (const companion of COMPANIONS) requireRegularFile(`${path}${companion}`);
    // Without these options, a reader would write to the index of the write-ahead log. If there is no log, the file is
    // complete.
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
    // Only root can read the state. For other users, commands that predict what an alert would do start from an empty
    // state, and the error is not reported.
    const problems = process.geteuid?.() === 0 ? [describeProblem(directory, error)] : [];
    return { ...volatile(problems), unread: true, lacksHistory: true };
  }
}

function openOnDisk(directory: string): Pick<OpenedDatabase, 'database' | 'identity'> {
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  requireOwnDirectory(directory);
  const path = `${directory}/${FILE_NAME}`;
  // Read the inode before opening, so that a file replaced in between counts as another file.
  const file = inodeOf(path);
  for (const companion of COMPANIONS) requireRegularFile(`${path}${companion}`);
  const database = new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS });
  try {
    enableWriteAheadLog(database);
    // Without temp_store, long statements with a conflict clause would write their journal to a temporary file.
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

/** Reports whether the opened files were replaced: another run set them aside, or somebody restored a backup. */
export function isReplaced(directory: string, identity: string): boolean {
  const path = `${directory}/${FILE_NAME}`;
  return [inodeOf(path), inodeOf(`${path}-wal`)].join(' ') !== identity;
}

function inodeOf(path: string): string | undefined {
  const stats = statsOf(path);
  return stats && `${stats.dev}:${stats.ino}`;
}

/**
 * Switches the file to write-ahead logging. If two runs do this on a new file at once, SQLite refuses one of them
 * without waiting for the timeout, so the call is repeated.
 */
function enableWriteAheadLog(database: DatabaseSync): void {
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

/**
 * Migrates the schema to version `to`. Leaves the schema of a later version of this program unchanged, because two
 * versions can be installed and share the bans.
 */
function migrate(database: DatabaseSync, to = MIGRATIONS.length): void {
  if (versionOf(database) >= to) return;
  // Lock the file before reading the version again, so that two first runs do not both create the tables.
  database.exec('BEGIN IMMEDIATE');
  const version = versionOf(database);
  for (const step of MIGRATIONS.slice(version, to)) database.exec(step);
  database.exec(`PRAGMA user_version = ${Math.max(version, to)}; COMMIT`);
}

function versionOf(database: DatabaseSync): number {
  return Number(database.prepare('PRAGMA user_version').get()?.['user_version']);
}

/**
 * Renames the files to a dated name, so that an administrator can inspect them. Symbolic links are renamed, not
 * followed.
 */
function setAside(directory: string, name: string): void {
  for (const companion of COMPANIONS) {
    const path = `${directory}/${FILE_NAME}${companion}`;
    if (statsOf(path) !== undefined) renameSync(path, `${directory}/${name}${companion}`);
  }
}
