// Defines a diagnosis of a file, and the facts outside the file that a check depends on.
import type { KnownRules } from './rules.ts';
import type { Position, XmlDocument } from './xml.ts';

export interface Diagnosis extends Position {
  /** An error prevents blocks or mail; a warning can be intended. */
  readonly severity: 'error' | 'warning';
  readonly cause: string;
  readonly fix: string;
}

const found = (severity: Diagnosis['severity']) => {
  return ({ line, column }: Position, cause: string, fix: string): Diagnosis[] => {
    return [{ severity, line, column, cause, fix }];
  };
};

/** Returns a list with one diagnosis, since a check returns a list that can be empty. */
export const error = found('error');
export const warning = found('warning');

export interface Surroundings {
  readonly dialect: 'wazuh' | 'ossec';
  readonly rules: KnownRules;
  /** Reports whether an id that is not in `rules` certainly does not exist. */
  readonly knowsRule: (id: number) => boolean;
  /** Checks an executable on this host; null if it is good or can't be checked. */
  readonly inspectExecutable: (name: string) => ExecutableTrouble | null;
  /** The files that are checked together with this one, and reported separately. */
  readonly otherFiles: readonly OtherFile[];
}

export interface OtherFile {
  readonly path: string;
  readonly document: XmlDocument;
}

export type ExecutableTrouble = Omit<Diagnosis, keyof Position>;
