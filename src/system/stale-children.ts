// Firewall programs whose run was killed: what they are still about to do would come after the next run's work.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { deadlineIn, sleep } from './wait.ts';

/** In the environment of all that we start: our process id. */
export const STARTED_BY = 'FIREWALL_DROP_STARTED_BY';

/** A killed program is gone at once, unless the kernel is at work for it. */
const LONGEST_WAIT_MS = 2000;

/** Ends them, and waits until they are gone. Returns how many there were. For who knows that no other run is at work. */
export function endStaleChildren(): number {
  const staleChildren = readdirSync('/proc')
    .filter((entry) => /^[0-9]+$/.test(entry))
    .map(Number)
    .filter(isStaleChild);
  for (const pid of staleChildren) killGroup(pid);
  const deadline = deadlineIn(LONGEST_WAIT_MS);
  while (staleChildren.some(isStaleChild) && deadline.remainingMs() > 0) sleep(1);
  return staleChildren.length;
}

/** Whoever started it is no longer its parent. */
function isStaleChild(pid: number): boolean {
  try {
    const starter = starterOf(pid);
    return starter !== null && statOf(pid).parent !== starter && isOurs(pid);
  } catch {
    // It has ended meanwhile, or belongs to somebody whom even root may not look at.
    return false;
  }
}

function starterOf(pid: number): number | null {
  const variables = readFileSync(`/proc/${pid}/environ`, 'latin1').split('\0');
  const marked = variables.find((variable) => variable.startsWith(`${STARTED_BY}=`));
  return marked === undefined ? null : Number(marked.slice(STARTED_BY.length + 1));
}

/** A container's is none of ours, and counts its processes differently; a daemon that a wrapper started leads no session of ours. */
function isOurs(pid: number): boolean {
  const isHere = ['pid', 'net'].every((kind) => {
    return readlinkSync(`/proc/${pid}/ns/${kind}`) === readlinkSync(`/proc/self/ns/${kind}`);
  });
  return isHere && statOf(pid).session === pid;
}

/** proc(5): the name stands in parentheses and may hold any; state, parent, group and session follow. */
function statOf(pid: number): { readonly parent: number; readonly session: number } {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const [, parent, , session] = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return { parent: Number(parent), session: Number(session) };
}

function killGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It has ended meanwhile, which is what was wanted; whether it has is asked next.
  }
}
