// The state: a later run reads what was written, and a failure of the file never reaches the caller.
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makeHold, type Hold, type Origin, type Outcome } from '../../../src/model/ban.ts';
import { FORGET_RELEASED, WITHOUT_LINE } from '../../../src/state/rows.ts';
import { COUNT_BEGUN, type HistoryEntry } from '../../../src/state/history.ts';
import { Store, ANY_TOO_FAR } from '../../../src/state/store.ts';
import { addressOf, holdRequest, NOON_MS } from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');
const ALERT_REF = holdRequest().alertRef;
const PENDING_LINE: Outcome = { verb: 'add', address: ATTACKER, alertRef: ALERT_REF };

const PAGE_BYTES = 4096;

let directory = '';
let problems: string[] = [];
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'state-'));
  problems = [];
});
afterEach(() => {
  rmSync(directory, { recursive: true });
});

function open(mayRepair = true): Store {
  return new Store({ directory, mayRepair, nowMs: NOON_MS }, (problem) => problems.push(problem));
}

function hold(origin: Origin = 'wazuh', timeoutSeconds: number | null = 600): Hold {
  return makeHold(holdRequest({ origin, timeoutSeconds }), NOON_MS);
}

function blocked(store: Store, text = '203.0.113.9', held = hold(), nowMs = NOON_MS): void {
  const address = addressOf(text);
  store.bans.begin([{ address, phase: 'blocking', line: null, offset: null, hold: held }], nowMs);
  store.bans.confirm([{ address, phase: 'blocking' }], []);
}

/** Opens the file as another program does. */
function withFile<T>(work: (database: DatabaseSync) => T): T {
  const database = new DatabaseSync(join(directory, 'state.db'));
  try {
    return work(database);
  } finally {
    database.close();
  }
}

function entry(atMs: number): HistoryEntry {
  return { atMs, outcome: PENDING_LINE, origin: 'wazuh', reason: 'scan' };
}

test.each([1, 100, 101, 250])('the bans of %d addresses are found, and no others', (many) => {
  const store = open();
  const asked = Array.from({ length: many }, (_, index) => `198.51.100.${index}`);
  for (const text of [...asked, '203.0.113.9', '203.0.113.10']) blocked(store, text);
  expect([...store.bans.findAll(asked.map(addressOf)).keys()]).toEqual(asked);
});

describe('the changes of a list', () => {
  const offset = { inode: 7, size: 1234 };
  const [A, B] = [addressOf('203.0.113.4'), addressOf('203.0.113.3')];
  const [C, D] = [addressOf('203.0.113.2'), addressOf('203.0.113.1')];

  test('are recorded with their own lines and holds, equal or not, in the given order', () => {
    const store = open();
    const line = (verb: Outcome['verb'], address: Outcome['address']): Outcome => ({
      ...PENDING_LINE,
      verb,
      address,
    });
    const equal = (): Hold => hold('manual', 60);
    store.bans.begin(
      [
        { address: A, phase: 'blocking', line: line('add', A), offset, hold: equal() },
        { address: B, phase: 'blocking', line: line('add', B), offset, hold: equal() },
        { address: C, phase: 'blocking', line: line('add', C), offset, hold: hold('manual', 90) },
        { address: D, phase: 'unblocking', line: line('delete', D), offset, hold: null },
      ],
      NOON_MS,
    );
    const pending = open().bans.pending();
    expect(pending.map(({ address, phase }) => [address, phase])).toEqual([
      [A, 'blocking'],
      [B, 'blocking'],
      [C, 'blocking'],
      [D, 'unblocking'],
    ]);
    expect(pending.map((ban) => ban.line)).toEqual([
      line('add', A),
      line('add', B),
      line('add', C),
      line('delete', D),
    ]);
    expect(pending.map((ban) => ban.holds.map(({ timeoutSeconds }) => timeoutSeconds))).toEqual([
      [60],
      [60],
      [90],
      [],
    ]);
  });

  test('are in the history with their own outcomes, in the given order', () => {
    const store = open();
    const outcomes = (['add', 'add', 'delete', 'add'] as const).map((verb, index) => {
      return { ...PENDING_LINE, verb, address: addressOf(`203.0.113.${9 - index}`) };
    });
    store.history.record(outcomes.map((outcome) => ({ ...entry(NOON_MS), outcome })));
    const all = { limit: 9 };
    expect(store.history.find(all).map(({ outcome }) => outcome)).toEqual(outcomes);
    expect(new Map(store.history.tallies().map(({ event, count }) => [event, count]))).toEqual(
      new Map([
        ['add', 3],
        ['delete', 1],
      ]),
    );
  });

  test('are found among the pending changes without reading all bans', () => {
    open();
    const plan = withFile((database) =>
      database.prepare(`EXPLAIN QUERY PLAN ${FORGET_RELEASED}`).all('[]'),
    );
    expect(plan[0]?.['detail']).toContain('USING INDEX bans_unfinished');
  });
});

