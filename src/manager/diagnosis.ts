// What is wrong with a file, where, and what to do about it; and what stands outside of the file and decides what it means.
import type { KnownRules } from './rules.ts';
import type { Position, XmlDocument } from './xml.ts';

export interface Diagnosis extends Position {
  /** An error stops blocking or mailing; a warning may be meant so. */
  readonly severity: 'error' | 'warning';
  readonly cause: string;
  readonly fix: string;
}

const found = (severity: Diagnosis['severity']) => {
  return ({ line, column }: Position, cause: string, fix: string): Diagnosis[] => {
    return [{ severity, line, column, cause, fix }];
  };
};

/** One finding, as a list: a check that finds nothing has none. */
export const error = found('error');
export const warning = found('warning');

export interface Surroundings {
  readonly dialect: 'wazuh' | 'ossec';
  readonly rules: KnownRules;
  /** Which ids are known for certain not to exist when they are not in `rules`. */
  readonly knowsRule: (id: number) => boolean;
  /** What is wrong with an executable on this host, and what to do; null when nothing is, or it is not known. */
  readonly inspectExecutable: (name: string) => ExecutableTrouble | null;
  /** What is checked together with this file, and reported apart from it. */
  readonly otherFiles: readonly OtherFile[];
}

export interface OtherFile {
  readonly path: string;
  readonly document: XmlDocument;
}

export type ExecutableTrouble = Omit<Diagnosis, keyof Position>;
