/** Sends real packets between hosts: a block must stop them, and a release must let them through again. */
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import type { TestHost } from './host.ts';
import type { ConnectTarget } from './inside-protocol.ts';
import { TEST_PROGRAM_ENVIRONMENT } from './namespaces.ts';
import { collectLines, eventually } from './wait.ts';

export interface Listener {
  close(): Promise<void>;
}

export interface Connection {
  /** Reports whether the text came back in time. */
  exchange(text: string, options?: { readonly timeoutMs?: number }): Promise<boolean>;
  close(): Promise<void>;
}

/** The time to wait for the answer to a ping. The kernel answers, so it suffices on slow machines, too. */
const PING_SILENCE_MS = 1000;
/** The shortest time to wait for the answer of a program. Twice the client's start-up time is used if it is longer. */
const SILENCE_MS = 400;

interface PingOptions {
  readonly sourceAddress?: string;
  readonly timeoutMs?: number;
}

/** Reports whether an echo request is answered. */
export function canPing(from: TestHost, address: string, options: PingOptions = {}): boolean {
  return canPingEach(from, [address], options)[0] === true;
}

/**
 * Reports for each address whether an echo request is answered. Sends all at once, so that it waits for silence only
 * once.
 */
export function canPingEach(
  from: TestHost,
  addresses: readonly string[],
  { sourceAddress, timeoutMs = PING_SILENCE_MS }: PingOptions = {},
): boolean[] {
  const source = sourceAddress === undefined ? '' : `-I ${sourceAddress}`;
  const ping = `ping -n -q -c 1 -W ${timeoutMs / 1000} ${source} "$each" >/dev/null`;
  const script = `for each; do (${ping}; echo "$each $?") & done; wait`;
  const lines = from.must(['bash', '-c', script, 'ping', ...addresses]).split('\n');
  return addresses.map((address) => {
    const status = lines.find((line) => line.startsWith(`${address} `))?.split(' ')[1];
    if (status === '0' || status === '1') return status === '0';
    throw new Error(`ping ${address} from ${from.name}: status ${String(status)}`);
  });
}

/** Starts a TCP echo server for IPv4 and IPv6. */
export async function listen(host: TestHost, port: number): Promise<Listener> {
  const server = startEcho(host, ['listen', String(port)]);
  const lines = linesOf(server);
  await eventually(`a listener on port ${port} of ${host.name}`, () => lines.includes('listening'));
  return { close: () => closeEcho(server) };
}

/**
 * Reports whether a connection opens; false if nothing answers. Throws if the connection is refused, because nothing
 * listens.
 */
export function canConnect(from: TestHost, target: ConnectTarget): boolean {
  return canConnectToEach(from, [target])[0] === true;
}

/** Does the same for several targets at once. The kernel answers, so the timeout suffices on slow machines, too. */
export function canConnectToEach(from: TestHost, targets: readonly ConnectTarget[]): boolean[] {
  return from.connect(targets, SILENCE_MS).map((outcome, index) => {
    if (outcome === 'connected') return true;
    if (outcome === 'silent' || outcome === 'ETIMEDOUT') return false;
    const target = targets[index];
    throw new Error(`${target && named(from, target)}: ${outcome}`);
  });
}

export async function openConnection(from: TestHost, target: ConnectTarget): Promise<Connection> {
  const { address, port, sourceAddress } = target;
  const source = sourceAddress === undefined ? [] : [sourceAddress];
  const beganMs = performance.now();
  const client = startEcho(from, ['connect', address, String(port), ...source]);
  const lines = linesOf(client);
  await eventually(`${named(from, target)} to begin`, () => lines.includes('connecting'));
  const silenceMs = Math.max(SILENCE_MS, 2 * (performance.now() - beganMs));
  const answer = await eventually(named(from, target), () => lines[1]);
  if (answer === 'connected') return connectionOver(client, lines, silenceMs);
  await closeEcho(client);
  throw new Error(`${named(from, target)}: ${answer}`);
}

function connectionOver(client: ChildProcess, lines: string[], silenceMs: number): Connection {
  // The server can have closed the connection. In this case nothing comes back.
  client.stdin?.on('error', () => undefined);
  let sent = 0;
  return {
    exchange: async (text, { timeoutMs = silenceMs } = {}) => {
      // Numbered, because an earlier text can still arrive.
      const line = `${++sent} ${text}`;
      client.stdin?.write(`${line}\n`);
      const cameBack = eventually('the echo', () => lines.includes(line), { timeoutMs });
      return cameBack.catch(() => false);
    },
    close: () => closeEcho(client),
  };
}

function startEcho(host: TestHost, words: readonly string[]): ChildProcess {
  return host.spawn([process.execPath, join(__dirname, 'echo.ts'), ...words], {
    stdio: ['pipe', 'pipe', 'inherit'],
    env: TEST_PROGRAM_ENVIRONMENT,
  });
}

function linesOf({ stdout }: ChildProcess): string[] {
  if (stdout === null) throw new Error('stdout is not a pipe');
  return collectLines(stdout);
}

async function closeEcho(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill('SIGKILL');
  await ended;
}

function named(from: TestHost, { address, port }: ConnectTarget): string {
  return `a connection from ${from.name} to ${address} port ${port}`;
}
