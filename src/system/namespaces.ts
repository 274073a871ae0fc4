// Which network namespace this process is in, and whether another one still exists, as far as can be seen from here.
import { readFileSync } from 'node:fs';
import { readBootId } from './clock.ts';
import { namespaceOf, processIds } from './procfs.ts';

export interface Whereabouts {
  /** Changes at every boot; empty where the kernel does not say. */
  readonly bootId: string;
  /** `net:[4026531840]`; empty where there is no /proc. */
  readonly net: string;
  /** `pid:[4026531836]`. */
  readonly pid: string;
}

/** PROC_PID_INIT_INO of linux/proc_ns.h: the process ids of the host itself. */
export const HOST_PID_NAMESPACE = 'pid:[4026531836]';

export function findWhereabouts(): Whereabouts {
  return { bootId: readBootId(), net: namespaceOf('self', 'net'), pid: namespaceOf('self', 'pid') };
}

/** A process in a network namespace, or the path where somebody keeps it open (`ip netns`); null: neither is seen. */
export function inhabitantOf(net: string): string | null {
  const pid = processIds().find((one) => namespaceOf(one, 'net') === net);
  if (pid !== undefined) return `process ${pid}`;
  return mountOf(net, readFileSync('/proc/self/mountinfo', 'utf8'));
}

/** proc(5), mountinfo: the root of the mount is the fourth word, where it is mounted the fifth. */
export function mountOf(net: string, mounts: string): string | null {
  const words = mounts.split('\n').map((line) => line.split(' '));
  return words.find(([, , , root]) => root === net)?.[4] ?? null;
}
