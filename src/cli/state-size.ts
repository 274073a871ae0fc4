// How many bytes the state takes on disk.
import { statSync } from 'node:fs';
import { STATE_DIRECTORY } from '../context.ts';

/** The database with its write-ahead log; null when there is no database. */
export function stateBytes(): number | null {
  const [file, log] = ['', '-wal'].map((suffix) => {
    return statSync(`${STATE_DIRECTORY}/state.db${suffix}`, { throwIfNoEntry: false })?.size;
  });
  return file === undefined ? null : file + (log ?? 0);
}
