// Caches the parsed content of files in the state, so that an alert does not load a parser while its file is unchanged.
import { statSync, type Stats } from 'node:fs';
import { describeError, orElse } from '../model/errors.ts';
import { isErrno, lookAtRegularFile, stampOf } from '../system/files.ts';
import type { Store } from '../state/store.ts';
import { FROM_SOURCES } from '../model/version.ts';

/** With `lasting: false` the value is not cached, so that the problems are reported on every run. */
interface Parsed<T> {
  readonly value: T;
  readonly lasting: boolean;
}

/** A file whose parsed value is cached as JSON. */
export interface RememberedFile<T> {
  readonly path: string;
  readonly largestBytes: number;
  readonly absent: () => T;
  /**
   * Returns the value for an existing but unusable file; by default, the last cached value, or else that of `absent`.
   */
  readonly unusable?: () => T;
  /** Returns the reason why the file must not be read; empty if there is none. */
  readonly objection?: (stats: Stats) => string;
  readonly parse: (text: string) => Parsed<T>;
  readonly onProblem: (problem: string) => void;
}

/** Returns the value of a file, from the cache if the file has not changed since it was parsed. Never throws. */
export function remember<T>(store: Store, file: RememberedFile<T>): T {
  const recallOr = (stamp: string, parse: () => Parsed<T>): T =>
    (recall(store, file.path, stamp) as T | null) ?? learn(store, file.path, stamp, parse());
  try {
    return lookAtRegularFile(file.path, (stats, read) => {
      const objection = file.objection?.(stats) ?? '';
      if (objection !== '') throw new Error(objection);
      // The stamp is taken before the text is read, so that the next run notices a change in between.
      const stamp = stampOf(stats);
      return recallOr(stamp, () => file.parse(read(file.largestBytes).toString('utf8')));
    });
  } catch (error) {
    if (isErrno(error, 'ENOENT'))
      return recallOr(NO_FILE, () => ({ value: file.absent(), lasting: true }));
    file.onProblem(`${file.path} can't be used: ${describeError(error)}`);
    return file.unusable?.() ?? (recall(store, file.path, null) as T | null) ?? file.absent();
  }
}

const NO_FILE = 'no file';
const SEPARATOR = '\n';

/**
 * Returns the cached value, or null if it is damaged, was written by another version of this program, or does not match
 * the stamp. Without a stamp, returns the last cached value.
 */
function recall(store: Store, path: string, stamp: string | null): unknown {
  const [program, knownStamp, text, copy] = store.metadata.get(path)?.split(SEPARATOR) ?? [];
  if (text === undefined || text !== copy || program !== programStamp()) return null;
  return stamp === null || stamp === knownStamp ? JSON.parse(text) : null;
}

/** Stores the value twice: if the copies differ, the value is damaged. */
function learn<T>(store: Store, path: string, stamp: string, { value, lasting }: Parsed<T>): T {
  if (!lasting) return value;
  const text = JSON.stringify(value);
  store.metadata.set(path, [programStamp(), stamp, text, text].join(SEPARATOR));
  return value;
}

/** The running executable; an upgrade can replace or remove the file at its path. */
const OWN_EXECUTABLE = '/proc/self/exe';
let known: string | null = null;

/** Identifies the program that writes a value, because another version can use another form. */
function programStamp(): string {
  known ??= findStamp();
  return known;
}

function findStamp(): string {
  // If the program runs from its sources, the executable is Node. Then every run uses only its own values.
  const forThisRun = String(process.pid);
  if (FROM_SOURCES) return forThisRun;
  // /proc can be missing.
  return orElse(forThisRun, () => stampOf(statSync(OWN_EXECUTABLE)));
}
