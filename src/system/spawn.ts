// Starts a program and waits for its end, by the call that the runtime's own spawnSync makes.
// node:child_process would load 17 modules first, sockets among them, at every alert. The runtime is pinned and part of
// the executable, so an internal interface can't change under us; where it is missing the public one does the work.
import type * as ChildProcess from 'node:child_process';
import type * as Util from 'node:util';

/** A program by its absolute path; what it prints is read as Latin-1 text. */
export interface Spawn {
  readonly path: string;
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly input: string;
  readonly timeoutMs: number;
  /** Bytes; of each of the two streams. */
  readonly largestOutput: number;
}

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
  spawn(options: {
    readonly file: string;
    readonly args: readonly string[];
    readonly envPairs: readonly string[];
    readonly cwd: string;
    readonly detached: boolean;
    readonly timeout: number;
    readonly maxBuffer: number;
    readonly killSignal: number;
    readonly stdio: readonly {
      readonly type: 'pipe';
      readonly readable: boolean;
      readonly writable: boolean;
      readonly input?: Buffer;
    }[];
  }): {
    readonly pid?: number;
    readonly status?: number | null;
    readonly signal?: NodeJS.Signals | null;
    readonly output?: readonly (Buffer | null)[] | null;
    /** A negative errno. */
    readonly error?: number;
  };
}

type ProcessWithBinding = typeof process & { readonly binding?: (name: string) => unknown };

/** Null where the runtime has no such call. */
export function findBinding(): Binding | null {
  try {
    const binding = (process as ProcessWithBinding).binding?.('spawn_sync') as Partial<Binding>;
    return typeof binding.spawn === 'function' ? (binding as Binding) : null;
  } catch {
    return null;
  }
}

const SIGKILL = 9;

/** The program gets a session and group of its own, so that with it all that it started can be ended. */
export function spawn(program: Spawn, binding: Binding | null = findBinding()): Spawned {
  return binding === null ? spawnByModule(program) : spawnByBinding(program, binding);
}

function spawnByBinding(program: Spawn, binding: Binding): Spawned {
  // An empty input would be a write of nothing; without one the pipe is closed at once.
  const input = program.input === '' ? {} : { input: Buffer.from(program.input) };
  const result = binding.spawn({
    file: program.path,
    args: [program.path, ...program.args],
    envPairs: Object.entries(program.environment).map(([name, value]) => `${name}=${value}`),
    cwd: '/',
    detached: true,
    timeout: program.timeoutMs,
    maxBuffer: program.largestOutput,
    killSignal: SIGKILL,
    stdio: [
      { type: 'pipe', readable: true, writable: false, ...input },
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

function spawnByModule(program: Spawn): Spawned {
  const { spawnSync } = require('node:child_process') as typeof ChildProcess;
  // Typed without it, and passed on by spawnSync all the same.
  const group = { detached: true };
  const result = spawnSync(program.path, program.args, {
    ...group,
    cwd: '/',
    env: program.environment,
    input: program.input,
    timeout: program.timeoutMs,
    killSignal: 'SIGKILL',
    maxBuffer: program.largestOutput,
    encoding: 'latin1',
  });
  const code = result.error !== undefined && 'code' in result.error ? result.error.code : '';
  return {
    pid: result.pid,
    status: result.status,
    signal: result.signal,
    stdout: textOf(result.stdout),
    stderr: textOf(result.stderr),
    code: String(code),
  };
}

/** Typed as text, and null when the program could not even be started. */
function textOf(output: unknown): string {
  return typeof output === 'string' ? output : '';
}
