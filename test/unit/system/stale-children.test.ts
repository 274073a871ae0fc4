// Kills programs that a killed run left behind, and no others.
import { type ChildProcess, spawn, type SpawnOptions } from 'node:child_process';
import { once } from 'node:events';
import { afterEach, expect, test } from '@jest/globals';
import { endStaleChildren, STARTED_BY } from '../../../src/system/exec.ts';

const children: ChildProcess[] = [];
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});

/** Starts a program as ours are: with a session of its own, sockets, and its starter in the environment. */
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

/** A process id that is never used: it is above the highest one on Linux. */
const DEAD = 2 ** 22 + 1;

test('a program whose starter is no longer its parent is killed and gone on return', async () => {
  const child = await start(DEAD);
  const ended = once(child, 'exit');
  expect(endStaleChildren()).toBe(1);
  expect(endStaleChildren()).toBe(0);
  await ended;
  expect(child.signalCode).toBe('SIGKILL');
});

test('children of a running run, foreign programs, and programs that lead no session continue', async () => {
  const others = [
    await start(process.pid),
    await start(null),
    await start(DEAD, { detached: false }),
  ];
  expect(endStaleChildren()).toBe(0);
  expect(others.map(isAlive)).toEqual([true, true, true]);
});

test('a daemon with its own session continues even if a killed run started its wrapper', async () => {
  const daemon = await start(DEAD, { stdio: 'ignore' });
  expect(endStaleChildren()).toBe(0);
  expect(isAlive(daemon)).toBe(true);
});
