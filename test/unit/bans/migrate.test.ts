// Migration: blocked addresses stay blocked, even if the new backend can hold only some of the bans.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { clearBackend, migrateIfDue, migrateToSets } from '../../../src/bans/auto-migrate.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { migrateTo, otherBackend, pendingMigration } from '../../../src/bans/migrate.ts';
import { ACTIVE_BACKEND, notePlaces, withPlaces } from '../../../src/bans/active-backend.ts';
import { recover } from '../../../src/bans/recover.ts';
import { unblockAll } from '../../../src/bans/unblock.ts';
import { DEFAULT_CONFIG } from '../../../src/config/schema.ts';
import type { Firewall } from '../../../src/firewall/apply.ts';
import {
  chooseBackend,
  createBackend,
  createSwitchableFirewall,
  type BackendName,
  type Choice,
} from '../../../src/firewall/select.ts';
import { makeHold } from '../../../src/model/ban.ts';
import { refuses, type Disturbance } from '../support/kernel.ts';
import {
  addressOf,
  blockAll,
  codeOf,
  firewallFor,
  holdRequest,
  NOTHING_PROTECTED,
  Workshop,
} from '../support/workshop.ts';

const V4 = '203.0.113.9';
const V6 = '2001:db8::9';
const HOUR_MS = 3_600_000;

let host: Workshop;
let context: BanContext;
beforeEach(() => {
  host = new Workshop();
  const run = host.newRun();
  blockAll([V4, V6].map(addressOf), holdRequest({ timeoutSeconds: null }), run);
  context = {
    ...run,
    isInstalled: (program) => program !== 'nft',
  };
});
afterEach(() => {
  host.close();
});

/** Fails for IPv6 sets. Other commands work. */
const withoutIpv6Set: Disturbance = (command, work) =>
  /^(?:create|add) firewall-drop-6/m.test(command.input)
    ? refuses(1, 'ipset: no memory')(command, work)
    : work();

/** Records the commands after which a packet of one of the two addresses would pass. */
function watchGaps(disturbance: Disturbance = (_, work) => work()): string[] {
  const gaps: string[] = [];
  host.kernel.disturbAlways((command, work) => {
    const result = disturbance(command, work);
    if (!isDropped(V4) || !isDropped(V6)) gaps.push(command.input);
    return result;
  });
  return gaps;
}

function isDropped(text: string): boolean {
  const { family } = addressOf(text);
  const set = `firewall-drop-${family}`;
  const isAsked = host.kernel.rules('raw PREROUTING', family).some((rule) => rule.includes(set));
  const isPlain = host.rulesFor(text).every((count) => count > 0);
  return isPlain || (isAsked && host.kernel.sets.entries(set).includes(text));
}

test('every address is blocked at every moment of a migration in both directions', () => {
  const gaps = watchGaps();
  expect(migrateTo('ipset', context)).toBe(2);
  expect(migrateTo('iptables', context)).toBe(2);
  expect(gaps).toEqual([]);
});

test('a migration to sets leaves no plain rule', () => {
  expect(migrateTo('ipset', context)).toBe(2);
  expect([host.rulesFor(V4), host.rulesFor(V6)]).toEqual([
    [0, 0],
    [0, 0],
  ]);
  expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([V4]);
  expect(host.kernel.sets.entries('firewall-drop-6')).toEqual([V6]);
  expect(context.firewall.backendName).toBe('ipset');
  expect(host.openStore().metadata.get(ACTIVE_BACKEND)).toBe('ipset');
});

test('the plain rule of an interrupted block is removed like the others', () => {
  const hold = makeHold(holdRequest(), host.nowMs);
  const [address, phase] = [addressOf(V4), 'blocking'] as const;
  context.store.bans.begin([{ address, phase, line: null, offset: null, hold }], host.nowMs);
  migrateTo('ipset', context);
  expect(host.rulesFor(V4)).toEqual([0, 0]);
  expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([V4]);
});

