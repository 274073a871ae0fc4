// Defines a check: `probe` inspects the host, and the pure `evaluate` turns what it found into findings.
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

export interface Check {
  readonly name: string;
  /** Returns the findings in the order in which they are printed. */
  run(scene: Scene): readonly Finding[];
}

interface CheckSpec<Facts, Findings> {
  readonly name: string;
  readonly probe: (scene: Scene) => Facts;
  readonly evaluate: (facts: Facts) => Findings;
}

export function defineCheck<Facts, Findings extends Finding | readonly Finding[]>(
  spec: CheckSpec<Facts, Findings>,
): CheckSpec<Facts, Findings> & Check {
  return { ...spec, run: (scene) => [spec.evaluate(spec.probe(scene))].flat() };
}

export const ok = (what: string): Finding => ({ state: 'ok', what });

const found = (state: State) => {
  return (what: string, fix: string, remedy?: RemedyName): Finding => {
    return { state, what, fix, ...(remedy && { remedy }) };
  };
};

export const warning = found('warning');
export const problem = found('problem');
