// What the commands of a person share: the context, the lock, and a place to print.
import { AppError } from '../model/errors.ts';
import type { Context } from '../context.ts';
import type { Command } from '../system/exec.ts';

/** What a command works with. */
export interface Person {
  readonly createContext: (options?: { readonly readOnly: boolean }) => Context;
  /** A line to standard output. */
  readonly print: (line: string) => void;
  /** A line to standard error. */
  readonly complain: (line: string) => void;
  /** The peer of the SSH session that this person came by; null when there is none. */
  readonly loggedInFrom: string | null;
  readonly terminal: Terminal;
}

export interface Terminal {
  /** Standard output's width in characters; null when it is no terminal. */
  readonly width: number | null;
  readonly colours: boolean;
  /** Whether progress on standard error reaches somebody. */
  readonly watchesErrors: boolean;
  /** Asks on the terminal; null when nobody can answer. */
  readonly ask: ((question: string) => string) | null;
}

/** Before anything else: without root nothing here can work. */
export function requireRoot(): void {
  if (process.geteuid?.() === 0) return;
  throw new AppError('NOT_ROOT', 'only root can use this: try again with sudo');
}

/** The context with the writer lock and an earlier run's work finished; a person is told to come back instead of racing. */
export function enterForChange(person: Person): Context {
  const context = person.createContext();
  enter(context);
  return context;
}

/** The same for a context that is there already. */
export function enter(context: Context): void {
  const trouble = context.lock();
  if (trouble !== null) throw trouble;
  context.settle();
}

/** The commands that would be run, and what they would read, for `--dry-run`. */
export function printSteps(steps: readonly Command[], { print }: Person): void {
  if (steps.length === 0) print('nothing to do: the kernel is as asked');
  for (const { program, args, input } of steps) {
    const line = `${program} ${args.join(' ')}`;
    if (input === '') {
      print(line);
      continue;
    }
    print(`${line} <<END`);
    for (const line of input.trimEnd().split('\n')) print(`  ${line}`);
    print('END');
  }
}
