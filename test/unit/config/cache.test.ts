// The cached content of a file is used exactly as long as the file is unchanged.
import { lchownSync, renameSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from '@jest/globals';
import { remember, type RememberedFile } from '../../../src/config/cache.ts';
import { Store } from '../../../src/state/store.ts';
import { NOON_MS } from '../support/workshop.ts';
import { ownDirectory } from '../support/directory.ts';

const directory = ownDirectory();
const path = join(directory, 'file');
let problems: string[] = [];
let parsed: string[] = [];
beforeEach(() => {
  problems = [];
  parsed = [];
});

function openStore(): Store {
  const options = { directory: join(directory, 'state'), mayRepair: true, nowMs: NOON_MS };
  return new Store(options, (problem) => problems.push(problem));
}

/** Returns the value of the file in one run. */
function read(parts: Partial<RememberedFile<string>> = {}): string {
  const store = openStore();
  const value = remember<string>(store, {
    path,
    largestBytes: 100,
    absent: () => 'absent',
    parse: (text) => {
      parsed.push(text);
      return { value: text.toUpperCase(), lasting: true };
    },
    onProblem: (problem) => problems.push(problem),
    ...parts,
  });
  store.metadata.flush();
  store.close();
  return value;
}

/** Returns the cached value in the state. */
function remembered(): string {
  const store = openStore();
  const text = store.metadata.get(path) ?? '';
  store.close();
  return text;
}

function rewrite(text: string): void {
  const store = openStore();
  store.metadata.set(path, text);
  store.metadata.flush();
  store.close();
}

test('an unchanged file is parsed once', () => {
  writeFileSync(path, 'one\ntwo');
  expect([read(), read(), read()]).toEqual(['ONE\nTWO', 'ONE\nTWO', 'ONE\nTWO']);
  expect(parsed).toHaveLength(1);
});

describe('a file is parsed again', () => {
  beforeEach(() => {
    writeFileSync(path, 'old');
    utimesSync(path, 1000, 1000);
    read();
  });

  test('after a write to it', () => {
    writeFileSync(path, 'newer');
    expect(read()).toBe('NEWER');
  });

  test('after a change that keeps its length and sets its time back', () => {
    writeFileSync(path, 'new');
    utimesSync(path, 1000, 1000);
    expect(read()).toBe('NEW');
  });

  test('after another file replaced it', () => {
    writeFileSync(`${path}.new`, 'new');
    utimesSync(`${path}.new`, 1000, 1000);
    renameSync(`${path}.new`, path);
    expect(read()).toBe('NEW');
  });

  test('if another program cached it', () => {
    const [, ...rest] = remembered().split('\n');
    rewrite(['another', ...rest].join('\n'));
    expect(read()).toBe('OLD');
    expect(parsed).toEqual(['old', 'old']);
  });

  test('if the cached value was cut short or damaged anywhere', () => {
    const sound = remembered();
    const damaged = Array.from(sound).flatMap((_, index) => {
      return [sound.slice(0, index), `${sound.slice(0, index)}\u0001${sound.slice(index + 1)}`];
    });
    for (const text of damaged) {
      rewrite(text);
      expect([text, read()]).toEqual([text, 'OLD']);
    }
    expect(parsed).toHaveLength(1 + damaged.length);
  });
});

test('the value of a file with mistakes is not cached, so that they are reported on every run', () => {
  writeFileSync(path, 'one');
  const parse = (text: string) => {
    parsed.push(text);
    return { value: text, lasting: false };
  };
  expect([read({ parse }), read({ parse })]).toEqual(['one', 'one']);
  expect(parsed).toHaveLength(2);
});

describe('the value without a file applies', () => {
  test('for a missing file, without a message', () => {
    expect(read()).toBe('absent');
    expect(problems).toEqual([]);
  });

  test('for a file that was deleted, regardless of its former content', () => {
    writeFileSync(path, 'one');
    read();
    rmSync(path);
    expect(read()).toBe('absent');
  });

  test('for an untrusted file, which is not even opened', () => {
    writeFileSync(path, 'one');
    expect(read({ objection: () => 'others can write to it' })).toBe('absent');
    expect(problems).toEqual([`${path} can't be used: others can write to it`]);
    expect(parsed).toEqual([]);
  });

  test.each<[string, () => void]>([
    [
      'a directory',
      () => {
        rmSync(path, { force: true });
        symlinkSync(directory, path);
      },
    ],
    [
      'a device',
      () => {
        symlinkSync('/dev/zero', path);
      },
    ],
    [
      'more bytes than allowed',
      () => {
        writeFileSync(path, 'x'.repeat(101));
      },
    ],
  ])('for %s, with a message', (_, make) => {
    make();
    expect(read()).toBe('absent');
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(path);
  });

  test('for a text that makes the parser throw', () => {
    writeFileSync(path, 'one');
    const parse = (): never => {
      throw new Error('not what it should be');
    };
    expect(read({ parse })).toBe('absent');
    expect(problems[0]).toContain('not what it should be');
  });

  test('except for a file that cannot be read, if the caller asks for that', () => {
    writeFileSync(path, 'x'.repeat(101));
    expect(read({ unusable: () => 'as before' })).toBe('as before');
    rmSync(path);
    expect(read({ unusable: () => 'as before' })).toBe('absent');
  });
});

describe('the last cached value applies', () => {
  test.each<[string, Partial<RememberedFile<string>>, () => void]>([
    ['while the file is untrusted', { objection: () => 'others can write to it' }, () => undefined],
    [
      'while the file is too large',
      {},
      () => {
        writeFileSync(path, 'x'.repeat(101));
      },
    ],
    [
      'while a symbolic link of another user is in its place',
      {},
      () => {
        const target = join(directory, 'target');
        writeFileSync(target, 'foreign');
        rmSync(path);
        symlinkSync(target, path);
        lchownSync(path, 12345, 12345);
      },
    ],
  ])('%s', (_, parts, change) => {
    writeFileSync(path, 'one');
    read();
    change();
    expect(read(parts)).toBe('ONE');
    expect(problems).toHaveLength(1);
  });
});

test('a device is not opened, even if a symbolic link leads to it', () => {
  symlinkSync('/dev/zero', path);
  expect(read()).toBe('absent');
  expect(problems).toEqual([`${path} can't be used: ${path} is not a regular file`]);
});
