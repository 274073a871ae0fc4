// Blocking: the kernel, the state and the log afterwards, also after the death of a run.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { block, ensureBlocked } from '../../../src/bans/block.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { recover } from '../../../src/bans/recover.ts';
import { restore } from '../../../src/bans/restore.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import { makeHold } from '../../../src/model/ban.ts';
import { ProgramMissing } from '../../../src/model/errors.ts';
import { dies, isChange, refuses } from '../support/kernel.ts';
import { dieDuring } from '../support/mortal.ts';
import {
  addressOf,
  blockAll,
  codeOf,
  holdRequest,
  NOON_MS,
  NOTHING_PROTECTED,
  Workshop,
} from '../support/workshop.ts';

const ATTACKER = addressOf('203.0.113.9');
const ADD_LINE = 'add 203.0.113.9 1620563486.6306696 31151';
const FAILED_LINE = 'failed 203.0.113.9 1620563486.6306696 31151';

let host: Workshop;
let context: BanContext;
beforeEach(() => {
  host = new Workshop();
  context = host.newRun();
});
afterEach(() => {
  host.close();
});

describe('a block', () => {
  test('makes one rule in each chain, one ban in the state and one line in the log', () => {
    block(ATTACKER, holdRequest(), context);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.log.lines).toEqual([ADD_LINE]);
    expect(host.openStore().bans.find(ATTACKER)).toMatchObject({
      phase: 'blocked',
      sinceMs: NOON_MS,
    });
  });

  test('without the writer lock has one line and one record in the history, even if a run with the lock recovers it at the same time', () => {
    host.kernel.disturb((_, work) => {
      const result = work();
      recover(host.newRun(), NOTHING_PROTECTED);
      return result;
    });
    block(ATTACKER, holdRequest(), context);
    expect(host.log.lines).toEqual([ADD_LINE]);
    expect(host.openStore().history.find({ limit: 10 })).toHaveLength(1);
  });

  test('works in the same way for an IPv6 address and a network', () => {
    for (const text of ['2001:db8::9', '198.51.100.0/24', '2001:db8:1::/48'])
      block(addressOf(text), holdRequest(), context);
    expect(host.kernel.rules('INPUT', 6)).toEqual([
      '-s 2001:db8:1::/48 -j DROP',
      '-s 2001:db8::9/128 -j DROP',
    ]);
    expect(host.kernel.rules('FORWARD', 4)).toEqual(['-s 198.51.100.0/24 -j DROP']);
  });

  test('removes open connections after the rules are made, and not before', () => {
    block(ATTACKER, holdRequest(), context);
    expect(host.cut).toEqual([['203.0.113.9']]);
    ensureBlocked(ATTACKER, holdRequest(), context);
    expect(host.cut).toHaveLength(1);
    host.kernel.flush();
    ensureBlocked(ATTACKER, holdRequest(), context);
    expect(host.cut).toEqual([['203.0.113.9'], ['203.0.113.9']]);
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(
      codeOf(() => {
        block(addressOf('203.0.113.8'), holdRequest(), context);
      }),
    ).toBe('FIREWALL');
    expect(host.cut).toHaveLength(2);
  });

  test('needs one process', () => {
    block(ATTACKER, holdRequest(), context);
    expect(host.kernel.commands).toHaveLength(1);
  });

  test('is stored with its deadline, its alert and its reason', () => {
    block(ATTACKER, holdRequest({ timeoutSeconds: 90, reason: 'sshd brute force' }), context);
    expect(host.openStore().bans.find(ATTACKER)?.holds).toEqual([
      {
        origin: 'wazuh',
        addedMs: NOON_MS,
        timeoutSeconds: 90,
        expiresAtMs: NOON_MS + 90_000,
        alertRef: { alertId: '1620563486.6306696', ruleId: '31151' },
        reason: 'sshd brute force',
        forced: false,
      },
    ]);
  });

  test('requested thirty times is still one rule in each chain', () => {
    for (let count = 0; count < 30; count++) block(ATTACKER, holdRequest(), context);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('requested again does not touch the existing rules', () => {
    block(ATTACKER, holdRequest(), context);
    const before = host.kernel.changingCommands;
    block(ATTACKER, holdRequest(), context);
    expect(host.kernel.changingCommands).toBe(before);
  });

  test('requested again gets its deadline from the last request', () => {
    block(ATTACKER, holdRequest(), context);
    host.nowMs += 60_000;
    block(ATTACKER, holdRequest(), context);
    expect(context.store.bans.find(ATTACKER)?.holds).toMatchObject([
      { expiresAtMs: NOON_MS + 60_000 + 600_000 },
    ]);
  });

  test('by two origins has one hold per origin', () => {
    block(ATTACKER, holdRequest(), context);
    block(ATTACKER, holdRequest({ origin: 'manual', timeoutSeconds: null }), context);
    expect(host.holders('203.0.113.9')).toEqual(['manual', 'wazuh']);
  });

  test('comes before a rule that accepts, even one that was inserted later', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.insert('INPUT', '-s 203.0.113.0/24 -j ACCEPT');
    block(ATTACKER, holdRequest(), host.newRun());
    expect(host.kernel.rules('INPUT')).toEqual([
      '-s 203.0.113.9/32 -j DROP',
      '-s 203.0.113.0/24 -j ACCEPT',
    ]);
  });

  test('does not change foreign rules', () => {
    const foreign = '-s 203.0.113.9/32 -p tcp -m tcp --dport 22 -j DROP';
    host.kernel.insert('INPUT', foreign);
    block(ATTACKER, holdRequest(), context);
    unblock(ATTACKER, { origin: 'wazuh', alertRef: holdRequest().alertRef }, context);
    expect(host.kernel.rules('INPUT')).toEqual([foreign]);
  });

  test('is made beside a jump to DROPLOG for the address', () => {
    const jump = '-s 203.0.113.9/32 -j DROPLOG';
    for (const chain of ['INPUT', 'FORWARD']) host.kernel.insert(chain, jump);
    ensureBlocked(ATTACKER, holdRequest(), context);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    unblock(ATTACKER, { origin: 'wazuh', alertRef: holdRequest().alertRef }, context);
    expect(host.kernel.rules('INPUT')).toEqual([jump]);
  });

  test('covers published containers if Docker is present, without a look from the second run on', () => {
    host.kernel.addChain('DOCKER-USER');
    block(ATTACKER, holdRequest(), context);
    expect(host.kernel.rules('DOCKER-USER')).toEqual(['-s 203.0.113.9/32 -j DROP']);
    context.store.metadata.flush();
    const before = host.kernel.commands.length;
    block(addressOf('203.0.113.10'), holdRequest(), host.newRun());
    expect(host.kernel.commands).toHaveLength(before + 1);
    expect(host.kernel.rules('DOCKER-USER')).toHaveLength(2);
  });

  test('is made again in one process by the next add after a flush', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.flush();
    block(ATTACKER, holdRequest(), host.newRun());
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('repairs the pair of rules after an administrator removed one of them', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.remove('FORWARD', '-s 203.0.113.9/32 -j DROP');
    block(ATTACKER, holdRequest(), host.newRun());
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  describe('of an address that an administrator already drops', () => {
    const RULE = '-s 203.0.113.9/32 -j DROP';
    const release = (): unknown => {
      const request = { origin: 'wazuh', alertRef: holdRequest().alertRef } as const;
      return unblock(ATTACKER, request, host.newRun());
    };

    test.each([
      ['in INPUT alone', ['INPUT'], [1, 0]],
      ['in both chains', ['INPUT', 'FORWARD'], [1, 1]],
      ['twice', ['INPUT', 'INPUT'], [2, 0]],
    ])('leaves the rule %s when the ban ends', (_, chains, left) => {
      for (const chain of chains) host.kernel.insert(chain, RULE);
      block(ATTACKER, holdRequest(), context);
      expect(host.rulesFor('203.0.113.9')).toEqual(left.map((count) => count + 1));
      expect(release()).toBe('kept');
      expect(host.rulesFor('203.0.113.9')).toEqual(left);
      expect(host.openStore().bans.list()).toEqual([]);
      expect(host.log.lines.at(-1)).toMatch(/^kept /);
    });

    test('leaves the rule when the ban ends by itself', () => {
      host.kernel.insert('INPUT', RULE);
      block(ATTACKER, holdRequest({ timeoutSeconds: 60 }), context);
      host.nowMs += 61_000;
      expireDue(host.newRun());
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 0]);
    });

    test('leaves the rule after the run was killed between kernel and confirmation', () => {
      host.kernel.insert('INPUT', RULE);
      dieDuring(host, { atCall: 11, when: 'before' }, (run) => {
        block(ATTACKER, holdRequest(), run);
      });
      recover(host.newRun(), NOTHING_PROTECTED);
      release();
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 0]);
    });

    test('leaves the rule after the next run completed an interrupted block with ipset', () => {
      host.kernel.insert('INPUT', RULE);
      const change = { address: ATTACKER, phase: 'blocking', line: null, offset: null } as const;
      const hold = makeHold(holdRequest(), NOON_MS);
      host.openStore().bans.begin([{ ...change, hold }], NOON_MS);
      recover(host.newRun('ipset'), NOTHING_PROTECTED);
      expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([ATTACKER.text]);
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 0]);
    });

    test.each([
      ['iptables', '-I '],
      ['ipset', 'add '],
    ] as const)('leaves the rule when the kernel refuses a block with %s', (backend, change) => {
      host.kernel.insert('INPUT', RULE);
      const refuse = refuses(1, 'no');
      host.kernel.disturbAlways((command, work) => {
        return command.input.includes(change) ? refuse(command, work) : work();
      });
      const add = (): void => {
        block(ATTACKER, holdRequest(), host.newRun(backend));
      };
      expect(codeOf(add)).toBe('FIREWALL');
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 0]);
      expect(host.openStore().bans.list()).toEqual([]);
    });

    test('leaves the rule when the kernel refuses the release at first', () => {
      host.kernel.insert('INPUT', RULE);
      block(ATTACKER, holdRequest(), context);
      host.kernel.disturbAlways(refuses(1, 'no'));
      expect(codeOf(release)).toBe('FIREWALL');
      host.kernel.disturbAlways(null);
      expect(release()).toBe('kept');
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 0]);
    });

    test('leaves the rule when a block that never reached the kernel is released', () => {
      host.kernel.insert('INPUT', RULE);
      dieDuring(host, { atCall: 2, when: 'after' }, (run) => {
        block(ATTACKER, holdRequest(), run);
      });
      expect(host.openStore().bans.find(ATTACKER)?.phase).toBe('blocking');
      release();
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 0]);
    });

    test('removes all rules when a person names the address', () => {
      host.kernel.insert('INPUT', RULE);
      block(ATTACKER, holdRequest(), context);
      const { alertRef } = holdRequest();
      unblock(ATTACKER, { origin: null, alertRef, named: true }, host.newRun());
      expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    });

    test('leaves the rule when everything is unblocked', () => {
      host.kernel.insert('INPUT', RULE);
      block(ATTACKER, holdRequest(), context);
      unblock(ATTACKER, { origin: null, alertRef: holdRequest().alertRef }, host.newRun());
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 0]);
    });

    test('takes over the rule if execd reports that it already blocked the address', () => {
      for (const chain of ['INPUT', 'INPUT', 'FORWARD']) host.kernel.insert(chain, RULE);
      ensureBlocked(ATTACKER, holdRequest(), context);
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
      expect(release()).toBe('released');
      expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    });

    test('leaves no rule of its own after a flush and a restore', () => {
      host.kernel.insert('INPUT', RULE);
      block(ATTACKER, holdRequest(), context);
      host.kernel.flush();
      restore(host.newRun(), () => false);
      expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
      expect(release()).toBe('released');
      expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    });
  });
});

