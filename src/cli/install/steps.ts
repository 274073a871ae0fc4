// A step of an installation: a state that shall hold, how to see that it does, and how to get there.
import { chmodSync, rmSync, writeFileSync } from 'node:fs';
import { orThrow } from '../../model/errors.ts';
import { lstatOrNull, textOrNull } from '../../system/paths.ts';
import type { Person } from '../session.ts';

export interface Step {
  /** The state in words: `/etc/firewall-drop/config.toml is there`. */
  readonly state: string;
  readonly holds: () => boolean;
  readonly reach: () => void;
}

export const NOTHING_TO_DO = 'everything is in place already';

export function stepToRemove(path: string, state = `${path} is gone`): Step {
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
      // cron and logrotate pass over a file that others than root may write.
      chmodSync(path, 0o644);
    },
  };
}

/** Reaches every state that does not hold yet, in order, and says so; a dry run only says. Throws `FILE`. */
export function reachAll(steps: readonly Step[], dryRun: boolean, person: Person): void {
  if (reachEach(steps, dryRun, person) === 0) person.print(NOTHING_TO_DO);
}

/** The same without a word where there is nothing to do. Returns how many did not hold. */
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
