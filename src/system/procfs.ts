// Finds out from /proc and /run what runs on this host: the time since boot, its processes, namespaces and services,
// and which process holds a lock on a file.
import { readdirSync, readFileSync, readlinkSync, statSync, type Stats, lstatSync } from 'node:fs';
import { orElse } from '../model/errors.ts';
import { readRegularFile, textOrEmpty } from './files.ts';

export interface Process {
  /** The name, which the kernel cuts to 15 characters. */
  readonly name: string;
  readonly args: readonly string[];
}

const LARGEST_LIST = 64 * 1024;

export function processIds(): number[] {
  return readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number);
}

/**
 * Collects the results for all processes. Skips a process for which `look` throws, because it has ended in the meantime
 * or, if `look` reads its executable, is a kernel thread.
 */
function ofEachProcess<T>(look: (pid: number) => T[]): T[] {
  return processIds().flatMap((pid) => orElse([], () => look(pid)));
}

/** Returns a variable in the environment of a process; null if it is not set or the process cannot be inspected. */
export function variableOf(pid: number, name: string): string | null {
  const text = orElse('', () => readFileSync(`/proc/${pid}/environ`, 'latin1'));
  const own = text.split('\0').find((one) => one.startsWith(`${name}=`));
  return own?.slice(name.length + 1) ?? null;
}

/** Returns `net:[4026531840]`; empty if the process has ended or not even root can inspect it. */
export function namespaceOf(process: number | 'self', kind: 'net' | 'pid'): string {
  return orElse('', () => readlinkSync(`/proc/${process}/ns/${kind}`));
}

/** Returns the arguments of each other process that runs a program, even if the program's file has been deleted. */
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

/** Returns every visible process, except those that end in the meantime. */
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

/** Parses `/proc/PID/stat` (proc(5)). The name in parentheses can contain any character, so parsing starts after it. */
export function statOf(pid: number): ProcessStat {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [state = '', parent, , session] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { state, parent: Number(parent), session: Number(session) };
}

/**
 * Reports whether a signal has stopped a process (`T`). A process that a tracer has stopped is in state `t` and does
 * not count. Returns false if the process has ended.
 */
export function isStopped(pid: number): boolean {
  return orElse(false, () => statOf(pid).state === 'T');
}

const LARGEST_LOCK_LIST = 1024 * 1024;
/** Matches the process, device and inode in `1: POSIX  ADVISORY  WRITE 4711 00:1a:1337 1073741825 1073742335`. */
const HELD_LOCK = /^\d+: POSIX +\S+ +\S+ (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /;

/** Returns the first process that holds a lock on the file; null if there is none or it is not visible. */
export function lockHolder(path: string): number | null {
  return lockHolders(path).find((pid) => pid > 0) ?? null;
}

/** Returns the processes that hold a lock on the file. The id of a process in another PID namespace is 0. */
export function lockHolders(path: string): number[] {
  return orElse([], () => {
    const { dev, ino } = statSync(path);
    const lines = readRegularFile('/proc/locks', LARGEST_LOCK_LIST).toString('latin1').split('\n');
    return lines.flatMap((line) => {
      const [, pid, major, minor, inode] = HELD_LOCK.exec(line) ?? [];
      return Number(inode) === ino && deviceOf(major, minor) === dev ? [Number(pid)] : [];
    });
  });
}

/** Combines a device number as stat(2) returns it (makedev(3)). */
function deviceOf(major = '', minor = ''): number {
  const [high, low] = [parseInt(major, 16), parseInt(minor, 16)];
  return ((high & 0xfff) << 8) | (low & 0xff) | ((low & 0xfff00) << 12);
}

export interface Whereabouts {
  /** An id that changes at every boot; empty if it cannot be read. */
  readonly bootId: string;
  /** `net:[4026531840]`; empty without /proc. */
  readonly net: string;
  /** `pid:[4026531836]`. */
  readonly pid: string;
}

/** The PID namespace of the host itself: PROC_PID_INIT_INO of linux/proc_ns.h. */
export const HOST_PID_NAMESPACE = 'pid:[4026531836]';

export function findWhereabouts(): Whereabouts {
  return { bootId: readBootId(), net: namespaceOf('self', 'net'), pid: namespaceOf('self', 'pid') };
}

/** Names a process in a network namespace, or else the namespace's mount point (`ip netns`); null if there is none. */
export function inhabitantOf(net: string): string | null {
  const pid = processIds().find((one) => namespaceOf(one, 'net') === net);
  if (pid !== undefined) return `process ${pid}`;
  return mountOf(net, readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** Returns the mount point of a namespace. In mountinfo (proc(5)), it is word 5, after the root of the mount. */
export function mountOf(net: string, mounts: string): string | null {
  const words = mounts.split('\n').map((line) => line.split(' '));
  return words.find(([, , , root]) => root === net)?.[4] ?? null;
}

/** A directory that exists if systemd runs on this host (sd_booted(3)). */
export const SYSTEMD_RUNS = '/run/systemd/system';

/**
 * Reports whether firewalld is active. systemd (since version 237) keeps a dangling symbolic link for each active unit;
 * without systemd, the daemon writes a file with its process id.
 */
export function isFirewalldActive(): boolean {
  const signs = ['/run/systemd/units/invocation:firewalld.service', '/run/firewalld.pid'];
  return signs.some((path) => lstatSync(path, { throwIfNoEntry: false }) !== undefined);
}

export interface ClockReading {
  /** An id that changes at every boot; empty if it cannot be read. */
  readonly bootId: string;
  /** The milliseconds since boot, including time in suspend. */
  readonly uptimeMs: number;
  readonly wallMs: number;
}

export function readClock(wallMs = Date.now()): ClockReading {
  return { bootId: readBootId(), uptimeMs: readUptimeMs(), wallMs };
}

function readBootId(): string {
  return textOrEmpty('/proc/sys/kernel/random/boot_id').trim();
}

/**
 * Reads /proc/uptime instead of loading node:os at every start. Returns 0 without /proc; then remaining times are only
 * capped.
 */
function readUptimeMs(): number {
  return Number(textOrEmpty('/proc/uptime').split(' ', 1)[0]) * 1000;
}
