// The only place that starts a program: argument list, fixed directories, clean environment, deadline, capped output.
import { spawnSync, type SpawnSyncOptionsWithStringEncoding } from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import { describeError, ProgramMissing } from '../model/errors.ts';
import { isErrno } from './files.ts';
import { STARTED_BY } from './stale-children.ts';

/** What is to be run; `program` is a bare name that is looked up in `PROGRAM_DIRECTORIES` alone. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly input: string;
}

export interface RunResult {
  /** Null when the program was ended by a signal, ours included. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** Why the program gave no status of its own, in words; empty when it did. */
  readonly trouble: string;
}

/** Runs a command to its end. Throws `FIREWALL` when the program is not installed. */
export type Run = (command: Command, timeoutMs: number) => RunResult;

export const PROGRAM_DIRECTORIES: readonly string[] = [
  '/usr/sbin',
  '/sbin',
  '/usr/bin',
  '/bin',
  '/usr/local/sbin',
  '/usr/local/bin',
];

const ENVIRONMENT = {
  LC_ALL: 'C',
  PATH: PROGRAM_DIRECTORIES.join(':'),
  [STARTED_BY]: String(process.pid),
};
const LARGEST_OUTPUT = 64 * 1024 * 1024;

/** The absolute path of a program, or null. PATH of the environment is never asked: whoever started us chose it. */
export function findProgram(name: string): string | null {
  for (const directory of PROGRAM_DIRECTORIES) {
    const path = `${directory}/${name}`;
    if (isProgram(path)) return path;
  }
  return null;
}

function isProgram(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    // Absent or not executable: the next directory is asked.
    return false;
  }
}

export const run: Run = (command, timeoutMs) => {
  const path = findProgram(command.program);
  if (path === null) throw notInstalled(command.program);
  const options: SpawnSyncOptionsWithStringEncoding & { readonly detached: true } = {
    cwd: '/',
    env: ENVIRONMENT,
    input: command.input,
    timeout: Math.max(1, Math.ceil(timeoutMs)),
    killSignal: 'SIGKILL',
    maxBuffer: LARGEST_OUTPUT,
    encoding: 'latin1',
    // A session and group of its own, so that with it all that it started can be ended.
    detached: true,
  };
  const result = spawnSync(path, command.args, options);
  const failed = endedByItself(result) ? undefined : result.error;
  if (failed !== undefined) endGroup(result.pid);
  return {
    status: failed === undefined ? result.status : null,
    // Typed as text, and null when the program could not even be started.
    stdout: textOf(result.stdout),
    stderr: textOf(result.stderr),
    trouble: troubleOf(failed, result.signal, timeoutMs),
  };
};

/**
 * A program that ends without reading all of its input (EPIPE) has said why by its status. So has one that left its
 * pipes to somebody who kept them until the deadline: all that it printed was read meanwhile.
 */
function endedByItself({ status, error }: { status: number | null; error?: Error }): boolean {
  return isErrno(error, 'EPIPE') || (isErrno(error, 'ETIMEDOUT') && status !== null);
}

/** A wrapper that was killed would leave the real program behind, which may change the kernel after we have looked. */
function endGroup(pid: number): void {
  // 0, where nothing was started, would be our own group.
  if (pid <= 0) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch (error) {
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

function textOf(output: unknown): string {
  return typeof output === 'string' ? output : '';
}

function notInstalled(program: string): ProgramMissing {
  return new ProgramMissing(
    `${program} was not found in ${PROGRAM_DIRECTORIES.join(', ')}: install it with the host's package manager`,
  );
}

function troubleOf(
  error: Error | undefined,
  signal: NodeJS.Signals | null,
  timeoutMs: number,
): string {
  if (error !== undefined && 'code' in error && error.code === 'ETIMEDOUT') {
    return `did not end within ${(timeoutMs / 1000).toFixed(1)} s and was killed`;
  }
  if (error !== undefined) return describeError(error);
  return signal === null ? '' : `was ended by ${signal}`;
}
