// The writer lock, which lets one run at a time change kernel and state. The kernel releases it when the holder dies.
import { closeSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { AppError, describeError } from '../model/errors.ts';
import { isBusy } from './database.ts';
import { isErrno } from '../system/files.ts';
import { isStopped, lockHolder, lockHolders } from '../system/procfs.ts';
import { endStaleChildren } from '../system/exec.ts';
import { deadlineIn, monotonicMs } from '../system/wait.ts';

/**
 * Takes the writer lock until the process ends. Returns null, or the reason why the lock was not taken.
 *
 * Node can't lock files, but SQLite can, with fcntl locks. These end with their process, so no lock is ever stale. The
 * file stays empty and serves only for its locks.
 */
export function takeWriterLock(directory: string, waitMs: number): AppError | null {
  const path = pathOf(directory);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const note = `${directory}/at-work`;
    held.push({ lock: lockFile(path, waitMs), note });
    process.once('exit', removeNotes);
    beginWork(note);
    return null;
  } catch (error) {
    return isBusy(error)
      ? new AppError('LOCK_BUSY', describeHolder(path, waitMs))
      : new AppError('STORE', `the lock ${path} can't be used: ${describeError(error)}`, error);
  }
}

function pathOf(directory: string): string {
  return `${directory}/lock`;
}

/**
 * Returns the process that holds the writer lock; null if there is none or it can't be seen from here. Takes about 10
 * ms.
 */
export function writerLockHolder(directory: string): number | null {
  return lockHolder(pathOf(directory));
}

/** Locks a file, or closes it after a failure: a long-running process would otherwise run out of file descriptors. */
function lockFile(path: string, waitMs: number): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: Math.min(Math.ceil(waitMs), LONGEST_TRY_MS) });
  // The file is never read or written, so it needs no page cache and no journal on disk.
  const take = (): void => {
    lock.exec('PRAGMA cache_size = 1; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  };
  try {
    waitFor(take, waitMs, watchHolder(path));
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/**
 * Calls `take` until it succeeds, the time is over, or the holder was stopped.
 *
 * SQLite itself waits for the `timeout` of the connection and polls less and less often. Each call starts that over, so
 * that among a hundred waiting runs the oldest polls as often as a new one.
 */
function waitFor(take: () => void, waitMs: number, isHolderStopped: () => boolean): void {
  const deadline = deadlineIn(waitMs);
  for (;;) {
    try {
      take();
      return;
    } catch (error) {
      if (!isBusy(error) || deadline.remainingMs() === 0 || isHolderStopped()) throw error;
    }
  }
}

/** The longest wait inside SQLite, in milliseconds. After it, the polling starts over and the holder can be checked. */
const LONGEST_TRY_MS = 100;

/** A process stopped by a signal may never continue. Waiting ends when the holder has been stopped for this long. */
const LONGEST_STOP_MS = 1000;
const RECHECK_MS = 250;
/**
 * The first pause between checks. It doubles while the holder is running, because the kernel blocks all locking on the
 * host while it lists its locks.
 */
const FIRST_CHECK_MS = 500;

/**
 * Returns a function that reports whether the holder of a lock has been stopped at every check for `LONGEST_STOP_MS`.
 */
function watchHolder(path: string): () => boolean {
  let pauseMs = FIRST_CHECK_MS;
  let nextMs = monotonicMs() + pauseMs;
  let sinceMs = Infinity;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs < nextMs) return false;
    const holder = lockHolder(path);
    const isHolderStopped = holder !== null && isStopped(holder);
    sinceMs = isHolderStopped ? Math.min(sinceMs, nowMs) : Infinity;
    if (!isHolderStopped) pauseMs *= 2;
    nextMs = nowMs + (isHolderStopped ? RECHECK_MS : pauseMs);
    return nowMs - sinceMs >= LONGEST_STOP_MS;
  };
}

/**
 * Creates the note that a run is at work. An existing note was left by a killed run, whose firewall program may still
 * be waiting and would then undo our changes. The existing file is not opened: opening a FIFO would block.
 */
function beginWork(note: string): void {
  try {
    closeSync(openSync(note, 'wx', 0o600));
  } catch (error) {
    if (isErrno(error, 'EEXIST')) endStaleChildren();
    // Without space in /run the lock works without a note. On a read-only /run, SQLite can't lock.
    else if (!isErrno(error, 'ENOSPC')) throw error;
  }
}

function removeNotes(): void {
  for (const { note } of held) {
    try {
      unlinkSync(note);
    } catch {
      // The note is already gone, or is a directory. If it stays, the next run looks for stale children and finds none.
    }
  }
}

/**
 * Takes the lock of a command of which only one instance may run, until the process ends. Returns an error if another
 * process holds the lock; null if it was taken, or if the file can't be used, which must not stop the command.
 */
export function takeCommandLock(directory: string, name: string, waitMs: number): AppError | null {
  const path = `${directory}/${name}`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    commandLocks.push(lockFile(path, waitMs));
    return null;
  } catch (error) {
    if (!isBusy(error)) return null;
    const pid = lockHolder(path);
    const holder = `another firewall-drop${pid === null ? '' : ` (process ${pid})`}`;
    return new AppError('LOCK_BUSY', `${holder} is still running; try again when it has ended`);
  }
}

