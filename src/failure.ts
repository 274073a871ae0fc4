// Reports a failure: a line on standard error, and an exit status.
import { AppError, describeError, EXIT_STATUS } from './model/errors.ts';
import { isErrno } from './system/files.ts';
import { writeInTime } from './system/stdin.ts';
import { printable } from './system/printable.ts';
import { deadlineIn } from './system/wait.ts';

/** The exit status for an error that is not an `AppError` (sysexits: EX_SOFTWARE). */
const UNEXPECTED = 70;

/**
 * Who started the program. execd does not read standard error, so a full pipe must not block the run; a person can read
 * slowly.
 */
export type Listener = 'execd' | 'person';
const TIMEOUT_MS: Readonly<Record<Listener, number>> = { execd: 0, person: Infinity };

export function complain(message: string, listener: Listener): void {
  try {
    writeInTime(2, `firewall-drop: ${printable(message)}\n`, deadlineIn(TIMEOUT_MS[listener]));
  } catch {
    // The other end of the pipe is closed, or nobody reads from it.
  }
}

export function exitStatusOf(error: unknown, listener: Listener): number {
  if (error instanceof AppError) {
    complain(describeError(error), listener);
    return error.exitStatus;
  }
  complain(`internal error, please report it: ${String(error)}`, listener);
  return isOutOfDescriptors(error) ? EXIT_STATUS.RESOURCES : UNEXPECTED;
}

/** Reports whether an error is EMFILE or ENFILE. For a query of the host's addresses, libuv gives only the number. */
function isOutOfDescriptors(error: unknown): boolean {
  if (isErrno(error, 'EMFILE') || isErrno(error, 'ENFILE')) return true;
  const number = typeof error === 'object' && error !== null && 'errno' in error && error.errno;
  return [23, 24].includes(Math.abs(Number(number)));
}
