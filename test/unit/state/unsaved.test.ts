// Unsaved bans: they are kept in a separate file, become pending in the next run, and end in time.
import {
  appendFileSync,
  chmodSync,
  existsSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { makeHold, type Origin } from '../../../src/model/ban.ts';
import { WITHOUT_LINE } from '../../../src/state/rows.ts';
import { Store } from '../../../src/state/store.ts';
import { Unsaved } from '../../../src/state/unsaved.ts';
import type { Address } from '../../../src/model/address.ts';
import { addressOf, holdRequest, NOON_MS } from '../support/workshop.ts';

const A = addressOf('203.0.113.9');
const B = addressOf('203.0.113.10');

let directory = '';
let unsaved = '';
let problems: string[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'unsaved-'));
  unsaved = join(directory, 'unsaved');
  problems = [];
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

/** Opens the store as a run with the writer lock does. */
function open(): Store {
  const options = { directory, mayRepair: false, nowMs: NOON_MS, unsaved };
  const store = new Store(options, (problem) => problems.push(problem));
  store.allowRepair();
  return store;
}

/** Makes writes fail as on a full disk. */
function refuseWrites(): void {
  const database = new DatabaseSync(join(directory, 'state.db'));
  for (const [name, event] of [
    ['no_insert', 'INSERT'],
    ['no_delete', 'DELETE'],
    ['no_update', 'UPDATE'],
  ]) {
    database.exec(
      `CREATE TRIGGER ${name} BEFORE ${event} ON bans BEGIN SELECT RAISE(ABORT, 'disk is full'); END`,
    );
  }
  database.close();
}

function allowWrites(): void {
  const database = new DatabaseSync(join(directory, 'state.db'));
  for (const name of ['no_insert', 'no_delete', 'no_update']) {
    database.exec(`DROP TRIGGER ${name}`);
  }
  database.close();
}

function begin(store: Store, address = A, origin: Origin = 'wazuh'): void {
  const hold = makeHold(holdRequest({ origin }), NOON_MS);
  store.bans.begin([{ address, phase: 'blocking', line: null, offset: null, hold }], NOON_MS);
}

function block(store: Store, address = A, origin: Origin = 'wazuh'): void {
  begin(store, address, origin);
  store.bans.confirm([{ address, phase: 'blocking' }], []);
}

function beginRelease(store: Store, address = A): void {
  const change = { phase: 'unblocking', line: null, offset: null, hold: null } as const;
  store.bans.begin([{ ...change, address }], NOON_MS);
}

/** Returns `address phase origins` for each ban. */
function bansOf(store: Store): string[] {
  return store.bans.list().map(({ address, phase, holds }) => {
    return [address.text, phase, ...holds.map(({ origin }) => origin)].join(' ');
  });
}

test('an unsaved block is pending in the next run, with its deadline', () => {
  open();
  refuseWrites();
  begin(open());
  allowWrites();
  const store = open();
  expect(bansOf(store)).toEqual(['203.0.113.9 blocking wazuh']);
  expect(store.bans.find(A)?.holds[0]?.expiresAtMs).toBe(NOON_MS + 600_000);
  expect(existsSync(unsaved)).toBe(false);
});

test('while the disk is still full, the next run has the block and ends it in time', () => {
  open();
  refuseWrites();
  block(open());
  const kept = readFileSync(unsaved, 'utf8');
  const store = open();
  expect(store.volatile).toBe(true);
  store.bans.confirm([{ address: A, phase: 'blocking' }], []);
  expect(store.bans.due(NOON_MS + 600_000).map(({ address }) => address)).toEqual([A]);
  // Changes that were read from the file are not appended again.
  expect(readFileSync(unsaved, 'utf8')).toBe(kept);
  beginRelease(store);
  expect(bansOf(open())).toEqual(['203.0.113.9 unblocking wazuh']);
});

test('a change that was verified in the kernel is not verified again, whether or not it can be saved by then', () => {
  open();
  refuseWrites();
  block(open());
  expect(bansOf(open())).toEqual(['203.0.113.9 blocked wazuh']);
  const second = open();
  beginRelease(second, A);
  expect(bansOf(open())).toEqual(['203.0.113.9 unblocking wazuh']);
  second.bans.confirm([{ address: A, phase: 'unblocking' }], []);
  block(second, B);
  expect(bansOf(open())).toEqual(['203.0.113.10 blocked wazuh']);
  allowWrites();
  expect(bansOf(open())).toEqual(['203.0.113.10 blocked wazuh']);
});

