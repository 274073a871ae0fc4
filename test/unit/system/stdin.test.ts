// Reads lines from standard input in another process, from pipes, sockets and files, and never past the deadline.
import { spawn, spawnSync, type ChildProcessWithoutNullStreams } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, describe, expect, test } from '@jest/globals';

const SOURCE = join(__dirname, '../../../src/system');

/** Reads a line on each request (`readLine(deadline)`) and prints the result as one line of JSON. */
const READER = `
  const { readLinesFromStdin } = await import('${SOURCE}/stdin.ts');
  const { deadlineIn } = await import('${SOURCE}/wait.ts');
  const { readFileSync } = await import('node:fs');
  const [deadlines, longest] = JSON.parse(process.argv[1]);
  const reader = readLinesFromStdin(longest);
  const say = (value) => console.log(JSON.stringify(value));
  say('ready');
  for (const milliseconds of deadlines) {
    const started = performance.now();
    try {
      const line = reader.readLine(deadlineIn(milliseconds));
      const rest = reader.rest().toString('latin1');
      say({ line: line?.toString('latin1') ?? null, rest, ms: performance.now() - started });
    } catch (error) {
      say({ error: error.message });
    }
  }
  say({ flags: /flags:\\s+(\\d+)/.exec(readFileSync('/proc/self/fdinfo/0', 'latin1'))[1] });
  process.exit(0);
`;

interface Said {
  readonly line?: string | null;
  readonly rest?: string;
  readonly error?: string;
  readonly ms?: number;
  readonly flags?: string;
}

