// Which process holds a lock on a file, as proc(5) says in /proc/locks.
import { statSync } from 'node:fs';
import { readRegularFile } from './files.ts';

const LARGEST_LIST = 1024 * 1024;
/** `1: POSIX  ADVISORY  WRITE 4711 00:1a:1337 1073741825 1073742335`: process, and device and inode of the file. */
const HELD_LOCK = /^\d+: POSIX +\S+ +\S+ (\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) /;

/** The first process that holds a lock on the file; null: none, or none that can be seen from here. */
export function lockHolder(path: string): number | null {
  try {
    const { dev, ino } = statSync(path);
    const lines = readRegularFile('/proc/locks', LARGEST_LIST).toString('latin1').split('\n');
    for (const line of lines) {
      const [, pid, major, minor, inode] = HELD_LOCK.exec(line) ?? [];
      const isOfFile = Number(inode) === ino && deviceOf(major, minor) === dev;
      // 0: the process is in another namespace.
      if (isOfFile && Number(pid) > 0) return Number(pid);
    }
  } catch {
    // The file or the list can't be read: nothing is known.
  }
  return null;
}

/** As stat(2) counts it; makedev(3). */
function deviceOf(major = '', minor = ''): number {
  const [high, low] = [parseInt(major, 16), parseInt(minor, 16)];
  return ((high & 0xfff) << 8) | (low & 0xff) | ((low & 0xfff00) << 12);
}
