// Two runs about one address at once, one of them without the writer lock: wherever the one comes into the other, the
// outcome is that of one of the two orders.
import { afterEach, beforeEach, describe, expect, test } from '@jest/globals';
import { ensureBlocked, block } from '../../../src/bans/block.ts';
import type { BanContext } from '../../../src/bans/context.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { recover } from '../../../src/bans/recover.ts';
import { restore } from '../../../src/bans/restore.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import type { BackendName } from '../../../src/firewall/select.ts';
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
const WORKS: Readonly<Record<string, Work>> = {
  'a block': (context) => {
    block(ADDRESS, holdRequest(), context);
  },
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
  'an end by time': (context) => {
    expireDue(context, -3_600_000);
  },
  'a restore': (context) => {
    restore(context, () => false);
  },
  'a recovery': (context) => {
    recover(context, NOTHING_PROTECTED);
  },
};

let host: Workshop;
beforeEach(() => {
  host = new Workshop();
});
afterEach(() => {
  host.close();
});

/** Runs `work`; `other` comes in at one of its moments, in the order in which they pass. Returns whether there was such a moment. */
function runWith(work: Work, other: Work, moment: number, backend: BackendName): boolean {
  const context = host.newRun(backend);
  let passed = 0;
  let isOver = false;
  const pass = (): void => {
    if (passed++ !== moment) return;
    isOver = true;
    host.kernel.disturbAlways(null);
    other(host.newRun(backend));
    host.kernel.disturbAlways(disturb);
  };
  const disturb = (_: unknown, run: () => ReturnType<typeof host.kernel.run>) => {
    pass();
    const result = run();
    pass();
    return result;
  };
  const { bans } = context.store;
  for (const name of ['atOnce', 'addHolds'] as const) {
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
  const ban = host.openStore().bans.find(ADDRESS);
  return { phase: ban?.phase ?? 'none', dropped: isDropped(backend), holders: host.holders(TEXT) };
}

function begin(blocked: boolean, backend: BackendName): void {
  host.close();
  host = new Workshop();
  if (blocked) block(ADDRESS, holdRequest(), host.newRun(backend));
}

describe.each(['iptables', 'ipset'] as const)('%s', (backend) => {
  test.each(PAIRS)(
    '$another within $one, of an address that is blocked before: $blocked',
    ({ work, other, blocked }) => {
      const orders = [
        [work, other],
        [other, work],
      ].map((order) => {
        begin(blocked, backend);
        for (const each of order) each(host.newRun(backend));
        return outcome(backend);
      });
      for (let moment = 0; ; moment++) {
        begin(blocked, backend);
        if (!runWith(work, other, moment, backend)) break;
        recover(host.newRun(backend), NOTHING_PROTECTED);
        // What was pending when its time was over is ended by the next run.
        if (other === WORKS['an end by time']) other(host.newRun(backend));
        expect(orders).toContainEqual(outcome(backend));
      }
    },
  );
});
