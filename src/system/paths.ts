// What is at a path, its kind, mode, names, text and checksum; and how a file is put there.
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

/** Null when nothing is there. */
export function statOrNull(path: string): Stats | null {
  return statSync(path, { throwIfNoEntry: false }) ?? null;
}

export function lstatOrNull(path: string): Stats | null {
  return lstatSync(path, { throwIfNoEntry: false }) ?? null;
}

/** The names in a directory; none where there is no such directory. */
export function entriesOf(directory: string): string[] {
  return orElse([], () => readdirSync(directory));
}

/** The path itself where it leads nowhere. */
export function realPathOf(path: string): string {
  return orElse(path, () => realpathSync(path));
}

/** Null when the file is not there. Throws what the system says about one that can't be read. */
export function textOrNull(path: string): string | null {
  try {
    return readRegularFile(path, LARGEST_TEXT).toString('utf8');
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ENOTDIR')) return null;
    throw error;
  }
}

/** Why something fails; empty when it does not. */
export function troubleOf(work: () => void): string {
  try {
    work();
    return '';
  } catch (error) {
    return describeError(error);
  }
}

/** `0750`. */
export function modeText({ mode }: Pick<Stats, 'mode'>): string {
  return (mode & 0o7777).toString(8).padStart(4, '0');
}

export function isWritableByOthers({ mode }: Pick<Stats, 'mode'>): boolean {
  return (mode & 0o022) !== 0;
}

const CHUNK_BYTES = 1024 * 1024;

/** SHA-256 of a file's content, in hex; in parts, since our executable is larger than what should be held at once. */
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
  /** Its owner is then root. */
  readonly gid?: number;
  /** Where it is written first, beside `path`. */
  readonly temporary: string;
}

/** Whoever looks at the path sees what was there before or all of the new file, which by then is on the disk. */
export function replaceFile({ path, content, mode, gid, temporary }: NewFile): void {
  const descriptor = openSync(temporary, 'wx', 0o600);
  try {
    // In one write of the whole file: an executable then starts sooner (docs/decisions/0001).
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
