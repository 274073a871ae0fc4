// What stands outside of the file that is checked, and decides what it means.
import type { Diagnosis } from './diagnosis.ts';
import type { KnownRules } from './rules.ts';
import type { XmlDocument } from './xml.ts';

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

export interface ExecutableTrouble {
  readonly severity: Diagnosis['severity'];
  readonly cause: string;
  readonly fix: string;
}
