// What it takes to ask the host something that costs time, and to remember the answer.
import type { Store } from '../state/store.ts';
import type { Run } from '../system/exec.ts';

export interface Inquiry {
  readonly store: Pick<Store, 'metadataJson' | 'setMetadata'>;
  readonly run: Run;
  readonly warn: (problem: string) => void;
  /** False for an alert, which uses what is remembered. */
  readonly mayWait: boolean;
}
