// Opening the state: any file at its path leads to a usable state, and no foreign file is written to.
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import {
  copyInMemory,
  Damage,
  isDamage,
  openDatabase,
  type OpenedDatabase,
} from '../../../src/state/database.ts';
import { MIGRATIONS } from '../../../src/state/migrations.ts';
import { NOON_MS } from '../support/workshop.ts';

let parent = '';
let directory = '';
let file = '';
beforeEach(() => {
  parent = mkdtempSync(join(tmpdir(), 'state-'));
  directory = join(parent, 'state');
  file = join(directory, 'state.db');
});
afterEach(() => {
  rmSync(parent, { recursive: true });
});

test('a reader sees the last write, writes nothing, and creates no file', () => {
  const reading = { directory, readOnly: true, mayRepair: false, nowMs: NOON_MS };
  expect(openDatabase(reading)).toMatchObject({ volatile: true, problems: [] });
  expect(existsSync(directory)).toBe(false);
  const { database } = openDatabase({ directory, mayRepair: false, nowMs: NOON_MS });
  database.exec("INSERT INTO facts (name, value) VALUES ('a', 'b')");
  const files = readdirSync(directory).map((name) => [
    name,
    statSync(join(directory, name)).mtimeMs,
  ]);
  const reader = openDatabase(reading);
  expect(reader.volatile).toBe(false);
  expect(reader.database.prepare('SELECT value FROM facts').all()).toEqual([{ value: 'b' }]);
  expect(() => {
    reader.database.exec('DELETE FROM facts');
  }).toThrow(/readonly/);
  expect(
    readdirSync(directory).map((name) => [name, statSync(join(directory, name)).mtimeMs]),
  ).toEqual(files);
  reader.database.close();
  database.close();
});

function open(mayRepair = true): OpenedDatabase {
  return openDatabase({ directory, mayRepair, nowMs: NOON_MS });
}

function read(): OpenedDatabase {
  return openDatabase({ directory, readOnly: true, mayRepair: false, nowMs: NOON_MS });
}

function pragma(database: DatabaseSync, name: string): unknown {
  return Object.values(database.prepare(`PRAGMA ${name}`).get() ?? {})[0];
}

function execute(sql: string): void {
  const database = new DatabaseSync(file);
  database.exec(sql);
  database.close();
}

/** Creates a valid store with a ban, and closes it. */
function makeSound(): void {
  const { database } = open();
  database.exec("INSERT INTO facts VALUES ('mark', 'the old file')");
  database.close();
}

/** Creates a store of an earlier version with a ban. */
function makeOld(version: number): void {
  mkdirSync(directory, { mode: 0o700 });
  const old = new DatabaseSync(file);
  for (const step of MIGRATIONS.slice(0, version)) old.exec(step);
  if (version > 0)
    old.exec("INSERT INTO bans (address, phase, since_ms) VALUES ('203.0.113.9', 'blocked', 1)");
  old.exec(`PRAGMA user_version = ${version}`);
  old.close();
}

const aside = (): string[] => readdirSync(directory).filter((name) => name.includes('damaged'));

describe('the first run', () => {
  test('creates a directory that only root can read, and the tables', () => {
    const { volatile, problems, database } = open();
    expect({ volatile, problems }).toEqual({ volatile: false, problems: [] });
    expect(statSync(directory).mode & 0o777).toBe(0o700);
    expect(pragma(database, 'user_version')).toBe(MIGRATIONS.length);
  });

  test('creates a file that is durable at each commit', () => {
    const { database } = open();
    expect(pragma(database, 'synchronous')).toBe(2);
    expect(pragma(database, 'journal_mode')).toBe('wal');
    expect(pragma(database, 'foreign_keys')).toBe(1);
  });

  test('waits for another first run on the same file', async () => {
    mkdirSync(directory, { mode: 0o700 });
    execute('CREATE TABLE of_another (value)');
    const script = `const { DatabaseSync } = require('node:sqlite');
      const other = new DatabaseSync(process.argv[1]);
      other.exec('BEGIN IMMEDIATE; INSERT INTO of_another VALUES (1)');
      console.log('at it');
      setTimeout(() => other.exec('COMMIT'), 300);`;
    const other = spawn(process.execPath, ['-e', script, file]);
    await once(other.stdout, 'data');
    const { volatile, problems, database } = open();
    expect({ volatile, problems }).toEqual({ volatile: false, problems: [] });
    expect(pragma(database, 'journal_mode')).toBe('wal');
    await once(other, 'close');
  });
});