test('the bans that alerts begin are counted without reading the records of lists', () => {
  open();
  const plan = withFile((database) =>
    database.prepare(`EXPLAIN QUERY PLAN ${COUNT_BEGUN}`).all(0, NOON_MS),
  );
  expect(plan[0]?.['detail']).toContain('USING INDEX history_of_alerts');
});

describe('a pending change', () => {
  const offset = { inode: 7, size: 1234 };

  test('is read by the next run with its line and the end of the log', () => {
    open().bans.begin(
      [{ address: ATTACKER, phase: 'blocking', line: PENDING_LINE, offset, hold: hold() }],
      NOON_MS,
    );
    expect(open().bans.pending()).toEqual([
      {
        address: ATTACKER,
        phase: 'blocking',
        sinceMs: NOON_MS,
        holds: [hold()],
        foreign: null,
        line: PENDING_LINE,
        offset,
      },
    ]);
  });

  test('to block becomes a ban without a line when it is confirmed', () => {
    const store = open();
    store.bans.begin(
      [{ address: ATTACKER, phase: 'blocking', line: PENDING_LINE, offset, hold: hold() }],
      NOON_MS,
    );
    store.bans.confirm([{ address: ATTACKER, phase: 'blocking' }], [entry(NOON_MS)]);
    expect(open().bans.pending()).toEqual([]);
    expect(open().bans.find(ATTACKER)).toMatchObject({ phase: 'blocked', line: null });
  });

  test('to unblock is deleted with its holds when it is confirmed', () => {
    const store = open();
    blocked(store);
    store.bans.begin(
      [{ address: ATTACKER, phase: 'unblocking', line: PENDING_LINE, offset, hold: null }],
      NOON_MS,
    );
    store.bans.confirm([{ address: ATTACKER, phase: 'unblocking' }], []);
    expect(store.bans.list()).toEqual([]);
    expect(withFile((file) => file.prepare('SELECT count(*) AS n FROM holds').get())).toEqual({
      n: 0,
    });
  });

  test('to block an address with a pending release starts without the old holds', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('manual', null));
    const change = { address: ATTACKER, line: null, offset: null };
    store.bans.begin([{ ...change, phase: 'unblocking', hold: null }], NOON_MS);
    store.bans.begin([{ ...change, phase: 'blocking', hold: hold('wazuh') }], NOON_MS + 5);
    expect(store.bans.find(ATTACKER)).toMatchObject({
      phase: 'blocking',
      sinceMs: NOON_MS + 5,
      holds: [{ origin: 'wazuh' }],
    });
  });

  test('to block a blocked address keeps the other holds and replaces that of the same origin', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('manual', null));
    blocked(store, '203.0.113.9', hold('wazuh', 60));
    blocked(store, '203.0.113.9', hold('wazuh', 90), NOON_MS + 5);
    const ban = store.bans.find(ATTACKER);
    expect(ban?.sinceMs).toBe(NOON_MS);
    expect(ban?.holds.map((held) => [held.origin, held.timeoutSeconds])).toEqual([
      ['manual', null],
      ['wazuh', 90],
    ]);
  });

  test('that failed leaves the ban as it was', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('manual', null));
    const before = store.bans.find(ATTACKER);
    store.bans.begin(
      [{ address: ATTACKER, phase: 'blocking', line: PENDING_LINE, offset, hold: hold() }],
      NOON_MS + 5,
    );
    if (before !== null) store.bans.revert([before]);
    expect(open().bans.find(ATTACKER)).toEqual(before);
  });

  test('that failed keeps the line that an earlier run has still to write', () => {
    const store = open();
    const change = {
      address: ATTACKER,
      phase: 'blocking',
      line: PENDING_LINE,
      offset,
      hold: hold(),
    } as const;
    store.bans.begin([change], NOON_MS);
    const before = store.bans.find(ATTACKER);
    store.bans.begin([{ ...change, line: null, offset: null }], NOON_MS + 5);
    if (before !== null) store.bans.revert([before]);
    expect(open().bans.pending()).toEqual([before]);
    expect(open().bans.pending()[0]?.line).toEqual(PENDING_LINE);
  });

  test('that ends a hold keeps those of other origins', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('wazuh', 60));
    blocked(store, '203.0.113.9', hold('manual', null));
    const change = {
      address: ATTACKER,
      phase: 'blocking',
      line: PENDING_LINE,
      offset,
      hold: null,
    } as const;
    store.bans.begin([{ ...change, ends: 'wazuh' }], NOON_MS);
    const [ban] = open().bans.pending();
    expect(ban?.line).toEqual(PENDING_LINE);
    expect(ban?.holds.map(({ origin }) => origin)).toEqual(['manual']);
  });
});

