// Two runs change one address at the same time, one of them without the writer lock. Wherever one interrupts the other,
// the outcome is that of one of the two orders.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ensureBlocked, block } from '../../../src/bans/block.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { migrateTo, otherBackend, remember } from '../../../src/bans/migrate.ts';
import { ACTIVE_BACKEND } from '../../../src/bans/active-backend.ts';
import { recover } from '../../../src/bans/recover.ts';
import { restore } from '../../../src/bans/restore.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import { backendNamed, type BackendName } from '../../../src/firewall/select.ts';
import { type Death, dieDuring, everyDeath } from '../support/mortal.ts';
import {
  addressOf,
  blockAll,
  holdRequest,
  NOTHING_PROTECTED,
  Workshop,
} from '../support/workshop.ts';

const TEXT = '203.0.113.9';
const ADDRESS = addressOf(TEXT);

type Work = (context: BanContext) => void;
const { alertRef } = holdRequest();
const aBlock: Work = (context) => {
  block(ADDRESS, holdRequest(), context);
};
const endByTime: Work = (context) => {
  expireDue(context, -3_600_000);
};
const recovery: Work = (context) => {
  // Otherwise it would leave the changes of the other run alone.
  recover({ ...context, isWorkShared: () => false }, NOTHING_PROTECTED);
};
const WORKS: Readonly<Record<string, Work>> = {
  'a block': aBlock,
  'a block of what execd has on its list': (context) => {
    ensureBlocked(ADDRESS, holdRequest({ timeoutSeconds: 900 }), context);
  },
  'a person’s block': (context) => {
    blockAll([ADDRESS], holdRequest({ origin: 'manual' }), context);
  },
  'a delete of execd’s': (context) => {
    unblock(ADDRESS, { origin: 'wazuh', alertRef }, context);
  },
  'a delete of a person’s': (context) => {
    unblock(ADDRESS, { origin: null, alertRef, named: true }, context);
  },
  'an end by time': endByTime,
  'a restore': (context) => {
    restore(context, () => false);
  },
  'a recovery': recovery,
};

let host: Workshop;
beforeEach(() => {
  host = new Workshop();
});
afterEach(() => {
  host.close();
});

/** Runs one after another. Each ends before the next begins. */
function runAll(works: readonly Work[], newRun: () => BanContext): void {
  for (const work of works) {
    const context = newRun();
    work(context);
    context.store.close();
  }
}

/**
 * Runs `interrupt` at one moment. Returns a function that counts the moments; it is also called before and after each
 * run of a firewall program.
 */
function interruptAt(moment: number, interrupt: () => void): () => void {
  let passed = 0;
  const pass = (): void => {
    if (passed++ !== moment) return;
    host.kernel.disturbAlways(null);
    interrupt();
    host.kernel.disturbAlways(disturb);
  };
  const disturb = (_: unknown, run: () => ReturnType<typeof host.kernel.run>) => {
    pass();
    const result = run();
    pass();
    return result;
  };
  host.kernel.disturbAlways(disturb);
  return pass;
}

/** Runs `work` and interrupts it with `other` at the given moment. Returns false if `work` has no such moment. */
function runWith(work: Work, other: Work, moment: number, newRun: () => BanContext): boolean {
  host.isWorkShared = true;
  const context = newRun();
  let isOver = false;
  const pass = interruptAt(moment, () => {
    isOver = true;
    runAll([other], newRun);
  });
  const { bans } = context.store;
  for (const name of ['transaction', 'addHolds'] as const) {
    const original = bans[name].bind(bans) as (...args: unknown[]) => unknown;
    Object.assign(bans, {
      [name]: (...args: unknown[]) => {
        pass();
        return original(...args);
      },
    });
  }
  work(context);
  context.store.close();
  host.kernel.disturbAlways(null);
  host.isWorkShared = false;
  return isOver;
}

/** Like `runWith`, with a death of the run. Returns whether it was interrupted and whether it lived. */
function dieWith(work: Work, other: Work, moment: number, death: Death) {
  host.isWorkShared = true;
  let interrupted = false;
  interruptAt(moment, () => {
    interrupted = true;
    runAll([other], () => host.newRun());
  });
  const lived = !dieDuring(host, death, work);
  host.kernel.disturbAlways(null);
  host.isWorkShared = false;
  return { interrupted, lived };
}

function isDropped(backend: BackendName): boolean {
  if (backend === 'ipset') return host.kernel.sets.entries('firewall-drop-4').includes(TEXT);
  const [input, forward] = host.rulesFor(TEXT);
  expect(input).toBe(forward);
  return input === 1;
}

