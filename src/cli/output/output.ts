// Standard output of a person's command.
import { AppError } from '../../model/errors.ts';
import { isErrno } from '../../system/files.ts';
import { writeAll } from '../../system/stdin.ts';
import { deadlineIn } from '../../system/wait.ts';

/** Writes at once, and remembers why something could not be written. */
export class Output {
  #trouble: unknown = null;

  line(text: string): void {
    try {
      writeAll(1, Buffer.from(`${text}\n`), deadlineIn(Infinity));
    } catch (error) {
      // A full disk under the output is no reason to stop between two changes of the kernel: the exit status says so.
      if (!isErrno(error, 'EPIPE')) this.#trouble ??= error;
    }
  }

  /** Throws `OUTPUT` where not all was written. A reader that went away (`| head`) has seen what it wanted. */
  check(): void {
    if (this.#trouble === null) return;
    throw new AppError('OUTPUT', "standard output can't be written", this.#trouble);
  }
}
