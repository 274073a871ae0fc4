/** A real pipe: Node's own are socket pairs, which a program cannot reopen through /proc/self/fd. */
import { execFileSync } from 'node:child_process';
import { closeSync, constants, mkdtempSync, openSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

export interface Pipe {
  readonly readFd: number;
  readonly writeFd: number;
}

/** Both ends block, as those of pipe(2) do: read and write them asynchronously. */
export function createPipe(): Pipe {
  const directory = mkdtempSync(join(tmpdir(), 'pipe-'));
  const path = join(directory, 'fifo');
  try {
    execFileSync('mkfifo', [path]);
    // Opened for both, a FIFO does not wait for its other end; nor do the two that follow.
    const both = openSync(path, constants.O_RDWR);
    const pipe = { readFd: openSync(path, 'r'), writeFd: openSync(path, 'w') };
    closeSync(both);
    return pipe;
  } finally {
    rmSync(directory, { recursive: true });
  }
}
