// Recovery: after a death at any call, the next run brings state, kernel and log together.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makeHold } from '../../../src/model/ban.ts';
import { block, ensureBlocked } from '../../../src/bans/block.ts';
import { expireDue, releaseProtected } from '../../../src/bans/expire.ts';
import { findDrift } from '../../../src/bans/reconcile.ts';
import { recover } from '../../../src/bans/recover.ts';
import { restore } from '../../../src/bans/restore.ts';
import { entriesFrom } from '../../../src/policy/protected.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import { refuses, type Disturbance } from '../support/kernel.ts';
import { dieDuring, everyDeath, type Death } from '../support/mortal.ts';
import {
  NOTHING_PROTECTED,
  addressOf,
  blockAll,
  codeOf,
  firewallsFor,
  holdRequest,
  NOON_MS,
  Workshop,
} from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');
const OTHER = addressOf('203.0.113.10');
const IDS = '1620563486.6306696 31151';

const withoutIpv6: Disturbance = (command, work) =>
  command.program.startsWith('ip6') ? refuses(3, 'no IPv6 here')(command, work) : work();

function add(context: BanContext): void {
  block(ATTACKER, holdRequest(), context);
}

function remove(context: BanContext): void {
  unblock(ATTACKER, { origin: 'wazuh', alertRef: holdRequest().alertRef }, context);
}

/** Runs a scenario once for each call at which a run of `work` can die. */
function forEveryDeath(
  work: (context: BanContext) => void,
  story: { before?: (host: Workshop) => void; after: (host: Workshop, death: Death) => void },
): number {
  let deaths = 0;
  let lived = false;
  for (const death of everyDeath(() => lived)) {
    const host = new Workshop();
    try {
      story.before?.(host);
      lived = !dieDuring(host, death, work);
      if (lived) continue;
      deaths += 1;
      host.kernel.disturbAlways(null);
      recover(host.newRun(), NOTHING_PROTECTED);
      story.after(host, death);
    } finally {
      host.close();
    }
  }
  return deaths;
}

/** Returns state and kernel in one word, with the place of death if they disagree. */
function stateOf(host: Workshop, death: Death): string {
  const held = host.openStore().bans.list();
  const phases = held.map((ban) => `${ban.address.text} ${ban.phase}`).join(', ') || 'nothing';
  const rules = host.rulesFor('203.0.113.9').join('+');
  return `${phases}; rules ${rules} (died ${death.when} call ${death.atCall})`;
}

function agreed(death: Death, blocked: boolean): string {
  const state = blocked ? '203.0.113.9 blocked; rules 1+1' : 'nothing; rules 0+0';
  return `${state} (died ${death.when} call ${death.atCall})`;
}

