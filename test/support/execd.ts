/**
 * Stands in for wazuh-execd 4, wazuh-execd 5 and ossec-execd. Runs as a separate program inside a host. Unlike them, it
 * lets a response in progress finish when it receives TERM.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  close as closeCallback,
  closeSync,
  read as readCallback,
  write as writeCallback,
} from 'node:fs';
import { createInterface } from 'node:readline';
import { parseArgs, promisify } from 'node:util';
import type { JsonObject } from './alerts.ts';
import type { AddReport, DeleteReport, Mode, Order, Report } from './execd-protocol.ts';
import { createPipe } from './pipe.ts';

type Alert = Extract<Order, { do: 'alert' }>;
type Exchange = Pick<AddReport, 'keyLine' | 'keyLineAfterMs' | 'answer'>;
type Ending = Pick<AddReport, 'status' | 'signal' | 'durationMs'>;

interface Entry {
  readonly key: string;
  readonly release: () => Promise<Ending>;
  addedAtMs: number;
  timeoutSeconds: number;
}

const read = promisify(readCallback);
const write = promisify(writeCallback);
const close = promisify(closeCallback);

/** execd reads the key line with fgets into 8,192 bytes. */
const KEY_LINE_BYTES = 8191;

const { values } = parseArgs({
  options: {
    mode: { type: 'string' },
    home: { type: 'string' },
    'check-every-ms': { type: 'string' },
  },
});
const mode = values.mode as Mode;
const home = values.home ?? '/var/ossec';
const timeoutList: Entry[] = [];

// The variable is for this program only. The programs that it starts inherit the rest of its environment.
delete process.env['NODE_COMPILE_CACHE'];

// One task at a time, as in execd's single loop.
let underWay = Promise.resolve();
let checksWaiting = 0;
function afterwards(task: () => Promise<void>): void {
  underWay = underWay.then(task);
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const order = JSON.parse(line) as Order;
  if (order.do === 'list') {
    afterwards(() => tell({ report: 'list', id: order.id, keys: timeoutList.map((e) => e.key) }));
    return;
  }
  if (order.do === 'expire') {
    for (const entry of timeoutList) entry.addedAtMs = -Infinity;
    return;
  }
  if (order.do === 'know') {
    const { name, address, timeoutSeconds, message } = order;
    const [key, program] = [`${name}-${address}`, `active-response/bin/${name}`];
    decide(key, timeoutSeconds, () => deleteWazuh(key, program, withProgram(message, program)));
    return;
  }
  afterwards(async () => {
    await (mode === 'ossec' ? addOssec(order) : addWazuh(order));
    await releaseExpired();
  });
});
// The test has died, so no clean end is needed.
process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'));

setInterval(() => {
  if (checksWaiting > 0) return;
  checksWaiting += 1;
  afterwards(async () => {
    checksWaiting -= 1;
    await releaseExpired();
  });
}, Number(values['check-every-ms']));

for (const signal of ['SIGTERM', 'SIGINT', 'SIGQUIT'] as const) {
  process.on(signal, () => {
    afterwards(async () => {
      await release(timeoutList.splice(0));
      process.exit(0);
    });
  });
}

afterwards(() => tell({ report: 'ready' }));

async function addWazuh(alert: Alert): Promise<void> {
  const program = `active-response/bin/${alert.name}`;
  const message = withProgram(alert.message as JsonObject, program);
  const startedAtMs = performance.now();
  const toProgram = createPipe();
  const fromProgram = createPipe();
  const child = startWazuh(program, toProgram.readFd, fromProgram.writeFd);
  await tell({ report: 'started', key: alert.name, pid: child.pid ?? 0 });

  await send(toProgram.writeFd, withCommand(message, mode === 'wazuh4' ? 'add' : 'enable'));
  const keyLine = await readLine(fromProgram.readFd);
  const keyLineAfterMs = performance.now() - startedAtMs;
  const key = `${alert.name}${keysIn(keyLine)}`;
  const answer =
    keyLine === ''
      ? 'none'
      : decide(key, alert.timeoutSeconds, () => deleteWazuh(key, program, message));
  if (answer !== 'none') await send(toProgram.writeFd, withCommand(message, answer));
  await Promise.all([close(toProgram.writeFd), close(fromProgram.readFd)]);

  const exchange: Exchange = { keyLine, keyLineAfterMs, answer };
  await tell({
    report: 'add',
    id: alert.id,
    key,
    ...exchange,
    ...(await ending(child, startedAtMs)),
  });
}

async function deleteWazuh(key: string, program: string, message: JsonObject): Promise<Ending> {
  const startedAtMs = performance.now();
  const toProgram = createPipe();
  const child = startWazuh(program, toProgram.readFd, 'ignore');
  await tell({ report: 'started', key, pid: child.pid ?? 0 });
  await send(toProgram.writeFd, withCommand(message, mode === 'wazuh4' ? 'delete' : 'disable'));
  await close(toProgram.writeFd);
  return ending(child, startedAtMs);
}

function startWazuh(program: string, stdin: number, stdout: number | 'ignore'): ChildProcess {
  const child = startDeaf([program], {
    cwd: home,
    detached: true,
    stdio: [stdin, stdout, 'ignore'],
  });
  closeSync(stdin);
  if (stdout !== 'ignore') closeSync(stdout);
  return child;
}

