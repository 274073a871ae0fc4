/** Makes the namespaces of hosts, and the processes that keep them alive. */
import { type ChildProcess, type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, read as readCallback, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Readable, Writable } from 'node:stream';
import { promisify } from 'node:util';
import { createPipe } from './pipe.ts';
import { collectLines } from './wait.ts';

const HERE = import.meta.dirname;
const NEWLINE = 10;
const read = promisify(readCallback);

type Holder = ChildProcessByStdio<Writable, Readable, Readable>;

export const CLEAN_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C',
};

/**
 * The environment of the test's own programs in a host. The compile cache saves stripping their types at each start.
 */
export const TEST_PROGRAM_ENVIRONMENT: Readonly<Record<string, string>> = {
  ...CLEAN_ENVIRONMENT,
  NODE_COMPILE_CACHE: join(HERE, '../../node_modules/.cache/test-programs'),
};

/** Starts a process that keeps namespaces alive until its stdin ends, even if this process is killed. */
async function hold(argv: readonly string[]): Promise<Holder> {
  const [program, ...rest] = asCommand(argv);
  const holder = spawn(program, rest, { env: { ...CLEAN_ENVIRONMENT }, stdio: 'pipe' });
  const complaints = collectLines(holder.stderr);
  const [first] = (await Promise.race([
    once(holder.stdout, 'data'),
    once(holder, 'close'),
  ])) as unknown[];
  if (String(first) !== 'ready\n') {
    throw new Error(`could not make namespaces: ${complaints.join('; ')}`);
  }
  // The holder ends with this process, and must not keep it alive if a test forgets to release it.
  holder.unref();
  for (const stream of holder.stdio) (stream as unknown as { unref(): void } | null)?.unref();
  return holder;
}

/** A host: the process inside that keeps it alive, a function that sends it orders, and the command that enters. */
export interface HeldHost {
  readonly holder: ChildProcess;
  readonly entrance: readonly string[];
  /** Sends a line, and returns the reply. */
  ask(line: string): string;
  /** Ends the holder and all processes in the host. */
  release(): void;
}

export async function holdHost(): Promise<HeldHost> {
  const userNamespace = process.getuid?.() === 0 ? undefined : await ordinaryUsersNamespace();
  const enterUser = userNamespace === undefined ? [] : enter(userNamespace, ['--user']);
  const unshare = ['unshare', '--mount', '--net', '--propagation', 'private'];
  const inside = [process.execPath, '--no-warnings', join(HERE, 'inside.ts')];
  const furnish = ['bash', join(HERE, 'host.sh'), ...inside];
  const [program, ...args] = asCommand([...enterUser, ...unshare, ...furnish]);
  const [asking, answering] = [createPipe(), createPipe()];
  const holder = spawn(program, args, {
    env: { ...TEST_PROGRAM_ENVIRONMENT },
    stdio: [asking.readFd, answering.writeFd, 'inherit'],
  });
  closeSync(asking.readFd);
  closeSync(answering.writeFd);
  const { bytesRead } = await read(answering.readFd, { buffer: Buffer.alloc(64) });
  if (bytesRead === 0) throw new Error('could not make namespaces: see above');
  // The holder ends with this process, and must not keep it alive if a test forgets to release it.
  holder.unref();
  const namespaces = ['--mount', '--net', ...(userNamespace === undefined ? [] : ['--user'])];
  return {
    holder,
    entrance: enter(holder, namespaces),
    ask: (line) => {
      for (let rest = Buffer.from(`${line}\n`); rest.length > 0;) {
        rest = rest.subarray(writeSync(asking.writeFd, rest));
      }
      return readLine(answering.readFd);
    },
    release: () => {
      closeSync(asking.writeFd);
      closeSync(answering.readFd);
    },
  };
}

/** Reads a line. No data follows it, because the holder sends one line per order. */
function readLine(fd: number): string {
  const pieces: Buffer[] = [];
  while (pieces.at(-1)?.at(-1) !== NEWLINE) {
    const piece = Buffer.alloc(64 * 1024);
    const length = readSync(fd, piece);
    if (length === 0) throw new Error('the process that keeps the host alive has ended');
    pieces.push(piece.subarray(0, length));
  }
  return Buffer.concat(pieces).toString();
}

let ofOrdinaryUser: Promise<Holder> | undefined;

/** Returns one user namespace for all hosts of a test file, because connecting two hosts needs privileges over both. */
function ordinaryUsersNamespace(): Promise<Holder> {
  ofOrdinaryUser ??= holdUserNamespace();
  return ofOrdinaryUser;
}

async function holdUserNamespace(): Promise<Holder> {
  const unshare = ['unshare', '--user', '--map-root-user'];
  const severalUsers = spawnSync('unshare', ['--user', '--map-root-user', '--map-auto', 'true']);
  if (severalUsers.status === 0) unshare.push('--map-auto');
  const wait = 'echo ready; while read -r _; do :; done';
  return hold([...unshare, 'bash', '--norc', '-c', wait]);
}

function enter(holder: ChildProcess, namespaces: readonly string[]): string[] {
  const preserve = namespaces.includes('--user') ? ['--preserve-credentials'] : [];
  return ['nsenter', '--target', String(pidOf(holder)), ...preserve, ...namespaces, '--'];
}

export function pidOf({ pid }: ChildProcess): number {
  if (pid === undefined) throw new Error('the process was not started');
  return pid;
}

export function asCommand(argv: readonly string[]): [string, ...string[]] {
  const [program, ...rest] = argv;
  if (program === undefined) throw new Error('nothing to run');
  return [program, ...rest];
}