describe('a run that dies', () => {
  test('while it blocks leaves nothing before its pending change is recorded, and a whole block and one line after that', () => {
    const deaths = forEveryDeath(add, {
      after(host, death) {
        const blocked = host.rulesFor('203.0.113.9')[0] > 0;
        expect(stateOf(host, death)).toBe(agreed(death, blocked));
        expect(host.log.lines).toEqual(blocked ? [`add 203.0.113.9 ${IDS}`] : []);
      },
    });
    expect(deaths).toBeGreaterThanOrEqual(10);
  });

  test('while it blocks is followed by an add that leaves one rule in each chain', () => {
    forEveryDeath(add, {
      after(host, death) {
        add(host.newRun());
        expect(stateOf(host, death)).toBe(agreed(death, true));
      },
    });
  });

  test('while it blocks is followed by a delete that leaves nothing', () => {
    forEveryDeath(add, {
      after(host, death) {
        remove(host.newRun());
        expect(stateOf(host, death)).toBe(agreed(death, false));
      },
    });
  });

  test('while it unblocks leaves the block before its pending change is recorded, and nothing but one line after that', () => {
    const deaths = forEveryDeath(remove, {
      before: (host) => {
        add(host.newRun());
      },
      after(host, death) {
        const blocked = host.rulesFor('203.0.113.9')[0] > 0;
        expect(stateOf(host, death)).toBe(agreed(death, blocked));
        expect(host.log.lines.slice(1)).toEqual(blocked ? [] : [`delete 203.0.113.9 ${IDS}`]);
      },
    });
    expect(deaths).toBeGreaterThanOrEqual(10);
  });

  test('while it expires bans leaves each address either blocked or unblocked with one line', () => {
    const deaths = forEveryDeath(
      (context) => {
        expireDue(context);
      },
      {
        before(host) {
          block(ATTACKER, holdRequest(), host.newRun());
          block(OTHER, holdRequest(), host.newRun());
          host.nowMs = NOON_MS + 600_000;
        },
        after(host, death) {
          expireDue(host.newRun());
          expect(stateOf(host, death)).toBe(agreed(death, false));
          expect(host.rulesFor('203.0.113.10')).toEqual([0, 0]);
          expect(host.log.lines.slice(2).sort()).toEqual([
            `delete 203.0.113.10 ${IDS}`,
            `delete 203.0.113.9 ${IDS}`,
          ]);
        },
      },
    );
    expect(deaths).toBeGreaterThanOrEqual(10);
  });

  test('while it ends one of two holds leaves both, or one hold and one line', () => {
    const manual = holdRequest({ origin: 'manual', timeoutSeconds: null });
    const outcomes = new Set<string>();
    const deaths = forEveryDeath(remove, {
      before(host) {
        add(host.newRun());
        block(ATTACKER, manual, host.newRun());
      },
      after(host, death) {
        expect(stateOf(host, death)).toBe(agreed(death, true));
        const holders = host.holders('203.0.113.9');
        const lines = host.log.lines.slice(2);
        const kept = holders.length === 1;
        expect([death, holders]).toEqual([death, kept ? ['manual'] : ['manual', 'wazuh']]);
        expect([death, lines]).toEqual([death, kept ? [`kept 203.0.113.9 ${IDS}`] : []]);
        outcomes.add(holders.join());
      },
    });
    expect(deaths).toBeGreaterThanOrEqual(6);
    expect(outcomes.size).toBe(2);
  });

  test('while it undoes a block leaves neither a partial block nor a pending change', () => {
    forEveryDeath(
      (context) => {
        try {
          add(context);
        } catch {
          // Expected, because the kernel refuses.
        }
      },
      {
        before: (host) => {
          host.kernel.disturbAlways(refuses(1, 'no'));
        },
        after(host, death) {
          const blocked = host.rulesFor('203.0.113.9')[0] > 0;
          expect(stateOf(host, death)).toBe(agreed(death, blocked));
          const added = host.log.lines.filter((line) => line.startsWith('add'));
          expect(added).toEqual(blocked ? [`add 203.0.113.9 ${IDS}`] : []);
        },
      },
    );
  });

  test('while it moves a deadline leaves the block with the old or the new deadline', () => {
    forEveryDeath(
      (context) => {
        ensureBlocked(ATTACKER, holdRequest(), context);
      },
      {
        before(host) {
          add(host.newRun());
          host.nowMs += 60_000;
        },
        after(host, death) {
          expect(stateOf(host, death)).toBe(agreed(death, true));
          const expiresAtMs = host.openStore().bans.find(ATTACKER)?.holds[0]?.expiresAtMs;
          expect([NOON_MS + 600_000, NOON_MS + 660_000]).toContain(expiresAtMs);
        },
      },
    );
  });

  test('while it recovers leaves the recovery to the next run', () => {
    const afterIntent: Death = { atCall: 10, when: 'before' };
    const deaths = forEveryDeath(
      (context) => {
        recover(context, NOTHING_PROTECTED);
      },
      {
        before(host) {
          expect(dieDuring(host, afterIntent, add)).toBe(true);
          expect(host.openStore().bans.pending()).toHaveLength(1);
        },
        after(host, death) {
          expect(stateOf(host, death)).toBe(agreed(death, true));
          expect(host.log.lines).toEqual([`add 203.0.113.9 ${IDS}`]);
        },
      },
    );
    expect(deaths).toBeGreaterThanOrEqual(6);
  });
});