describe('a block that the kernel refuses', () => {
  test('throws an error, writes a line `failed`, and leaves neither a ban nor a rule', () => {
    host.kernel.disturbAlways(refuses(1, 'iptables-restore: Permission denied'));
    expect(
      codeOf(() => {
        block(ATTACKER, holdRequest(), context);
      }),
    ).toBe('FIREWALL');
    expect(host.log.lines).toEqual([FAILED_LINE]);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
  });

  test('names the address, the failed program, and its output', () => {
    host.kernel.disturbAlways(refuses(1, 'Fatal: no\nsuch table'));
    expect(() => {
      block(ATTACKER, holdRequest(), context);
    }).toThrow(/iptables-restore exited with status 1: Fatal: no; such table/);
  });

  test('leaves no pending change, so that nothing is blocked once the kernel works again', () => {
    host.kernel.disturb(refuses(1, 'no'), refuses(1, 'no'));
    expect(
      codeOf(() => {
        block(ATTACKER, holdRequest(), context);
      }),
    ).toBe('FIREWALL');
    expect(host.openStore().bans.list()).toEqual([]);
  });

  test('keeps earlier blocks', () => {
    block(ATTACKER, holdRequest({ origin: 'manual', timeoutSeconds: null }), context);
    host.kernel.flush();
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(
      codeOf(() => {
        block(ATTACKER, holdRequest(), context);
      }),
    ).toBe('FIREWALL');
    expect(host.openStore().bans.find(ATTACKER)?.phase).toBe('blocked');
    expect(host.holders('203.0.113.9')).toEqual(['manual']);
  });

  test('keeps other holds, although an earlier run could not complete its change', () => {
    block(ATTACKER, holdRequest({ origin: 'manual', timeoutSeconds: null }), context);
    const release = { origin: 'wazuh', alertRef: holdRequest().alertRef } as const;
    expect(
      dieDuring(host, { atCall: 10, when: 'before' }, (mortal) =>
        unblock(ATTACKER, release, mortal),
      ),
    ).toBe(true);
    const [unfinished] = host.openStore().bans.pending();
    expect(unfinished?.line?.verb).toBe('kept');
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(
      codeOf(() => {
        block(ATTACKER, holdRequest(), host.newRun());
      }),
    ).toBe('FIREWALL');
    expect(host.openStore().bans.pending()).toEqual([unfinished]);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test.each(['blocked', 'released'] as const)(
    'does not change an address that another run has %s since this one began',
    (what) => {
      const other = (): void => {
        const { alertRef } = holdRequest();
        if (what === 'blocked') block(ATTACKER, holdRequest(), host.newRun());
        else unblock(ATTACKER, { origin: 'wazuh', alertRef }, host.newRun());
        host.kernel.disturbAlways(refuses(1, 'no'));
      };
      if (what === 'released') block(ATTACKER, holdRequest(), context);
      const offset = host.log.offset.bind(host.log);
      host.log.offset = () => {
        host.log.offset = offset;
        other();
        return offset();
      };
      expect(
        codeOf(() => {
          block(ATTACKER, holdRequest(), context);
        }),
      ).toBe('FIREWALL');
      host.kernel.disturbAlways(null);
      recover(host.newRun(), NOTHING_PROTECTED);
      const isBlocked = what === 'blocked';
      expect(host.holders('203.0.113.9')).toEqual(isBlocked ? ['wazuh'] : []);
      expect(host.rulesFor('203.0.113.9')).toEqual(isBlocked ? [1, 1] : [0, 0]);
    },
  );

  test('stays pending if the program was removed before it could undo the block', () => {
    const missing = (): never => {
      throw new ProgramMissing('iptables-restore was not found');
    };
    host.kernel.disturb(dies, missing, missing);
    const add = (): void => {
      block(ATTACKER, holdRequest(), context);
    };
    expect(codeOf(add)).toBe('FIREWALL');
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    expect(host.openStore().bans.list()).toEqual([]);
  });

  test('succeeds if the program changed the kernel and then crashed', () => {
    host.kernel.disturb(dies);
    block(ATTACKER, holdRequest(), context);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.log.lines).toEqual([ADD_LINE]);
  });

  test('is undone when one of our chains is missing', () => {
    host.kernel.removeChain('FORWARD');
    expect(
      codeOf(() => {
        block(ATTACKER, holdRequest(), context);
      }),
    ).toBe('FIREWALL');
    expect(host.kernel.rules('INPUT')).toEqual([]);
    expect(host.openStore().bans.list()).toEqual([]);
  });
});

describe('a list', () => {
  const texts = ['203.0.113.1', '203.0.113.2', '2001:db8::1', '198.51.100.0/24'];
  const list = texts.map(addressOf);

  test('is blocked with one process per family and one line per address', () => {
    blockAll(list, holdRequest(), context);
    expect(host.kernel.commands).toHaveLength(2);
    for (const text of texts) expect(host.rulesFor(text)).toEqual([1, 1]);
    expect(host.log.lines).toHaveLength(4);
    expect(host.openStore().bans.list()).toHaveLength(4);
  });

  test('that is empty runs nothing', () => {
    blockAll([], holdRequest(), context);
    expect(host.kernel.commands).toEqual([]);
  });

  test('with addresses that are already blocked leaves one rule for each address', () => {
    block(list[0] ?? ATTACKER, holdRequest(), context);
    host.kernel.remove('INPUT', '-s 203.0.113.1/32 -j DROP');
    blockAll(list, holdRequest({ origin: 'manual' }), context);
    for (const text of texts) expect(host.rulesFor(text)).toEqual([1, 1]);
    expect(host.holders('203.0.113.1')).toEqual(['manual', 'wazuh']);
  });

  test('that fails in one family is blocked in the other', () => {
    host.kernel.disturbAlways((command, work) =>
      command.program.startsWith('ip6') ? refuses(3, 'no IPv6 here')(command, work) : work(),
    );
    expect(
      codeOf(() => {
        blockAll(list, holdRequest(), context);
      }),
    ).toBe('FIREWALL');
    expect(host.rulesFor('203.0.113.1')).toEqual([1, 1]);
    expect(host.log.lines.filter((line) => line.startsWith('failed'))).toEqual([
      'failed 2001:db8::1 1620563486.6306696 31151',
    ]);
  });

  test('that the kernel refuses leaves only earlier blocks', () => {
    block(list[0] ?? ATTACKER, holdRequest(), context);
    host.kernel.disturbAlways((command, work) =>
      command.input.includes('203.0.113.2') ? refuses(1, 'no')(command, work) : work(),
    );
    expect(
      codeOf(() => {
        blockAll(list.slice(0, 2), holdRequest(), context);
      }),
    ).toBe('FIREWALL');
    expect(host.rulesFor('203.0.113.1')).toEqual([1, 1]);
    expect(host.openStore().bans.list()).toMatchObject([{ address: list[0], phase: 'blocked' }]);
  });
});

describe('if execd reports that the address is already blocked', () => {
  test('and the kernel agrees, the deadline moves without a line', () => {
    block(ATTACKER, holdRequest(), context);
    host.nowMs += 60_000;
    expect(ensureBlocked(ATTACKER, holdRequest(), host.newRun())).toBe(false);
    expect(host.openStore().bans.find(ATTACKER)?.holds[0]?.expiresAtMs).toBe(NOON_MS + 660_000);
    expect(host.log.lines).toEqual([ADD_LINE]);
  });

  test('and the state has no ban, it is blocked', () => {
    expect(ensureBlocked(ATTACKER, holdRequest(), context)).toBe(true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.log.lines).toEqual([ADD_LINE]);
  });

  test('and the kernel lost the rules, it is blocked again with a line', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.flush();
    expect(ensureBlocked(ATTACKER, holdRequest(), host.newRun())).toBe(true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
    expect(host.log.lines.at(-1)).toBe('reapplied 203.0.113.9 1620563486.6306696 31151');
  });

  test('and the kernel refuses to block it again, an error is thrown, and the ban stays for the next run', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.flush();
    host.kernel.disturbAlways(refuses(1, 'no'));
    expect(codeOf(() => ensureBlocked(ATTACKER, holdRequest(), host.newRun()))).toBe('FIREWALL');
    expect(host.log.lines.at(-1)).toBe(FAILED_LINE);
    expect(host.openStore().bans.find(ATTACKER)?.phase).toBe('blocked');
  });

  test('and the kernel can be inspected but not changed, the ban stays with its later deadline, and nothing is pending', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.flush();
    host.nowMs += 60_000;
    host.kernel.disturbAlways((command, work) =>
      isChange(command) ? refuses(1, 'no')(command, work) : work(),
    );
    expect(codeOf(() => ensureBlocked(ATTACKER, holdRequest(), host.newRun()))).toBe('FIREWALL');
    expect(host.openStore().bans.pending()).toEqual([]);
    expect(host.openStore().bans.find(ATTACKER)).toMatchObject({
      phase: 'blocked',
      holds: [{ origin: 'wazuh', expiresAtMs: NOON_MS + 660_000 }],
    });
  });

  test('and a release was killed after it changed the kernel, the address is blocked again and stays blocked', () => {
    block(ATTACKER, holdRequest(), context);
    const release = { origin: 'wazuh', alertRef: holdRequest().alertRef } as const;
    dieDuring(host, { atCall: 11, when: 'before' }, (run) => unblock(ATTACKER, release, run));
    expect(host.openStore().bans.find(ATTACKER)?.phase).toBe('unblocking');
    expect(host.rulesFor('203.0.113.9')).toEqual([0, 0]);
    ensureBlocked(ATTACKER, holdRequest(), host.newRun());
    recover(host.newRun(), NOTHING_PROTECTED);
    expect(host.openStore().bans.find(ATTACKER)?.phase).toBe('blocked');
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });

  test('and the disk is full, the kernel is still inspected and repaired', () => {
    block(ATTACKER, holdRequest(), context);
    host.kernel.flush();
    host.refuseWritesTo('holds');
    expect(ensureBlocked(ATTACKER, holdRequest(), host.newRun())).toBe(true);
    expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  });
});

test('a full disk does not prevent a block', () => {
  host.refuseWritesTo('bans');
  block(ATTACKER, holdRequest(), context);
  expect(host.rulesFor('203.0.113.9')).toEqual([1, 1]);
  expect(host.log.lines).toEqual([ADD_LINE]);
  expect(host.warnings).toHaveLength(1);
});