test('a second run reads the writes of the first', () => {
  makeSound();
  expect(open().database.prepare('SELECT value FROM facts').get()).toEqual({
    value: 'the old file',
  });
});

describe('a damaged state', () => {
  const damages: [string, () => void][] = [
    [
      'garbage',
      () => {
        writeFileSync(file, 'garbage'.repeat(4096));
      },
    ],
    [
      'a damaged header',
      () => {
        overwrite(0, 'XXXX');
      },
    ],
    [
      'a damaged first page',
      () => {
        overwrite(100, '\xff'.repeat(64));
      },
    ],
    [
      'a file cut short',
      () => {
        truncateSync(file, 5000);
      },
    ],
    [
      'a directory',
      () => {
        rmSync(file);
        mkdirSync(file);
      },
    ],
    [
      'a FIFO',
      () => {
        rmSync(file);
        expect(spawnSync('mkfifo', [file]).status).toBe(0);
      },
    ],
    [
      'a dangling link',
      () => {
        rmSync(file);
        symlinkSync(join(parent, 'absent'), file);
      },
    ],
  ];

  function overwrite(position: number, text: string): void {
    const bytes = readFileSync(file);
    bytes.write(text, position, 'latin1');
    writeFileSync(file, bytes);
  }

  test.each(damages)('is set aside and replaced by a new one with the lock: %s', (_, harm) => {
    makeSound();
    harm();
    const { database, volatile, problems } = open();
    expect(volatile).toBe(false);
    expect(database.prepare('SELECT * FROM bans').all()).toEqual([]);
    expect(problems).toHaveLength(2);
    expect(problems[1]).toContain('was set aside as');
    expect(aside()).toContain('state.db.damaged-2024-05-07T12-00-00-000Z');
    database.close();
    expect(open()).toMatchObject({ volatile: false, problems: [] });
  });

  test.each(damages)('is not set aside without the lock: %s', (_, harm) => {
    makeSound();
    harm();
    const { database, volatile, problems } = open(false);
    expect(volatile).toBe(true);
    expect(problems).toHaveLength(1);
    expect(database.prepare('SELECT * FROM bans').all()).toEqual([]);
    expect(aside()).toEqual([]);
  });

  test('that is a symbolic link is set aside, and its target is unchanged', () => {
    makeSound();
    const target = join(parent, 'foreign');
    writeFileSync(target, 'foreign');
    rmSync(file);
    symlinkSync(target, file);
    open();
    expect(readFileSync(target, 'utf8')).toBe('foreign');
    expect(lstatSync(file).isFile()).toBe(true);
  });
});

test('an empty file becomes a new store', () => {
  mkdirSync(directory, { mode: 0o700 });
  writeFileSync(file, '');
  expect(open()).toMatchObject({ volatile: false, problems: [] });
});

test('garbage in the journal is ignored', () => {
  makeSound();
  writeFileSync(`${file}-wal`, 'garbage'.repeat(2000));
  expect(open().database.prepare('SELECT value FROM facts').get()).toEqual({
    value: 'the old file',
  });
});

describe('a directory is not used because', () => {
  test.each<[string, () => void]>([
    [
      'others can write to it',
      () => {
        mkdirSync(directory);
        chmodSync(directory, 0o777);
      },
    ],
    [
      'its group can write to it',
      () => {
        mkdirSync(directory);
        chmodSync(directory, 0o770);
      },
    ],
    [
      'it is a link',
      () => {
        mkdirSync(join(parent, 'real'));
        symlinkSync(join(parent, 'real'), directory);
      },
    ],
    [
      'it is a file',
      () => {
        writeFileSync(directory, '');
      },
    ],
  ])('%s', (_, prepare) => {
    prepare();
    const { volatile, problems } = open();
    expect(volatile).toBe(true);
    expect(problems[0]).toContain(`the state in ${file} can't be used`);
    expect(existsSync(join(parent, 'real', 'state.db'))).toBe(false);
  });
});