const PAIRS = Object.entries(WORKS).flatMap(([one, work]) =>
  Object.entries(WORKS).flatMap(([another, other]) =>
    [true, false].map((blocked) => ({ one, work, another, other, blocked })),
  ),
);

/** Returns the result of the runs. */
function outcome(backend: BackendName) {
  const store = host.openStore();
  const ban = store.bans.find(ADDRESS);
  store.close();
  const holders = ban?.holds.map(({ origin }) => origin).toSorted();
  return { phase: ban?.phase, dropped: isDropped(backend), holders };
}

function begin(blocked: boolean, backend: BackendName): void {
  host.close();
  host = new Workshop();
  if (blocked) runAll([aBlock], () => host.newRun(backend));
}

describe.each(['iptables', 'ipset'] as const)('%s', (backend) => {
  const newRun = (): BanContext => host.newRun(backend);
  test.each(PAIRS)(
    '$another within $one has the outcome of one order (address already blocked: $blocked)',
    ({ work, other, blocked }) => {
      const orders = [
        [work, other],
        [other, work],
      ].map((order) => {
        begin(blocked, backend);
        runAll(order, newRun);
        return outcome(backend);
      });
      for (let moment = 0; ; moment++) {
        begin(blocked, backend);
        if (!runWith(work, other, moment, newRun)) break;
        // The next run ends a ban that was still pending when it expired.
        runAll(other === endByTime ? [recovery, other] : [recovery], newRun);
        expect(orders).toContainEqual(outcome(backend));
      }
    },
  );
});

const DELETE = 'a delete of a person’s';
test.each([
  ['a block', DELETE, false],
  [DELETE, 'a block', true],
  [DELETE, 'a person’s block', true],
  ['an end by time', 'a block', true],
  ['a restore', DELETE, true],
  ['a restore', 'a delete of execd’s', true],
  ['a restore', 'an end by time', true],
])(
  'the next run brings state and kernel together after %s was overtaken by %s and killed',
  (one, another, blocked) => {
    let result = { interrupted: false, lived: false };
    for (let moment = 0; moment === 0 || result.interrupted; moment++) {
      for (const death of everyDeath(() => result.lived)) {
        begin(blocked, 'iptables');
        result = dieWith(WORKS[one] ?? recovery, WORKS[another] ?? recovery, moment, death);
        runAll([recovery], () => host.newRun());
        const { phase, dropped } = outcome('iptables');
        expect(phase).toBe(dropped ? 'blocked' : undefined);
      }
    }
  },
);

describe.each([
  ['ipset', 'iptables'],
  ['iptables', 'ipset'],
] as const)('a migration to %s', (to, from) => {
  const migration: Work = (context) => {
    migrateTo(to, context);
  };
  /** Returns a new run, which reads the active backend and a pending migration. */
  const newRun = (): BanContext => {
    const run = host.newRun();
    const active = backendNamed(run.store.metadata.get(ACTIVE_BACKEND)) ?? from;
    run.firewall.use(active, otherBackend(active, run));
    return run;
  };
  const prepare = (blocked: boolean): void => {
    begin(blocked, from);
    runAll([({ store }) => remember(store, ACTIVE_BACKEND, from)], () => host.newRun());
  };
  const outcomeNow = (): object => ({ ...outcome('ipset'), plain: host.rulesFor(TEXT) });

  /** A run with the writer lock never interrupts another one with it. */
  const LOCKED = ['a restore', 'a recovery'];
  const cases = Object.entries(WORKS).flatMap(([name, work]) => {
    const within = { name: `${name} within it`, work, outer: migration, inner: work };
    const around = { name: `within ${name}`, work, outer: work, inner: migration };
    const all = LOCKED.includes(name) ? [within] : [within, around];
    return all.flatMap((one) => [true, false].map((blocked) => ({ ...one, blocked })));
  });
  test.each(cases)(
    '$name has the outcome of one order (address already blocked: $blocked)',
    ({ work, outer, inner, blocked }) => {
      const orders = [
        [outer, inner],
        [inner, outer],
      ].map((order) => {
        prepare(blocked);
        runAll(order, newRun);
        return outcomeNow();
      });
      for (let moment = 0; ; moment++) {
        prepare(blocked);
        if (!runWith(outer, inner, moment, newRun)) break;
        runAll(work === endByTime ? [recovery, work] : [recovery], newRun);
        expect(orders).toContainEqual(outcomeNow());
      }
    },
  );
});
