// Reads and appends without trusting what lies at a path: no link followed where others own the directory, no FIFO waited for.
import {
  closeSync,
  constants,
  fchmodSync,
  fchownSync,
  fstatSync,
  openSync,
  readSync,
  writeSync,
  type Stats,
} from 'node:fs';
import { orElse } from '../model/errors.ts';
import { sleep } from './wait.ts';

const {
  O_APPEND,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOCTTY,
  O_NOFOLLOW,
  O_NONBLOCK,
  O_RDONLY,
  O_RDWR,
} = constants;

/** What distinguishes one version of a file from another without reading it. */
export function stampOf({ ino, size, ctimeMs, mtimeMs }: Stats): string {
  return [ino, size, ctimeMs, mtimeMs].join(' ');
}

export function isErrno(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

/** Reads a regular file of at most `largest` bytes. Throws what the system says; anything else than a file is an error. */
export function readRegularFile(path: string, largest: number): Buffer {
  return lookAtRegularFile(path, (_, read) => read(largest));
}

const LARGEST_OF_HOST = 4 * 1024 * 1024;

/** What a file of the host or its kernel says; empty where it can't be read, which a container or another kernel may lack. */
export function textOrEmpty(path: string): string {
  return orElse('', () => readRegularFile(path, LARGEST_OF_HOST).toString('utf8'));
}

/** Of linux/fcntl.h: a handle on what lies at a path, without opening it. Node has no name for it. */
const O_PATH = 0o10000000;

/**
 * A device may act on being opened, so what lies at the path is looked at first. `read` then opens that very file, and
 * gives its content.
 */
export function lookAtRegularFile<T>(
  path: string,
  use: (stats: Stats, read: (largest: number) => Buffer) => T,
): T {
  return closing(openHandle(path), (handle) => {
    const stats = fstatSync(handle);
    if (!stats.isFile()) throw new Error(`${path} is not a regular file`);
    return use(stats, (largest) => {
      if (stats.size > largest) throw new Error(`${path} is larger than ${largest} bytes`);
      const descriptor = openUnleased(`/proc/self/fd/${handle}`);
      return closing(descriptor, () => readFrom(descriptor, 0, largest));
    });
  });
}

/** What `use` gives of an open file, which is closed after it. */
export function closing<T>(descriptor: number, use: (descriptor: number) => T): T {
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** A link is followed only where root or our own user made it: another's could lead root anywhere. */
function openHandle(path: string): number {
  const handle = openSync(path, O_PATH | O_NOFOLLOW);
  const stats = fstatSync(handle);
  if (!stats.isSymbolicLink()) return handle;
  closeSync(handle);
  if (stats.uid !== 0 && stats.uid !== process.getuid?.()) {
    throw new Error(`${path} is a symbolic link of the user ${stats.uid}`);
  }
  return openSync(path, O_PATH);
}

const LEASE_TRIES = 10;
const LEASE_PAUSE_MS = 20;

/** A file's owner may hold a lease on it (fcntl(2)), which an open that does not wait finds as EAGAIN. */
function openUnleased(path: string): number {
  for (let tries = 1; ; tries += 1) {
    try {
      return openSync(path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
    } catch (error) {
      if (!isErrno(error, 'EAGAIN') || tries === LEASE_TRIES) throw error;
      sleep(LEASE_PAUSE_MS);
    }
  }
}

const CHUNK_BYTES = 65536;

/** Up to `length` bytes from `position` on; files under /proc have no size to go by. */
export function readFrom(descriptor: number, position: number, length: number): Buffer {
  const chunks: Buffer[] = [];
  let done = 0;
  while (done < length) {
    const chunk = Buffer.allocUnsafe(Math.min(length - done, CHUNK_BYTES));
    const count = readSync(descriptor, chunk, 0, chunk.length, position + done);
    if (count === 0) break;
    chunks.push(chunk.subarray(0, count));
    done += count;
  }
  return Buffer.concat(chunks);
}

/**
 * Opens a log for appending in a directory that a less privileged user owns, and makes it when it is missing: with the
 * directory's owner and group and mode 0660, as the agent's own logs have. Links, directories, devices, FIFOs and files
 * with a second name are refused: each could send our lines to a place of that user's choosing.
 */
export function openLogForAppend(path: string): number {
  const slash = path.lastIndexOf('/');
  // From here on by the directory that is open: its name may be turned into a link at any moment.
  return closing(openSync(path.slice(0, slash), O_RDONLY | O_DIRECTORY), (directory) => {
    return openIn(`/proc/self/fd/${directory}${path.slice(slash)}`, path, fstatSync(directory));
  });
}

/** Opens a log for reading, with the same distrust. */
export function openLogForRead(path: string): number {
  const descriptor = openSync(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  if (fstatSync(descriptor).isFile()) return descriptor;
  closeSync(descriptor);
  throw new Error(`${path} is not a regular file`);
}

function openIn(pinnedPath: string, path: string, directory: Stats): number {
  try {
    return create(pinnedPath, directory);
  } catch (error) {
    if (!isErrno(error, 'EEXIST')) throw error;
  }
  const descriptor = openExisting(pinnedPath, path);
  const stats = fstatSync(descriptor);
  if (stats.isFile() && stats.nlink === 1) return descriptor;
  closeSync(descriptor);
  throw new Error(`${path} is not a regular file with one name`);
}

function openExisting(pinnedPath: string, path: string): number {
  try {
    return openSync(pinnedPath, O_RDWR | O_APPEND | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
  } catch (error) {
    if (isErrno(error, 'ELOOP')) throw new Error(`${path} is a symbolic link`, { cause: error });
    if (isErrno(error, 'ENXIO')) throw new Error(`${path} is a socket`, { cause: error });
    if (isErrno(error, 'EISDIR')) throw new Error(`${path} is a directory`, { cause: error });
    throw error;
  }
}

function create(pinnedPath: string, { uid, gid }: Stats): number {
  const flags = O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW;
  const descriptor = openSync(pinnedPath, flags, 0o600);
  fchmodSync(descriptor, 0o660);
  try {
    fchownSync(descriptor, uid, gid);
  } catch {
    // In a container that may not give files away: the line matters more than its owner.
  }
  return descriptor;
}

/**
 * Appends a line, or whole lines, in one write, so that concurrent ones never mix. A fragment that a full disk left at
 * the end is ended first, or it would swallow this line. Throws when the disk took less than all.
 */
export function appendLine(descriptor: number, line: string): void {
  const bytes = Buffer.from(endsInNewline(descriptor) ? line : `\n${line}`);
  const written = writeSync(descriptor, bytes);
  if (written < bytes.length)
    throw new Error(`only ${written} of ${bytes.length} bytes could be written`);
}

const NEWLINE = 10;

function endsInNewline(descriptor: number): boolean {
  const { size } = fstatSync(descriptor);
  return size === 0 || readFrom(descriptor, size - 1, 1)[0] === NEWLINE;
}
