// Reads and appends to files in directories that other users own.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  closeSync,
  lchownSync,
  linkSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from '@jest/globals';
import { appendLine, openLogForAppend, readRegularFile } from '../../../src/system/files.ts';
import { ownDirectory } from '../support/directory.ts';

const directory = ownDirectory();

function makeFifo(): string {
  const path = join(directory, 'fifo');
  expect(spawnSync('mkfifo', [path]).status).toBe(0);
  return path;
}

describe('reading a regular file', () => {
  test('returns its bytes', () => {
    const path = join(directory, 'file');
    writeFileSync(path, 'text');
    expect(readRegularFile(path, 64).toString()).toBe('text');
  });

  test('works for files in /proc, which have no size', () => {
    expect(readRegularFile('/proc/self/status', 65536).toString()).toContain('Name:');
  });

  test('does not wait for a writer of a FIFO', () => {
    const fifo = makeFifo();
    expect(() => readRegularFile(fifo, 64)).toThrow('not a regular file');
  });

  test('refuses a directory, a device, a missing file and a huge one', () => {
    const huge = join(directory, 'huge');
    writeFileSync(huge, '');
    truncateSync(huge, 65);
    expect(() => readRegularFile(directory, 64)).toThrow('not a regular file');
    expect(() => readRegularFile('/dev/zero', 64)).toThrow('not a regular file');
    expect(() => readRegularFile(huge, 64)).toThrow('larger than 64 bytes');
    expect(() => readRegularFile(join(directory, 'missing'), 64)).toThrow('ENOENT');
  });
});

describe('a symbolic link', () => {
  test('of root is followed, but only to a regular file', () => {
    const target = join(directory, 'target');
    const path = join(directory, 'link');
    writeFileSync(target, 'text');
    symlinkSync(target, path);
    expect(readRegularFile(path, 64).toString()).toBe('text');
    rmSync(path);
    symlinkSync('/dev/zero', path);
    expect(() => readRegularFile(path, 64)).toThrow('not a regular file');
  });

  test('of another user is not followed', () => {
    const target = join(directory, 'target');
    const path = join(directory, 'link');
    writeFileSync(target, 'text');
    symlinkSync(target, path);
    lchownSync(path, 12345, 12345);
    expect(() => readRegularFile(path, 64)).toThrow('symbolic link');
  });
});

describe('a file with a lease', () => {
  /** Takes a write lease, prints a line, and releases the lease on request, or never. */
  const HOLDER = `
    open(my $file, '+<', $ARGV[0]) or die; $| = 1;
    $SIG{IO} = $ARGV[1] eq 'keeps' ? 'IGNORE' : sub { fcntl($file, 1024, 2) };
    fcntl($file, 1024, 1) or die; print "held\\n"; sleep 60 while 1;`;

  test.each([
    ['is read if its holder releases it', 'yields', 'text'],
    ['is not waited for if its holder keeps it', 'keeps', 'EAGAIN'],
  ])('%s', async (_, how, expected) => {
    const path = join(directory, 'file');
    writeFileSync(path, 'text');
    const holder = spawn('perl', ['-e', HOLDER, path, how]);
    try {
      await once(holder.stdout, 'data');
      const read = (): string => {
        try {
          return readRegularFile(path, 64).toString();
        } catch (error) {
          return String(error);
        }
      };
      expect(read()).toContain(expected);
    } finally {
      holder.kill('SIGKILL');
    }
  });
});

describe('opening a log', () => {
  function append(path: string, text: string): void {
    const descriptor = openLogForAppend(path);
    try {
      appendLine(descriptor, text);
    } finally {
      closeSync(descriptor);
    }
  }

  test('creates it with mode 0660, regardless of the umask', () => {
    const path = join(directory, 'log');
    const before = process.umask(0o077);
    try {
      append(path, 'one\n');
    } finally {
      process.umask(before);
    }
    expect(statSync(path).mode & 0o7777).toBe(0o660);
    expect(readFileSync(path, 'utf8')).toBe('one\n');
  });

  test('appends to an existing log', () => {
    const path = join(directory, 'log');
    append(path, 'one\n');
    append(path, 'two\n');
    expect(readFileSync(path, 'utf8')).toBe('one\ntwo\n');
  });

  test('follows no symbolic link, valid or dangling', () => {
    const target = join(directory, 'target');
    writeFileSync(target, 'foreign');
    for (const aim of [target, join(directory, 'absent')]) {
      const path = join(directory, 'log');
      symlinkSync(aim, path);
      expect(() => openLogForAppend(path)).toThrow('symbolic link');
      rmSync(path);
    }
    expect(readFileSync(target, 'utf8')).toBe('foreign');
  });

  test('refuses a hard link to another file', () => {
    const target = join(directory, 'target');
    writeFileSync(target, 'foreign');
    linkSync(target, join(directory, 'log'));
    expect(() => openLogForAppend(join(directory, 'log'))).toThrow('single hard link');
  });

  test('refuses a directory and a FIFO, and does not wait for one', () => {
    mkdirSync(join(directory, 'log'));
    expect(() => openLogForAppend(join(directory, 'log'))).toThrow('directory');
    const fifo = makeFifo();
    expect(() => openLogForAppend(fifo)).toThrow('not a regular file');
  });

  test('reports a missing directory', () => {
    expect(() => openLogForAppend(join(directory, 'logs', 'log'))).toThrow('ENOENT');
  });
});
