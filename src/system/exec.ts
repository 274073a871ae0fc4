// Starts programs, and is the only file that does: with an argument list, fixed directories, a clean environment, a
// timeout and a limit on the output. Kills the firewall programs that a killed run left behind, because they could undo
// changes of the next run.
import type * as ChildProcess from 'node:child_process';
import { accessSync, constants, statSync, readdirSync, readlinkSync } from 'node:fs';
import type * as Util from 'node:util';
import { AppError, orElse, ProgramMissing } from '../model/errors.ts';
import { namespaceOf, processIds, statOf, variableOf } from './procfs.ts';
import { deadlineIn, sleep } from './wait.ts';

/** A command to run. `program` is a bare name that is looked up in `PROGRAM_DIRECTORIES` only. */
export interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly input: string;
}

export interface RunResult {
  /** null if a signal killed the program, including ours, or it could not be started. */
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The reason for a missing exit status, for people; empty if there is a status. */
  readonly trouble: string;
}

/** Runs a command until it ends. Throws `FIREWALL` if the program is not installed. */
export type Run = (command: Command, timeoutMs: number) => RunResult;

export const PROGRAM_DIRECTORIES: readonly string[] = [
  '/usr/sbin',
  '/sbin',
  '/usr/bin',
  '/bin',
  '/usr/local/sbin',
  '/usr/local/bin',
];

/** The variable in the environment of every program that we start. Its value is our process id. */
export const STARTED_BY = 'FIREWALL_DROP_STARTED_BY';

export const ENVIRONMENT: Readonly<Record<string, string>> = {
  LC_ALL: 'C',
  PATH: PROGRAM_DIRECTORIES.join(':'),
  [STARTED_BY]: String(process.pid),
};
const LARGEST_OUTPUT = 64 * 1024 * 1024;

/** Returns the absolute path of a program, or null. Ignores PATH, because the process that started us chose it. */
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
  if (wasKilledAtStart(result)) result = spawn(path, command, timeoutMs);
  const { stdout, stderr } = result;
  if (hasUsableResult(result)) {
    const trouble = result.signal === null ? '' : `was killed by ${result.signal}`;
    return { status: result.status, stdout, stderr, trouble };
  }
  if (['EMFILE', 'ENFILE'].includes(result.code)) {
    const way = 'raise the limit (ulimit -n) of the process that starts firewall-drop';
    throw new AppError('RESOURCES', `${path} can't be started: no file descriptor is left; ${way}`);
  }
  // A killed wrapper can leave the real program running, which could change the kernel after it was verified.
  if (result.pid > 0) killGroup(result.pid);
  return { status: null, stdout, stderr, trouble: troubleOf(result.code, path, timeoutMs) };
};

/** The signals that a terminal or a service manager sends to a whole process group. */
const GROUP_SIGNALS: readonly (string | null)[] = ['SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGTERM'];

/**
 * Reports whether a signal to our process group killed the child before it left the group. We complete a change that
 * has begun despite such a signal, so the program is started once more.
 */
function wasKilledAtStart({ signal, stdout, stderr }: Spawned): boolean {
  return GROUP_SIGNALS.includes(signal) && stdout === '' && stderr === '';
}

/**
 * Reports whether the program ended without being killed by us. The exit status of a program that did not read all of
 * its input (EPIPE) tells the reason. A program whose child kept the pipes open until the timeout has a status and
 * complete output too.
 */
function hasUsableResult({ status, code }: Spawned): boolean {
  return code === '' || code === 'EPIPE' || (code === 'ETIMEDOUT' && status !== null);
}

function troubleOf(code: string, path: string, timeoutMs: number): string {
  if (code === 'ETIMEDOUT') {
    return `did not end within ${(timeoutMs / 1000).toFixed(1)} s and was killed`;
  }
  if (code === 'ENOBUFS') return `printed more than ${LARGEST_OUTPUT} bytes and was killed`;
  return `could not be started: ${code} for ${path}`;
}

/** The result of a program; its output is decoded as Latin-1. */
export interface Spawned {
  /** 0 if the program could not be started. */
  readonly pid: number;
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
  /** The system's error code, such as ETIMEDOUT, ENOBUFS or EPIPE; empty if there was no error. */
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
 * Starts a program by the internal call behind spawnSync, because node:child_process would load 17 modules at every
 * alert. Node is pinned and part of the executable, so the internal interface cannot change. The program gets its own
 * session and process group, so that it can be killed together with its children.
 */
export function spawn(path: string, { args, input }: Command, timeoutMs: number): Spawned {
  // Without an input, the pipe is closed immediately; an empty one would cause a write of zero bytes.
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

/** A pager that shows the output of a command on our terminal. */
export interface Pager {
  readonly path: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
}

/** Runs the pager until the user leaves it. Returns false if it could not be started. */
export function runPager({ path, args, environment, input }: Pager): boolean {
  const { spawnSync } = require('node:child_process') as typeof ChildProcess;
  // The pager handles Ctrl-C while it runs. If we exited first, the pager would lose the terminal.
  const ignore = (): void => undefined;
  process.on('SIGINT', ignore);
  const stdio = ['pipe' as const, 'inherit' as const, 'inherit' as const];
  const { pid } = spawnSync(path, args, { cwd: '/', env: environment, input, stdio });
  process.off('SIGINT', ignore);
  return pid !== 0;
}

/** A killed program disappears immediately unless it is inside a system call that cannot be interrupted. */
const LONGEST_WAIT_MS = 2000;

/** Kills all stale children, waits until they are gone, and returns their number. The caller holds the writer lock. */
export function endStaleChildren(): number {
  const staleChildren = processIds().filter(isStaleChild);
  for (const pid of staleChildren) killGroup(pid);
  const deadline = deadlineIn(LONGEST_WAIT_MS);
  while (staleChildren.some(isStaleChild) && deadline.remainingMs() > 0) sleep(1);
  return staleChildren.length;
}

/** Reports whether a program that a run started has lost that run as its parent. */
function isStaleChild(pid: number): boolean {
  // The process can have ended in the meantime, or not even root can inspect it.
  return orElse(false, () => {
    const starter = variableOf(pid, STARTED_BY);
    return starter !== null && statOf(pid).parent !== Number(starter) && isOurs(pid);
  });
}

/** Excludes processes in containers, whose STARTED_BY counts in another PID namespace, and daemons. */
function isOurs(pid: number): boolean {
  const isHere = (['pid', 'net'] as const).every((kind) => {
    return namespaceOf(pid, kind) === namespaceOf('self', kind);
  });
  return isHere && statOf(pid).session === pid && hasOurPipes(pid);
}

/**
 * We start programs with sockets as standard input, output and error. A daemon closes these, and so is left alone if a
 * wrapper of a firewall program started it.
 */
function hasOurPipes(pid: number): boolean {
  const descriptors = readdirSync(`/proc/${pid}/fd`).filter((name) =>
    ['0', '1', '2'].includes(name),
  );
  return descriptors.some((name) => readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:'));
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The process has ended in the meantime. The caller checks that.
  }
}
