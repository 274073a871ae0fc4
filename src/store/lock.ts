// The writer lock: one process at a time changes kernel and books; the kernel itself releases it when the holder dies.
import { mkdirSync } from 'node:fs';
import { DatabaseSync } from 'node:sqlite';
import { AppError, describeError } from '../errors.ts';

/**
 * Node can't lock files, SQLite can, and by the same fcntl locks that end with their process: no stale lock is
 * possible. The file stays empty; only the locks on it are used.
 *
 * Returns null when the lock was taken (and is held until the process ends), otherwise why it was not.
 */
export function takeWriterLock(directory: string, waitMs: number): AppError | null {
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const lock = new DatabaseSync(`${directory}/lock`, { timeout: Math.ceil(waitMs) });
    // Nothing is ever written, so no journal need lie about.
    lock.exec('PRAGMA journal_mode = MEMORY');
    lock.exec('BEGIN EXCLUSIVE');
    held.push(lock);
    return null;
  } catch (error) {
    return isBusy(error)
      ? new AppError(
          'LOCK_BUSY',
          `another firewall-drop has been at work for ${(waitMs / 1000).toFixed(1)} s`,
        )
      : new AppError(
          'STORE',
          `the lock ${directory}/lock can't be used: ${describeError(error)}`,
          error,
        );
  }
}

/** Lets others work, before the process ends. */
export function releaseWriterLock(): void {
  for (const lock of held.splice(0)) lock.close();
}

/** A database that is no longer referred to may be closed by the garbage collector, and its locks with it. */
const held: DatabaseSync[] = [];

const SQLITE_BUSY = 5;

function isBusy(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'errcode' in error &&
    error.errcode === SQLITE_BUSY
  );
}
