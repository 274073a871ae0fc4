// What the terminal of a person can do, found out once.
import { openSync, readSync, writeSync } from 'node:fs';
import type * as Tty from 'node:tty';
import { isTerminal } from '../../system/stdin.ts';
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
