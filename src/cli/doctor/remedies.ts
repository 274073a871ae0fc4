// What `doctor --fix` may do: only what loses no data and changes nothing that is blocked or not blocked on purpose.
import { chmodSync, fchmodSync, fchownSync } from 'node:fs';
import { dirname } from 'node:path';
import { STATE_DIRECTORY } from '../../context.ts';
import { closing, openLogForAppend } from '../../system/files.ts';
import { restoreAll } from '../restore.ts';
import { enterForChange, type Person } from '../session.ts';
import { lstatOrNull, statOrNull } from '../../system/paths.ts';

export type RemedyName = 'make the log' | 'mend the log' | 'state modes' | 'restore';

/** In the order in which they are applied: the state comes before the rules that are restored from it. Throws what went wrong. */
export const REMEDIES: Readonly<Record<RemedyName, (person: Person) => string>> = {
  'state modes': () => {
    chmodSync(STATE_DIRECTORY, 0o700);
    for (const suffix of ['', '-wal', '-shm']) {
      const path = `${STATE_DIRECTORY}/state.db${suffix}`;
      if (lstatOrNull(path)?.isFile() === true) chmodSync(path, 0o600);
    }
    return `${STATE_DIRECTORY} is readable by root only`;
  },
  'make the log': furnishLog,
  'mend the log': furnishLog,
  restore: (person) => {
    const said: string[] = [];
    const context = enterForChange(person);
    try {
      restoreAll(context, { ...person, print: (line) => said.push(line) });
    } finally {
      context.close();
    }
    return said.join('; ');
  },
};

function furnishLog(person: Person): string {
  const context = person.createContext();
  context.close();
  const { path } = context.responseLog;
  const directory = statOrNull(dirname(path));
  // Through the descriptor: the name may be turned into a link at any moment.
  closing(openLogForAppend(path), (descriptor) => {
    fchmodSync(descriptor, 0o660);
    if (directory !== null) fchownSync(descriptor, directory.uid, directory.gid);
  });
  return `${path} has its directory's owner and mode 0660`;
}