test('a rule of an administrator beside that of an interrupted block stays, even after the ban ends', () => {
  host.kernel.insert('INPUT', `-s ${V4}/32 -j DROP`);
  const hold = makeHold(holdRequest(), host.nowMs);
  const [address, phase] = [addressOf(V4), 'blocking'] as const;
  context.store.bans.begin([{ address, phase, line: null, offset: null, hold }], host.nowMs);
  migrateTo('ipset', context);
  expect(host.rulesFor(V4)).toEqual([1, 0]);
  recover(context, NOTHING_PROTECTED);
  unblockAll([address], { origin: null, alertRef: hold.alertRef }, context);
  expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([]);
  expect(host.rulesFor(V4)).toEqual([1, 0]);
});

test('an address with an interrupted release is in neither backend afterwards', () => {
  const [address, phase] = [addressOf(V4), 'unblocking'] as const;
  context.store.bans.begin([{ address, phase, line: null, offset: null, hold: null }], host.nowMs);
  migrateTo('ipset', context);
  expect(host.rulesFor(V4)).toEqual([0, 0]);
  expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([]);
  expect(host.kernel.sets.entries('firewall-drop-6')).toEqual([V6]);
});

describe('a change by a run without the writer lock in the old backend, while the new one is filled,', () => {
  const LATER = '203.0.113.10';
  let isDone = false;
  let isBroken = false;
  beforeEach(() => {
    isDone = false;
    isBroken = false;
    host.kernel.disturbAlways((command, work) => {
      if (isBroken && command.input.includes(`add firewall-drop-4 ${LATER}`))
        return refuses(1, 'no memory')(command, work);
      if (!isDone && command.input.includes(`add firewall-drop-4 ${V4}`)) {
        isDone = true;
        const other = host.newRun();
        other.firewall.use('iptables', 'ipset');
        blockAll([addressOf(LATER)], holdRequest(), other);
        // Releases the address. The set does not have its entry yet.
        other.store.bans.begin(
          [{ address: addressOf(V4), phase: 'unblocking', line: null, offset: null, hold: null }],
          host.nowMs,
        );
        other.store.bans.confirm([{ address: addressOf(V4), phase: 'unblocking' }], []);
      }
      return work();
    });
  });

  test('is repeated in the new backend before the old one is cleared', () => {
    migrateTo('ipset', context);
    expect(isDone).toBe(true);
    expect(host.rulesFor(LATER)).toEqual([0, 0]);
    expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([LATER]);
  });

  test('is repeated by the next run if that fails, and until then the old backend holds the ban', () => {
    isBroken = true;
    expect(codeOf(() => migrateTo('ipset', context))).toBe('FIREWALL');
    expect(host.rulesFor(LATER)).toEqual([1, 1]);
    host.kernel.disturbAlways(null);
    migrateTo('ipset', { ...host.newRun('ipset'), isInstalled: context.isInstalled });
    expect(host.rulesFor(LATER)).toEqual([0, 0]);
    expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([LATER]);
  });
});

describe('a run without the writer lock that started before a migration', () => {
  /** Starts before the migration, and can only see that the migration is complete. */
  const migrateDuring = (work: (late: BanContext) => void): void => {
    const late = host.newRun();
    late.store.metadata.set(ACTIVE_BACKEND, 'iptables');
    late.store.metadata.flush();
    host.kernel.disturb((_, run) => {
      migrateTo('ipset', context);
      return run();
    });
    work(late);
  };

  test('also blocks in the new backend and leaves nothing in the old one', () => {
    const [added] = [addressOf('203.0.113.10')];
    migrateDuring((late) => {
      blockAll([added], holdRequest(), late);
    });
    expect(host.rulesFor(added.text)).toEqual([0, 0]);
    expect(host.kernel.sets.entries('firewall-drop-4').sort()).toEqual([added.text, V4]);
  });

  test('keeps its block if the holder of the lock only recorded the backend that both use', () => {
    context.store.metadata.set(ACTIVE_BACKEND, '');
    context.store.metadata.flush();
    const late = host.newRun();
    host.kernel.disturb((_, run) => {
      context.store.metadata.set(ACTIVE_BACKEND, 'iptables');
      context.store.metadata.flush();
      return run();
    });
    blockAll([addressOf('203.0.113.10')], holdRequest(), late);
    expect(host.rulesFor('203.0.113.10')).toEqual([1, 1]);
  });

  test('also releases in the new backend', () => {
    migrateDuring((late) => {
      unblockAll([addressOf(V4)], { origin: null, alertRef: holdRequest().alertRef }, late);
    });
    expect(host.rulesFor(V4)).toEqual([0, 0]);
    expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([]);
  });
});