type Means = 'pipe' | 'socket';
const children: ChildProcessWithoutNullStreams[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Returns a reader whose input is a pipe, or the socket that Node creates for a child. */
function startReader(means: Means, deadlines: readonly number[], longest = 1000) {
  const node = ['--input-type=module', '-e', READER, JSON.stringify([deadlines, longest])];
  const child =
    means === 'socket'
      ? spawn(process.execPath, node)
      : spawn('sh', ['-c', 'cat | "$0" "$@"', process.execPath, ...node]);
  children.push(child);
  child.stdin.on('error', () => undefined);
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async (): Promise<Said> => {
    const { value } = (await lines.next()) as { value: string };
    return JSON.parse(value) as Said;
  };
  return { stdin: child.stdin, ready: next, next };
}

describe.each(['pipe', 'socket'] as const)('from a %s', (means) => {
  test('a line is returned without its newline, and later input is kept for the next call', async () => {
    const reader = startReader(means, [600_000, 600_000]);
    reader.stdin.write('first\nsecond\n');
    await reader.ready();
    expect((await reader.next()).line).toBe('first');
    expect((await reader.next()).line).toBe('second');
  });

  test('a line that arrives in parts is one line', async () => {
    const reader = startReader(means, [600_000]);
    await reader.ready();
    for (const piece of ['{"comm', 'and":', '"add"}', '\n']) {
      reader.stdin.write(piece);
      await new Promise(setImmediate);
    }
    expect((await reader.next()).line).toBe('{"command":"add"}');
  });

  test('a text without a newline is not a line, even if the input ends', async () => {
    const reader = startReader(means, [600_000]);
    reader.stdin.end('half a line');
    await reader.ready();
    expect(await reader.next()).toMatchObject({ line: null, rest: 'half a line' });
  });

  test('nothing is read from a silent sender at the deadline', async () => {
    const reader = startReader(means, [300]);
    await reader.ready();
    const { line, ms } = await reader.next();
    expect(line).toBeNull();
    expect(ms).toBeGreaterThan(250);
  });

  test('input before a deadline is kept for the next call', async () => {
    const reader = startReader(means, [300, 600_000]);
    reader.stdin.write('half');
    await reader.ready();
    expect((await reader.next()).line).toBeNull();
    reader.stdin.write(' and half\n');
    expect((await reader.next()).line).toBe('half and half');
  });

  test('an endless line is refused at the limit', async () => {
    const reader = startReader(means, [600_000]);
    reader.stdin.write('x'.repeat(500_000));
    await reader.ready();
    expect((await reader.next()).error).toBe('the line is longer than 1000 bytes');
  });

  test('a line of exactly the limit is read, and one byte more is refused', async () => {
    const reader = startReader(means, [600_000, 600_000]);
    reader.stdin.write(`${'x'.repeat(1000)}\n${'x'.repeat(1001)}\n`);
    await reader.ready();
    expect((await reader.next()).line).toHaveLength(1000);
    expect((await reader.next()).error).toBe('the line is longer than 1000 bytes');
  });

  test('NUL, invalid UTF-8 and carriage return are returned unchanged', async () => {
    const reader = startReader(means, [600_000]);
    reader.stdin.write(Buffer.from('a\0\xff\rb\n', 'latin1'));
    await reader.ready();
    expect((await reader.next()).line).toBe('a\0\xff\rb');
  });

  test('an empty line is a line', async () => {
    const reader = startReader(means, [600_000]);
    reader.stdin.write('\n');
    await reader.ready();
    expect((await reader.next()).line).toBe('');
  });
});

describe('text for a pipe that is not read', () => {
  /** Writes more than a pipe holds. The shell function "node" is the writer. */
  const write = (milliseconds: number, reader: string): string => {
    const code = `
      const { writeInTime } = await import('${SOURCE}/stdin.ts');
      const { deadlineIn } = await import('${SOURCE}/wait.ts');
      const started = performance.now();
      try {
        writeInTime(1, 'x'.repeat(1_000_000), deadlineIn(${milliseconds}));
        console.error('written');
      } catch (error) {
        console.error(error.message, Math.round(performance.now() - started));
      }`;
    const script = `node() { "$0" --input-type=module -e "$1"; }; ${reader}`;
    const { stdout, stderr } = spawnSync('sh', ['-c', script, process.execPath, code], {
      encoding: 'utf8',
    });
    return stdout + stderr;
  };

  test('is abandoned at the deadline', () => {
    // The shell keeps both ends open until the writer has started.
    const nobody = 'f=$(mktemp -u); mkfifo $f; exec 9<>$f; rm $f; node "$1" >&9';
    const [, ms = ''] = /the output was not read in time (\d+)/.exec(write(300, nobody)) ?? [];
    expect(Number(ms)).toBeGreaterThanOrEqual(300);
  });

  test('is written completely when it is read', () => {
    expect(write(600_000, 'node "$1" | (sleep 0.3; wc -c)')).toMatch(/^1000000\nwritten/);
  });

  test('is an error immediately if the reader is gone', () => {
    expect(write(600_000, 'node "$1" | true')).toContain('EPIPE');
  });
});

test.each([
  ['1>&-', 'standard output is closed'],
  ['1>/dev/null', 'written'],
  ['| cat >/dev/null', 'written'],
])('text for a standard output with the redirection %s gives: %s', (redirection, outcome) => {
  const code = `
    const { writeToStdout } = await import('${SOURCE}/stdin.ts');
    const { deadlineIn } = await import('${SOURCE}/wait.ts');
    const { writeSync } = await import('node:fs');
    let outcome = 'written';
    try {
      writeToStdout('keys', deadlineIn(20_000));
    } catch (error) {
      outcome = error.message;
    }
    writeSync(2, outcome);`;
  const script = `"$0" --input-type=module -e "$1" ${redirection}`;
  const { stderr } = spawnSync('sh', ['-c', script, process.execPath, code], { encoding: 'utf8' });
  expect(stderr).toBe(outcome);
});

test('a shared pipe does not become non-blocking for other processes', async () => {
  const reader = startReader('pipe', [600_000]);
  reader.stdin.write('line\n');
  await reader.ready();
  await reader.next();
  const { flags = '' } = await reader.next();
  expect(Number.parseInt(flags, 8) & 0o4000).toBe(0);
});

test('a file is read like a pipe', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pipe-'));
  try {
    const path = join(directory, 'message');
    writeFileSync(path, 'first\nsecond\n');
    const script = `exec "$0" "$@" < '${path}'`;
    const args = [
      '--input-type=module',
      '-e',
      READER,
      JSON.stringify([[600_000, 600_000, 600_000], 99]),
    ];
    const child = spawn('sh', ['-c', script, process.execPath, ...args]);
    children.push(child);
    let printed = '';
    child.stdout.on('data', (text) => (printed += String(text)));
    await once(child, 'close');
    const lines = [...printed.matchAll(/"line":("\w+"|null)/g)].map(([, line]) => line);
    expect(lines).toEqual(['"first"', '"second"', 'null']);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
