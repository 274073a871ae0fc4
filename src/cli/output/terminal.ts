// Inspects the terminal and writes to it: lines, a pager for long output, and a progress bar.
import { openSync, readSync, writeSync } from 'node:fs';
import type * as Tty from 'node:tty';
import { AppError } from '../../model/errors.ts';
import { findProgram, runPager, type Pager } from '../../system/exec.ts';
import { isErrno } from '../../system/files.ts';
import { isTerminal, writeAll } from '../../system/stdin.ts';
import { deadlineIn, monotonicMs } from '../../system/wait.ts';
import type { Terminal } from '../session.ts';

/**
 * Inspects standard input, output and error. Colours are off without a terminal and if NO_COLOR is set (no-color.org).
 */
export function inspectTerminal(environment: NodeJS.ProcessEnv): Terminal {
  const output = isTerminal(1) ? openOutput() : null;
  const wanted = (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  return {
    // The size of a serial line or a pseudo-terminal can be unknown.
    width: output !== null && output.columns > 0 ? output.columns : null,
    height: output !== null && output.rows > 0 ? output.rows : null,
    colours: output !== null && wanted,
    watchesErrors: isTerminal(2),
    ask: isTerminal(0) && isTerminal(2) ? ask : null,
  };
}

/** Loads the module only for a terminal, because it loads node:net, which takes 3 ms. */
function openOutput(): Tty.WriteStream {
  const { WriteStream } = require('node:tty') as typeof Tty;
  return new WriteStream(1);
}

function ask(question: string): string {
  writeSync(2, question);
  const descriptor = openSync('/dev/tty', 'r');
  const buffer = Buffer.alloc(256);
  const answer = buffer.toString('utf8', 0, readSync(descriptor, buffer));
  // Ctrl-D leaves the cursor behind the question.
  if (!answer.endsWith('\n')) writeSync(2, '\n');
  return answer.trim();
}

/** Standard output. Writes without buffering and remembers the first error. */
export class Output {
  #trouble: unknown = null;

  line(text: string): void {
    try {
      writeAll(1, Buffer.from(`${text}\n`), deadlineIn(Infinity));
    } catch (error) {
      // An error here, such as a full disk, must not stop a run between two changes of the kernel. `check` reports it.
      if (!isErrno(error, 'EPIPE')) this.#trouble ??= error;
    }
  }

  /** Throws `OUTPUT` if a line could not be written. A reader that closed the pipe (`| head`) is not an error. */
  check(): void {
    if (this.#trouble === null) return;
    throw new AppError('OUTPUT', "can't write to standard output", this.#trouble);
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Chooses the pager for long output, as git does: $PAGER, or less; null if none is wanted or found. A user who can run
 * only this program with sudo must not get a root shell from the pager. Therefore less runs in its secure mode, and no
 * other pager is started under sudo.
 */
export function choosePager(environment: Environment): Pick<Pager, 'path' | 'args'> | null {
  const [name = '', ...args] = (environment['PAGER'] ?? 'less').split(/\s+/).filter(Boolean);
  const program = name.split('/').at(-1) ?? '';
  const isSafe = program === 'less' || environment['SUDO_UID'] === undefined;
  if (program === '' || program === 'cat' || environment['TERM'] === 'dumb') return null;
  const path = findProgram(isSafe ? program : 'less');
  return path === null ? null : { path, args: isSafe ? args : [] };
}

/** Shows lines in a pager. Returns false if none is wanted or it could not be started. */
export function page(lines: readonly string[], environment: Environment): boolean {
  const pager = choosePager(environment);
  if (pager === null) return false;
  const { TERM = '', LESS = 'FRX', LANG = '', LC_ALL = '' } = environment;
  const variables = { TERM, LESS, LANG, LC_ALL, LESSSECURE: '1' };
  return runPager({ ...pager, environment: variables, input: `${lines.join('\n')}\n` });
}

const PATIENCE_MS = 500;
const REDRAW_MS = 100;
const BAR_CHARACTERS = 30;

/** Returns a progress bar on standard error. It appears after half a second, and only on a terminal. */
export function startProgress({ watchesErrors }: Terminal): {
  readonly update: (done: number, total: number) => void;
  readonly end: () => void;
} {
  const started = monotonicMs();
  let drawn = 0;
  const end = (): void => {
    if (drawn > 0) writeSync(2, '\r\u001b[K');
    drawn = 0;
  };
  const update = (done: number, total: number): void => {
    const now = monotonicMs();
    if (watchesErrors && now - started >= PATIENCE_MS && now - drawn >= REDRAW_MS) {
      drawn = now;
      const filled = Math.round((BAR_CHARACTERS * done) / Math.max(1, total));
      const bar = '#'.repeat(filled).padEnd(BAR_CHARACTERS, '.');
      writeSync(2, `\rworking [${bar}] ${done}/${total}`);
    }
    if (done === total) end();
  };
  return { update, end };
}
