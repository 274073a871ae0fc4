// Ends firewall programs whose run was killed: they could still undo what the next run does.
import { readdirSync, readlinkSync } from 'node:fs';
import { orElse } from '../model/errors.ts';
import { namespaceOf, processIds, statOf, variableOf } from './procfs.ts';
import { deadlineIn, sleep } from './wait.ts';

/** In the environment of all that we start: our process id. */
export const STARTED_BY = 'FIREWALL_DROP_STARTED_BY';

/** A killed program is gone at once, unless the kernel is at work for it. */
const LONGEST_WAIT_MS = 2000;

/** Ends them, waits until they are gone, and returns how many there were. The caller holds the writer lock. */
export function endStaleChildren(): number {
  const staleChildren = processIds().filter(isStaleChild);
  for (const pid of staleChildren) killGroup(pid);
  const deadline = deadlineIn(LONGEST_WAIT_MS);
  while (staleChildren.some(isStaleChild) && deadline.remainingMs() > 0) sleep(1);
  return staleChildren.length;
}

/** Its parent is no longer the run that started it. */
function isStaleChild(pid: number): boolean {
  // It may have ended meanwhile, or not even root may look at it.
  return orElse(false, () => {
    const starter = variableOf(pid, STARTED_BY);
    return starter !== null && statOf(pid).parent !== Number(starter) && isOurs(pid);
  });
}

/** A program in a container is not ours, and its process ids are counted differently. */
function isOurs(pid: number): boolean {
  const isHere = (['pid', 'net'] as const).every((kind) => {
    return namespaceOf(pid, kind) === namespaceOf('self', kind);
  });
  return isHere && statOf(pid).session === pid && hasOurPipes(pid);
}

/** We start programs with sockets as standard input, output and error. A daemon, which a wrapper may start, closes them. */
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
    // It has ended meanwhile. Whether it has is checked next.
  }
}
