// Kills firewall programs that a killed run left behind, because they could undo changes of the next run.
import { readdirSync, readlinkSync } from 'node:fs';
import { orElse } from '../model/errors.ts';
import { namespaceOf, processIds, statOf, variableOf } from './procfs.ts';
import { deadlineIn, sleep } from './wait.ts';

/** The variable in the environment of every program that we start. Its value is our process id. */
export const STARTED_BY = 'FIREWALL_DROP_STARTED_BY';

/** A killed program disappears immediately unless it is inside a system call that cannot be interrupted. */
const LONGEST_WAIT_MS = 2000;

/** Kills all stale children, waits until they are gone, and returns their number. The caller holds the writer lock. */
export function endStaleChildren(): number {
  const staleChildren = processIds().filter(isStaleChild);
  for (const pid of staleChildren) killGroup(pid);
  const deadline = deadlineIn(LONGEST_WAIT_MS);
  while (staleChildren.some(isStaleChild) && deadline.remainingMs() > 0) sleep(1);
  return staleChildren.length;
}

/** Reports whether a program that a run started has lost that run as its parent. */
function isStaleChild(pid: number): boolean {
  // The process can have ended in the meantime, or not even root can inspect it.
  return orElse(false, () => {
    const starter = variableOf(pid, STARTED_BY);
    return starter !== null && statOf(pid).parent !== Number(starter) && isOurs(pid);
  });
}

/** Excludes processes in containers, whose STARTED_BY counts in another PID namespace, and daemons. */
function isOurs(pid: number): boolean {
  const isHere = (['pid', 'net'] as const).every((kind) => {
    return namespaceOf(pid, kind) === namespaceOf('self', kind);
  });
  return isHere && statOf(pid).session === pid && hasOurPipes(pid);
}

/**
 * We start programs with sockets as standard input, output and error. A daemon closes these, and so is left alone if a
 * wrapper of a firewall program started it.
 */
function hasOurPipes(pid: number): boolean {
  const descriptors = readdirSync(`/proc/${pid}/fd`).filter((name) =>
    ['0', '1', '2'].includes(name),
  );
  return descriptors.some((name) => readlinkSync(`/proc/${pid}/fd/${name}`).startsWith('socket:'));
}

export function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // The process has ended in the meantime. The caller checks that.
  }
}