describe('a pending change of an earlier run', () => {
  let host: Workshop;
  beforeEach(() => {
    host = new Workshop();
  });
  afterEach(() => {
    host.close();
  });

  test('that does not exist runs no process', () => {
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.kernel.commands).toEqual([]);
  });

  test('is not made again if the kernel already has it', () => {
    expect(dieDuring(host, { atCall: 10, when: 'after' }, add)).toBe(true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    const before = host.kernel.changingCommands;
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.kernel.changingCommands).toBe(before);
    expect(host.cut).toEqual([['203.0.113.9']]);
  });

  test('of a list is logged in one write, without the lines that are already in the log', () => {
    const list = Array.from({ length: 20 }, (_, n) => addressOf(`198.51.100.${n}`));
    const context = host.newRun();
    const offset = host.log.offset();
    const alertRef = { alertId: '1.2', ruleId: '3' };
    context.store.bans.begin(
      list.map((address) => ({
        address,
        phase: 'blocking',
        line: { verb: 'add', address, alertRef },
        offset,
        hold: makeHold(holdRequest(), host.nowMs),
      })),
      host.nowMs,
    );
    host.log.write(list.slice(0, 5).map((address) => ({ verb: 'add', address, alertRef })));
    const calls = { searches: 0, tells: 0 };
    const { log } = host;
    recover(
      {
        ...context,
        responseLog: {
          offset: () => log.offset(),
          write: (outcomes) => {
            calls.tells += 1;
            log.write(outcomes);
          },
          missing: (since, outcomes) => {
            calls.searches += 1;
            return log.missing(since, outcomes);
          },
        },
      },
      NOTHING_PROTECTED,
    );
    expect(calls).toEqual({ searches: 1, tells: 1 });
    expect(log.lines.toSorted()).toEqual(list.map(({ text }) => `add ${text} 1.2 3`).toSorted());
  });

  test('gets its line although the log has an equal line from an earlier block of the same alert', () => {
    add(host.newRun());
    remove(host.newRun());
    const line = `add 203.0.113.9 ${IDS}`;
    expect(dieDuring(host, { atCall: 10, when: 'after' }, add)).toBe(true);
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(1);
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(2);
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(2);
  });

  test('is undone if the address has become protected', () => {
    const protectedEntries = () => entriesFrom(['203.0.113.9'], 'default gateway');
    dieDuring(host, { atCall: 11, when: 'before' }, add);
    recover(host.newRun(), { protectedEntries });
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.openStore().bans.list()).toEqual([]);
    expect(host.log.lines).toEqual([]);
  });

  test('to unblock a protected address is completed with its line', () => {
    add(host.newRun());
    dieDuring(host, { atCall: 10, when: 'before' }, remove);
    expect(host.openStore().bans.find(ATTACKER)?.phase).toBe('unblocking');
    const protectedEntries = () => entriesFrom(['203.0.113.9'], 'default gateway');
    recover(host.newRun(), { protectedEntries });
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.log.lines.at(-1)).toBe(`delete 203.0.113.9 ${IDS}`);
  });

  test('is searched in the log from the end of the log at the time of the change', () => {
    expect(dieDuring(host, { atCall: 10, when: 'before' }, add)).toBe(true);
    const other = (run: BanContext): void => {
      block(OTHER, holdRequest(), run);
    };
    other(host.newRun());
    unblock(OTHER, { origin: 'wazuh', alertRef: holdRequest().alertRef }, host.newRun());
    expect(dieDuring(host, { atCall: 9, when: 'before' }, other)).toBe(true);
    recover(host.newRun(), NOTHING_PROTECTED);
    const line = `add 203.0.113.10 ${IDS}`;
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(2);
  });

  test('takes no longer than its share of an alert’s time', () => {
    dieDuring(host, { atCall: 10, when: 'before' }, add);
    const run = host.newRun();
    const given: number[] = [];
    const firewall = firewallsFor((command, timeoutMs) => {
      given.push(timeoutMs);
      return host.kernel.run(command, timeoutMs);
    }, run.store);
    recover({ ...run, firewall }, { ...NOTHING_PROTECTED, withinMs: 4000 });
    expect(given.length).toBeGreaterThan(0);
    expect(Math.max(...given)).toBeLessThanOrEqual(4000);
  });

  test('is completed for a protected address if a person forced the block', () => {
    const protectedEntries = () => entriesFrom(['203.0.113.9'], 'default gateway');
    dieDuring(host, { atCall: 11, when: 'before' }, (run) => {
      block(ATTACKER, holdRequest({ origin: 'manual', forced: true }), run);
    });
    recover(host.newRun(), { protectedEntries });
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    restore(host.newRun(), () => true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('keeps a block that a person forced, in every later run, although an alert holds it too', () => {
    const protectedEntries = entriesFrom(['203.0.113.9'], 'default gateway');
    block(ATTACKER, holdRequest(), host.newRun());
    const hold = makeHold(holdRequest({ origin: 'manual', forced: true }), NOON_MS);
    const change = {
      address: ATTACKER,
      phase: 'blocking',
      line: null,
      offset: null,
      hold,
    } as const;
    host.openStore().bans.begin([change], NOON_MS);
    recover(host.newRun(), { protectedEntries: () => protectedEntries });
    expect(releaseProtected(protectedEntries, host.newRun())).toEqual([]);
    restore(host.newRun(), () => true);
    expect(host.holders('203.0.113.9')).toEqual(['manual', 'wazuh']);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('stays pending while the kernel refuses it', () => {
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(
      codeOf(() => {
        remove(host.newRun());
      }),
    ).toBe('FIREWALL');
    expect(
      codeOf(() => {
        recover(host.newRun(), NOTHING_PROTECTED);
      }),
    ).toBe('FIREWALL');
    expect(host.openStore().bans.pending()).toHaveLength(1);
  });

  test('for IPv6 that fails does not prevent one for IPv4', () => {
    const context = host.newRun();
    for (const text of ['2001:db8::9', '203.0.113.9']) {
      const address = addressOf(text);
      const line = { verb: 'add', address, alertRef: holdRequest().alertRef } as const;
      context.store.bans.begin(
        [{ address, phase: 'blocking', line, offset: null, hold: null }],
        NOON_MS,
      );
    }
    host.kernel.disturbAlways(withoutIpv6);
    expect(
      codeOf(() => {
        recover(host.newRun(), NOTHING_PROTECTED);
      }),
    ).toBe('FIREWALL');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.log.lines).toEqual([`add 203.0.113.9 ${IDS}`]);
  });
});

test('pending changes are left alone while runs without the writer lock are working, because they may be theirs', () => {
  const host = new Workshop();
  const hold = makeHold(holdRequest(), NOON_MS);
  const begun = { address: ATTACKER, phase: 'blocking', line: null, offset: null, hold } as const;
  host.newRun().store.bans.begin([begun], NOON_MS);
  recover({ ...host.newRun(), isWorkShared: () => true }, NOTHING_PROTECTED);
  expect(host.rulesFor(ATTACKER.text)).toEqual([0, 0]);
  const run = {
    ...host.newRun(),
    isWorkShared: () => {
      // Recorded after this run listed the pending changes, so the answer does not cover it.
      host.newRun().store.bans.begin([{ ...begun, address: OTHER }], NOON_MS);
      return false;
    },
  };
  recover(run, NOTHING_PROTECTED);
  expect(host.rulesFor(ATTACKER.text)).toEqual([1, 1]);
  expect(host.rulesFor(OTHER.text)).toEqual([0, 0]);
  host.close();
});

test('a banned address is unblocked once it is in a protected network', () => {
  const host = new Workshop();
  const networks = entriesFrom(['203.0.113.0/24', '2001:db8::/32'], 'protect.allow');
  const others = ['198.51.100.9', '2001:db8::9', '203.0.0.0/16'].map(addressOf);
  blockAll([ATTACKER, ...others], holdRequest(), host.newRun());
  const released = releaseProtected([], host.newRun(), networks);
  expect(released.map(({ address }) => address.text).toSorted()).toEqual([
    '2001:db8::9',
    '203.0.0.0/16',
    '203.0.113.9',
  ]);
  expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  expect(host.rulesFor('198.51.100.9')).toEqual([1, 1]);
  host.close();
});

describe('restoring', () => {
  let host: Workshop;
  let context: BanContext;
  beforeEach(() => {
    host = new Workshop();
    context = host.newRun();
    block(ATTACKER, holdRequest(), context);
    block(OTHER, holdRequest(), context);
    block(addressOf('2001:db8::9'), holdRequest(), context);
  });
  afterEach(() => {
    host.close();
  });
  const nobody = (): boolean => false;

  test('does not block again what a run without the writer lock unblocks at the same time', () => {
    host.kernel.flush();
    let isReleased = false;
    host.kernel.disturbAlways((command, work) => {
      if (!isReleased && command.input.includes(`-s ${ATTACKER.text}/32`)) {
        isReleased = true;
        remove(host.newRun());
      }
      return work();
    });
    restore(host.newRun(), nobody);
    expect(isReleased).toBe(true);
    expect(host.rulesFor(ATTACKER.text)).toEqual([0, 0]);
    expect(findDrift(host.newRun()).steps).toEqual([]);
  });

  test('loads every ban after a reboot, with one look and one change per family', () => {
    host.kernel.flush();
    const before = host.kernel.commands.length;
    const { blocked, changed } = restore(host.newRun(), nobody);
    expect(blocked).toHaveLength(3);
    expect(changed).toBe(true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.rulesFor('2001:db8::9')).toEqual([1, 1]);
    expect(host.kernel.commands).toHaveLength(before + 4);
    expect(host.cut.slice(-2)).toEqual([['203.0.113.9', OTHER.text], ['2001:db8::9']]);
  });

  test('changes nothing if every ban is in place', () => {
    const before = host.kernel.changingCommands;
    const cut = host.cut.length;
    expect(restore(host.newRun(), nobody).changed).toBe(false);
    expect(host.cut).toHaveLength(cut);
    expect(host.kernel.changingCommands).toBe(before);
  });

  test('writes no line, because the add was logged before', () => {
    const lines = [...host.log.lines];
    host.kernel.flush();
    restore(host.newRun(), nobody);
    expect(host.log.lines).toEqual(lines);
  });

  test('unblocks addresses that have become protected, and reports them', () => {
    const { blocked, released } = restore(host.newRun(), ({ text }) => text === '203.0.113.9');
    expect(released.map((ban) => ban.address.text)).toEqual(['203.0.113.9']);
    expect(blocked).toHaveLength(2);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.log.lines.at(-1)).toMatch(/^delete 203\.0\.113\.9 \d+\.\d+ 0$/);
  });

  test('works for one family if it fails for the other', () => {
    host.kernel.flush();
    host.kernel.disturbAlways(withoutIpv6);
    expect(codeOf(() => restore(host.newRun(), nobody))).toBe('FIREWALL');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('does not stop at a protected address that the kernel does not unblock', () => {
    host.kernel.flush();
    host.kernel.disturbAlways(withoutIpv6);
    expect(codeOf(() => restore(host.newRun(), ({ family }) => family === 6))).toBe('FIREWALL');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });
});

describe('drift', () => {
  let host: Workshop;
  beforeEach(() => {
    host = new Workshop();
    add(host.newRun());
  });
  afterEach(() => {
    host.close();
  });

  test('is empty if state and kernel agree', () => {
    expect(findDrift(host.newRun())).toEqual({
      missing: [],
      unknown: [],
      pending: [],
      atWork: null,
      steps: [],
    });
  });

  test('includes a ban without a rule, and changes nothing', () => {
    host.kernel.flush();
    const { missing, steps } = findDrift(host.newRun());
    expect(missing.map((ban) => ban.address.text)).toEqual(['203.0.113.9']);
    expect(steps).toHaveLength(1);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('includes a ban without a rule in one chain', () => {
    host.kernel.remove('INPUT', '-s 203.0.113.9/32 -j DROP');
    const { missing } = findDrift(host.newRun());
    expect(missing).toMatchObject([{ address: { text: '203.0.113.9' }, lacks: ['INPUT'] }]);
  });

  test('includes a rule without a ban, which stays', () => {
    host.kernel.insert('INPUT', '-s 203.0.113.10/32 -j DROP');
    const { unknown, steps } = findDrift(host.newRun());
    expect(unknown).toMatchObject([{ address: OTHER, chains: ['INPUT'] }]);
    expect(steps).toEqual([]);
  });

  test('includes a ban whose packets an earlier rule accepts', () => {
    host.kernel.insert('INPUT', '-s 203.0.113.0/24 -j ACCEPT');
    const { missing, steps } = findDrift(host.newRun());
    expect(missing).toEqual([]);
    expect(steps).toHaveLength(1);
  });
});
