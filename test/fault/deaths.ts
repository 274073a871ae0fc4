/** What the programs inside a host tell whoever started them, and the system calls that may be a run's last. */

/** One death, and what was wrong afterwards. */
export interface CrashPoint {
  readonly at: string;
  /** Who came next. */
  readonly next: string;
  readonly wrong: readonly string[];
}

/** All by which a run changes something or starts somebody. */
export const CALLS: readonly string[] = [
  'write',
  'pwrite64',
  'fsync',
  'fdatasync',
  'ftruncate',
  'rename',
  'unlink',
  'mkdir',
  'fchmod',
  'fchown',
  'clone',
  'clone3',
  'vfork',
  'execve',
];
