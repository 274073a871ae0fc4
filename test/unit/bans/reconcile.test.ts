// After a death at any call, the next run brings state, kernel and log together again.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { makeHold } from '../../../src/model/ban.ts';
import { block, ensureBlocked } from '../../../src/bans/block.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { releaseProtected } from '../../../src/bans/protected.ts';
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

/** Runs a story once for each call at which a run of `work` can die. */
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

/** State and kernel as one word, with where the run died in case they disagree. */
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
  test('while it blocks leaves nothing before its pending change, and afterwards a whole block and one line', () => {
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

  test('while it unblocks leaves all before its pending change, and afterwards nothing and one line', () => {
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

  test('while it ends what is due leaves each address either whole or gone with one line', () => {
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

  test('while it ends the hold of one of two leaves both, or one and one line', () => {
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

  test('while it undoes a block leaves neither half a block nor a pending change', () => {
    forEveryDeath(
      (context) => {
        try {
          add(context);
        } catch {
          // What is meant to happen: the kernel refuses.
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

  test('while it moves a deadline leaves the block as it was, or with the new deadline', () => {
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

  test('while it recovers leaves that to the next', () => {
    const afterIntent: Death = { atCall: 5, when: 'before' };
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

  test('costs no process when there is none', () => {
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.kernel.commands).toEqual([]);
  });

  test('is not done again in a kernel that has it already', () => {
    expect(dieDuring(host, { atCall: 5, when: 'after' }, add)).toBe(true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    const before = host.kernel.changingCommands;
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.kernel.changingCommands).toBe(before);
    expect(host.cut).toEqual([['203.0.113.9']]);
  });

  test('of a list is logged at once, without what is logged already', () => {
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

  test('gets its line although the log has the same one from an earlier block of the same alert', () => {
    add(host.newRun());
    remove(host.newRun());
    const line = `add 203.0.113.9 ${IDS}`;
    expect(dieDuring(host, { atCall: 5, when: 'after' }, add)).toBe(true);
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(1);
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(2);
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(2);
  });

  test('is undone where the address has become protected meanwhile', () => {
    const protectedEntries = () => entriesFrom(['203.0.113.9'], 'default gateway');
    dieDuring(host, { atCall: 6, when: 'before' }, add);
    recover(host.newRun(), { protectedEntries });
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.openStore().bans.list()).toEqual([]);
    expect(host.log.lines).toEqual([]);
  });

  test('is released from a protected address with the line that it has to leave', () => {
    add(host.newRun());
    dieDuring(host, { atCall: 6, when: 'before' }, remove);
    expect(host.openStore().bans.find(ATTACKER)?.phase).toBe('unblocking');
    const protectedEntries = () => entriesFrom(['203.0.113.9'], 'default gateway');
    recover(host.newRun(), { protectedEntries });
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.log.lines.at(-1)).toBe(`delete 203.0.113.9 ${IDS}`);
  });

  test('is looked for in the log from where that ended when each change began', () => {
    expect(dieDuring(host, { atCall: 5, when: 'before' }, add)).toBe(true);
    const other = (run: BanContext): void => {
      block(OTHER, holdRequest(), run);
    };
    other(host.newRun());
    unblock(OTHER, { origin: 'wazuh', alertRef: holdRequest().alertRef }, host.newRun());
    expect(dieDuring(host, { atCall: 5, when: 'before' }, other)).toBe(true);
    recover(host.newRun(), NOTHING_PROTECTED);
    const line = `add 203.0.113.10 ${IDS}`;
    expect(host.log.lines.filter((one) => one === line)).toHaveLength(2);
  });

  test('takes no longer than the part of an alert’s time that it is given', () => {
    dieDuring(host, { atCall: 5, when: 'before' }, add);
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

  test('is completed on a protected address where a person forced the block', () => {
    const protectedEntries = () => entriesFrom(['203.0.113.9'], 'default gateway');
    dieDuring(host, { atCall: 6, when: 'before' }, (run) => {
      block(ATTACKER, holdRequest({ origin: 'manual', forced: true }), run);
    });
    recover(host.newRun(), { protectedEntries });
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    restore(host.newRun(), () => true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('and every later run keep a block that a person forced, though an alert holds it too', () => {
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

  test('stays pending as long as the kernel refuses', () => {
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

  test('with IPv6 does not keep one with IPv4 from being completed', () => {
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

test('what is pending is left alone while runs without the writer lock are at work, of one of which it may be', () => {
  const host = new Workshop();
  const hold = makeHold(holdRequest(), NOON_MS);
  const begun = { address: ATTACKER, phase: 'blocking', line: null, offset: null, hold } as const;
  host.newRun().store.bans.begin([begun], NOON_MS);
  recover(host.newRun(), { ...NOTHING_PROTECTED, isWorkShared: () => true });
  expect(host.rulesFor(ATTACKER.text)).toEqual([0, 0]);
  recover(host.newRun(), {
    ...NOTHING_PROTECTED,
    isWorkShared: () => {
      // Begun since this run looked, which the answer says nothing about.
      host.newRun().store.bans.begin([{ ...begun, address: OTHER }], NOON_MS);
      return false;
    },
  });
  expect(host.rulesFor(ATTACKER.text)).toEqual([1, 1]);
  expect(host.rulesFor(OTHER.text)).toEqual([0, 0]);
  host.close();
});

test('a banned address is released once it lies in a protected network', () => {
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

  test('does not bring back what a run without the writer lock releases meanwhile', () => {
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
    expect(findDrift(host.newRun(), [4]).steps).toEqual([]);
  });

  test('restores every ban after a reboot, with one look and one change for each family', () => {
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

  test('changes nothing where all is in place', () => {
    const before = host.kernel.changingCommands;
    const cut = host.cut.length;
    expect(restore(host.newRun(), nobody).changed).toBe(false);
    expect(host.cut).toHaveLength(cut);
    expect(host.kernel.changingCommands).toBe(before);
  });

  test('writes no line: the add was logged when it was made', () => {
    const lines = [...host.log.lines];
    host.kernel.flush();
    restore(host.newRun(), nobody);
    expect(host.log.lines).toEqual(lines);
  });

  test('unblocks what has become protected since, and says so', () => {
    const { blocked, released } = restore(host.newRun(), ({ text }) => text === '203.0.113.9');
    expect(released.map((ban) => ban.address.text)).toEqual(['203.0.113.9']);
    expect(blocked).toHaveLength(2);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.log.lines.at(-1)).toMatch(/^delete 203\.0\.113\.9 \d+\.\d+ 0$/);
  });

  test('of one family is not delayed by the other', () => {
    host.kernel.flush();
    host.kernel.disturbAlways(withoutIpv6);
    expect(codeOf(() => restore(host.newRun(), nobody))).toBe('FIREWALL');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('is not stopped by a protected address that the kernel does not unblock', () => {
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

  test('is none where state and kernel agree', () => {
    expect(findDrift(host.newRun(), [4, 6])).toEqual({
      missing: [],
      unknown: [],
      pending: [],
      atWork: null,
      steps: [],
    });
  });

  test('is a ban without a rule, and only looked at', () => {
    host.kernel.flush();
    const { missing, steps } = findDrift(host.newRun(), [4]);
    expect(missing.map((ban) => ban.address.text)).toEqual(['203.0.113.9']);
    expect(steps).toHaveLength(1);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('is a ban of which one chain has no rule', () => {
    host.kernel.remove('INPUT', '-s 203.0.113.9/32 -j DROP');
    const { missing } = findDrift(host.newRun(), [4]);
    expect(missing).toMatchObject([{ address: { text: '203.0.113.9' }, lacks: ['INPUT'] }]);
  });

  test('is a rule without a ban, which is left', () => {
    host.kernel.insert('INPUT', '-s 203.0.113.10/32 -j DROP');
    const { unknown, steps } = findDrift(host.newRun(), [4]);
    expect(unknown).toMatchObject([{ address: OTHER, chains: ['INPUT'] }]);
    expect(steps).toEqual([]);
  });

  test('is a ban whose packets an earlier rule accepts', () => {
    host.kernel.insert('INPUT', '-s 203.0.113.0/24 -j ACCEPT');
    const { missing, steps } = findDrift(host.newRun(), [4]);
    expect(missing).toEqual([]);
    expect(steps).toHaveLength(1);
  });
});
