// The writer lock: one process at a time changes kernel and state; the kernel itself releases it when the holder dies.
import { closeSync, mkdirSync, openSync, unlinkSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { AppError, describeError } from '../model/errors.ts';
import { isBusy } from './database.ts';
import { isErrno } from '../system/files.ts';
import { isStopped, lockHolder } from '../system/procfs.ts';
import { endStaleChildren } from '../system/stale-children.ts';
import { deadlineIn, monotonicMs } from '../system/wait.ts';

/**
 * Node can't lock files, SQLite can, and by the same fcntl locks that end with their process: no stale lock is
 * possible. The file stays empty; only the locks on it are used.
 *
 * Returns null when the lock was taken (and is held until the process ends), otherwise why it was not.
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

/** The process that has the writer lock; null: none, or none that can be seen from here. The kernel takes 10 ms to say so. */
export function writerLockHolder(directory: string): number | null {
  return lockHolder(pathOf(directory));
}

/** What is not locked is closed again: a process that stays would run out of file descriptors. */
function lockFile(path: string, waitMs: number): DatabaseSync {
  const lock = new DatabaseSync(path, { timeout: Math.min(Math.ceil(waitMs), LONGEST_TRY_MS) });
  // Nothing is ever read or written: no pages are set aside for it, and no journal lies about.
  const take = (): void => {
    lock.exec('PRAGMA cache_size = 1; PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
  };
  try {
    queueFor(take, waitMs, watchHolder(path));
    return lock;
  } catch (error) {
    lock.close();
    throw error;
  }
}

/**
 * SQLite itself waits for up to `timeout`: it asks often at first, and then less and less. That begins anew each time
 * here, so that of a hundred at once the oldest ask as often as a newcomer.
 */
function queueFor(take: () => void, waitMs: number, isHolderStopped: () => boolean): void {
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

/** Until SQLite begins anew, and the holder may be looked at. */
const LONGEST_TRY_MS = 100;

/** A process that a signal stopped may never go on: nobody waits for it longer once it was seen stopped for so long. */
const LONGEST_STOP_MS = 1000;
const LOOK_AGAIN_MS = 250;
/** Doubled at each look that finds it running: all locking on the host waits while the kernel lists its locks. */
const FIRST_LOOK_MS = 500;

/** True once whoever has the lock was seen stopped at each look for so long. */
function watchHolder(path: string): () => boolean {
  let pauseMs = FIRST_LOOK_MS;
  let nextMs = monotonicMs() + pauseMs;
  let sinceMs = Infinity;
  return () => {
    const nowMs = monotonicMs();
    if (nowMs < nextMs) return false;
    const holder = lockHolder(path);
    const isHeldUp = holder !== null && isStopped(holder);
    sinceMs = isHeldUp ? Math.min(sinceMs, nowMs) : Infinity;
    if (!isHeldUp) pauseMs *= 2;
    nextMs = nowMs + (isHeldUp ? LOOK_AGAIN_MS : pauseMs);
    return nowMs - sinceMs >= LONGEST_STOP_MS;
  };
}

/**
 * A note that exists was left by a run that was killed. The firewall program that the run had started may still be
 * waiting, and would undo what we do. Whatever lies at the path is not opened: a FIFO would block.
 */
function beginWork(note: string): void {
  try {
    closeSync(openSync(note, 'wx', 0o600));
  } catch (error) {
    if (isErrno(error, 'EEXIST')) endStaleChildren();
    // A full /run takes no note, and the lock is ours all the same. On one that is read-only SQLite locks nothing.
    else if (!isErrno(error, 'ENOSPC')) throw error;
  }
}

function removeNotes(): void {
  for (const { note } of held) {
    try {
      unlinkSync(note);
    } catch {
      // It is gone, or it is a directory. If it stays, the next run looks for stale children in vain.
    }
  }
}

/** The lock of a command that runs once at a time, until the process ends. Null: it is held, or can't be used, which stops nothing. */
export function takeCommandLock(directory: string, name: string, waitMs: number): AppError | null {
  const path = `${directory}/${name}`;
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    ofCommands.push(lockFile(path, waitMs));
    return null;
  } catch (error) {
    if (!isBusy(error)) return null;
    const pid = lockHolder(path);
    const holder = `another firewall-drop${pid === null ? '' : ` (process ${pid})`}`;
    return new AppError('LOCK_BUSY', `${holder} is still at work; try again once it has ended`);
  }
}

function describeHolder(path: string, waitMs: number): string {
  const pid = lockHolder(path);
  if (pid === null) return `another firewall-drop ${stillBusy(waitMs)}`;
  const holder = `another firewall-drop (process ${pid})`;
  if (!isStopped(pid)) return `${holder} ${stillBusy(waitMs)}`;
  return `${holder} was stopped and has the writer lock: kill -CONT ${pid} lets it go on, kill -KILL ${pid} ends it`;
}

function stillBusy(waitMs: number): string {
  return `still has the writer lock after ${(waitMs / 1000).toFixed(1)} s; try again once it has ended`;
}

/**
 * For a run that goes on without the writer lock: as long as it lives it shares the lock of another file. Trouble with that
 * stops nothing.
 */
export function shareWork(directory: string): void {
  try {
    const file = openUnlocked(directory);
    shared.push(file);
    file.exec('BEGIN; SELECT 1 FROM sqlite_schema');
  } catch {
    // Whoever has the writer lock may then complete the changes of this run at the same time.
  }
}

/** Whether runs without the writer lock are at work. */
export function isWorkShared(directory: string): boolean {
  try {
    const file = openUnlocked(directory);
    try {
      file.exec('BEGIN EXCLUSIVE');
      return false;
    } finally {
      file.close();
    }
  } catch (error) {
    return isBusy(error);
  }
}

function openUnlocked(directory: string): DatabaseSync {
  const file = new DatabaseSync(`${directory}/unlocked`, { timeout: LONGEST_TRY_MS });
  file.exec('PRAGMA cache_size = 1; PRAGMA journal_mode = MEMORY');
  return file;
}

/** A database that is no longer referred to may be closed by the garbage collector, and its locks with it. */
const held: { readonly lock: DatabaseSync; readonly note: string }[] = [];
const shared: DatabaseSync[] = [];
const ofCommands: DatabaseSync[] = [];

export function isWriterLockHeld(): boolean {
  return held.length > 0;
}

/** Lets others work, also before the process ends. */
export function releaseWriterLock(): void {
  process.removeListener('exit', removeNotes);
  removeNotes();
  for (const { lock } of held.splice(0)) lock.close();
  for (const file of shared.splice(0)) file.close();
}