describe('a query', () => {
  test('finds an address in any notation', () => {
    blocked(open(), '2001:db8::9');
    expect(open().bans.find(addressOf('2001:DB8:0:0::9'))).not.toBeNull();
    expect(open().bans.find(addressOf('2001:db8::90'))).toBeNull();
  });

  test('lists bans from the oldest to the newest', () => {
    const store = open();
    blocked(store, '203.0.113.30', hold(), NOON_MS + 2);
    blocked(store, '203.0.113.20', hold(), NOON_MS + 1);
    blocked(store, '203.0.113.10', hold(), NOON_MS + 2);
    expect(store.bans.list().map((ban) => ban.address.text)).toEqual([
      '203.0.113.20',
      '203.0.113.30',
      '203.0.113.10',
    ]);
  });

  test('lists due bans from the oldest to the newest, the order in which iptables removes rules fast', () => {
    const store = open();
    const made = ['203.0.113.30', '203.0.113.4', '203.0.113.200'];
    made.forEach((text) => {
      blocked(store, text, hold('wazuh', 60));
    });
    const due = store.bans.due(NOON_MS + 60_000);
    expect(due.map((ban) => ban.address.text)).toEqual(made);
  });

  test('lists due bans with all of their holds', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('wazuh', 60));
    blocked(store, '203.0.113.9', hold('manual', null));
    blocked(store, '203.0.113.10', hold('wazuh', 61));
    const due = store.bans.due(NOON_MS + 60_000);
    expect(due.map((ban) => ban.address.text)).toEqual(['203.0.113.9']);
    expect(due[0]?.holds).toHaveLength(2);
  });

  test('lists no due ban while its change is pending', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('wazuh', 60));
    store.bans.begin(
      [{ address: ATTACKER, phase: 'unblocking', line: null, offset: null, hold: null }],
      NOON_MS,
    );
    expect(store.bans.due(NOON_MS + 60_000)).toEqual([]);
  });
});

