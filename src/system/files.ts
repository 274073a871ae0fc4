// Reads and appends to files at untrusted paths: follows no symbolic links of other users and does not wait for a FIFO.
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

/** Returns a text that differs between two versions of a file, without reading the file. */
export function stampOf({ ino, size, ctimeMs, mtimeMs }: Stats): string {
  return [ino, size, ctimeMs, mtimeMs].join(' ');
}

export function isErrno(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

/**
 * Reads a regular file of at most `largest` bytes. Throws the system's error, or an error if it is not a regular file.
 */
export function readRegularFile(path: string, largest: number): Buffer {
  return lookAtRegularFile(path, (_, read) => read(largest));
}

const LARGEST_OF_HOST = 4 * 1024 * 1024;

/**
 * Returns the text of a file of the host or of /proc; empty if it cannot be read, as in some containers and kernels.
 */
export function textOrEmpty(path: string): string {
  return orElse('', () => readRegularFile(path, LARGEST_OF_HOST).toString('utf8'));
}

/** O_PATH of linux/fcntl.h: gets a descriptor of a path without opening the file. Node has no constant for it. */
const O_PATH = 0o10000000;

/**
 * Checks that a path is a regular file before it is opened, because opening a device can have side effects. `read` then
 * opens exactly the checked file and returns its content.
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

/** Returns the result of `use`, and closes the file afterwards. */
export function closing<T>(descriptor: number, use: (descriptor: number) => T): T {
  try {
    return use(descriptor);
  } finally {
    closeSync(descriptor);
  }
}

/** Follows a symbolic link only if root or our own user owns it: a link of another user could lead root anywhere. */
function openHandle(path: string): number {
  const handle = openSync(path, O_PATH | O_NOFOLLOW);
  const stats = fstatSync(handle);
  if (!stats.isSymbolicLink()) return handle;
  closeSync(handle);
  if (stats.uid !== 0 && stats.uid !== process.getuid?.()) {
    throw new Error(`${path} is a symbolic link that belongs to user ${stats.uid}`);
  }
  return openSync(path, O_PATH);
}

const LEASE_TRIES = 10;
const LEASE_PAUSE_MS = 20;

/** Retries while the file's owner holds a lease on it (fcntl(2)), which makes a non-blocking open fail with EAGAIN. */
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

/** Reads up to `length` bytes from `position`, without relying on the size, which is 0 for files in /proc. */
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
 * Opens a log for appending in a directory that a less privileged user owns. Creates a missing log with the owner and
 * group of the directory and mode 0660, like the agent's own logs. Refuses symbolic links, directories, devices, FIFOs
 * and files with more than one hard link, because with these that user could redirect our lines.
 */
export function openLogForAppend(path: string): number {
  const slash = path.lastIndexOf('/');
  // From here on, use the open directory: its path can be replaced by a symbolic link at any moment.
  return closing(openSync(path.slice(0, slash), O_RDONLY | O_DIRECTORY), (directory) => {
    return openIn(`/proc/self/fd/${directory}${path.slice(slash)}`, path, fstatSync(directory));
  });
}

/** Opens a log for reading. Refuses symbolic links and anything but regular files. */
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
  throw new Error(`${path} is not a regular file with a single hard link`);
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
    // Some containers cannot change owners. The line matters more than the owner of the file.
  }
  return descriptor;
}

/**
 * Appends one or more whole lines with one write, so that concurrent lines never mix. If the file ends in a fragment
 * that a full disk left, writes a newline first. Throws if not all bytes could be written.
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
