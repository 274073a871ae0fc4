/** Makes real pipes. Node's own are socket pairs, which a program cannot reopen through /proc/self/fd. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** Makes a pipe. Both ends block, as those of pipe(2), so read and write them asynchronously. */
export function createPipe(): Pipe {
  const directory = mkdtempSync(join(tmpdir(), 'pipe-'));
  const path = join(directory, 'fifo');
  try {
    execFileSync('mkfifo', [path]);
    // Opening a FIFO for reading and writing does not wait for the other end, and neither do the next two opens.
    const both = openSync(path, constants.O_RDWR);
    const pipe = { readFd: openSync(path, 'r'), writeFd: openSync(path, 'w') };
    closeSync(both);
    return pipe;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
