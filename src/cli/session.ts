// What commands share: the context, the writer lock and the output.
import { EXIT_STATUS } from '../model/errors.ts';
import type { Context } from '../context.ts';
import type { CommandSpec } from './command.ts';
import { count } from './output/count.ts';

/** The person who runs a command, with the means to create a context and to print. */
export interface Person {
  readonly createContext: (options?: { readonly readOnly: boolean }) => Context;
  /** Prints a line to standard output; nothing with --quiet. */
  readonly print: (line: string) => void;
  /** Prints a line to standard error. */
  readonly complain: (line: string) => void;
  /** Prints a line that is not an error to standard error; nothing with --quiet. */
  readonly note: (line: string) => void;
  /** The name of the user who runs the command, for the history. */
  readonly name: string;
  /** The peer address of the person's SSH session; null if there is none. */
  readonly loggedInFrom: string | null;
  readonly terminal: Terminal;
  /** All commands. */
  readonly commands: readonly CommandSpec[];
}

export interface Terminal {
  /** The width of standard output in characters; null if it is not a terminal. */
  readonly width: number | null;
  /** The height of standard output in lines; null if unknown. */
  readonly height: number | null;
  readonly colours: boolean;
  /** True if standard error is a terminal, so that progress can be shown there. */
  readonly watchesErrors: boolean;
  /** Asks a question on the terminal and returns the answer; null if there is no terminal. */
  readonly ask: ((question: string) => string) | null;
}

/** Returns the exit status of a command that depends on the whole state: `STORE` if the state could not be read. */
export function statusOfReading({ store }: Context): number {
  return store.unread ? EXIT_STATUS.STORE : 0;
}

/** Creates a context, takes the writer lock and completes pending changes of an earlier run. Throws `LOCK_BUSY`. */
export function enterForChange(person: Person): Context {
  const context = person.createContext();
  enter(context, person);
  return context;
}

/** Takes the writer lock for a context and completes pending changes. Returns the number of completed changes. */
export function enter(context: Context, { note }: Person): number {
  const trouble = context.lock();
  if (trouble !== null) throw trouble;
  const pending = context.store.bans.pending().length;
  context.recover(null);
  const completed = pending - context.store.bans.pending().length;
  // If the state can't be written, changes are pending after every run, not only after an interrupted one.
  if (completed > 0 && !context.store.volatile) {
    note(`an earlier run was interrupted: ${count(completed, 'pending change')} completed`);
  }
  return completed;
}
