/** Namespaces to make hosts in, and the processes that keep them alive. */
import { type ChildProcess, type ChildProcessByStdio, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import type { Readable, Writable } from 'node:stream';
import { collectLines } from './wait.ts';

export type Holder = ChildProcessByStdio<Writable, Readable, Readable>;

export const CLEAN_ENVIRONMENT: Readonly<Record<string, string>> = {
  PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
  LANG: 'C',
};

/** Starts a process that keeps namespaces alive until its stdin ends, even if we are killed. */
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
  // It ends when this process does, and must not keep it alive when a test forgets it.
  holder.unref();
  for (const stream of holder.stdio) (stream as unknown as { unref(): void } | null)?.unref();
  return holder;
}

/** A host of its own, and the command that enters it. */
export interface HeldHost {
  readonly holder: Holder;
  readonly entrance: readonly string[];
}

/** `script` furnishes it: host.sh beside this file. */
export async function holdHost(script: string): Promise<HeldHost> {
  const userNamespace = process.getuid?.() === 0 ? undefined : await ordinaryUsersNamespace();
  const enterUser = userNamespace === undefined ? [] : enter(userNamespace, ['--user']);
  const unshare = ['unshare', '--mount', '--net', '--propagation', 'private'];
  const holder = await hold([...enterUser, ...unshare, 'bash', script]);
  const namespaces = ['--mount', '--net', ...(userNamespace === undefined ? [] : ['--user'])];
  return { holder, entrance: enter(holder, namespaces) };
}

let ofOrdinaryUser: Promise<Holder> | undefined;

/** One for all hosts of a test file, since a cable between two hosts needs the rights over both. */
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

function enter(holder: Holder, namespaces: readonly string[]): string[] {
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

/** Every rule of the tables that we use goes, whoever made it. */
export const FLUSH_RULES =
  'iptables -w -F; ip6tables -w -F; iptables -w -t raw -F; ip6tables -w -t raw -F';
