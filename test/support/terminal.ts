/** Runs programs on a real terminal inside a host, made by script(1). */
import { once } from 'node:events';
import type { TestHost } from './host.ts';
import { eventually } from './wait.ts';

export interface Screen {
  readonly status: number | null;
  /** The complete output on the terminal, including control sequences and typed text. Lines end with `\n`. */
  readonly output: string;
}

export interface ScreenOptions {
  /** The width of the terminal. If absent, the terminal has no size, as a serial line. */
  readonly columns?: number;
  /** The text to type, including the line feed, when the screen shows the question `to`. */
  readonly answer?: { readonly to: string; readonly typed: string };
  readonly variables?: Readonly<Record<string, string>>;
}

/** Runs a program with the terminal as its standard input, output and error. */
export async function runOnTerminal(
  host: TestHost,
  argv: readonly string[],
  { columns, answer, variables = {} }: ScreenOptions = {},
): Promise<Screen> {
  const size = columns === undefined ? '' : `stty cols ${columns} rows 24; `;
  const given = Object.entries({ TERM: 'xterm', ...variables }).map(([name, value]) => {
    return `${name}=${value}`;
  });
  const command = `${size}exec ${['env', ...given, ...argv].map(quoteForShell).join(' ')}`;
  // Stdin stays open, because script(1) can lose the status or wait forever when stdin ends.
  const child = host.spawn(['script', '-qec', command, '/dev/null']);
  const closed = once(child, 'close');
  let output = '';
  child.stdout?.setEncoding('utf8').on('data', (piece: string) => (output += piece));
  try {
    if (answer !== undefined) {
      await eventually(`the question ${answer.to}`, () => output.includes(answer.to));
      child.stdin?.write(answer.typed);
    }
    const ended = (): boolean => child.exitCode !== null || child.signalCode !== null;
    await eventually(`the end of ${argv.join(' ')}`, ended);
    await closed;
  } finally {
    child.kill('SIGKILL');
  }
  return { status: child.exitCode, output: output.replaceAll('\r\n', '\n') };
}

/** Returns the lines that a person sees at the end: without colours, and with overwritten lines in their last form. */
export function seen({ output }: Screen): string[] {
  const lines = output.trimEnd().split('\n');
  return lines.map((line) => {
    // eslint-disable-next-line no-control-regex -- matches escape sequences
    const plain = line.replace(/\u001b\[[0-9;]*m/g, '');
    // eslint-disable-next-line no-control-regex -- as above
    const cleared = plain.split(/\r?\u001b\[K/).at(-1) ?? '';
    return cleared.split('\r').filter(Boolean).at(-1) ?? '';
  });
}

function quoteForShell(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
