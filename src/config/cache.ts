// Remembers what a file says, so that an alert need not load the file's parser again while the file stays as it is.
import { statSync, type Stats } from 'node:fs';
import { describeError, orElse } from '../model/errors.ts';
import { isErrno, lookAtRegularFile, stampOf } from '../system/files.ts';
import type { Store } from '../state/store.ts';
import { FROM_SOURCES } from '../model/version.ts';

/** With `lasting: false` the value is not remembered, and its problems are reported each time. */
interface Parsed<T> {
  readonly value: T;
  readonly lasting: boolean;
}

/** Its value is kept as JSON. */
export interface RememberedFile<T> {
  readonly path: string;
  readonly largestBytes: number;
  readonly absent: () => T;
  /** What holds when there is one and it can't be used; without this, its content when last read, or `absent`. */
  readonly unusable?: () => T;
  /** Why the file must not be read; empty when it may. */
  readonly objection?: (stats: Stats) => string;
  readonly parse: (text: string) => Parsed<T>;
  readonly onProblem: (problem: string) => void;
}

/** The value of a file, from the state where the file is as it was when last parsed. Never throws. */
export function remember<T>(store: Store, file: RememberedFile<T>): T {
  const recallOr = (stamp: string, parse: () => Parsed<T>): T =>
    (recall(store, file.path, stamp) as T | null) ?? learn(store, file.path, stamp, parse());
  try {
    return lookAtRegularFile(file.path, (stats, read) => {
      const objection = file.objection?.(stats) ?? '';
      if (objection !== '') throw new Error(objection);
      // Taken before the text is read: a change in between makes the next run read again.
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

/** Without a stamp: the content when last read. Null for what another program wrote, or what was damaged. */
function recall(store: Store, path: string, stamp: string | null): unknown {
  const [program, knownStamp, text, copy] = store.metadata.get(path)?.split(SEPARATOR) ?? [];
  if (text === undefined || text !== copy || program !== programStamp()) return null;
  return stamp === null || stamp === knownStamp ? JSON.parse(text) : null;
}

/** The value twice: where the two differ, one was damaged. */
function learn<T>(store: Store, path: string, stamp: string, { value, lasting }: Parsed<T>): T {
  if (!lasting) return value;
  const text = JSON.stringify(value);
  store.metadata.set(path, [programStamp(), stamp, text, text].join(SEPARATOR));
  return value;
}

/** Not by its path, where an upgrade may have put another program, or none. */
const OWN_EXECUTABLE = '/proc/self/exe';
let known: string | null = null;

/** Which program wrote a value: its shape may be another's. */
function programStamp(): string {
  known ??= findStamp();
  return known;
}

function findStamp(): string {
  // Sources change while their runtime stays: what one run of them remembers is for itself alone.
  const forThisRun = String(process.pid);
  if (FROM_SOURCES) return forThisRun;
  // There may be no /proc.
  return orElse(forThisRun, () => stampOf(statSync(OWN_EXECUTABLE)));
}
