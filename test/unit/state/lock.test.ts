// The writer lock, between real processes: one at a time, bounded waits, and no lock outlives its holder.
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

/** Another process that has the lock, and keeps it until it is killed. */
function startHolder(): Promise<ChildProcess> {
  return startWith(`takeWriterLock(${JSON.stringify(directory)}, 0)?.message ?? 'held'`);
}

/** Another process that says `held` once it has done so, and stays. */
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

describe('while another process has it', () => {
  test('it is not taken, and the error names the process after the wait that was asked for', async () => {
    const holder = await startHolder();
    const trouble = takeWriterLock(directory, 300);
    expect(trouble?.code).toBe('LOCK_BUSY');
    expect(trouble?.message).toBe(
      `another firewall-drop (process ${holder.pid}) still holds the writer lock after 0.3 s; try again when it has ended`,
    );
  });

  test('and is stopped by a signal, the wait ends long before its bound, and the error says what helps', async () => {
    const { pid = 0 } = await startHolder();
    process.kill(pid, 'SIGSTOP');
    const waitMs = 15 * 60_000;
    expect(takeWriterLock(directory, waitMs)).toMatchObject({
      code: 'LOCK_BUSY',
      message: `another firewall-drop (process ${pid}) is stopped and holds the writer lock: continue it with kill -CONT ${pid}, or end it with kill -KILL ${pid}`,
    });
  });

  test('a process that asks for it again and again has no more files open', async () => {
    await startHolder();
    const open = readdirSync('/proc/self/fd').length;
    for (let tries = 0; tries < 10; tries += 1) takeWriterLock(directory, 0);
    expect(readdirSync('/proc/self/fd').length).toBeLessThan(open + 5);
  });

  test('a run that may not wait does not', async () => {
    await startHolder();
    expect(takeWriterLock(directory, 0)?.code).toBe('LOCK_BUSY');
  });

  test('nor does one that has less than a millisecond left', async () => {
    await startHolder();
    expect(takeWriterLock(directory, 0.5)?.code).toBe('LOCK_BUSY');
  });
});

test('it is free at once when its holder is killed', async () => {
  const holder = await startHolder();
  expect(takeWriterLock(directory, 0)?.code).toBe('LOCK_BUSY');
  holder.kill('SIGKILL');
  await once(holder, 'exit');
  expect(takeWriterLock(directory, 0)).toBeNull();
});

test('its holder keeps it, though nothing in the program refers to it any more', () => {
  expect(takeWriterLock(directory, 0)).toBeNull();
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  collectGarbage();
  expect(takeWriterLock(directory, 0)?.code).toBe('LOCK_BUSY');
});

test('its file stays empty and is for root alone', () => {
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
    'a link to nothing',
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
])('%s in place of the note of a running process is not opened, and stops nothing', (_, make) => {
  make(join(directory, 'at-work'));
  expect(takeWriterLock(directory, 0)).toBeNull();
  expect(() => {
    releaseWriterLock();
  }).not.toThrow();
});

test('a place where no lock can be is an error of its own, not a held lock', () => {
  const path = join(directory, 'file');
  writeFileSync(path, '');
  expect(takeWriterLock(path, 0)?.code).toBe('STORE');
});

test('that runs without it are at work is known as long as one of them lives', async () => {
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
