// What a failure leaves behind: a line on standard error, and an exit status.
import { AppError, describeError, EXIT_STATUS } from './model/errors.ts';
import { isErrno } from './system/files.ts';
import { writeInTime } from './system/stdin.ts';
import { printable } from './system/printable.ts';
import { deadlineIn } from './system/wait.ts';

/** Of any error that is no AppError (sysexits: EX_SOFTWARE). */
const UNEXPECTED = 70;

/** Who started us: execd listens to nothing here, so that no full pipe may hold it up; a person may read slowly. */
export type Listener = 'execd' | 'person';
const PATIENCE_MS: Readonly<Record<Listener, number>> = { execd: 0, person: Infinity };

export function complain(message: string, listener: Listener): void {
  try {
    writeInTime(2, `firewall-drop: ${printable(message)}\n`, deadlineIn(PATIENCE_MS[listener]));
  } catch {
    // Nobody holds the other end, or reads there.
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

/** EMFILE and ENFILE; libuv gives the number alone where it asks for the host's addresses. */
function isOutOfDescriptors(error: unknown): boolean {
  if (isErrno(error, 'EMFILE') || isErrno(error, 'ENFILE')) return true;
  const number = typeof error === 'object' && error !== null && 'errno' in error && error.errno;
  return [23, 24].includes(Math.abs(Number(number)));
}