async function addOssec(alert: Alert): Promise<void> {
  const program = `${home}/active-response/bin/${alert.name}`;
  const words = alert.message as readonly string[];
  const key = `${alert.name}-${words[1] ?? ''}`;
  const start = (action: string): Promise<Ending> => startOssec(key, [program, action, ...words]);
  const known = decide(key, alert.timeoutSeconds, () => start('delete')) === 'abort';
  const run = known ? { status: null, signal: null, durationMs: 0 } : await start('add');
  const exchange: Exchange = { keyLine: '', keyLineAfterMs: 0, answer: known ? 'skipped' : 'none' };
  await tell({ report: 'add', id: alert.id, key, ...exchange, ...run });
}

/** Starts the program without waiting for it, so its exit status is unknown. */
async function startOssec(key: string, argv: readonly string[]): Promise<Ending> {
  const child = startDeaf(argv, { cwd: '/', detached: false, stdio: 'ignore' });
  child.unref();
  await tell({ report: 'started', key, pid: child.pid ?? 0 });
  return { status: null, signal: null, durationMs: 0 };
}

/**
 * Starts a program that ignores HUP, as execd's children do. `env` sets this, because Node resets the signals of a
 * child.
 */
function startDeaf(argv: readonly string[], options: Parameters<typeof spawn>[2]): ChildProcess {
  return spawn('env', ['--ignore-signal=HUP', ...argv], options);
}

function decide(key: string, timeoutSeconds: number, run: Entry['release']): 'continue' | 'abort' {
  if (timeoutSeconds === 0) return 'continue';
  const known = timeoutList.find((entry) => entry.key === key);
  if (known === undefined) {
    timeoutList.push({ key, timeoutSeconds, addedAtMs: performance.now(), release: run });
    return 'continue';
  }
  known.addedAtMs = performance.now();
  known.timeoutSeconds = timeoutSeconds;
  return 'abort';
}

async function releaseExpired(): Promise<void> {
  // execd compares whole seconds with "greater than", so releases come up to a second later.
  const expired = timeoutList.filter(
    ({ addedAtMs, timeoutSeconds }) => performance.now() - addedAtMs > (timeoutSeconds + 1) * 1000,
  );
  for (const entry of expired) timeoutList.splice(timeoutList.indexOf(entry), 1);
  await release(expired);
}

async function release(entries: readonly Entry[]): Promise<void> {
  for (const { key, addedAtMs, release: run } of entries) {
    const ageMs = performance.now() - addedAtMs;
    const report: DeleteReport = { report: 'delete', key, ageMs, ...(await run()) };
    await tell(report);
  }
}

/** Returns the keys of a check_keys message; empty for any other line, for which execd uses the bare program name. */
function keysIn(keyLine: string): string {
  try {
    const message = JSON.parse(keyLine) as { command?: unknown; parameters?: { keys?: unknown } };
    const keys = message.command === 'check_keys' ? message.parameters?.keys : undefined;
    return Array.isArray(keys) ? keys.map((key) => `-${String(key)}`).join('') : '';
  } catch {
    return '';
  }
}

function withProgram(message: JsonObject, program: string): JsonObject {
  if (mode === 'wazuh5') return message;
  return { ...message, parameters: { ...(message['parameters'] as JsonObject), program } };
}

/** Returns the message with another command. Wazuh 4 replaces the command in place, Wazuh 5 appends it. */
function withCommand(message: JsonObject, command: string): string {
  const rest = Object.entries(message).filter(([name]) => mode === 'wazuh4' || name !== 'command');
  return `${JSON.stringify({ ...Object.fromEntries(rest), command })}\n`;
}

/** Writes a line. Ignores a program that does not read, as execd does. */
async function send(fd: number, line: string): Promise<void> {
  const bytes = Buffer.from(line);
  for (let sent = 0; sent < bytes.length;) {
    const written = await write(fd, bytes, sent).catch(() => undefined);
    if (written === undefined) return;
    sent += written.bytesWritten;
  }
}

/** Reads like fgets: to the end of the line, to the end of the stream, or until the buffer is full. */
async function readLine(fd: number): Promise<string> {
  const buffer = Buffer.alloc(KEY_LINE_BYTES);
  let length = 0;
  while (length < buffer.length && !buffer.subarray(0, length).includes('\n')) {
    const { bytesRead } = await read(fd, buffer, length, buffer.length - length, null);
    if (bytesRead === 0) break;
    length += bytesRead;
  }
  const text = buffer.toString('utf8', 0, length);
  return text.slice(0, text.indexOf('\n') + 1 || undefined);
}

async function ending(child: ChildProcess, startedAtMs: number): Promise<Ending> {
  if (child.exitCode === null && child.signalCode === null) await once(child, 'exit');
  const durationMs = performance.now() - startedAtMs;
  return { status: child.exitCode, signal: child.signalCode, durationMs };
}

/** Writes a report. Callers await it, so that the report is written before the process ends. */
function tell(report: Report): Promise<void> {
  return new Promise((resolve) => {
    process.stdout.write(`${JSON.stringify(report)}\n`, () => {
      resolve();
    });
  });
}
