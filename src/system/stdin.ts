// Standard input and output: lines are read and text is written without an event loop and without waiting past a deadline.
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
   * The next line without its newline; what follows it stays for the next call. Null when the other side closed before
   * a whole line came, or the deadline passed. Throws when the line is longer than the reader allows.
   */
  readLine(deadline: Deadline): Buffer | null;
  /** What was read and is no whole line. */
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
 * A description of our own of the same pipe, so that making it non-blocking does not do so for whoever shares ours.
 * A socket can't be opened again: there the runtime's own stream makes descriptor 0 non-blocking.
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

/** Writes all of `text` to standard output. Throws as `writeInTime` does, and where standard output is closed. */
export function writeToStdout(text: string, deadline: Deadline): void {
  if (isOutputClosed()) throw new Error('standard output is closed');
  writeInTime(1, text, deadline);
}

const ACCESS_MODE = 3;

/** The runtime opens /dev/null, for reading and writing, in place of a standard descriptor that is closed. */
function isOutputClosed(): boolean {
  const stats = fstatSync(1);
  if (!stats.isCharacterDevice() || stats.rdev !== NULL_DEVICE) return false;
  const status = readFileSync('/proc/self/fdinfo/1', 'latin1');
  const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(status)?.[1] ?? '', 8);
  return (flags & ACCESS_MODE) === constants.O_RDWR;
}

/** Writes all of `text`. Throws what the system says, or that nobody took it in time. */
export function writeInTime(descriptor: number, text: string, deadline: Deadline): void {
  const own = openPipeAgain(descriptor);
  try {
    writeAll(own ?? descriptor, Buffer.from(text), deadline);
  } finally {
    if (own !== null) closeSync(own);
  }
}

/** As for reading, a description of our own that does not wait. Null for what is no pipe, or has nobody to read it. */
function openPipeAgain(descriptor: number): number | null {
  if (!fstatSync(descriptor).isFIFO()) return null;
  const flags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;
  // Where it can't be opened, writing says why.
  return orElse(null, () => openSync(`/proc/self/fd/${descriptor}`, flags));
}

/** A pipe takes what fits; one that does not block may have to be waited for. */
export function writeAll(descriptor: number, bytes: Buffer, deadline: Deadline): void {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(descriptor, bytes, done);
    } catch (error) {
      if (!isErrno(error, 'EAGAIN')) throw error;
      const remaining = deadline.remainingMs();
      if (remaining === 0) throw new Error('nobody reads what is written', { cause: error });
      sleep(Math.min(LONGEST_PAUSE_MS, remaining));
    }
  }
}

/** Null at the end of the input or of the time. */
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

/** Of a pipe without the runtime's module for terminals, which loads streams and sockets. */
export function isTerminal(descriptor: number): boolean {
  const stats = fstatSync(descriptor);
  if (!stats.isCharacterDevice() || stats.rdev === NULL_DEVICE) return false;
  const { isatty } = require('node:tty') as typeof Tty;
  return isatty(descriptor);
}
