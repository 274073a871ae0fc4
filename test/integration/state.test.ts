// Checks deadlines, crashes, races, flushes and broken states, in the kernel and in the state.
import { once } from 'node:events';
import { readdirSync, readlinkSync } from 'node:fs';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { answerTo, ossecArguments, wazuh4Message } from '../support/alerts.ts';
import { startExecd } from '../support/execd-client.ts';
import { createHost, type TestHost } from '../support/host.ts';
import { connectHosts, NEAR } from '../support/network.ts';
import { loadSnapshot, saveSnapshot } from '../support/snapshot.ts';
import { changeState, readState } from '../support/state.ts';
import { canPing } from '../support/traffic.ts';
import {
  createVictim,
  ossecLine,
  STATE_DIRECTORY,
  type Running,
  type Victim,
} from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const B = '203.0.113.8';
const A6 = '2001:db8:ffff::7';
const STORE = `${STATE_DIRECTORY}/state.db`;
const LOCK = '/run/firewall-drop/lock';
const LOCK_BUSY = 75;
const REFUSED = 65;

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterEach(() => {
  victim.reset();
});
afterAll(() => victim.dispose());

function linesAbout(address: string, verb: string): string[] {
  return victim.log().filter((line) => ossecLine(verb, address).test(line));
}

function hasOpen(pid: number, path: string): boolean {
  const descriptors = `/proc/${pid}/fd`;
  return readdirSync(descriptors).some((each) => readlinkSync(`${descriptors}/${each}`) === path);
}

function storeIsSound(): void {
  expect(readState(victim.host.pid).integrity).toBe('ok');
}

