// Random sequences of actions by execd, persons, time and other programs, with plain rules and with sets. Afterwards
// kernel, state and log agree, and foreign rules are unchanged.
import fc from 'fast-check';
import { expect, test } from '@jest/globals';
import { block, ensureBlocked } from '../../../src/bans/block.ts';
import { remainingSeconds, type Origin } from '../../../src/model/ban.ts';
import { expireDue } from '../../../src/bans/expire.ts';
import { migrateTo } from '../../../src/bans/migrate.ts';
import { restore } from '../../../src/bans/restore.ts';
import { unblock } from '../../../src/bans/unblock.ts';
import type { BackendName } from '../../../src/firewall/select.ts';
import { addressOf, holdRequest, Workshop } from '../support/workshop.ts';
import { effort } from '../../support/effort.ts';

/** Nested networks, neighbours, and both families. */
const ADDRESSES = [
  '203.0.113.9',
  '203.0.113.8',
  '203.0.113.8/31',
  '203.0.113.0/24',
  '2001:db8::9',
  '2001:db8::/64',
].map(addressOf);
const FOREIGN = ['-s 203.0.113.9/32 -p tcp -j DROP', '-i eth9 -j ACCEPT'];
const CHAINS = ['INPUT', 'FORWARD'] as const;
const PLACES = ['raw PREROUTING', ...CHAINS];
const FAMILIES = [4, 6] as const;
const ALERT_REF = { alertId: '1.2', ruleId: '3' };

const address = fc.constantFrom(...ADDRESSES);
const timeoutSeconds = fc.constantFrom(60, 600, 4_000_000, null);
const origin = fc.constantFrom('wazuh' as const, 'manual' as const);
const deed = fc.oneof(
  fc.record({ what: fc.constant('block' as const), address, timeoutSeconds, origin }),
  fc.record({ what: fc.constant('abort' as const), address, timeoutSeconds, origin }),
  fc.record({ what: fc.constant('release' as const), address, origin: fc.option(origin) }),
  fc.record({ what: fc.constant('wait' as const), seconds: fc.constantFrom(1, 59, 61, 700) }),
  fc.record({ what: fc.constant('expire' as const) }),
  fc.record({ what: fc.constant('restore' as const) }),
  fc.record({ what: fc.constant('flush rules' as const) }),
  fc.record({ what: fc.constant('flush sets' as const) }),
  fc.record({ what: fc.constant('put before ours' as const) }),
  fc.record({ what: fc.constant('move' as const), to: fc.constantFrom('iptables', 'ipset') }),
);
type Deed = typeof deed extends fc.Arbitrary<infer T> ? T : never;

/** Long sequences, because errors need several steps. */
const deeds = fc.array(deed, { minLength: 5, maxLength: 30, size: 'max' });

/** A host that uses a new run for every command. */
class Random {
  readonly host = new Workshop();
  #backend: BackendName;

  constructor(backend: BackendName) {
    this.#backend = backend;
  }

