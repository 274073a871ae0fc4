// What runs on this host, read off /proc.
import { readdirSync, readFileSync } from 'node:fs';
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

/** The value of a variable in a process's environment; null where it has none of that name, or may not be looked at. */
export function variableOf(pid: number, name: string): string | null {
  try {
    const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
    return variables.find((one) => one.startsWith(`${name}=`))?.slice(name.length + 1) ?? null;
  } catch {
    return null;
  }
}

/** Every process that can be seen; one that ends meanwhile is left out. */
export function listProcesses(): Process[] {
  return processIds().flatMap((pid) => {
    try {
      const read = (file: string): string => {
        return readRegularFile(`/proc/${pid}/${file}`, LARGEST_LIST).toString('utf8');
      };
      return [{ name: read('comm').trim(), args: read('cmdline').split('\0').slice(0, -1) }];
    } catch {
      // It has ended since its directory was listed.
      return [];
    }
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
  try {
    return statOf(pid).state === 'T';
  } catch {
    // It has ended meanwhile, and what it held with it.
    return false;
  }
}