describe('a migration that can be neither completed nor undone', () => {
  beforeEach(() => {
    let isLost = false;
    host.kernel.disturbAlways((command, work) => {
      isLost ||= /^(?:create|add) firewall-drop-6/m.test(command.input);
      return isLost ? refuses(1, 'no memory')(command, work) : work();
    });
    expect(codeOf(() => migrateTo('ipset', context))).toBe('FIREWALL');
    host.kernel.disturbAlways(null);
  });

  test('leaves both backends in use, so that the same run unblocks in both', () => {
    expect(pendingMigration(context.store)).toEqual({ from: 'iptables', to: 'ipset' });
    expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([V4]);
    const { alertRef } = holdRequest();
    unblockAll(
      [V4, V6].map(addressOf),
      { origin: null, alertRef },
      { ...host.newRun(), firewall: context.firewall },
    );
    expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([]);
    expect([host.rulesFor(V4), host.rulesFor(V6)]).toEqual([
      [0, 0],
      [0, 0],
    ]);
  });

  test('gives the next run the inactive backend', () => {
    expect(otherBackend('iptables', context)).toBe('ipset');
    expect(otherBackend('ipset', context)).toBe('iptables');
  });

  test('is completed by the next run', () => {
    expect(migrateTo('ipset', context)).toBe(0);
    expect(context.firewall.backendName).toBe('ipset');
    expect(host.rulesFor(V4)).toEqual([0, 0]);
    expect(host.kernel.sets.entries('firewall-drop-6')).toEqual([V6]);
  });
});

test('a migration that a run was killed in is completed and not reversed', () => {
  const { metadata } = context.store;
  metadata.set(ACTIVE_BACKEND, 'iptables');
  metadata.set('backend move', JSON.stringify({ from: 'iptables', to: 'ipset' }));
  const reports: string[] = [];
  const choose = (): Choice =>
    chooseBackend(DEFAULT_CONFIG.firewall, {
      active: metadata.get(ACTIVE_BACKEND),
      hasBans: () => true,
      isInstalled: () => true,
    });
  const run = {
    ...context,
    config: DEFAULT_CONFIG,
    interactive: true,
    deadline: { remainingMs: () => 20_000 },
    choice: choose,
    protectedEntries: () => [],
    knownProtected: () => [],
    reportMigration: (message: string) => reports.push(message),
  };
  migrateIfDue(run, 0);
  expect(context.firewall.backendName).toBe('ipset');
  expect(reports).toEqual([]);
  expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([V4]);
});

test('if only the IPv6 set fails, the plain rules of both families are made again and no set is left', () => {
  const gaps = watchGaps(withoutIpv6Set);
  expect(codeOf(() => migrateTo('ipset', context))).toBe('FIREWALL');
  expect(gaps).toEqual([]);
  expect([host.rulesFor(V4), host.rulesFor(V6)]).toEqual([
    [1, 1],
    [1, 1],
  ]);
  expect(host.kernel.sets.names).toEqual([]);
  expect(pendingMigration(context.store)).toBeNull();
  expect(context.firewall.backendName).toBe('iptables');
});

