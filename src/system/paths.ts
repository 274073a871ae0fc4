// Reads the kind, mode, entries, text and checksum of a path, and replaces files atomically.
import type * as Crypto from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fchownSync,
  fsyncSync,
  lstatSync,
  openSync,
  readdirSync,
  readSync,
  realpathSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
  type Stats,
} from 'node:fs';
import { describeError, orElse } from '../model/errors.ts';
import { closing, isErrno, readRegularFile } from './files.ts';

const LARGEST_TEXT = 8 * 1024 * 1024;

/** Returns null if the path does not exist. */
export function statOrNull(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null;
}

export function lstatOrNull(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

/** Returns the names in a directory; none if it cannot be read. */
export function entriesOf(directory: string): string[] {
  return orElse([], () => readdirSync(directory));
}

/** Returns the path itself if it cannot be resolved. */
export function realPathOf(path: string): string {
  return orElse(path, () => realpathSync(path));
}

/** Returns null if the file does not exist. Throws the system's error if it cannot be read. */
export function textOrNull(path: string): string | null {
  try {
    return readRegularFile(path, LARGEST_TEXT).toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return null;
    throw error;
  }
}

/** Returns the error message of a call; empty if it succeeds. */
export function troubleOf(work: () => void): string {
  try {
    work();
    return '';
  } catch (error) {
    return describeError(error);
  }
}

/** Formats the permission bits as in `0750`. */
export function modeText({ mode }: Pick<Stats, 'mode'>): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

export function isWritableByOthers({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & 0o022) !== 0;
}

const CHUNK_BYTES = 1024 * 1024;

/**
 * Returns the SHA-256 of a file in hexadecimal. Reads in parts, because our executable is too large to hold in memory.
 */
export function checksumOf(path: string): string {
  const { createHash } = require('node:crypto') as typeof Crypto;
  const hash = createHash('sha256');
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  return closing(openSync(path, 'r'), (descriptor) => {
    for (;;) {
      const count = readSync(descriptor, chunk);
      if (count === 0) return hash.digest('hex');
      hash.update(chunk.subarray(0, count));
    }
  });
}

export interface NewFile {
  readonly path: string;
  readonly content: string | Buffer;
  readonly mode: number;
  /** The group of the file; if given, the owner becomes root. */
  readonly gid?: number;
  /** The path to write first, in the same directory as `path`. */
  readonly temporary: string;
}

/**
 * Replaces a file atomically: a reader sees the old file or all of the new one. The new one is synced to disk first.
 */
export function replaceFile({ path, content, mode, gid, temporary }: NewFile): void {
  const descriptor = openSync(temporary, 'wx', 0o600);
  try {
    // An executable that was written with one call starts faster (docs/decisions/0001).
    writeFileSync(descriptor, content);
    if (gid !== undefined) fchownSync(descriptor, 0, gid);
    fchmodSync(descriptor, mode);
    fsyncSync(descriptor);
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
}
