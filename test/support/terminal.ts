/** A real terminal inside a host, made by script(1), with the size that a test asks for. */
import { once } from 'node:events';
import type { TestHost } from './host.ts';
import { eventually } from './wait.ts';

export interface Screen {
  readonly status: number | null;
  /** All that reached the terminal, control sequences and what was typed included; line ends are `\n`. */
  readonly output: string;
}

export interface ScreenOptions {
  /** Without this the terminal does not know its size, as on a serial line. */
  readonly columns?: number;
  /** What is typed, line end included, once the screen shows the question. */
  readonly answer?: { readonly to: string; readonly typed: string };
  readonly variables?: Readonly<Record<string, string>>;
}

/** Runs a program whose input, output and errors are all the terminal. */
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
  // Its stdin stays open: at its end script(1) may lose the status, or wait for ever.
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

/** What a person sees of it in the end: without colours, and of a line that was drawn over only the last. */
export function seen({ output }: Screen): string[] {
  const lines = output.trimEnd().split('\n');
  return lines.map((line) => {
    // eslint-disable-next-line no-control-regex -- terminals are told so
    const plain = line.replace(/\u001b\[[0-9;]*m/g, '');
    // eslint-disable-next-line no-control-regex -- as above
    const cleared = plain.split(/\r?\u001b\[K/).at(-1) ?? '';
    return cleared.split('\r').filter(Boolean).at(-1) ?? '';
  });
}

function quoteForShell(word: string): string {
  return `'${word.replaceAll("'", String.raw`'\''`)}'`;
}
