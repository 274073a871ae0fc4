// The remedies of `doctor --fix`. None of them loses data, or changes what is blocked on purpose.
import { chmodSync, fchmodSync, fchownSync } from 'node:fs';
import { dirname } from 'node:path';
import { STATE_DIRECTORY } from '../../context.ts';
import { closing, openLogForAppend } from '../../system/files.ts';
import { restoreAll } from '../restore.ts';
import { enterForChange, type Person } from '../session.ts';
import { lstatOrNull, statOrNull } from '../../system/paths.ts';

export type RemedyName = 'make the log' | 'mend the log' | 'state modes' | 'restore';

/**
 * The remedies in the order in which they are applied: `restore` comes last, because it uses the state and the log. Each
 * returns what it did and throws if it fails.
 */
export const REMEDIES: Readonly<Record<RemedyName, (person: Person) => string>> = {
  'state modes': () => {
    chmodSync(STATE_DIRECTORY, 0o700);
    for (const suffix of ['', '-wal', '-shm']) {
      const path = `${STATE_DIRECTORY}/state.db${suffix}`;
      if (lstatOrNull(path)?.isFile() === true) chmodSync(path, 0o600);
    }
    return `${STATE_DIRECTORY} is readable by root only`;
  },
  'make the log': repairLog,
  'mend the log': repairLog,
  restore: (person) => {
    const printed: string[] = [];
    const context = enterForChange(person);
    try {
      restoreAll(context, { ...person, print: (line) => printed.push(line) });
    } finally {
      context.close();
    }
    return printed.join('; ');
  },
};

function repairLog(person: Person): string {
  const context = person.createContext();
  context.close();
  const { path } = context.responseLog;
  const directory = statOrNull(dirname(path));
  // Use the descriptor, because the path can be replaced with a symbolic link at any moment.
  closing(openLogForAppend(path), (descriptor) => {
    fchmodSync(descriptor, 0o660);
    if (directory !== null) fchownSync(descriptor, directory.uid, directory.gid);
  });
  return `${path} has the owner of its directory and mode 0660`;
}
