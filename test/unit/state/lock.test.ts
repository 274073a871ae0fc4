// The writer lock between real processes: one holder at a time, bounded waits, and no lock outlives its holder.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { isWorkShared, releaseWriterLock, takeWriterLock } from '../../../src/state/lock.ts';
import { isStopped } from '../../../src/system/procfs.ts';
import { eventually } from '../../support/wait.ts';

const LOCK_MODULE = join(__dirname, '../../../src/state/lock.ts');

let directory = '';
const holders: ChildProcess[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'lock-'));
});
afterEach(() => {
  for (const holder of holders.splice(0)) holder.kill('SIGKILL');
  rmSync(directory, { recursive: true });
});

/** Starts another process that holds the lock until it is killed. */
function startHolder(): Promise<ChildProcess> {
  return startWith(`takeWriterLock(${JSON.stringify(directory)}, 0)?.message ?? 'held'`);
}

/** Starts another process that prints `held` once it holds a lock, and keeps it. */
async function startWith(work: string): Promise<ChildProcess> {
  const program = `
    const { shareWork, takeWriterLock } = await import(${JSON.stringify(LOCK_MODULE)});
    console.log(${work});
    setInterval(() => {}, 1000);
  `;
  const holder = spawn(process.execPath, ['--input-type=module', '-e', program], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  holders.push(holder);
  for await (const text of holder.stdout) {
    expect(String(text)).toBe('held\n');
    break;
  }
  return holder;
}

describe('while another process holds the lock', () => {
  test('it is not taken, and the error names the process after the requested wait', async () => {
    const holder = await startHolder();
    const trouble = takeWriterLock(directory, 300);
    expect(trouble?.code).toBe('LOCK_BUSY');
    expect(trouble?.message).toBe(
      `another firewall-drop (process ${holder.pid}) still holds the writer lock after 0.3 s; try again when it has ended`,
    );
  });

  test('and is stopped by a signal, the wait ends early, and the error says what to do', async () => {
    const { pid = 0 } = await startHolder();
    process.kill(pid, 'SIGSTOP');
    const waitMs = 15 * 60_000;
    expect(takeWriterLock(directory, waitMs)).toMatchObject({
      code: 'LOCK_BUSY',
      message: `another firewall-drop (process ${pid}) is stopped and holds the writer lock: continue it with kill -CONT ${pid}, or end it with kill -KILL ${pid}`,
    });
  });

  test('a process that tries repeatedly does not open more files', async () => {
    await startHolder();
    const open = readdirSync('/proc/self/fd').length;
    for (let tries = 0; tries < 10; tries += 1) takeWriterLock(directory, 0);
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(open + 5);
  });

  test('a run without time to wait does not wait', async () => {
    await startHolder();
    expect(takeWriterLock(directory, 0)?.code).toBe('LOCK_BUSY');
  });

  test('a run with less than a millisecond left does not wait', async () => {
    await startHolder();
    expect(takeWriterLock(directory, 0.5)?.code).toBe('LOCK_BUSY');
  });
});

test('the lock is free as soon as its holder is killed', async () => {
  const holder = await startHolder();
  expect(takeWriterLock(directory, 0)?.code).toBe('LOCK_BUSY');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(takeWriterLock(directory, 0)).toBeNull();
});

test('the holder keeps the lock through a garbage collection', () => {
  expect(takeWriterLock(directory, 0)).toBeNull();
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  collectGarbage();
  expect(takeWriterLock(directory, 0)?.code).toBe('LOCK_BUSY');
});

test('the lock file stays empty, and only root can read it', () => {
  const inside = join(directory, 'run');
  expect(takeWriterLock(inside, 0)).toBeNull();
  expect(statSync(inside).mode & 0o777).toBe(0o700);
  expect(statSync(join(inside, 'lock')).size).toBe(0);
});

test.each([
  [
    'a FIFO',
    (path: string): void => {
      execFileSync('mkfifo', [path]);
    },
  ],
  [
    'a dangling link',
    (path: string): void => {
      symlinkSync('/nowhere/at-all', path);
    },
  ],
  [
    'a link to a device',
    (path: string): void => {
      symlinkSync('/dev/ptmx', path);
    },
  ],
  [
    'a directory',
    (path: string): void => {
      mkdirSync(path);
    },
  ],
])('%s at the path of the note is not opened and does not prevent the lock', (_, make) => {
  make(join(directory, 'at-work'));
  expect(takeWriterLock(directory, 0)).toBeNull();
  expect(() => {
    releaseWriterLock();
  }).not.toThrow();
});

test('a path that can not be locked gives another error than a held lock', () => {
  const path = join(directory, 'file');
  writeFileSync(path, '');
  expect(takeWriterLock(path, 0)?.code).toBe('STORE');
});

test('runs without the lock count as working while one of them lives', async () => {
  expect(isWorkShared(directory)).toBe(false);
  const share = `shareWork(${JSON.stringify(directory)}) ?? 'held'`;
  const [one, other] = [await startWith(share), await startWith(share)];
  expect(isWorkShared(directory)).toBe(true);
  one.kill('SIGKILL');
  await once(one, 'close');
  expect(isWorkShared(directory)).toBe(true);
  other.kill('SIGKILL');
  await once(other, 'close');
  expect(isWorkShared(directory)).toBe(false);
  expect(isWorkShared('/nowhere')).toBe(false);
});

test('runs without the lock do not count as working while all of them are stopped', async () => {
  const share = `shareWork(${JSON.stringify(directory)}) ?? 'held'`;
  const [one, other] = [await startWith(share), await startWith(share)];
  one.kill('SIGSTOP');
  await eventually('the first run to stop', () => isStopped(one.pid ?? 0));
  expect(isWorkShared(directory)).toBe(true);
  other.kill('SIGSTOP');
  await eventually('the second run to stop', () => isStopped(other.pid ?? 0));
  expect(isWorkShared(directory)).toBe(false);
  one.kill('SIGCONT');
  await eventually('the first run to continue', () => isWorkShared(directory));
});
