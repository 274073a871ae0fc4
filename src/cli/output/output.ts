// Standard output of a person's command.
import { writeSync } from 'node:fs';
import { AppError } from '../../model/errors.ts';
import { isErrno } from '../../system/files.ts';
import { sleep } from '../../system/wait.ts';

const PIPE_PAUSE_MS = 1;

/** Writes at once, and remembers why something could not be written. */
export class Output {
  #trouble: unknown = null;

  line(text: string): void {
    this.#write(Buffer.from(`${text}\n`));
  }

  /** Throws `OUTPUT` where not all was written. A reader that went away (`| head`) has seen what it wanted. */
  check(): void {
    if (this.#trouble === null) return;
    throw new AppError('OUTPUT', "standard output can't be written", this.#trouble);
  }

  /** A pipe takes what fits, and a non-blocking one may have to be waited for. */
  #write(bytes: Buffer): void {
    let done = 0;
    while (done < bytes.length) {
      try {
        done += writeSync(1, bytes, done);
      } catch (error) {
        if (isErrno(error, 'EAGAIN')) {
          sleep(PIPE_PAUSE_MS);
          continue;
        }
        // A full disk under the output is no reason to stop between two changes of the kernel: the exit status says so.
        if (!isErrno(error, 'EPIPE')) this.#trouble ??= error;
        return;
      }
    }
  }
}