describe('deadlines', () => {
  test('move together, and bans without a deadline get none', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('wazuh', 60));
    blocked(store, '203.0.113.9', hold('manual', null));
    store.deadlines.shift(-5000);
    const holds = store.bans.find(ATTACKER)?.holds ?? [];
    // The start moves too: the time on execd's list is computed from it.
    expect(holds.map(({ addedMs, expiresAtMs }) => [addedMs, expiresAtMs])).toEqual([
      [NOON_MS - 5000, NOON_MS + 55_000],
      [NOON_MS, null],
    ]);
  });

  test('that are later than their timeout allows are shortened', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('wazuh', 60));
    store.deadlines.shift(1e9);
    store.deadlines.cap(NOON_MS);
    expect(store.bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBe(NOON_MS + 60_000);
  });

  test('are checked with an index instead of reading every hold', () => {
    open();
    const plan = withFile((database) =>
      database.prepare(`EXPLAIN QUERY PLAN ${ANY_TOO_FAR}`).all(NOON_MS),
    );
    expect(plan.map((row) => row['detail'])).toEqual([
      expect.stringContaining('USING INDEX holds_beyond'),
    ]);
  });

  test('that are near are not postponed', () => {
    const store = open();
    blocked(store, '203.0.113.9', hold('wazuh', 60));
    const tooFar = { ...hold('wazuh', 60), expiresAtMs: NOON_MS + 1e9 };
    blocked(store, '203.0.113.10', tooFar);
    store.deadlines.cap(NOON_MS + 59_000);
    expect(store.bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBe(NOON_MS + 60_000);
  });
});

test('a hold that ends does not affect the others', () => {
  const store = open();
  blocked(store, '203.0.113.9', hold('wazuh', 60));
  blocked(store, '203.0.113.9', hold('manual', null));
  store.bans.dropHolds([{ address: ATTACKER, origin: 'wazuh' }]);
  expect(
    open()
      .bans.find(ATTACKER)
      ?.holds.map((held) => held.origin),
  ).toEqual(['manual']);
});

describe('history', () => {
  const times = (): unknown[] =>
    withFile((file) => file.prepare('SELECT at_ms FROM history ORDER BY at_ms').all()).map(
      (row) => row['at_ms'],
    );

  test('outlives the ban', () => {
    const store = open();
    blocked(store);
    store.bans.begin(
      [{ address: ATTACKER, phase: 'unblocking', line: null, offset: null, hold: null }],
      NOON_MS,
    );
    store.bans.confirm([{ address: ATTACKER, phase: 'unblocking' }], [entry(NOON_MS)]);
    expect(times()).toEqual([NOON_MS]);
  });

  test('has a change only once if another run without the writer lock confirms it too', () => {
    const begun = { address: ATTACKER, phase: 'blocking', line: null, offset: null } as const;
    const store = open();
    store.bans.begin([{ ...begun, hold: hold() }], NOON_MS);
    open().bans.confirm([{ address: ATTACKER, phase: 'blocking' }], [entry(NOON_MS)]);
    store.bans.confirm([{ address: ATTACKER, phase: 'blocking' }], [entry(NOON_MS + 1)]);
    expect(times()).toEqual([NOON_MS]);
  });

  test('is pruned before a given time and not after it', () => {
    const store = open();
    [1, 2, 3].forEach((atMs) => {
      store.history.record([entry(atMs)]);
    });
    store.history.prune(2);
    expect(times()).toEqual([2, 3]);
  });

  test('keeps only the newest records up to a limit', () => {
    const store = open();
    store.history.record(Array.from({ length: 10 }, (_, index) => entry(100 - index)));
    store.history.prune(0, 3);
    expect(times()).toEqual([91, 92, 93]);
    store.history.record([entry(5)]);
    store.history.prune(0, 3);
    expect(times()).toEqual([5, 91, 92]);
  });
});