describe('a failed migration of many plain rules', () => {
  beforeEach(() => {
    host.kernel.disturbAlways(withoutIpv6Set);
    expect(migrateToSets(200, context)).toMatchObject({ to: null, tried: ['ipset'] });
    host.kernel.disturbAlways(null);
  });

  test('is not repeated within a day', () => {
    const before = host.kernel.commands.length;
    host.nowMs += 23 * HOUR_MS;
    expect(migrateToSets(200, context)).toBeNull();
    expect(host.kernel.commands).toHaveLength(before);
  });

  test('is repeated after a day', () => {
    host.nowMs += 24 * HOUR_MS;
    expect(migrateToSets(200, context)).toMatchObject({ to: 'ipset' });
  });
});

test('a ban that an alert without the writer lock adds while everything is removed is blocked again in the active backend', () => {
  migrateTo('ipset', context);
  unblockAll([V4, V6].map(addressOf), { origin: null, alertRef: holdRequest().alertRef }, context);
  let isBegun = false;
  host.kernel.disturbAlways((command, work) => {
    if (!isBegun && command.input.includes('destroy firewall-drop-4')) {
      isBegun = true;
      blockAll([addressOf(V4)], holdRequest(), host.newRun('ipset'));
      host.kernel.sets.empty();
      host.kernel.remove('raw PREROUTING', host.kernel.rules('raw PREROUTING')[0] ?? '');
    }
    return work();
  });
  clearBackend(context);
  expect(isBegun).toBe(true);
  expect(isDropped(V4)).toBe(true);
  expect(host.openStore().metadata.get(ACTIVE_BACKEND)).toBe('ipset');
});

test('a ban that an alert adds while everything is removed is only in the set whose name the alert found in the configuration', () => {
  const config = { ...DEFAULT_CONFIG.firewall, setName: 'new' };
  const withSets = (): BanContext => {
    const run = host.newRun();
    const open = (name: BackendName): Firewall => {
      const places = withPlaces(config, run.store, run.isInstalled);
      return firewallFor(host.kernel.run, run.store, createBackend(name, places));
    };
    return { ...run, firewall: createSwitchableFirewall(open, () => 'ipset') };
  };
  const former = { ...config, setName: 'firewall-drop' };
  notePlaces(former, context.store);
  migrateTo('ipset', context);
  const flushing = withSets();
  const addresses = [V4, V6].map(addressOf);
  unblockAll(addresses, { origin: null, alertRef: holdRequest().alertRef }, flushing);
  let isBegun = false;
  host.kernel.disturbAlways((command, work) => {
    if (!isBegun && command.input.includes('destroy firewall-drop-4')) {
      isBegun = true;
      const alert = withSets();
      notePlaces(config, alert.store);
      blockAll([addressOf(V4)], holdRequest(), alert);
    }
    return work();
  });
  clearBackend(flushing);
  expect(isBegun).toBe(true);
  expect(host.kernel.sets.names).toEqual(['new-4']);
  expect(host.kernel.sets.entries('new-4')).toEqual([V4]);
});

describe('an alert without the writer lock that began before everything was removed', () => {
  let alert: BanContext;
  beforeEach(() => {
    migrateTo('ipset', context);
    alert = host.newRun('ipset');
    expect(alert.store.metadata.get(ACTIVE_BACKEND)).toBe('ipset');
    const { alertRef } = holdRequest();
    unblockAll([V4, V6].map(addressOf), { origin: null, alertRef }, context);
    clearBackend(context);
  });

  test('records its backend, so that the next run finds the ban', () => {
    blockAll([addressOf(V4)], holdRequest(), alert);
    expect(host.kernel.sets.entries('firewall-drop-4')).toEqual([V4]);
    expect(host.openStore().metadata.get(ACTIVE_BACKEND)).toBe('ipset');
  });

  test('blocks in the backend that another run has recorded since', () => {
    blockAll([addressOf(V6)], holdRequest(), host.newRun('iptables'));
    blockAll([addressOf(V4)], holdRequest(), alert);
    expect(host.openStore().metadata.get(ACTIVE_BACKEND)).toBe('iptables');
    expect([V4, V6].map((text) => host.rulesFor(text))).toEqual([
      [1, 1],
      [1, 1],
    ]);
    expect(host.kernel.sets.names).toEqual([]);
  });
});
