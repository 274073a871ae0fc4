// The number of bans of an address: each ban is counted exactly once, whichever call a run dies at.
import { afterEach, beforeEach, expect, test } from '@jest/globals';
import { block } from '../../../src/bans/block.ts';
import { recover } from '../../../src/bans/recover.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import { dieDuring, everyDeath } from '../support/mortal.ts';
import { addressOf, holdRequest, NOTHING_PROTECTED, Workshop } from '../support/workshop.ts';

const A = addressOf('203.0.113.9');

let host: Workshop;
beforeEach(() => {
  host = new Workshop();
  host.countsOffences = true;
});
afterEach(() => {
  host.close();
});

const counted = (): number => host.openStore().offences.count(0).get(A.text) ?? 0;

test('a ban is counted once, wherever its run is killed', () => {
  let died = true;
  for (const death of everyDeath(() => !died)) {
    host.close();
    host = new Workshop();
    host.countsOffences = true;
    died = dieDuring(host, death, (context) => {
      block(A, holdRequest(), context);
    });
    recover(host.newRun(), NOTHING_PROTECTED);
    const isBanned = host.openStore().bans.find(A)?.phase === 'blocked';
    expect([death, counted()]).toEqual([death, isBanned ? 1 : 0]);
    block(A, holdRequest(), host.newRun());
    expect([death, counted()]).toEqual([death, 1]);
  }
});

test('a ban that ends and begins again is counted twice, wherever the run that ends it is killed', () => {
  let died = true;
  for (const death of everyDeath(() => !died)) {
    host.close();
    host = new Workshop();
    host.countsOffences = true;
    block(A, holdRequest(), host.newRun());
    host.nowMs += 1000;
    died = dieDuring(host, death, (context) => {
      unblock(A, { origin: null, alertRef: holdRequest().alertRef }, context);
    });
    recover(host.newRun(), NOTHING_PROTECTED);
    if (host.openStore().bans.find(A) !== null) {
      unblock(A, { origin: null, alertRef: holdRequest().alertRef }, host.newRun());
    }
    expect(counted()).toBe(1);
    block(A, holdRequest(), host.newRun());
    expect([death, counted()]).toEqual([death, 2]);
  }
});
