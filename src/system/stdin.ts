// Reads lines from standard input and writes to standard output, without an event loop and with deadlines.
import {
  closeSync,
  constants,
  fstatSync,
  openSync,
  readFileSync,
  readSync,
  writeSync,
} from 'node:fs';
import type * as Tty from 'node:tty';
import { orElse } from '../model/errors.ts';
import { isErrno } from './files.ts';
import { sleep, type Deadline } from './wait.ts';

export interface LineReader {
  /**
   * Returns the next line without its newline, and keeps later input for the next call. Returns null if the input ends
   * or the deadline passes before a whole line arrives. Throws if the line is longer than the reader allows.
   */
  readLine(deadline: Deadline): Buffer | null;
  /** Returns the input after the last line that was returned. */
  rest(): Buffer;
}

const NEWLINE = 10;
const CHUNK_BYTES = 65536;
const SHORTEST_PAUSE_MS = 0.2;
const LONGEST_PAUSE_MS = 10;

export function readLinesFromStdin(longestLine: number): LineReader {
  const descriptor = openNonBlocking();
  let buffered = Buffer.alloc(0);
  let searched = 0;
  return {
    readLine(deadline) {
      for (;;) {
        const end = buffered.indexOf(NEWLINE, searched);
        if (end > longestLine || (end < 0 && buffered.length > longestLine)) {
          throw new Error(`the line is longer than ${longestLine} bytes`);
        }
        if (end >= 0) {
          const line = buffered.subarray(0, end);
          buffered = buffered.subarray(end + 1);
          searched = 0;
          return line;
        }
        searched = buffered.length;
        const chunk = readChunk(descriptor, deadline);
        if (chunk === null) return null;
        buffered = Buffer.concat([buffered, chunk]);
      }
    },
    rest: () => buffered,
  };
}

/**
 * Opens the pipe of standard input again, because non-blocking mode on the inherited descriptor would affect every
 * process that shares it. A socket cannot be opened again; then Node's own stream makes descriptor 0 non-blocking.
 */
function openNonBlocking(): number {
  try {
    return openSync(
      '/proc/self/fd/0',
      constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY,
    );
  } catch {
    process.stdin.pause();
    return 0;
  }
}

/** Writes all of `text` to standard output. Throws like `writeInTime`, and if standard output is closed. */
export function writeToStdout(text: string, deadline: Deadline): void {
  if (isOutputClosed()) throw new Error('standard output is closed');
  writeInTime(1, text, deadline);
}

const ACCESS_MODE = 3;

/**
 * Reports whether standard output was closed at the start: Node then opens /dev/null for reading and writing instead.
 */
function isOutputClosed(): boolean {
  const stats = fstatSync(1);
  if (!stats.isCharacterDevice() || stats.rdev !== NULL_DEVICE) return false;
  const status = readFileSync('/proc/self/fdinfo/1', 'latin1');
  const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(status)?.[1] ?? '', 8);
  return (flags & ACCESS_MODE) === constants.O_RDWR;
}

/** Writes all of `text`. Throws the system's error, or an error if the deadline passes first. */
export function writeInTime(descriptor: number, text: string, deadline: Deadline): void {
  const own = openPipeAgain(descriptor);
  try {
    writeAll(own ?? descriptor, Buffer.from(text), deadline);
  } finally {
    if (own !== null) closeSync(own);
  }
}

/** Opens a pipe again in non-blocking mode. Returns null if the descriptor is not a pipe or the pipe has no reader. */
function openPipeAgain(descriptor: number): number | null {
  if (!fstatSync(descriptor).isFIFO()) return null;
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  // If it cannot be opened, the write to the original descriptor reports the reason.
  return orElse(null, () => openSync(`/proc/self/fd/${descriptor}`, flags));
}

/** Writes in parts, and waits while a non-blocking pipe is full. */
export function writeAll(descriptor: number, bytes: Buffer, deadline: Deadline): void {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      if (!isErrno(error, 'EAGAIN')) throw error;
      const remaining = deadline.remainingMs();
      if (remaining === 0) throw new Error('the output was not read in time', { cause: error });
      sleep(Math.min(LONGEST_PAUSE_MS, remaining));
    }
  }
}

/** Returns null at the end of the input or at the deadline. */
function readChunk(descriptor: number, deadline: Deadline): Buffer | null {
  const chunk = Buffer.allocUnsafe(CHUNK_BYTES);
  let pause = SHORTEST_PAUSE_MS;
  for (;;) {
    try {
      const count = readSync(descriptor, chunk);
      return count === 0 ? null : chunk.subarray(0, count);
    } catch (error) {
      if (!isErrno(error, 'EAGAIN')) throw error;
    }
    const remaining = deadline.remainingMs();
    if (remaining === 0) return null;
    sleep(Math.min(pause, remaining));
    pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
  }
}

/** The device number of /dev/null, 1:3. */
const NULL_DEVICE = 0x103;

/** Reports whether a descriptor is a terminal. For pipes, avoids loading node:tty, which loads streams and sockets. */
export function isTerminal(descriptor: number): boolean {
  const stats = fstatSync(descriptor);
  if (!stats.isCharacterDevice() || stats.rdev === NULL_DEVICE) return false;
  const { isatty } = require('node:tty') as typeof Tty;
  return isatty(descriptor);
}
