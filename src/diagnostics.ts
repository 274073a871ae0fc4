// Reports problems: in our own log for administrators, JSON lines written by pino, which is loaded for the first line;
// on standard error; and by the exit status.
import { closeSync } from 'node:fs';
import { describeError, EXIT_STATUS, isAppError } from './model/errors.ts';
import { appendLine, openLogForAppend, isErrno } from './system/files.ts';
import { printable } from './system/printable.ts';
import { writeInTime } from './system/stdin.ts';
import { deadlineIn } from './system/wait.ts';
import type * as Pino from 'pino';

/** The levels of the configuration, from the least serious. */
const LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
type Level = (typeof LEVELS)[number];

/** Writes our own log. Never throws: a failure must not stop the run. */
export class Diagnostics {
  /** The level below which messages are not written. It is the default until the configuration is read. */
  level: Level = 'warn';
  readonly #path: string;
  readonly #program: string;
  #logger: Pino.Logger | null = null;
  #descriptor: number | null = null;
  /** The messages already written. Each is written once per run. */
  readonly #written = new Set<string>();

  constructor(path: string, program: string) {
    this.#path = path;
    this.#program = program;
  }

  error(message: string): void {
    this.#write('error', message);
  }

  warn(message: string): void {
    this.#write('warn', message);
  }

  /** Closes the log. The next message opens it again. Only a long-running process needs to call it. */
  close(): void {
    if (this.#descriptor !== null) closeSync(this.#descriptor);
    this.#descriptor = null;
    this.#logger = null;
  }

  #write(level: 'error' | 'warn', message: string): void {
    if (LEVELS.indexOf(level) < LEVELS.indexOf(this.level) || this.#written.has(message)) return;
    this.#written.add(message);
    try {
      this.#logger ??= this.#open();
      this.#logger[level](printable(message));
    } catch {
      // The log can't be written, and there is no other place to report it.
    }
  }

  #open(): Pino.Logger {
    const { pino } = require('pino') as typeof Pino;
    const descriptor = openLogForAppend(this.#path);
    this.#descriptor = descriptor;
    const sink = {
      write(line: string): void {
        appendLine(descriptor, line);
      },
    };
    const timestamp = (): string => `,"time":"${new Date().toISOString()}"`;
    return pino(
      { level: 'trace', base: { program: this.#program, pid: process.pid }, timestamp },
      sink,
    );
  }
}

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
  if (isAppError(error)) {
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