describe('a metadata value', () => {
  test('is visible at once, and to the next run after a flush', () => {
    const store = open();
    store.metadata.set('a file', 'as it is');
    expect(store.metadata.get('a file')).toBe('as it is');
    expect(open().metadata.get('a file')).toBeNull();
    store.metadata.flush();
    expect(open().metadata.get('a file')).toBe('as it is');
  });

  test('of another run is visible after a reload, together with unwritten values', () => {
    const store = open();
    store.metadata.set('ours', 'new');
    expect(store.metadata.get('backend')).toBeNull();
    const other = open();
    other.metadata.set('backend', 'ipset');
    other.metadata.set('ours', 'old');
    other.metadata.flush();
    store.metadata.reload();
    expect(store.metadata.get('backend')).toBe('ipset');
    expect(store.metadata.get('ours')).toBe('new');
  });

  test('is written with the next transaction', () => {
    const store = open();
    store.metadata.set('a file', 'as it is');
    store.history.record([entry(NOON_MS)]);
    expect(open().metadata.get('a file')).toBe('as it is');
  });

  test('survives a failed transaction', () => {
    const store = open();
    withFile((file) => {
      file.exec(
        "CREATE TRIGGER full_disk BEFORE INSERT ON bans BEGIN SELECT RAISE(ABORT, 'disk is full'); END",
      );
    });
    store.metadata.set('a file', 'as it is');
    blocked(store);
    expect(store.metadata.get('a file')).toBe('as it is');
  });
});

describe('a file that is damaged while it is open', () => {
  function dropTables(): void {
    withFile((file) => {
      file.exec('DROP TABLE holds; DROP TABLE bans');
    });
  }

  test('is set aside by the holder of the lock and replaced by a new one', () => {
    const store = open();
    dropTables();
    blocked(store);
    expect(store.volatile).toBe(false);
    expect(open().bans.find(ATTACKER)?.phase).toBe('blocked');
    expect(problems.join('\n')).toContain('was set aside as');
    expect(readdirSync(directory).some((name) => name.startsWith('state.db.damaged-'))).toBe(true);
  });

  /** Fills a page of the file, counted from 1. */
  function damagePage(page: number): void {
    withFile((file) => file.exec('PRAGMA wal_checkpoint(TRUNCATE)'));
    const bytes = readFileSync(join(directory, 'state.db'));
    bytes.fill(0xff, (page - 1) * PAGE_BYTES, page * PAGE_BYTES);
    writeFileSync(join(directory, 'state.db'), bytes);
  }

  function rootOf(table: string): number {
    const sql = 'SELECT rootpage FROM sqlite_schema WHERE name = ?';
    return withFile((file) => Number(file.prepare(sql).get(table)?.['rootpage']));
  }

  test.each(['bans', 'holds', 'history', 'facts'])('is found by the check: %s', (table) => {
    blocked(open());
    damagePage(rootOf(table));
    const store = open(false);
    expect(store.examine()).not.toEqual([]);
    expect(store.volatile).toBe(false);
  });

  test('is replaced by the holder of the lock after a check, with the bans that can be read', () => {
    blocked(open());
    damagePage(rootOf('history'));
    const store = open();
    store.replaceIfDamaged();
    expect(problems.join('\n')).toContain('was set aside as');
    expect(store.volatile).toBe(false);
    expect(store.examine()).toEqual([]);
    expect(store.bans.find(ATTACKER)?.phase).toBe('blocked');
  });

  test('is not replaced after a check if it is intact', () => {
    const store = open();
    blocked(store);
    store.replaceIfDamaged();
    expect(problems).toEqual([]);
  });

  test('lacks its history if that is damaged, though not its bans', () => {
    blocked(open());
    damagePage(rootOf('history'));
    const store = open(false);
    expect(store.history.find({ limit: 10 })).toEqual([]);
    expect(store).toMatchObject({ lacksHistory: true, unread: false });
    expect(store.bans.find(ATTACKER)?.phase).toBe('blocked');
  });

  test('is left in place by other runs, which work in memory', () => {
    const store = open(false);
    dropTables();
    blocked(store);
    expect(store.volatile).toBe(true);
    expect(store.bans.find(ATTACKER)?.phase).toBe('blocked');
    expect(readdirSync(directory).some((name) => name.includes('damaged'))).toBe(false);
  });

  test.each([
    ['an invalid address', "UPDATE bans SET address = '203.0.113.9 -j ACCEPT'"],
    ['a host name as an address', "UPDATE bans SET address = 'attacker.example'"],
    ['a pending line that is not JSON', "UPDATE bans SET owed = 'add', phase = 'blocking'"],
  ])('can also have %s, which never reaches a program', (_, sql) => {
    const store = open();
    blocked(store);
    withFile((file) => {
      file.exec(`PRAGMA foreign_keys = OFF; ${sql}`);
    });
    expect(store.bans.list()).toEqual([]);
    expect(problems.join('\n')).toContain('was set aside as');
  });
});