function describeHolder(path: string, waitMs: number): string {
  const pid = lockHolder(path);
  if (pid === null) return `another firewall-drop ${stillHeld(waitMs)}`;
  const holder = `another firewall-drop (process ${pid})`;
  if (!isStopped(pid)) return `${holder} ${stillHeld(waitMs)}`;
  return `${holder} is stopped and holds the writer lock: continue it with kill -CONT ${pid}, or end it with kill -KILL ${pid}`;
}

function stillHeld(waitMs: number): string {
  return `still holds the writer lock after ${(waitMs / 1000).toFixed(1)} s; try again when it has ended`;
}

/**
 * Marks a run without the writer lock as working until it ends: takes a shared lock on another file. A failure is
 * ignored.
 */
export function shareWork(directory: string): void {
  try {
    const file = openUnlocked(directory);
    shared.push(file);
    file.exec('BEGIN; SELECT 1 FROM sqlite_schema');
  } catch {
    // The holder of the writer lock can then complete the changes of this run at the same time.
  }
}

/**
 * Reports whether runs without the writer lock are working, this one included. Runs that were stopped by a signal do not
 * count: they may never continue, and would keep all others from completing the changes of killed runs.
 */
export function isWorkShared(directory: string): boolean {
  if (shared.length > 0) return true;
  try {
    const file = openUnlocked(directory);
    try {
      file.exec('BEGIN EXCLUSIVE');
      return false;
    } finally {
      file.close();
    }
  } catch (error) {
    if (!isBusy(error)) return false;
    const holders = lockHolders(unlockedIn(directory));
    return holders.length === 0 || !holders.every(isStopped);
  }
}

function unlockedIn(directory: string): string {
  return `${directory}/unlocked`;
}

function openUnlocked(directory: string): DatabaseSync {
  const file = new DatabaseSync(unlockedIn(directory), { timeout: LONGEST_TRY_MS });
  file.exec('PRAGMA cache_size = 1; PRAGMA journal_mode = MEMORY');
  return file;
}

/**
 * Keeps a reference to each locked file: the garbage collector closes unreferenced databases, which ends their locks.
 */
const held: { readonly lock: DatabaseSync; readonly note: string }[] = [];
const shared: DatabaseSync[] = [];
const commandLocks: DatabaseSync[] = [];

export function isWriterLockHeld(): boolean {
  return held.length > 0;
}

/** Releases the writer lock before the process ends. */
export function releaseWriterLock(): void {
  process.removeListener('exit', removeNotes);
  removeNotes();
  for (const { lock } of held.splice(0)) lock.close();
  for (const file of shared.splice(0)) file.close();
}
