// Defines a step of an installation: the desired state, a test for it, and the way to reach it.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { orThrow } from '../../model/errors.ts';
import { lstatOrNull, textOrNull } from '../../system/paths.ts';
import type { Person } from '../session.ts';

export interface Step {
  /** The state in words: `/etc/firewall-drop/config.toml exists`. */
  readonly state: string;
  readonly holds: () => boolean;
  readonly reach: () => void;
}

export function stepToRemove(path: string, state = `${path} is removed`): Step {
  return { state, holds: () => lstatOrNull(path) === null, reach: () => rmSync(path) };
}

export function stepToWrite(
  path: string,
  text: string,
  state: string,
  holds = () => textOrNull(path) === text,
): Step {
  return {
    state,
    holds,
    reach: () => {
      writeFileSync(path, text);
      // cron and logrotate ignore a file that users other than root can write.
      chmodSync(path, 0o644);
    },
  };
}

/**
 * Reaches every state that does not hold yet, in order, and prints it; a dry run only prints. Throws `FILE` if a step
 * fails.
 */
export function reachAll(steps: readonly Step[], dryRun: boolean, person: Person): void {
  if (reachEach(steps, dryRun, person) === 0) person.print('everything is in place already');
}

/** Does the same, but prints nothing if there is nothing to do. Returns the number of states that did not hold. */
export function reachEach(steps: readonly Step[], dryRun: boolean, { print }: Person): number {
  let changed = 0;
  for (const { state, holds, reach } of steps) {
    const failure = `failed at this step: ${state}. Correct the cause and run the command again; completed steps are kept`;
    if (orThrow('FILE', failure, holds)) continue;
    changed += 1;
    if (!dryRun) orThrow('FILE', failure, reach);
    print(`${dryRun ? 'would be done' : 'done'}: ${state}`);
  }
  return changed;
}