test('the foreign rules that a block found are kept with it', () => {
  open();
  refuseWrites();
  const store = open();
  begin(store);
  store.bans.confirm([{ address: A, phase: 'blocking' }], [], {
    foreign: new Map([[A.text, { INPUT: 1 }]]),
  });
  expect(open().bans.find(A)?.foreign).toEqual({ INPUT: 1 });
});

test('a change that began in the state is verified again, because later changes in the state are unknown', () => {
  const store = open();
  begin(store);
  refuseWrites();
  store.bans.confirm([{ address: A, phase: 'blocking' }], []);
  expect(readFileSync(unsaved, 'utf8')).toContain('"confirmed":true');
  expect(bansOf(open())).toEqual(['203.0.113.9 blocking wazuh']);
});

test('the contents of the state are available while it can’t be written', () => {
  block(open(), A, 'manual');
  const store = open();
  store.metadata.set('backend', 'ipset');
  store.metadata.flush();
  refuseWrites();
  const next = open();
  block(next, A, 'wazuh');
  expect(bansOf(next)).toEqual(['203.0.113.9 blocked manual wazuh']);
  next.metadata.reload();
  expect(next.metadata.get('backend')).toBe('ipset');
});

test('the end of a hold and a moved deadline are kept as well', () => {
  block(open(), A, 'manual');
  refuseWrites();
  const store = open();
  block(store, B, 'wazuh');
  const hold = makeHold(holdRequest({ origin: 'wazuh' }), NOON_MS);
  store.bans.addHolds([{ ...WITHOUT_LINE, address: A, phase: 'blocking', hold }]);
  store.bans.dropHolds([{ address: A, origin: 'manual' }]);
  allowWrites();
  expect(bansOf(open())).toEqual(['203.0.113.9 blocking wazuh', '203.0.113.10 blocked wazuh']);
});

test('a reverted ban is kept as it was', () => {
  block(open(), A, 'manual');
  refuseWrites();
  const store = open();
  const before = store.bans.find(A);
  if (before === null) throw new Error('no ban');
  block(store, A, 'wazuh');
  store.bans.revert([before]);
  allowWrites();
  expect(bansOf(open())).toEqual(['203.0.113.9 blocking manual']);
});

test('a change that a run without the writer lock appends while earlier ones are saved is saved, too', () => {
  const file = new Unsaved(unsaved, (problem) => problems.push(problem));
  const changeOf = (address: Address) => {
    return [{ ...WITHOUT_LINE, address, phase: 'unblocking', hold: null } as const];
  };
  file.keep(changeOf(A));
  const saved: string[] = [];
  file.handOver((changes) => {
    if (saved.length === 0) file.keep(changeOf(B));
    saved.push(...changes.map(({ address }) => address.text));
    return true;
  });
  expect(saved).toEqual([A.text, B.text]);
  expect(existsSync(unsaved)).toBe(false);
});

test('an incomplete line is ignored, and later lines are read', () => {
  open();
  refuseWrites();
  begin(open(), A);
  truncateSync(unsaved, statSync(unsaved).size - 10);
  begin(open(), B);
  allowWrites();
  expect(bansOf(open())).toEqual(['203.0.113.10 blocking wazuh']);
});

test('a file that is too large gets no more changes, and this is reported', () => {
  open();
  refuseWrites();
  appendFileSync(unsaved, ' '.repeat(4 * 1024 * 1024));
  block(open());
  expect(statSync(unsaved).size).toBe(4 * 1024 * 1024);
  expect(problems.join('\n')).toMatch(/203\.0\.113\.9.*will not end by itself.*is full/);
});

test('a read-only run neither saves nor appends changes', () => {
  block(open(), B);
  refuseWrites();
  block(open(), A);
  const kept = readFileSync(unsaved, 'utf8');
  const options = { directory, mayRepair: false, readOnly: true, nowMs: NOON_MS, unsaved };
  const reader = new Store(options, (problem) => problems.push(problem));
  block(reader, A, 'manual');
  expect(readFileSync(unsaved, 'utf8')).toBe(kept);
});

test('a file that can’t be opened at first is written once it can be', () => {
  block(open(), A, 'manual');
  // A write-ahead log with contents, as a killed run leaves it.
  const writer = new DatabaseSync(join(directory, 'state.db'));
  writer.exec("UPDATE facts SET value = 'x'; INSERT INTO facts VALUES ('one', 'more')");
  chmodSync(directory, 0o777);
  const options = { directory, mayRepair: false, nowMs: NOON_MS, unsaved };
  const store = new Store(options, (problem) => problems.push(problem));
  expect(store.volatile).toBe(true);
  chmodSync(directory, 0o700);
  store.allowRepair();
  block(store, B);
  expect(store.volatile).toBe(false);
  writer.close();
});