  context(): ReturnType<Workshop['newRun']> {
    return this.host.newRun(this.#backend);
  }

  do(one: Deed): void {
    const { host } = this;
    const context = this.context();
    switch (one.what) {
      case 'block':
        block(one.address, holdRequest(one), context);
        this.expectHeld(one.address.text);
        break;
      case 'abort':
        ensureBlocked(one.address, holdRequest(one), context);
        this.expectHeld(one.address.text);
        break;
      case 'release':
        this.expectReleased(
          one.address.text,
          () => {
            unblock(one.address, { origin: one.origin, alertRef: ALERT_REF }, context);
          },
          one.origin,
        );
        break;
      case 'wait':
        host.nowMs += one.seconds * 1000;
        host.kernel.sets.advance(one.seconds * 1000);
        break;
      case 'expire':
        for (const ban of expireDue(context)) expect(this.held()).not.toContain(ban.address.text);
        break;
      case 'restore':
        restore(context, () => false);
        break;
      case 'flush rules':
        host.kernel.flush();
        this.addForeign();
        break;
      case 'flush sets':
        host.kernel.sets.empty();
        break;
      case 'put before ours':
        this.removeForeign();
        this.addForeign();
        break;
      case 'move':
        migrateTo(one.to, context);
        if (this.#backend !== one.to) this.expectNothingLeftOf(this.#backend);
        this.#backend = one.to;
        break;
    }
    context.store.close();
  }

  addForeign(): void {
    for (const family of FAMILIES)
      for (const chain of PLACES)
        for (const rule of FOREIGN) this.host.kernel.insert(chain, rule, family);
  }

  removeForeign(): void {
    for (const family of FAMILIES)
      for (const chain of PLACES)
        for (const rule of FOREIGN) this.host.kernel.remove(chain, rule, family);
  }

  /** Checks that an address that another origin holds stays blocked until that hold ends. */
  expectReleased(text: string, release: () => void, origin: Origin | null): void {
    const before = this.host.holders(text);
    release();
    const others = origin === null ? [] : before.filter((other) => other !== origin);
    expect(this.host.holders(text)).toEqual(others);
    if (others.length > 0) this.expectHeld(text);
    else expect(this.held()).not.toContain(text);
  }

  expectHeld(text: string): void {
    expect(this.held().filter((one) => one === text)).toEqual([text]);
    if (this.#backend === 'ipset') this.expectEnd(text);
  }

  /**
   * Checks that the kernel removes the entry when the last hold ends, or never if the time is too long for the kernel.
   */
  expectEnd(text: string): void {
    const { holds } = this.host.openStore().bans.find(addressOf(text)) ?? { holds: [] };
    const wanted = remainingSeconds(holds, this.host.nowMs);
    const left = this.host.kernel.sets.secondsLeft(`firewall-drop-${addressOf(text).family}`, text);
    if (wanted === null || wanted > 2_147_483) expect(left).toBeNull();
    else expect(Math.abs((left ?? Infinity) - wanted)).toBeLessThanOrEqual(5);
  }

  expectNothingLeftOf(backend: BackendName): void {
    const { kernel } = this.host;
    const rules = FAMILIES.flatMap((family) => PLACES.flatMap((c) => kernel.rules(c, family)));
    const plain = rules.filter((rule) => /^-s \S+ -j DROP$/.test(rule));
    const ofSets = rules.filter((rule) => rule.includes('--match-set'));
    if (backend === 'iptables') expect(plain).toEqual([]);
    else expect([...ofSets, ...kernel.sets.names]).toEqual([]);
  }

  /** Returns the addresses that `raw` or both chains drop before any other rule, each as often as it is dropped. */
  held(): string[] {
    return FAMILIES.flatMap((family) => {
      const [raw = [], input = [], forward] = PLACES.map((chain) => this.#heldIn(chain, family));
      expect(input.toSorted()).toEqual(forward?.toSorted());
      return [...raw, ...input];
    });
  }

  #heldIn(chain: string, family: 4 | 6): string[] {
    const set = `firewall-drop-${family}`;
    const rules = this.host.kernel.rules(chain, family);
    const foreign = rules.findIndex((rule) => FOREIGN.includes(rule));
    return rules.slice(0, foreign < 0 ? rules.length : foreign).flatMap((rule) => {
      if (rule === `-m set --match-set ${set} src -j DROP`)
        return this.host.kernel.sets.entries(set);
      const source = /^-s (\S+) -j DROP$/.exec(rule)?.[1];
      return source === undefined ? [] : [addressOf(source).text];
    });
  }

  foreign(): string[] {
    return FAMILIES.flatMap((family) =>
      PLACES.flatMap((chain) =>
        this.host.kernel.rules(chain, family).filter((rule) => FOREIGN.includes(rule)),
      ),
    );
  }

  /** Checks that the lines of each address alternate: no add without a delete before it, and no second delete. */
  expectTrueLog(): void {
    const blocked = new Set<string>();
    for (const line of this.host.log.lines) {
      const [verb, text = ''] = line.split(' ');
      if (verb === 'delete') blocked.delete(text);
      if (verb === 'add' || verb === 'reapplied') blocked.add(text);
    }
    expect([...blocked].toSorted()).toEqual(this.#inState());
  }

  #inState(): string[] {
    const bans = this.host.openStore().bans.list();
    return bans.map((ban) => ban.address.text).toSorted();
  }

  /** Ends every sequence: due bans are unblocked, and the others restored. */
  expectAgreement(): void {
    this.do({ what: 'expire' });
    this.do({ what: 'restore' });
    expect(this.held().toSorted()).toEqual(this.#inState());
    expect(this.foreign()).toHaveLength(FOREIGN.length * PLACES.length * FAMILIES.length);
    this.expectTrueLog();
  }
}

test('after any commands, kernel, state and log agree', () => {
  fc.assert(
    fc.property(fc.constantFrom('iptables', 'ipset'), deeds, (backend, all) => {
      const random = new Random(backend);
      try {
        random.addForeign();
        for (const one of all) random.do(one);
        random.expectAgreement();
      } finally {
        random.host.close();
      }
    }),
    { numRuns: effort(10) },
  );
});
