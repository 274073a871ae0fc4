// What a person's terminal can do, and what goes to it: lines, a pager for long output, and a bar for long work.
import { openSync, readSync, writeSync } from 'node:fs';
import type * as Tty from 'node:tty';
import { AppError } from '../../model/errors.ts';
import { findProgram, runPager, type Pager } from '../../system/exec.ts';
import { isErrno } from '../../system/files.ts';
import { isTerminal, writeAll } from '../../system/stdin.ts';
import { deadlineIn, monotonicMs } from '../../system/wait.ts';
import type { Terminal } from '../session.ts';

/** Colours only on a terminal that has them, and never against NO_COLOR (no-color.org). */
export function inspectTerminal(environment: NodeJS.ProcessEnv): Terminal {
  const output = isTerminal(1) ? openOutput() : null;
  const wanted = (environment['NO_COLOR'] ?? '') === '' && environment['TERM'] !== 'dumb';
  return {
    // A serial line, or a terminal that a program made, may not know its width.
    width: output !== null && output.columns > 0 ? output.columns : null,
    height: output !== null && output.rows > 0 ? output.rows : null,
    colours: output !== null && wanted,
    watchesErrors: isTerminal(2),
    ask: isTerminal(0) && isTerminal(2) ? ask : null,
  };
}

/** The module brings that of the network with it, which takes 3 ms: for a terminal only. */
function openOutput(): Tty.WriteStream {
  const { WriteStream } = require('node:tty') as typeof Tty;
  return new WriteStream(1);
}

function ask(question: string): string {
  writeSync(2, question);
  const descriptor = openSync('/dev/tty', 'r');
  const buffer = Buffer.alloc(256);
  const answer = buffer.toString('utf8', 0, readSync(descriptor, buffer));
  // After Ctrl-D the question stands there without a line end.
  if (!answer.endsWith('\n')) writeSync(2, '\n');
  return answer.trim();
}

/** Standard output. Writes at once, and remembers why something could not be written. */
export class Output {
  #trouble: unknown = null;

  line(text: string): void {
    try {
      writeAll(1, Buffer.from(`${text}\n`), deadlineIn(Infinity));
    } catch (error) {
      // A full disk under the output is no reason to stop between two changes of the kernel: the exit status says so.
      if (!isErrno(error, 'EPIPE')) this.#trouble ??= error;
    }
  }

  /** Throws `OUTPUT` where not all was written. A reader that went away (`| head`) has seen what it wanted. */
  check(): void {
    if (this.#trouble === null) return;
    throw new AppError('OUTPUT', "standard output can't be written", this.#trouble);
  }
}

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * Long output goes through a pager, as git's does: $PAGER, or less; null where nothing is to be used. Who may run this
 * program by sudo must not get a shell of root out of it: less runs in its secure mode, and no other pager is started under
 * sudo.
 */
export function choosePager(environment: Environment): Pick<Pager, 'path' | 'args'> | null {
  const [name = '', ...args] = (environment['PAGER'] ?? 'less').split(/\s+/).filter(Boolean);
  const program = name.split('/').at(-1) ?? '';
  const isSafe = program === 'less' || environment['SUDO_UID'] === undefined;
  if (program === '' || program === 'cat' || environment['TERM'] === 'dumb') return null;
  const path = findProgram(isSafe ? program : 'less');
  return path === null ? null : { path, args: isSafe ? args : [] };
}

/** Shows lines; false where no pager is to be used, or it could not be started. */
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

/** A bar on standard error for work that takes more than a moment: none in the first half second, nor where nobody watches. */
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
