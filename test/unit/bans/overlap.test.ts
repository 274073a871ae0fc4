// Two runs about one address at once, one of them without the writer lock: wherever the one comes into the other, the
// outcome is that of one of the two orders.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ensureBlocked, block } from '../../../src/bans/block.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { migrateTo, otherBackend, remember } from '../../../src/bans/migrate.ts';
import { ACTIVE_BACKEND } from '../../../src/bans/places.ts';
import { recover } from '../../../src/bans/recover.ts';
import { restore } from '../../../src/bans/restore.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import { backendNamed, type BackendName } from '../../../src/firewall/select.ts';
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
  recover(context, NOTHING_PROTECTED);
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

/** One after another; each ends before the next begins. */
function runAll(works: readonly Work[], newRun: () => BanContext): void {
  for (const work of works) {
    const context = newRun();
    work(context);
    context.store.close();
  }
}

/** Runs `work`; `other` comes in at one of its moments, in the order in which they pass. Returns whether there was such a moment. */
function runWith(work: Work, other: Work, moment: number, newRun: () => BanContext): boolean {
  const context = newRun();
  let passed = 0;
  let isOver = false;
  const pass = (): void => {
    if (passed++ !== moment) return;
    isOver = true;
    host.kernel.disturbAlways(null);
    runAll([other], newRun);
    host.kernel.disturbAlways(disturb);
  };
  const disturb = (_: unknown, run: () => ReturnType<typeof host.kernel.run>) => {
    pass();
    const result = run();
    pass();
    return result;
  };
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
  host.kernel.disturbAlways(disturb);
  work(context);
  context.store.close();
  host.kernel.disturbAlways(null);
  return isOver;
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

/** What the runs have left behind. */
function outcome(backend: BackendName): object {
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
    '$another within $one, of an address that is blocked before: $blocked',
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
        // What was pending when its time was over is ended by the next run.
        runAll(other === endByTime ? [recovery, other] : [recovery], newRun);
        expect(orders).toContainEqual(outcome(backend));
      }
    },
  );
});

describe.each([
  ['ipset', 'iptables'],
  ['iptables', 'ipset'],
] as const)('a migration to %s', (to, from) => {
  const migration: Work = (context) => {
    migrateTo(to, context);
  };
  /** As a run begins: it knows which backend is active, and of a migration that is pending. */
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

  /** What holds the writer lock never comes within another that does. */
  const LOCKED = ['a restore', 'a recovery'];
  /** With sets a new block takes each plain rule for somebody else's, and this one was made for it a moment ago. */
  const FINDS_RULE = to === 'iptables' ? ['a block', 'a person’s block'] : [];
  const cases = Object.entries(WORKS).flatMap(([name, work]) => {
    const within = { name: `${name} within it`, work, outer: migration, inner: work };
    const around = { name: `within ${name}`, work, outer: work, inner: migration };
    const all = LOCKED.includes(name) ? [within] : [within, around];
    return all.flatMap((one) => {
      const isKnown = one === around && FINDS_RULE.includes(name);
      return (isKnown ? [true] : [true, false]).map((blocked) => ({ ...one, blocked }));
    });
  });
  test.each(cases)(
    '$name, of an address that is blocked before: $blocked',
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
