// Defines a check, which inspects the host and returns what it found.
import type { Context } from '../../context.ts';
import type { Process } from '../../system/procfs.ts';
import type { RemedyName } from './remedies.ts';

export type State = 'ok' | 'warning' | 'problem';

export interface Finding {
  readonly state: State;
  readonly what: string;
  /** What a person should do; absent if nothing. */
  readonly fix?: string;
  /** The remedy that `--fix` applies; absent if there is none that is safe without a person. */
  readonly remedy?: RemedyName;
  readonly details?: readonly string[];
}

/** The input of checks, besides the file system. */
export interface Scene {
  readonly context: Context;
  readonly processes: readonly Process[];
}

/** Returns the findings in the order in which they are printed; a check that does not apply returns none. */
export type Check = (scene: Scene) => Finding | readonly Finding[];

export const ok = (what: string): Finding => ({ state: 'ok', what });

const found = (state: State) => {
  return (what: string, fix: string, remedy?: RemedyName): Finding => {
    return { state, what, fix, ...(remedy && { remedy }) };
  };
};

export const warning = found('warning');
export const problem = found('problem');