describe('a ban with a deadline ends', () => {
  beforeEach(() => {
    victim.setTimeouts(600);
  });
  const isReleased = (address: string): void => {
    expect(victim.rules(address)).toEqual([]);
    expect(victim.banOn(address)).toBeUndefined();
    expect(linesAbout(address, 'delete')).toHaveLength(1);
  };

  test('by `expire` if execd was killed, and not before its deadline', async () => {
    const execd = await startExecd(victim.host);
    expect(await execd.alert(A, { timeoutSeconds: 600 })).toMatchObject({ status: 0 });
    await execd.kill();
    expect(victim.person(['expire'])).toMatchObject({ status: 0, stdout: '', lines: [] });
    expect(victim.rules(A)).toHaveLength(2);
    victim.endTime(A);
    const response = victim.person(['expire']);
    expect(response).toMatchObject({ status: 0, stdout: `${A} released\n` });
    isReleased(A);
  });

  test('by `expire` for Wazuh 5, whose message has the timeout', () => {
    victim.host.remove('/var/ossec/etc/shared/ar.conf');
    expect(victim.enable(A6, { timeoutSeconds: 60 }).status).toBe(0);
    victim.endTime(A6);
    expect(victim.person(['expire']).status).toBe(0);
    isReleased(A6);
  });

  test('by the next add of another address', () => {
    victim.add(A, { alertId: '1628597000.1', ruleId: '5712' });
    victim.endTime(A);
    expect(victim.add(B).status).toBe(0);
    isReleased(A);
    const ids = { alertId: '1628597000.1', ruleId: '5712' };
    expect(victim.log().some((line) => ossecLine('delete', A, ids).test(line))).toBe(true);
    expect(victim.rules(B)).toHaveLength(2);
  });

  test('by the next delete of another address', () => {
    victim.add(A);
    victim.endTime(A);
    expect(victim.delete(B).status).toBe(0);
    isReleased(A);
  });

  test('only after its last hold has ended', () => {
    victim.person(['add', A, '--timeout', 'never']);
    victim.add(A);
    victim.endTime(A);
    expect(victim.person(['expire'])).toMatchObject({ status: 0, lines: [] });
    expect(victim.banOn(A)?.holds).toMatchObject([{ origin: 'manual' }]);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('without an error if its rules were removed in the meantime', () => {
    victim.add(A);
    victim.flushRules();
    victim.endTime(A);
    expect(victim.person(['expire']).status).toBe(0);
    isReleased(A);
  });
});

describe('the deadline of execd’s ban', () => {
  const secondsOf = (address: string): number | null | undefined => {
    return victim.banOn(address)?.holds[0]?.timeoutSeconds;
  };

  test('is never if no timeout is configured', () => {
    victim.add(A);
    expect(secondsOf(A)).toBeNull();
  });

  test('is the longest of several timeouts plus a minute of grace', () => {
    victim.setTimeouts(60, 600, 300);
    victim.add(A);
    expect(secondsOf(A)).toBe(660);
  });

  test('is never if one of the timeouts is 0', () => {
    victim.setTimeouts(600, 0);
    victim.add(A);
    expect(secondsOf(A)).toBeNull();
  });

  test('is that of repeated_offenders, which is in minutes, if it is longer', () => {
    victim.setTimeouts(600);
    victim.setOssecConf(
      '<active-response><repeated_offenders>30,60,120</repeated_offenders></active-response>',
    );
    victim.add(A);
    expect(secondsOf(A)).toBe(120 * 60 + 60);
  });

  test('follows a change of ar.conf at the next alert', () => {
    victim.setTimeouts(600);
    victim.add(A);
    victim.setTimeouts(60);
    victim.add(B);
    expect([secondsOf(A), secondsOf(B)]).toEqual([660, 120]);
  });

  test('is 90 seconds later for OSSEC, which checks timeouts at this interval', () => {
    victim.setTimeouts(600);
    victim.ossec({ srcip: A });
    expect(secondsOf(A)).toBe(750);
  });

  test('is independent of the timeouts of another executable', () => {
    victim.host.writeFile(
      '/var/ossec/etc/shared/ar.conf',
      'restart-ossec0 - restart-ossec.sh - 0\nhost-deny600 - host-deny - 900\nfirewall-drop60 - firewall-drop - 60\n',
    );
    victim.add(A);
    expect(secondsOf(A)).toBe(120);
  });
});

describe('after a flush', () => {
  let attacker: TestHost;
  const more = ['203.0.113.21', '203.0.113.22', '2001:db8:ffff::21'];
  beforeAll(async () => {
    attacker = await createHost('attacker');
    const [, ofAttacker] = connectHosts(victim.host, attacker);
    attacker.addAddress(`${A}/32`);
    attacker.addAddress(`${A6}/128`);
    victim.host.route('203.0.113.0/24', ofAttacker.ipv4);
    victim.host.route('2001:db8:ffff::/64', ofAttacker.ipv6);
  });
  afterAll(() => attacker.dispose());
  /**
   * Reports whether packets of a family pass. Silence is detected after a second, but the first answer can take longer.
   */
  const reaches = (family: 4 | 6, timeoutMs = 1000): boolean => {
    return family === 4
      ? canPing(attacker, `${NEAR.ipv4}.1`, { sourceAddress: A, timeoutMs })
      : canPing(attacker, `${NEAR.ipv6}:1`, { sourceAddress: A6, timeoutMs });
  };

  test('`restore` blocks every address of both families again, and packets stop', () => {
    expect(victim.person(['add', A, A6, ...more]).status).toBe(0);
    victim.flushRules();
    expect([reaches(4, 60_000), reaches(6, 60_000)]).toEqual([true, true]);
    const response = victim.person(['restore']);
    expect(response).toMatchObject({ status: 0, stdout: '5 bans restored\n' });
    expect(victim.allRules()).toHaveLength(10);
    for (const address of [A, A6, ...more]) expect(victim.rules(address)).toHaveLength(2);
    expect([reaches(4), reaches(6)]).toEqual([false, false]);
    expect(victim.person(['restore'])).toMatchObject({ stdout: '5 bans already in place\n' });
  });

  test('add blocks an address again that is blocked according to the state', () => {
    victim.add(A);
    victim.flushRules();
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('delete succeeds', () => {
    victim.add(A);
    victim.flushRules();
    expect(victim.delete(A).status).toBe(0);
    expect(linesAbout(A, 'delete')).toHaveLength(1);
    expect(victim.bans()).toEqual([]);
  });
});

describe('one address, one rule', () => {
  const put = (...rules: readonly string[]): void => {
    const commands = rules.map((rule) => `iptables -w ${rule}`).join(' && ');
    victim.host.must(['bash', '-c', commands]);
  };

  test('five adds of one address make one rule per chain, and one delete clears them', () => {
    const program = victim.agent.program();
    const words = ossecArguments({ srcip: A }).join(' ');
    const script = `for i in {1..5}; do ${program} ${words} || exit; done`;
    victim.host.must(['bash', '-c', script]);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.ossec({ srcip: A, command: 'delete' }).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });

  test('copies of our rule made during a ban are reduced to one by the next add, and removed by the next delete', () => {
    const copies = [...Array<string>(3).fill('-I INPUT'), '-A INPUT', '-I FORWARD'];
    victim.add(A);
    put(...copies.map((where) => `${where} -s ${A} -j DROP`));
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    put(...copies.map((where) => `${where} -s ${A} -j DROP`));
    expect(victim.delete(A).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });

  test('delete removes the rules that Wazuh’s own program left for an address without a ban', () => {
    put(`-I INPUT -s ${A} -j DROP`, `-I INPUT -s ${A} -j DROP`, `-I FORWARD -s ${A} -j DROP`);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });

  test('an add leaves no rule that accepts the address before ours', () => {
    victim.add(A);
    put(`-I INPUT -s ${A} -j ACCEPT`, '-I FORWARD -j ACCEPT');
    expect(victim.add(A).status).toBe(0);
    const chain = (name: string): (string | undefined)[] => {
      return victim.host.rules(4).filter((rule) => rule.startsWith(`-A ${name} `));
    };
    expect(chain('INPUT')).toEqual([
      `-A INPUT -s ${A}/32 -j DROP`,
      `-A INPUT -s ${A}/32 -j ACCEPT`,
    ]);
    expect(chain('FORWARD')).toEqual([`-A FORWARD -s ${A}/32 -j DROP`, '-A FORWARD -j ACCEPT']);
  });

  test.each(['INPUT', 'FORWARD'])(
    'add restores a missing rule in %s, and delete removes the remaining rule if one is missing',
    (chain) => {
      victim.add(A);
      put(`-D ${chain} -s ${A} -j DROP`);
      expect(victim.add(A).status).toBe(0);
      expect(victim.rules(A)).toHaveLength(2);
      put(`-D ${chain} -s ${A} -j DROP`);
      expect(victim.delete(A).status).toBe(0);
      expect(victim.rules(A)).toEqual([]);
    },
  );

  test('two notations are one address', () => {
    victim.add('::ffff:203.0.113.7');
    victim.add(A);
    expect(victim.allRules()).toHaveLength(2);
    expect(victim.bans()).toHaveLength(1);
  });
});

// test/fault/races.test.ts tests many kinds of simultaneous processes with each backend.
describe('simultaneous processes', () => {
  const addresses = Array.from({ length: 8 }, (_, index) => `203.0.113.${100 + index}`);
  const allSucceed = async (runs: readonly Promise<{ status: number | null }>[]): Promise<void> => {
    const results = await Promise.all(runs);
    expect(results.filter(({ status }) => status !== 0)).toEqual([]);
  };

  test('that add one address make one rule per chain', async () => {
    await allSucceed(addresses.map(() => victim.startAdd(A)));
    expect(victim.allRules()).toHaveLength(2);
    expect(victim.delete(A).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });

  test('that add eight addresses, and then delete them, all succeed', async () => {
    await allSucceed(addresses.map((address) => victim.startAdd(address)));
    expect(victim.allRules()).toHaveLength(2 * addresses.length);
    for (const address of addresses) expect(linesAbout(address, 'add')).toHaveLength(1);
    expect(
      victim
        .bans()
        .map((ban) => ban.address)
        .toSorted(),
    ).toEqual(addresses.toSorted());
    await allSucceed(addresses.map((address) => victim.startDelete(address)));
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
    for (const address of addresses) expect(linesAbout(address, 'delete')).toHaveLength(1);
  });
});

describe('a ban with several holds', () => {
  test('stays after execd’s delete with a line `kept`, until a person’s delete', () => {
    victim.add(A);
    expect(victim.person(['add', A]).status).toBe(0);
    const kept = victim.delete(A);
    expect(kept.status).toBe(0);
    expect(kept.lines).toEqual([expect.stringMatching(ossecLine('kept', A))]);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.banOn(A)?.holds).toMatchObject([{ origin: 'manual' }]);
    expect(victim.person(['delete', A])).toMatchObject({ status: 0, stdout: `${A} released\n` });
    expect(victim.allRules()).toEqual([]);
  });

  test('ends with a person’s delete, independent of its holds', () => {
    victim.add(A);
    victim.ossec({ srcip: A });
    victim.person(['add', A]);
    expect(
      victim
        .banOn(A)
        ?.holds.map((hold) => hold.origin)
        .toSorted(),
    ).toEqual(['manual', 'ossec', 'wazuh']);
    expect(victim.person(['delete', A]).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
  });
});

describe('a broken state', () => {
  const FOREIGN = '/etc/foreign';
  const shell = (script: string): void => {
    victim.host.must(['bash', '-c', `cd ${STATE_DIRECTORY} && ${script}`]);
  };
  /** Checkpoints the write-ahead log into the file, as the last process does that closes it. */
  const checkpoint = (): void => {
    execute('SELECT count(*) FROM bans');
  };
  const execute = (sql: string): void => {
    changeState(victim.host.pid, (database) => {
      database.exec(sql);
    });
  };
  /** Also removes the write-ahead log, from which SQLite would read pages. */
  const fresh = 'rm -rf state.db*';
  const damages: readonly (readonly [string, () => void, 'set aside' | 'used'])[] = [
    [
      'garbage',
      () => {
        shell(`${fresh} && head -c 20000 /dev/urandom >state.db`);
      },
      'set aside',
    ],
    [
      'of zero length',
      () => {
        shell(`${fresh} && : >state.db`);
      },
      'used',
    ],
    [
      'truncated',
      () => {
        checkpoint();
        shell('truncate -s 5000 state.db');
      },
      'set aside',
    ],
    [
      'damaged in its header',
      () => {
        checkpoint();
        shell('printf XXXX | dd of=state.db bs=1 seek=4 conv=notrunc');
      },
      'set aside',
    ],
    [
      'damaged in its pages',
      () => {
        checkpoint();
        shell('dd if=/dev/urandom of=state.db bs=4096 seek=1 count=8 conv=notrunc');
      },
      'set aside',
    ],
    [
      'beside a write-ahead log of garbage',
      () => {
        checkpoint();
        shell('head -c 20000 /dev/urandom >state.db-wal; head -c 20000 /dev/urandom >state.db-shm');
      },
      'used',
    ],
    [
      'without a version but with its tables',
      () => {
        execute('PRAGMA user_version = 0');
      },
      'set aside',
    ],
    [
      'a directory',
      () => {
        shell(`${fresh} && mkdir state.db`);
      },
      'set aside',
    ],
    [
      'a FIFO',
      () => {
        shell(`${fresh} && mkfifo state.db`);
      },
      'set aside',
    ],
    [
      'a link to a file of another user',
      () => {
        shell(`${fresh} && ln -s ${FOREIGN} state.db`);
      },
      'set aside',
    ],
    [
      'beside a write-ahead log that is a link to a file of another user',
      () => {
        shell(`rm -f state.db-*; ln -s ${FOREIGN} state.db-wal`);
      },
      'set aside',
    ],
    [
      'of a newer version',
      () => {
        execute('PRAGMA user_version = 99');
      },
      'used',
    ],
    [
      'without a table',
      () => {
        execute('DROP TABLE holds');
      },
      'set aside',
    ],
    [
      'a foreign database',
      () => {
        shell(fresh);
        execute('CREATE TABLE bans (x); PRAGMA user_version = 1');
      },
      'set aside',
    ],
  ];

  const setAside = (): string[] => {
    const names = victim.host.must(['ls', STATE_DIRECTORY]).split('\n');
    return names.filter((name) => name.startsWith('state.db.damaged-'));
  };

  beforeAll(() => {
    victim.person(['add', B]);
    saveSnapshot(victim, 'a ban');
    victim.reset();
  });

  test.each(damages)('stops neither add nor delete if state.db is %s', (_, damage, fate) => {
    victim.host.writeFile(FOREIGN, 'somebody’s\n');
    loadSnapshot(victim, 'a ban');
    damage();

    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    expect(linesAbout(A, 'add')).toHaveLength(1);
    // The bans in a file that was set aside are lost, but new ones are recorded.
    expect(victim.banOn(A)).toMatchObject({ phase: 'blocked' });
    expect(setAside().length > 0).toBe(fate === 'set aside');
    expect(victim.host.readFile(FOREIGN)).toBe('somebody’s\n');
    storeIsSound();

    const saidBefore = victim.troubles().length;
    damage();
    expect(victim.delete(A).status).toBe(0);
    // If the state was kept, a person holds this address, and execd's delete would not release it.
    expect(victim.person(['delete', B]).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
    expect(victim.bans()).toEqual([]);
    expect(victim.host.readFile(FOREIGN)).toBe('somebody’s\n');
    storeIsSound();
    if (fate === 'set aside') {
      expect(saidBefore).toBeGreaterThan(0);
      expect(victim.troubles().join('\n')).toContain('state.db.damaged-');
    }
  });

  test('makes commands that only read exit with 74 instead of reporting that nothing is banned', () => {
    const looks = [['list'], ['history'], ['export'], ['status'], ['reconcile', '--dry-run']];
    const statuses = (): (number | null)[] => looks.map((args) => victim.person(args).status);
    expect(statuses()).toEqual(looks.map(() => 0));
    loadSnapshot(victim, 'a ban');
    expect(statuses()).toEqual(looks.map(() => 0));
    shell(`${fresh} && head -c 20000 /dev/urandom >state.db`);
    expect(statuses()).toEqual(looks.map(() => 74));
    for (const look of ['list', 'history']) expect(victim.person([look]).stdout).toBe('');
    expect(victim.person(['restore']).status).toBe(0);
    expect(statuses()).toEqual(looks.map(() => 0));
  });

  test('with additions of a later version loses no ban', () => {
    loadSnapshot(victim, 'a ban');
    execute('ALTER TABLE holds ADD COLUMN later TEXT; CREATE TABLE later (x)');
    execute('PRAGMA user_version = 99');
    for (const args of [['expire'], ['reconcile', '--dry-run'], ['restore']])
      expect(victim.person(args)).toMatchObject({ status: 0, stderr: '' });
    expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
    expect(victim.bans().map(({ address }) => address)).toEqual([B, A]);
    expect(setAside()).toEqual([]);
    expect(victim.person(['flush', '--yes'])).toMatchObject({ status: 0, stderr: '' });
    expect(victim.allRules()).toEqual([]);
  });

  test('with damage in the history alone loses no ban', () => {
    loadSnapshot(victim, 'a ban');
    let page = 0;
    changeState(victim.host.pid, (database) => {
      const sql = "SELECT rootpage FROM sqlite_schema WHERE name = 'history'";
      page = Number(database.prepare(sql).get()?.['rootpage']);
    });
    victim.setTimeouts(600);
    shell(`dd if=/dev/urandom of=state.db bs=4096 seek=${page - 1} count=1 conv=notrunc`);
    expect(victim.add(A).status).toBe(0);
    expect(setAside()).not.toEqual([]);
    expect(victim.bans().map(({ address }) => address)).toEqual([B, A]);
    storeIsSound();
    victim.endTime(A, B);
    expect(victim.person(['expire']).status).toBe(0);
    expect(victim.allRules()).toEqual([]);
  });

  test('in a directory that others can write to is not used', () => {
    victim.host.mkdir(STATE_DIRECTORY, { mode: '0777' });
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.host.must(['ls', STATE_DIRECTORY])).toBe('');
    expect(victim.troubles().join('\n')).toContain(STATE_DIRECTORY);
  });

  test('that can’t be read makes `expire`, `flush`, `restore` and `reconcile` exit with 74', () => {
    loadSnapshot(victim, 'a ban');
    victim.host.must(['chmod', '0777', STATE_DIRECTORY]);
    for (const args of [['expire'], ['flush', '--yes'], ['restore'], ['reconcile']])
      expect(victim.person(args).status).toBe(74);
    expect(victim.rules(B)).toHaveLength(2);
  });

  test('with a full /run still has a working writer lock', () => {
    victim.person(['add', B]);
    victim.host.must(['mount', '-t', 'tmpfs', '-o', 'nr_inodes=2', 'tmpfs', '/run/firewall-drop']);
    try {
      expect(victim.add(A)).toMatchObject({ status: 0, stderr: '' });
      expect(victim.person(['delete', A])).toMatchObject({ status: 0, stderr: '' });
    } finally {
      victim.host.must(['umount', '/run/firewall-drop']);
    }
  });

  test('whose lock can’t be used is reported in one sentence', () => {
    const remount = 'mount --bind /run /run && mount -o remount,bind,ro /run';
    victim.host.must(['bash', '-c', remount]);
    try {
      const { status, stderr } = victim.person(['add', A]);
      expect(status).toBe(74);
      expect(stderr).toMatch(/the lock \S+ can't be used: read-only file system\n$/);
    } finally {
      victim.host.must(['umount', '/run']);
    }
  });

  test('whose lock can’t be used has its pending changes completed by alerts', () => {
    victim.add(A);
    changeState(victim.host.pid, (database) => {
      database.exec("UPDATE bans SET phase = 'unblocking'");
    });
    victim.host.must(['bash', '-c', `rm -f ${LOCK} && mkdir ${LOCK}`]);
    try {
      expect(victim.add(A6)).toMatchObject({ status: 0, stderr: expect.stringContaining('lock') });
      expect(victim.banOn(A)).toBeUndefined();
      expect(victim.rules(A)).toEqual([]);
    } finally {
      victim.host.must(['rmdir', LOCK]);
    }
  });

  test.each([
    ['before its first use', false],
    ['after', true],
  ])('on a read-only file system stops neither add nor delete, %s', (_, used) => {
    if (used) victim.person(['add', B]);
    const remount = 'mount --bind /var/lib /var/lib && mount -o remount,bind,ro /var/lib';
    victim.host.must(['bash', '-c', remount]);
    try {
      expect(victim.add(A).status).toBe(0);
      expect(victim.rules(A)).toHaveLength(2);
      expect(victim.troubles().join('\n')).toContain('state');
      expect(victim.delete(A).status).toBe(0);
      expect(victim.rules(A)).toEqual([]);
      expect(victim.log()).toHaveLength(used ? 3 : 2);
    } finally {
      victim.host.must(['umount', '/var/lib']);
    }
  });

  test.each([
    ['before its first use', false],
    ['after', true],
  ])('on a full disk stops neither add nor delete, %s', (_, used) => {
    victim.host.mkdir(STATE_DIRECTORY, { mode: '0700' });
    victim.host.must([
      'mount',
      '-t',
      'tmpfs',
      '-o',
      'size=256k,mode=0700',
      'tmpfs',
      STATE_DIRECTORY,
    ]);
    try {
      if (used) victim.person(['add', B]);
      victim.host.run(['dd', 'if=/dev/zero', `of=${STATE_DIRECTORY}/full`]);
      expect(victim.add(A).status).toBe(0);
      expect(victim.rules(A)).toHaveLength(2);
      expect(victim.delete(A).status).toBe(0);
      expect(victim.rules(A)).toEqual([]);
      expect(victim.troubles().join('\n')).toContain('state');
    } finally {
      victim.host.must(['umount', STATE_DIRECTORY]);
    }
  });

  test('on a disk that becomes full before the confirmation stops no block, whose line is written once, and the next run completes it', () => {
    const fake = '/var/tmp/filling-restore';
    const real = victim.host.must(['readlink', '/etc/alternatives/iptables-restore']).trim();
    const fill = `cat /dev/zero >${STATE_DIRECTORY}/full 2>/dev/null`;
    const script = `#!/bin/sh\n${fill}\nexec ${real} "$@"\n`;
    victim.host.writeFile(fake, script, { mode: '0755' });
    victim.host.mkdir(STATE_DIRECTORY, { mode: '0700' });
    const small = ['-o', 'size=512k,mode=0700', 'tmpfs', STATE_DIRECTORY];
    victim.host.must(['mount', '-t', 'tmpfs', ...small]);
    try {
      victim.person(['add', B]);
      victim.host.symlink(fake, '/etc/alternatives/iptables-restore');
      for (const [act, verb, count] of [
        [() => victim.add(A), 'add', 2],
        [() => victim.delete(A), 'delete', 0],
      ] as const) {
        expect(act().status).toBe(0);
        expect(victim.rules(A)).toHaveLength(count);
        expect(victim.troubles().join('\n')).toMatch(/the state failed.*full/);
        victim.host.remove(`${STATE_DIRECTORY}/full`);
        victim.host.symlink(real, '/etc/alternatives/iptables-restore');
        expect(victim.person(['expire']).status).toBe(0);
        expect(victim.banOn(A)?.phase).toBe(count === 0 ? undefined : 'blocked');
        expect(victim.rules(A)).toHaveLength(count);
        expect(linesAbout(A, verb)).toHaveLength(1);
        storeIsSound();
        victim.host.symlink(fake, '/etc/alternatives/iptables-restore');
      }
    } finally {
      victim.host.symlink(real, '/etc/alternatives/iptables-restore');
      victim.host.must(['umount', STATE_DIRECTORY]);
    }
  });

  test('has files that only root can access, with any umask', () => {
    for (const mask of ['0', '077']) {
      victim.reset();
      const script = `umask ${mask}; exec ${victim.agent.program()} add ${A}`;
      victim.host.must(['bash', '-c', script]);
      const modes = victim.host.must(['bash', '-c', `stat -c '%a %n' ${STATE_DIRECTORY} ${STORE}`]);
      expect(modes).toBe(`700 ${STATE_DIRECTORY}\n600 ${STORE}\n`);
    }
  });
});

describe('while another process holds the writer lock', () => {
  let release: () => Promise<unknown>;
  beforeEach(async () => {
    victim.configure('[limits]\nlock_wait_seconds = 1\n');
    const code = `
      const { DatabaseSync } = require('node:sqlite');
      require('node:fs').mkdirSync('/run/firewall-drop', { recursive: true, mode: 0o700 });
      globalThis.lock = new DatabaseSync('${LOCK}', { timeout: 5000 });
      lock.exec('BEGIN EXCLUSIVE');
      console.log('held');
      process.stdin.on('end', () => process.exit()).resume();`;
    const holder = victim.host.spawn([process.execPath, '-e', code]);
    let said = '';
    holder.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
    await eventually('the lock to be held', () => said.includes('held'));
    const ended = once(holder, 'exit');
    release = () => {
      holder.stdin?.end();
      return ended;
    };
  });
  afterEach(() => release());

  test('execd’s add and delete succeed in bounded time, and the log has a warning', () => {
    const added = victim.add(A);
    expect(added.status).toBe(0);
    expect(added.durationMs).toBeGreaterThan(900);
    expect(victim.rules(A)).toHaveLength(2);
    expect(victim.troubles()).toContainEqual(expect.stringContaining('lock'));
    expect(victim.delete(A).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
  });

  test('pending changes are left to that process, and completed once the lock is free', async () => {
    victim.add(A);
    changeState(victim.host.pid, (database) => {
      database.exec("UPDATE bans SET phase = 'unblocking'");
    });
    expect(victim.add(A6)).toMatchObject({ status: 0, stderr: expect.stringContaining('lock') });
    const told = [['reconcile', '--dry-run'], ['status'], ['doctor']].map((words) => {
      return victim.person(words).stdout;
    });
    const [why, interrupted] = [/pending:? .*process \d+ holds the writer lock/, /was interrupted/];
    expect(told).toEqual(told.map(() => expect.stringMatching(why)));
    expect(told).toEqual(told.map(() => expect.not.stringMatching(interrupted)));
    expect(victim.banOn(A)?.phase).toBe('unblocking');
    expect(victim.rules(A)).toHaveLength(2);
    await release();
    expect(victim.delete(A6)).toMatchObject({ status: 0, stderr: '' });
    expect(victim.banOn(A)).toBeUndefined();
    expect(victim.allRules()).toEqual([]);
  });

  test.each([['add'], ['delete']])('a person’s %s changes nothing, and can be repeated', (verb) => {
    const response = victim.person([verb, A]);
    expect(response).toMatchObject({ status: LOCK_BUSY, stdout: '', lines: [] });
    expect(response.stderr).toMatch(/^firewall-drop: .+\n$/);
    expect(victim.allRules()).toEqual([]);
  });

  test('a quarter of an alert’s time is reserved for the block, however long it waits for the lock', () => {
    victim.configure('[limits]\nlock_wait_seconds = 60\ntotal_seconds = 8\n');
    expect(victim.add(A).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
  });

  test('a ban that is due is left to that process, and released without the lock if it is overdue by a minute', () => {
    victim.setTimeouts(600);
    victim.add(A);
    victim.endTime(A);
    expect(victim.add(B).status).toBe(0);
    expect(victim.rules(A)).toHaveLength(2);
    changeState(victim.host.pid, (database) => {
      database
        .prepare('UPDATE holds SET expires_at_ms = ? WHERE address = ?')
        .run(Date.now() - 61_000, A);
    });
    expect(victim.delete(B).status).toBe(0);
    expect(victim.rules(A)).toEqual([]);
    expect(linesAbout(A, 'delete')).toHaveLength(1);
  });

  test('a run that waits reads /proc/locks only a few times, because each read blocks all locking on the host', () => {
    victim.configure('[limits]\nlock_wait_seconds = 5\n');
    const launcher = ['strace', '-f', '-qq', '-e', 'trace=open,openat', '--'];
    const message = wazuh4Message({ srcip: A });
    const alert = { args: [], input: message + answerTo(message, 'continue') };
    const { status, stderr } = victim.run(alert, { launcher });
    expect(status).toBe(0);
    const looks = stderr.match(/"\/proc\/locks"/g) ?? [];
    expect(looks.length).toBeGreaterThan(0);
    expect(looks.length).toBeLessThanOrEqual(4);
  });

  test('a run that waits gets the lock when it is free', async () => {
    victim.configure('[limits]\nlock_wait_seconds = 30\n');
    const running = victim.start();
    const message = wazuh4Message({ srcip: A });
    running.say(message + answerTo(message, 'continue'));
    await eventually('the run to wait for the lock', () => hasOpen(running.pid, LOCK));
    expect(victim.rules(A)).toEqual([]);
    await release();
    expect(await running.ended).toMatchObject({ status: 0, stderr: '' });
    expect(victim.rules(A)).toHaveLength(2);
  });

  describe('if an alert works without the lock and another run gets it in the meantime', () => {
    const LINK = '/etc/alternatives/iptables-restore';
    let hanging: Running;
    const startSlow = async (alert: string): Promise<void> => {
      const wrapper = `#!/bin/bash
        input=$(cat)
        if [[ $input == *-[DI]* ]] && mkdir /run/hangs; then
          until [[ -e /run/go ]]; do sleep 0.05; done
        fi
        exec -a "$0" /usr/sbin/iptables-nft-restore "$@" <<<"$input"\n`;
      victim.host.writeFile('/run/slow', wrapper, { mode: '0755' });
      victim.host.symlink('/run/slow', LINK);
      hanging = victim.start();
      hanging.say(alert);
      hanging.hangUp();
      await eventually('the change of the alert to hang', () => victim.host.exists('/run/hangs'));
      await release();
    };
    const letGo = async (): Promise<void> => {
      victim.host.writeFile('/run/go', '');
      expect((await hanging.ended).status).toBe(0);
    };
    afterEach(() => {
      victim.host.useIptables('nft');
      victim.host.remove('/run/go', '/run/hangs', '/run/slow');
    });

    test('an add that waits for the firewall during a delete leaves nothing behind', async () => {
      const message = wazuh4Message({ srcip: A });
      await startSlow(message + answerTo(message, 'continue'));
      expect(victim.delete(A).status).toBe(0);
      await letGo();
      expect(victim.rules(A)).toEqual([]);
      // The delete stayed pending, because the add could have been killed.
      expect(victim.person(['expire']).status).toBe(0);
      expect(victim.banOn(A)).toBeUndefined();
    });

    test('a delete that waits for the firewall during an add leaves the address blocked', async () => {
      victim.add(A);
      await startSlow(wazuh4Message({ srcip: A, command: 'delete' }));
      expect(victim.person(['add', A]).status).toBe(0);
      await letGo();
      expect(victim.rules(A)).toHaveLength(2);
      expect(victim.person(['expire']).status).toBe(0);
      expect(victim.banOn(A)?.phase).toBe('blocked');
    });
  });

  test.each([
    ['the state', [STATE_DIRECTORY]],
    ['its file alone', [STORE]],
    ['its write-ahead log alone', [`${STORE}-wal`]],
  ])(
    'a run that waits while %s is removed records its ban where the next run finds it',
    async (_, paths) => {
      victim.setTimeouts(600);
      victim.configure('[limits]\nlock_wait_seconds = 30\n');
      const running = victim.start();
      const message = wazuh4Message({ srcip: A });
      running.say(message + answerTo(message, 'continue'));
      await eventually('the run to wait for the lock', () => hasOpen(running.pid, LOCK));
      victim.host.remove(...paths);
      await release();
      expect(await running.ended).toMatchObject({ status: 0, stderr: '' });
      expect(victim.bans()).toMatchObject([{ address: A }]);
      victim.endTime(A);
      expect(victim.person(['expire']).status).toBe(0);
      expect(victim.rules(A)).toEqual([]);
    },
  );

  test('alerts that wait for the lock at the same time do not exceed the bans per minute', async () => {
    victim.configure('[limits]\nlock_wait_seconds = 30\nbans_per_minute = 1\n');
    const alerts = [A, B].map((srcip) => victim.start(ossecArguments({ srcip })));
    await eventually('both to wait for the lock', () => {
      return alerts.every(({ pid }) => hasOpen(pid, LOCK));
    });
    await release();
    const ended = await Promise.all(alerts.map((alert) => alert.ended));
    expect(ended.map(({ status }) => status).toSorted()).toEqual([0, REFUSED]);
    expect(victim.bans()).toHaveLength(1);
    expect(
      victim
        .log()
        .map((line) => line.split(/ +/)[7])
        .toSorted(),
    ).toEqual(['add', 'failed', 'refused']);
  });
});