describe('damage', () => {
  test('includes the errors of SQLite about the contents, with extended codes', () => {
    expect(isDamage({ errcode: 11 })).toBe(true);
    expect(isDamage({ errcode: 26 })).toBe(true);
    expect(isDamage({ errcode: 267 })).toBe(true);
    expect(isDamage(new Damage('an address that is none'))).toBe(true);
  });

  test('does not include a full disk, a lock, or a missing permission', () => {
    for (const errcode of [5, 6, 8, 10, 13, 14, 261, 778])
      expect(isDamage({ errcode })).toBe(false);
    expect(isDamage(new Error('something else'))).toBe(false);
    expect(isDamage(null)).toBe(false);
  });
});

test('a store of each earlier version is migrated and keeps its contents', () => {
  for (const [version] of MIGRATIONS.entries()) {
    rmSync(directory, { recursive: true, force: true });
    if (version > 0) makeOld(version);
    const { database, problems } = open();
    expect(problems).toEqual([]);
    expect(pragma(database, 'user_version')).toBe(MIGRATIONS.length);
    expect(database.prepare('SELECT address FROM bans').all()).toHaveLength(version > 0 ? 1 : 0);
    database.close();
  }
});

test('a reader has the bans of a store of an earlier version and does not change it', () => {
  for (const version of MIGRATIONS.keys()) {
    rmSync(directory, { recursive: true, force: true });
    makeOld(version);
    const { database, problems, unread = false } = read();
    expect({ problems, unread }).toEqual({ problems: [], unread: false });
    expect(database.prepare('SELECT address FROM bans').all()).toHaveLength(version > 0 ? 1 : 0);
    const old = new DatabaseSync(file);
    expect(pragma(old, 'user_version')).toBe(version);
    old.close();
  }
});

describe('a store of a later version', () => {
  beforeEach(() => {
    makeSound();
    execute(`INSERT INTO bans (address, phase, since_ms) VALUES ('203.0.113.9', 'blocked', 1);
      ALTER TABLE bans ADD COLUMN later TEXT; CREATE TABLE later (x); PRAGMA user_version = 99`);
  });

  test('is used unchanged by writers and readers', () => {
    for (const { database, volatile, problems } of [open(), open(false), read()]) {
      expect({ volatile, problems }).toEqual({ volatile: false, problems: [] });
      expect(database.prepare('SELECT address FROM bans').all()).toHaveLength(1);
      expect(pragma(database, 'user_version')).toBe(99);
      database.close();
    }
    expect(aside()).toEqual([]);
  });

  test('is copied if it can not be written', () => {
    const { database } = open();
    const copy = copyInMemory(database);
    expect(copy.unread).toBeUndefined();
    expect(copy.database.prepare('SELECT address FROM bans').all()).toHaveLength(1);
  });
});

test('an unreadable store is reported, and a missing or empty one is not', () => {
  expect(read()).toMatchObject({ problems: [] });
  mkdirSync(directory, { mode: 0o700 });
  expect(read()).toMatchObject({ problems: [] });
  writeFileSync(file, '');
  expect(read().unread).toBeUndefined();
  writeFileSync(file, 'garbage'.repeat(4096));
  expect(read()).toMatchObject({ unread: true, problems: [expect.stringContaining(file)] });
  expect(open(false)).toMatchObject({ unread: true });
  expect(open().unread).toBeUndefined();
});

test('counters start from the existing history', () => {
  mkdirSync(directory, { mode: 0o700 });
  const old = new DatabaseSync(file);
  old.exec(`${MIGRATIONS[0] ?? ''}; PRAGMA user_version = 1`);
  for (const [verb, reason] of [
    ['add', ''],
    ['delete', 'expired'],
    ['delete', ''],
  ] as const) {
    const values = `1, '203.0.113.9', '${verb}', 'wazuh', '1.2', '3', '${reason}'`;
    old.exec(
      `INSERT INTO history (at_ms, address, verb, origin, alert_id, rule_id, reason) VALUES (${values})`,
    );
  }
  old.close();
  const tallies = open().database.prepare('SELECT event, count FROM tallies ORDER BY event').all();
  expect(tallies.map((row) => [row['event'], row['count']])).toEqual([
    ['add', 1],
    ['delete', 1],
    ['expire', 1],
  ]);
});

test('a read-only run works in memory without a report', () => {
  const { volatile, problems } = openDatabase({ directory: null, mayRepair: true, nowMs: NOON_MS });
  expect({ volatile, problems }).toEqual({ volatile: true, problems: [] });
});
