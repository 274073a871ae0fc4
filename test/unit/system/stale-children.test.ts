// Ends programs that a killed run has left at work, and nothing else.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from '@jest/globals';
import { endStaleChildren, STARTED_BY } from '../../../src/system/stale-children.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** As our programs are started: a session of its own, sockets, and who started it in its environment. */
async function start(
  starter: number | null,
  { detached = true, stdio = 'pipe' }: Pick<SpawnOptions, 'detached' | 'stdio'> = {},
): Promise<ChildProcess> {
  const env = starter === null ? {} : { [STARTED_BY]: String(starter) };
  const child = spawn('/bin/sleep', ['60'], { detached, env, stdio });
  children.push(child);
  await once(child, 'spawn');
  return child;
}

const isAlive = (child: ChildProcess): boolean =>
  child.exitCode === null && child.signalCode === null;

/** Of nobody: the highest that Linux gives is lower. */
const DEAD = 2 ** 22 + 1;

test('a program whose starter is not its parent any more is ended, and gone on return', async () => {
  const child = await start(DEAD);
  const ended = once(child, 'exit');
  expect(endStaleChildren()).toBe(1);
  expect(endStaleChildren()).toBe(0);
  await ended;
  expect(child.signalCode).toBe('SIGKILL');
});

test('a child of a living run goes on, and so do strangers and what a program started in its own session', async () => {
  const others = [
    await start(process.pid),
    await start(null),
    await start(DEAD, { detached: false }),
  ];
  expect(endStaleChildren()).toBe(0);
  expect(others.map(isAlive)).toEqual([true, true, true]);
});

test('a daemon with a session of its own goes on, though a killed run started its wrapper', async () => {
  const daemon = await start(DEAD, { stdio: 'ignore' });
  expect(endStaleChildren()).toBe(0);
  expect(isAlive(daemon)).toBe(true);
});
