// What a failure leaves behind: a line on standard error, and an exit status.
import { writeSync } from 'node:fs';
import { AppError, describeError } from './errors.ts';
import { printable } from './os/printable.ts';

/** An error that is not ours is a mistake of ours (sysexits: EX_SOFTWARE). */
const UNEXPECTED = 70;

/** execd listens to nothing here; a person does. */
export function complain(message: string): void {
  try {
    writeSync(2, `firewall-drop: ${printable(message)}\n`);
  } catch {
    // Nobody holds the other end.
  }
}

/** Says what went wrong, and gives the status to end with. */
export function exitStatusOf(error: unknown): number {
  complain(describeError(error));
  return error instanceof AppError ? error.exitStatus : UNEXPECTED;
}
