// The error classes of the program, with a closed set of codes. Each code has an exit status.

/** The exit statuses, which follow sysexits(3). `docs/exit-statuses.md` lists them for users. */
export const EXIT_STATUS = {
  /** The arguments do not name an action. */
  USAGE: 64,
  /** A message, an address or a list is invalid. */
  BAD_DATA: 65,
  /** The address is protected and was therefore not blocked. */
  REFUSED: 65,
  /** The change was not verified in the kernel: a firewall program is missing, failed or timed out. */
  FIREWALL: 69,
  /** execd ended or did not answer. */
  HANDSHAKE: 69,
  /** The system lacks resources, such as file descriptors, to start a program or open a file. */
  RESOURCES: 71,
  STORE: 74,
  LOG: 74,
  /** A file could not be written or moved into place. */
  FILE: 74,
  OUTPUT: 74,
  /** Another process held the writer lock for longer than the run can wait. */
  LOCK_BUSY: 75,
  NOT_ROOT: 77,
  CONFIG: 78,
  NO_AGENT: 78,
  /** Ctrl-C or another signal ended the run between two changes: 128 + SIGINT, as shells have it. */
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof EXIT_STATUS;

/** A failure that a person can act on. `message` says what failed, for which address and in which program. */
export class AppError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, cause?: unknown) {
    super(message, { cause });
    this.name = 'AppError';
    this.code = code;
  }

  get exitStatus(): number {
    return EXIT_STATUS[this.code];
  }
}

/** Reports whether an error is an `AppError`, by its name, because scripts loaded on demand have a class of their own. */
export function isAppError(error: unknown): error is AppError {
  return error instanceof Error && error.name === 'AppError';
}

/** Returns the result of `work`. Throws an `AppError` whose cause is the error of `work`. */
export function orThrow<T>(code: ErrorCode, message: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new AppError(code, message, error);
  }
}

/** Returns the result of `work`, or `otherwise` if it throws. */
export function orElse<T>(otherwise: T, work: () => T): T {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

/** The error for a program that is not installed. Nothing was run, so nothing changed. */
export class ProgramMissing extends AppError {
  constructor(message: string) {
    super('FIREWALL', message);
  }
}

const LONGEST_QUOTE = 500;

export class ExecError extends AppError {
  readonly argv: readonly string[];
  /** The exit status; null if a signal ended the program. */
  readonly status: number | null;
  readonly stderr: string;

  /** Creates the error. `about` becomes the beginning of the message, `advice` its end. */
  constructor(
    { program, args }: { readonly program: string; readonly args: readonly string[] },
    { status, stderr, trouble }: ExecFailure,
    { about = '', advice = '', cause }: ExecErrorParts = {},
  ) {
    const how = trouble === '' ? `exited with status ${status ?? 'none'}` : trouble;
    const quote = stderr
      .trim()
      .slice(0, LONGEST_QUOTE)
      .replace(/\s*\n\s*/g, '; ');
    const message = [`${about}${program} ${how}`, ...(quote === '' ? [] : [quote])].join(': ');
    super('FIREWALL', advice === '' ? message : `${message}; ${advice}`, cause);
    this.argv = [program, ...args];
    this.status = status;
    this.stderr = stderr;
  }
}

interface ExecFailure {
  readonly status: number | null;
  readonly stderr: string;
  /** Why the program has no exit status of its own; empty if it has one. */
  readonly trouble: string;
}

interface ExecErrorParts {
  readonly about?: string;
  readonly advice?: string;
  readonly cause?: unknown;
}

/** Matches Node's message for a failed system call: `ENOENT: no such file or directory, open '/etc/x'`. */
const SYSTEM_CALL = /^(E[A-Z0-9]+): (.+?), [a-z_0-9]+(?: '.*)?$/s;

function systemCallText(message: string): string | undefined {
  const [, code, text] = SYSTEM_CALL.exec(message) ?? [];
  // Node's text is "illegal operation on a directory".
  return code === 'EISDIR' ? 'it is a directory' : text;
}

/**
 * Describes any thrown value in one line, with its chain of causes. For a failed system call, returns only the reason,
 * because callers name the file.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = systemCallText(error.message) ?? error.message;
  if (error.cause === undefined) return own;
  const cause = describeError(error.cause);
  // The error of a second attempt often repeats the text of the first.
  return own.endsWith(cause) ? own : `${own}: ${cause}`;
}