describe('a full disk', () => {
  beforeEach(() => {
    blocked(open());
    withFile((file) => {
      const refuse = "BEGIN SELECT RAISE(ABORT, 'disk is full'); END";
      for (const table of ['bans', 'holds', 'history', 'facts'])
        file.exec(`CREATE TRIGGER full_${table} BEFORE INSERT ON ${table} ${refuse}`);
      file.exec(`CREATE TRIGGER full_deletes BEFORE DELETE ON holds ${refuse}`);
    });
  });

  test.each<[string, (store: Store) => void]>([
    [
      'a pending change',
      (store) => {
        blocked(store);
      },
    ],
    [
      'a confirmation',
      (store) => {
        withFile((file) => {
          file.exec("UPDATE bans SET phase = 'blocking'");
        });
        store.bans.confirm([{ address: ATTACKER, phase: 'blocking' }], [entry(1)]);
      },
    ],
    [
      'a hold',
      (store) => {
        const change = { ...WITHOUT_LINE, address: ATTACKER, phase: 'blocking' } as const;
        store.bans.addHolds([{ ...change, hold: hold('manual') }]);
      },
    ],
    [
      'the end of a hold',
      (store) => {
        store.bans.dropHolds([{ address: ATTACKER, origin: 'wazuh' }]);
      },
    ],
    [
      'a record of the history',
      (store) => {
        store.history.record([entry(1)]);
      },
    ],
    [
      'a reverted ban',
      (store) => {
        const before = {
          address: ATTACKER,
          phase: 'blocked',
          sinceMs: 1,
          holds: [hold()],
          foreign: {},
        } as const;
        store.bans.revert([{ ...before, line: null, offset: null }]);
      },
    ],
    [
      'a metadata value',
      (store) => {
        store.metadata.set('a', 'b');
        store.metadata.flush();
      },
    ],
  ])('is reported once and does not stop %s', (_, work) => {
    const store = open();
    expect(() => {
      work(store);
    }).not.toThrow();
    expect(problems).toHaveLength(1);
    expect(problems[0]).toMatch(/^the state failed: .*disk is full/);
    expect(store.volatile).toBe(true);
  });
});

describe('the right to repair', () => {
  test('that comes with the lock replaces a file that was already found damaged', () => {
    writeFileSync(join(directory, 'state.db'), 'garbage'.repeat(1000));
    const store = open(false);
    expect(store.volatile).toBe(true);
    store.allowRepair();
    expect(store.volatile).toBe(false);
    blocked(store);
    expect(open(false).bans.find(ATTACKER)?.phase).toBe('blocked');
  });

  test('is used once, so that a disk that damages each new file is not filled with copies', () => {
    const store = open();
    const dropTables = (): void => {
      withFile((file) => {
        file.exec('DROP TABLE holds; DROP TABLE bans');
      });
    };
    dropTables();
    expect(store.bans.list()).toEqual([]);
    dropTables();
    expect(store.bans.list()).toEqual([]);
    expect(store.volatile).toBe(true);
  });
});

test('a file that was replaced since it was opened is opened again, and earlier writes stay in the old one', () => {
  const waiting = open(false);
  blocked(waiting);
  const aside = join(directory, 'aside');
  mkdirSync(aside);
  for (const name of readdirSync(directory).filter((each) => each.startsWith('state.db'))) {
    renameSync(join(directory, name), join(aside, name));
  }
  blocked(open(), '203.0.113.10');
  waiting.reopenIfReplaced();
  expect(waiting.bans.list().map(({ address }) => address.text)).toEqual(['203.0.113.10']);
  blocked(waiting, '203.0.113.11');
  expect(open(false).bans.count()).toBe(2);
  expect(problems).toEqual([]);
});
