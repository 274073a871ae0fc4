// The one error class of the program: a closed set of codes, each with the exit status that it leaves.

/** Exit statuses follow sysexits(3); `docs/exit-statuses.md` holds the same table for people. */
export const EXIT_STATUS = {
  /** Arguments that name no action. */
  USAGE: 64,
  /** A message, an address or a list that can't be acted on. */
  BAD_DATA: 65,
  /** The address is protected: nothing was blocked, on purpose. */
  REFUSED: 65,
  /** The kernel is not as asked: a firewall program is missing, failed or did not end in time. */
  FIREWALL: 69,
  /** execd went away, or never answered. */
  HANDSHAKE: 69,
  /** The system has too little of something, such as file descriptors, to start a program or open a file. */
  RESOURCES: 71,
  STORE: 74,
  LOG: 74,
  /** A file could not be put in its place. */
  FILE: 74,
  OUTPUT: 74,
  /** Another process holds the writer lock for longer than we may wait. */
  LOCK_BUSY: 75,
  NOT_ROOT: 77,
  CONFIG: 78,
  NO_AGENT: 78,
  /** Ctrl-C or another signal ended the run between two changes: 128 + SIGINT, as shells have it. */
  INTERRUPTED: 130,
} as const;

export type ErrorCode = keyof typeof EXIT_STATUS;

/** A failure that a person can act on; `message` says what failed, for which address, by which program. */
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

/** What `work` gives; a failure becomes the cause of an AppError. */
export function orThrow<T>(code: ErrorCode, message: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw new AppError(code, message, error);
  }
}

/** What `work` gives; where it fails, `otherwise`. */
export function orElse<T>(otherwise: T, work: () => T): T {
  try {
    return work();
  } catch {
    return otherwise;
  }
}

/** A program that is not installed: nothing was run, so nothing can have changed. */
export class ProgramMissing extends AppError {
  constructor(message: string) {
    super('FIREWALL', message);
  }
}

/** What the runtime says of a failed system call: `ENOENT: no such file or directory, open '/etc/x'`. */
const SYSTEM_CALL = /^(E[A-Z0-9]+): (.+?), [a-z_0-9]+(?: '.*)?$/s;

function systemCallText(message: string): string | undefined {
  const [, code, text] = SYSTEM_CALL.exec(message) ?? [];
  // The runtime says "illegal operation on a directory".
  return code === 'EISDIR' ? 'it is a directory' : text;
}

/**
 * One line about any thrown thing, with the chain of causes. Of a failed system call only what went wrong: whoever
 * reports it names the file.
 */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const own = systemCallText(error.message) ?? error.message;
  if (error.cause === undefined) return own;
  const cause = describeError(error.cause);
  // A second try often fails in the words of the first.
  return own.endsWith(cause) ? own : `${own}: ${cause}`;
}
