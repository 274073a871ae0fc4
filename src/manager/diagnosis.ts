// What is wrong with a file, where, and what to do about it.
import type { Position } from './xml.ts';

export interface Diagnosis extends Position {
  /** An error stops blocking or mailing; a warning may be meant so. */
  readonly severity: 'error' | 'warning';
  readonly cause: string;
  readonly fix: string;
}

/** A diagnosis about a place. */
export function diagnose(
  severity: Diagnosis['severity'],
  { line, column }: Position,
  cause: string,
  fix: string,
): Diagnosis {
  return { severity, line, column, cause, fix };
}
