// Remembers the content of a file, so that an alert need not load the parser again while the file stays as it is.
import type { Stats } from 'node:fs';
import { describeError } from '../model/errors.ts';
import { isErrno, lookAtRegularFile, stampOf } from '../system/files.ts';
import type { Store } from '../state/store.ts';

export interface RememberedFile<T> {
  readonly path: string;
  readonly largestBytes: number;
  /** What holds when there is no such file. */
  readonly absent: T;
  /** What holds when there is one and it can't be used; without this, its content when last read, or `absent`. */
  readonly unusable?: () => T;
  /** Why the file must not be read; empty when it may. */
  readonly objection?: (stats: Stats) => string;
  /** Reads the file's text. With `lasting: false` the value is not remembered, and its problems are reported each time. */
  readonly parse: (text: string) => { readonly value: T; readonly lasting: boolean };
  readonly toJson: (value: T) => string;
  /** Null when the text was written by another version. */
  readonly fromJson: (text: string) => T | null;
  readonly onProblem: (problem: string) => void;
}

/** The value of a file, from the state where the file is as it was when last parsed. Never throws. */
export function remember<T>(store: Store, file: RememberedFile<T>): T {
  try {
    return lookAtRegularFile(file.path, (stats, read) => {
      const objection = file.objection?.(stats) ?? '';
      if (objection !== '') throw new Error(objection);
      // Taken before the text is read: a change in between makes the next run read again.
      const stamp = JSON.stringify(stampOf(stats));
      return recall(store, file, stamp) ?? learn(store, file, stamp, read(file.largestBytes));
    });
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return file.absent;
    file.onProblem(`${file.path} can't be used: ${describeError(error)}`);
    return file.unusable?.() ?? recall(store, file, null) ?? file.absent;
  }
}

const SEPARATOR = '\n';

/** Without a stamp: the content when last read. */
function recall<T>(store: Store, file: RememberedFile<T>, stamp: string | null): T | null {
  const [knownStamp, text] = store.metadata.get(file.path)?.split(SEPARATOR, 2) ?? [];
  if (text === undefined || (stamp !== null && knownStamp !== stamp)) return null;
  try {
    return file.fromJson(text);
  } catch {
    // Not written by us, or by another version: the file itself is asked.
    return null;
  }
}

function learn<T>(store: Store, file: RememberedFile<T>, stamp: string, content: Buffer): T {
  const { value, lasting } = file.parse(content.toString('utf8'));
  if (lasting) store.metadata.set(file.path, `${stamp}${SEPARATOR}${file.toJson(value)}`);
  return value;
}
