// What commands share: the context, the lock, and where to print.
import { EXIT_STATUS } from '../model/errors.ts';
import type { Context } from '../context.ts';
import type { CommandSpec } from './command.ts';
import { count } from './output/count.ts';

/** What a command works with. */
export interface Person {
  readonly createContext: (options?: { readonly readOnly: boolean }) => Context;
  /** A line to standard output; nothing with --quiet. */
  readonly print: (line: string) => void;
  /** A line to standard error. */
  readonly complain: (line: string) => void;
  /** The same for what is no error; nothing with --quiet. */
  readonly note: (line: string) => void;
  /** The user who gave the command, for the history. */
  readonly name: string;
  /** The peer of this person's SSH session; null when there is none. */
  readonly loggedInFrom: string | null;
  readonly terminal: Terminal;
  /** All that there are. */
  readonly commands: readonly CommandSpec[];
}

export interface Terminal {
  /** Standard output's width in characters; null when it is no terminal. */
  readonly width: number | null;
  /** Its height in lines; null when it is not known. */
  readonly height: number | null;
  readonly colours: boolean;
  /** Whether progress on standard error reaches somebody. */
  readonly watchesErrors: boolean;
  /** Asks on the terminal; null when nobody can answer. */
  readonly ask: ((question: string) => string) | null;
}

/** Of a command that only looks and has no other answer than 0: where nothing of the state could be read, what it printed is no answer. */
export function statusOfLook({ store }: Context): number {
  return store.unread ? EXIT_STATUS.STORE : 0;
}

/** A context with the writer lock and the pending changes of an earlier run completed. Throws `LOCK_BUSY`. */
export function enterForChange(person: Person): Context {
  const context = person.createContext();
  enter(context, person);
  return context;
}

/** The same for a context that is there already. Returns how many changes were completed. */
export function enter(context: Context, { note }: Person): number {
  const trouble = context.lock();
  if (trouble !== null) throw trouble;
  const pending = context.store.bans.pending().length;
  context.recover(null);
  const completed = pending - context.store.bans.pending().length;
  // Where the state can't be written, changes of runs that were not interrupted are pending each time.
  if (completed > 0 && !context.store.volatile) {
    note(`an earlier run was interrupted: ${count(completed, 'pending change')} completed`);
  }
  return completed;
}
