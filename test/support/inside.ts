/** The process that keeps a host alive, and that carries out the orders of a test inside it: see host.ts. */
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  close,
  existsSync,
  mkdirSync,
  openSync,
  constants,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  write,
  writeFileSync,
  closeSync,
} from 'node:fs';
import { connect } from 'node:net';
import { text } from 'node:stream/consumers';
import type { ConnectTarget, Order, Reply, RunOrder, RunResult } from './inside-protocol.ts';

const NEWLINE = 10;

/**
 * Real pipes, which Node cannot make. One mkfifo makes many at once. A program that reopens such a pipe (/dev/stdin)
 * waits for a writer, unlike with pipe(2), and all input can have been written already.
 */
const PIPES = '/run/test-pipes';
const PIPES_AT_ONCE = 50;
const unusedPipes: string[] = [];

function openPipe(): { readonly readFd: number; readonly writeFd: number } {
  if (unusedPipes.length === 0) {
    mkdirSync(PIPES, { recursive: true, mode: 0o700 });
    const names = Array.from({ length: PIPES_AT_ONCE }, (_, index) => `${PIPES}/${index}`);
    spawnSync('mkfifo', names);
    unusedPipes.push(...names);
  }
  const path = unusedPipes.pop() ?? '';
  // Opening a FIFO for reading and writing does not wait for the other end, and neither do the next two opens.
  const both = openSync(path, constants.O_RDWR);
  const pipe = { readFd: openSync(path, 'r'), writeFd: openSync(path, 'w') };
  closeSync(both);
  rmSync(path);
  return pipe;
}

/** Writes input to a pipe. The program can end without reading all of it. */
function feed(fd: number, input: Buffer): void {
  if (input.length === 0) {
    close(fd);
    return;
  }
  write(fd, input, (error, written) => {
    feed(fd, error === null ? input.subarray(written) : Buffer.alloc(0));
  });
}

async function run(order: RunOrder): Promise<RunResult> {
  const { argv, argv0, cwd, env, timeoutMs } = order;
  const [program = '', ...args] = argv;
  const stdin = order.input === undefined ? undefined : openPipe();
  const late = AbortSignal.timeout(timeoutMs);
  const child = spawn(program, args, {
    ...(argv0 !== undefined && { argv0 }),
    cwd,
    env: { ...env },
    stdio: [stdin?.readFd ?? 'ignore', 'pipe', 'pipe'],
    signal: late,
    killSignal: 'SIGKILL',
  });
  if (child.stdout === null || child.stderr === null) throw new Error('no pipes to read from');
  if (stdin !== undefined) {
    closeSync(stdin.readFd);
    feed(stdin.writeFd, Buffer.from(order.input ?? '', 'base64'));
  }
  try {
    const [stdout, stderr] = await Promise.all([
      text(child.stdout),
      text(child.stderr),
      // `exit` can come before the pipes are empty.
      once(child, 'close'),
    ]);
    return { status: child.exitCode, signal: child.signalCode, stdout, stderr };
  } catch (error) {
    if (late.aborted) throw new Error(`no end after ${timeoutMs} ms`, { cause: error });
    return notStarted(error);
  }
}

/** Returns the exit status of a shell for a program that cannot be started. */
function notStarted(error: unknown): RunResult {
  const status = { ENOENT: 127, EACCES: 126 }[(error as NodeJS.ErrnoException).code ?? ''];
  if (status === undefined) throw error;
  return { status, signal: null, stdout: '', stderr: String(error) };
}

/** Connects from this process, because a separate program for each of many connections would be slow. */
function tryConnection(target: ConnectTarget, timeoutMs: number): Promise<string> {
  const { address: host, port, sourceAddress } = target;
  const { promise, resolve } = Promise.withResolvers<string>();
  const local = sourceAddress === undefined ? {} : { localAddress: sourceAddress };
  const socket = connect({ host, port, ...local });
  const silence = setTimeout(resolve, timeoutMs, 'silent');
  socket.on('connect', () => {
    resolve('connected');
  });
  socket.on('error', (error: NodeJS.ErrnoException) => {
    resolve(error.code ?? error.message);
  });
  return promise.finally(() => {
    clearTimeout(silence);
    socket.destroy();
  });
}

/** Replaces a link atomically: readers find either the old target or the new one. */
function link(target: string, path: string): void {
  symlinkSync(target, `${path}.new`);
  renameSync(`${path}.new`, path);
}

async function carryOut(order: Order): Promise<Reply> {
  switch (order.do) {
    case 'run':
      return { result: await run(order) };
    case 'connect': {
      const { targets, timeoutMs } = order;
      const connections = targets.map((target) => tryConnection(target, timeoutMs));
      return { connections: await Promise.all(connections) };
    }
    case 'write':
      writeFileSync(order.path, Buffer.from(order.base64, 'base64'));
      setAccess(order.path, order);
      return {};
    case 'read':
      return { text: readFileSync(order.path, 'utf8') };
    case 'exists':
      return { exists: existsSync(order.path) };
    case 'mkdir':
      for (const path of order.paths) {
        mkdirSync(path, { recursive: true });
        setAccess(path, order);
      }
      return {};
    case 'link':
      link(order.target, order.path);
      return {};
    case 'remove':
      for (const path of order.paths) rmSync(path, { recursive: true, force: true });
      return {};
  }
}

interface Access {
  readonly mode?: string;
  readonly uid?: number;
  readonly gid?: number;
}

function setAccess(path: string, { mode, uid, gid }: Access): void {
  if (mode !== undefined) chmodSync(path, mode);
  // -1 leaves the owner unchanged.
  if (uid !== undefined || gid !== undefined) chownSync(path, uid ?? -1, gid ?? -1);
}

function reply(answer: Reply): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

/**
 * Kills all other processes in this host, because its test has finished or died. Reports whether there were any. Does
 * nothing outside a host.
 */
function killOthers(): boolean {
  const own = readlinkSync('/proc/self/ns/net');
  if (isIn(process.ppid, own)) return false;
  const pids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const others = pids.map(Number).filter((pid) => pid !== process.pid && isIn(pid, own));
  for (const pid of others) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It ended by itself.
    }
  }
  return others.length > 0;
}

function isIn(pid: number, namespace: string): boolean {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`) === namespace;
  } catch {
    return false;
  }
}

/** The pieces of an order. Orders come one at a time, because the test waits for each reply. */
const pieces: Buffer[] = [];
process.stdin
  .on('data', (piece: Buffer) => {
    pieces.push(piece);
    if (piece.at(-1) !== NEWLINE) return;
    const order = JSON.parse(Buffer.concat(pieces.splice(0)).toString()) as Order;
    carryOut(order).then(reply, (error: unknown) => {
      reply({ error: String(error) });
    });
  })
  .on('end', () => {
    // Repeat until no process is left: one can have started another in the meantime.
    for (let round = 0; round < 5 && killOthers(); round += 1);
    process.exit();
  });
process.stdout.write('ready\n');
