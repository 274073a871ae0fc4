// The only place that starts a program: argument list, fixed directories, clean environment, deadline, capped output.
import type * as ChildProcess from 'node:child_process';
import { accessSync, constants, statSync } from 'node:fs';
import type * as Util from 'node:util';
import { AppError, orElse, ProgramMissing } from '../model/errors.ts';
import { killGroup, STARTED_BY } from './stale-children.ts';

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

export const ENVIRONMENT: Readonly<Record<string, string>> = {
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
  return orElse(false, () => {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  });
}

export const run: Run = (command, timeoutMs) => {
  const path = findProgram(command.program);
  if (path === null) {
    const where = `not found in ${PROGRAM_DIRECTORIES.join(', ')}`;
    throw new ProgramMissing(
      `${command.program} was ${where}: install it with the host's package manager`,
    );
  }
  let result = spawn(path, command, timeoutMs);
  if (endedWithUs(result)) result = spawn(path, command, timeoutMs);
  const { stdout, stderr } = result;
  if (endedByItself(result)) {
    const trouble = result.signal === null ? '' : `was ended by ${result.signal}`;
    return { status: result.status, stdout, stderr, trouble };
  }
  if (['EMFILE', 'ENFILE'].includes(result.code)) {
    const way = 'raise the limit (ulimit -n) of who starts firewall-drop';
    throw new AppError('RESOURCES', `${path} can't be started: no file descriptor is left; ${way}`);
  }
  // A wrapper that was killed would leave the real program behind, which may change the kernel after we have looked.
  if (result.pid > 0) killGroup(result.pid);
  return { status: null, stdout, stderr, trouble: troubleOf(result.code, path, timeoutMs) };
};

/** What a terminal or a service manager sends to a whole group. */
const GROUP_SIGNALS: readonly (string | null)[] = ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGTERM'];

/**
 * A signal for our group that comes before a child has left it ends the child before it is the program. Such a signal lets
 * us finish what has begun, so the program is started once more.
 */
function endedWithUs({ signal, stdout, stderr }: Spawned): boolean {
  return GROUP_SIGNALS.includes(signal) && stdout === '' && stderr === '';
}

/**
 * A program that ends without reading all of its input (EPIPE) gives the reason by its status. So has one that left its
 * pipes to somebody who kept them until the deadline: all that it printed was read meanwhile.
 */
function endedByItself({ status, code }: Spawned): boolean {
  return code === '' || code === 'EPIPE' || (code === 'ETIMEDOUT' && status !== null);
}

function troubleOf(code: string, path: string, timeoutMs: number): string {
  if (code === 'ETIMEDOUT') {
    return `did not end within ${(timeoutMs / 1000).toFixed(1)} s and was killed`;
  }
  if (code === 'ENOBUFS') return `printed more than ${LARGEST_OUTPUT} bytes and was killed`;
  return `could not be started: ${code} for ${path}`;
}

const LONGEST_QUOTE = 500;

/** Of a program that failed; `about` and `advice` become the beginning and the end of the message. */
export function programError(
  { program }: Command,
  { status, stderr, trouble }: RunResult,
  { about = '', advice = '', cause }: { about?: string; advice?: string; cause?: unknown } = {},
): AppError {
  const how = trouble === '' ? `exited with status ${status ?? 'none'}` : trouble;
  const cut = stderr.trim().slice(0, LONGEST_QUOTE);
  const quote = cut === '' ? '' : `: ${cut.replace(/\s*\n\s*/g, '; ')}`;
  const end = advice === '' ? '' : `; ${advice}`;
  return new AppError('FIREWALL', `${about}${program} ${how}${quote}${end}`, cause);
}

/** How a program ended; what it printed is read as Latin-1 text. */
export interface Spawned {
  /** 0 when nothing was started. */
  readonly pid: number;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The system's code, such as ETIMEDOUT, ENOBUFS or EPIPE; empty when all went well. */
  readonly code: string;
}

/** node::SyncProcessRunner, src/spawn_sync.cc of the pinned Node. */
interface Binding {
  spawn(options: object): {
    readonly pid?: number;
    readonly status?: number | null;
    readonly signal?: NodeJS.Signals | null;
    readonly output?: readonly (Buffer | null)[] | null;
    /** A negative errno. */
    readonly error?: number;
  };
}

type ProcessWithBinding = typeof process & { readonly binding: (name: 'spawn_sync') => Binding };

const SIGKILL = 9;

/**
 * By the call that spawnSync makes: node:child_process would load 17 modules, sockets among them, at every alert. The runtime
 * is pinned and part of the executable, so an internal interface can't change under us. The program gets a session and group
 * of its own, so that with it all that it started can be ended.
 */
export function spawn(path: string, { args, input }: Command, timeoutMs: number): Spawned {
  // An empty input would be a write of nothing; without one the pipe is closed at once.
  const content = input === '' ? {} : { input: Buffer.from(input) };
  const result = (process as ProcessWithBinding).binding('spawn_sync').spawn({
    file: path,
    args: [path, ...args],
    envPairs: Object.entries(ENVIRONMENT).map(([name, value]) => `${name}=${value}`),
    cwd: '/',
    detached: true,
    timeout: Math.max(1, Math.ceil(timeoutMs)),
    maxBuffer: LARGEST_OUTPUT,
    killSignal: SIGKILL,
    stdio: [
      { type: 'pipe', readable: true, writable: false, ...content },
      { type: 'pipe', readable: false, writable: true },
      { type: 'pipe', readable: false, writable: true },
    ],
  });
  return {
    pid: result.pid ?? 0,
    status: result.status ?? null,
    signal: result.signal ?? null,
    stdout: result.output?.[1]?.toString('latin1') ?? '',
    stderr: result.output?.[2]?.toString('latin1') ?? '',
    code: codeOf(result.error),
  };
}

function codeOf(error: number | undefined): string {
  if (error === undefined) return '';
  return (require('node:util') as typeof Util).getSystemErrorName(error);
}

/** Who reads what a person's command printed, on the terminal that we have. */
export interface Pager {
  readonly path: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
}

/** Waits as long as the person reads. False when the program could not be started. */
export function runPager({ path, args, environment, input }: Pager): boolean {
  const { spawnSync } = require('node:child_process') as typeof ChildProcess;
  // Ctrl-C is the pager's while it runs: ended before it, we would leave it without its terminal.
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  const stdio = ['pipe' as const, 'inherit' as const, 'inherit' as const];
  const { pid } = spawnSync(path, args, { cwd: '/', env: environment, input, stdio });
  process.off('SIGINT', ignore);
  return pid !== 0;
}
