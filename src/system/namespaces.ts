// Identifies this process's network namespace, and finds out whether another namespace is still in use.
import { readFileSync } from 'node:fs';
import { readBootId } from './clock.ts';
import { namespaceOf, processIds } from './procfs.ts';

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
