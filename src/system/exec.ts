// The only place that starts a program: argument list, fixed directories, clean environment, deadline, capped output.
import { accessSync, constants, statSync } from 'node:fs';
import { AppError, ProgramMissing } from '../model/errors.ts';
import { isErrno } from './files.ts';
import { spawn, type Spawned } from './spawn.ts';
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
  const result = spawn({
    path,
    args: command.args,
    environment: ENVIRONMENT,
    input: command.input,
    timeoutMs: Math.max(1, Math.ceil(timeoutMs)),
    largestOutput: LARGEST_OUTPUT,
  });
  const { stdout, stderr } = result;
  if (endedByItself(result)) {
    const trouble = result.signal === null ? '' : `was ended by ${result.signal}`;
    return { status: result.status, stdout, stderr, trouble };
  }
  if (['EMFILE', 'ENFILE'].includes(result.code)) throw noDescriptors(path);
  endGroup(result.pid);
  return { status: null, stdout, stderr, trouble: troubleOf(result.code, path, timeoutMs) };
};

/**
 * A program that ends without reading all of its input (EPIPE) has said why by its status. So has one that left its
 * pipes to somebody who kept them until the deadline: all that it printed was read meanwhile.
 */
function endedByItself({ status, code }: Spawned): boolean {
  return code === '' || code === 'EPIPE' || (code === 'ETIMEDOUT' && status !== null);
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

function notInstalled(program: string): ProgramMissing {
  return new ProgramMissing(
    `${program} was not found in ${PROGRAM_DIRECTORIES.join(', ')}: install it with the host's package manager`,
  );
}

function noDescriptors(path: string): AppError {
  return new AppError(
    'RESOURCES',
    `${path} can't be started: no file descriptor is left; raise the limit (ulimit -n) of who starts firewall-drop`,
  );
}

function troubleOf(code: string, path: string, timeoutMs: number): string {
  if (code === 'ETIMEDOUT') {
    return `did not end within ${(timeoutMs / 1000).toFixed(1)} s and was killed`;
  }
  if (code === 'ENOBUFS') return `printed more than ${LARGEST_OUTPUT} bytes and was killed`;
  return `could not be started: ${code} for ${path}`;
}
