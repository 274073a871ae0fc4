// What runs on this host, and which process holds a lock on a file, read off /proc.
import { readdirSync, readFileSync, readlinkSync, statSync, type Stats } from 'node:fs';
import { orElse } from '../model/errors.ts';
import { readRegularFile } from './files.ts';

export interface Process {
  /** At most 15 characters: the kernel keeps no more. */
  readonly name: string;
  readonly args: readonly string[];
}

const LARGEST_LIST = 64 * 1024;

export function processIds(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number);
}

/** Nothing of one that has ended since it was listed, or is a thread of the kernel. */
function ofEachProcess<T>(look: (pid: number) => T[]): T[] {
  return processIds().flatMap((pid) => orElse([], () => look(pid)));
}

/** The value of a variable in a process's environment; null where it has none of that name, or may not be looked at. */
export function variableOf(pid: number, name: string): string | null {
  const text = orElse('', () => readFileSync(`/proc/${pid}/environ`, 'latin1'));
  const own = text.split('\0').find((one) => one.startsWith(`${name}=`));
  return own?.slice(name.length + 1) ?? null;
}

/** `net:[4026531840]`; empty where the process has ended, or not even root may look at it. */
export function namespaceOf(process: number | 'self', kind: 'net' | 'pid'): string {
  return orElse('', () => readlinkSync(`/proc/${process}/ns/${kind}`));
}

/** The arguments of the other processes that run a program, which may be gone from its place by now. */
export function othersRunning({ dev, ino }: Stats): (readonly string[])[] {
  return ofEachProcess((pid) => {
    const running = statSync(`/proc/${pid}/exe`);
    const isOther = pid !== process.pid && running.dev === dev && running.ino === ino;
    return isOther ? [argsOf(pid)] : [];
  });
}

function argsOf(pid: number): readonly string[] {
  const text = readRegularFile(`/proc/${pid}/cmdline`, LARGEST_LIST).toString('utf8');
  return text.split('\0').slice(0, -1);
}

/** Every process that can be seen; one that ends meanwhile is left out. */
export function listProcesses(): Process[] {
  return ofEachProcess((pid) => {
    const name = readRegularFile(`/proc/${pid}/comm`, LARGEST_LIST).toString('utf8').trim();
    return [{ name, args: argsOf(pid) }];
  });
}

export interface ProcessStat {
  /** One letter: `R` running, `S` sleeping, `T` stopped, and others. */
  readonly state: string;
  readonly parent: number;
  readonly session: number;
}

/** proc(5): the name stands in parentheses and may hold any character; state, parent, group and session follow. */
export function statOf(pid: number): ProcessStat {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [state = '', parent, , session] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state, parent: Number(parent), session: Number(session) };
}

/** Whether a signal has stopped a process (`T`; `t` is a moment of one that is traced); false where there is none any more. */
export function isStopped(pid: number): boolean {
  return orElse(false, () => statOf(pid).state === 'T');
}

const LARGEST_LOCK_LIST = 1024 * 1024;
/** `1: POSIX  ADVISORY  WRITE 4711 00:1a:1337 1073741825 1073742335`: process, and device and inode of the file. */
const HELD_LOCK = /^\d+: POSIX +\S+ +\S+ (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /;

/** The first process that holds a lock on the file; null: none, or none that can be seen from here. */
export function lockHolder(path: string): number | null {
  return orElse(null, () => {
    const { dev, ino } = statSync(path);
    const lines = readRegularFile('/proc/locks', LARGEST_LOCK_LIST).toString('latin1').split('\n');
    for (const line of lines) {
      const [, pid, major, minor, inode] = HELD_LOCK.exec(line) ?? [];
      const isOfFile = Number(inode) === ino && deviceOf(major, minor) === dev;
      // 0: the process is in another namespace.
      if (isOfFile && Number(pid) > 0) return Number(pid);
    }
    return null;
  });
}

/** As stat(2) counts it; makedev(3). */
function deviceOf(major = '', minor = ''): number {
  const [high, low] = [parseInt(major, 16), parseInt(minor, 16)];
  return ((high & 0xfff) << 8) | (low & 0xff) | ((low & 0xfff00) << 12);
}
