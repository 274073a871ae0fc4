// What it takes to ask the host something that costs time, and to remember the answer.
import type { Metadata } from '../state/metadata.ts';
import type { Run } from '../system/exec.ts';

export interface Inquiry {
  readonly store: { readonly metadata: Pick<Metadata, 'getJson' | 'set'> };
  readonly run: Run;
  readonly warn: (problem: string) => void;
  /** False for an alert, which uses what is remembered. */
  readonly mayWait: boolean;
}
