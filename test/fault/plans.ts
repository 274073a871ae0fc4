/** Makes random commands, with the required outcome of each: the log line, and the holds afterwards. */
import type { Random } from '../fuzz/mutate.ts';
import { type BackendName, flushKernel } from '../support/kernel.ts';
import type { Run, Victim } from '../support/victim.ts';
import { asPerson, ossec, wazuhAdd, wazuhDelete } from './stage.ts';

/** The origins of the holds on each blocked address, sorted. */
export type Model = Map<string, readonly string[]>;

interface Effect {
  /** The verb of the log line; null if none is written. */
  readonly verb: string | null;
  /** The origins of the holds on the address afterwards. */
  readonly origins: readonly string[];
  /** True if any next run makes the same change. */
  readonly anyway?: true;
}

export interface Plan {
  readonly name: Kind;
  readonly run: Run;
  readonly effects: ReadonlyMap<string, Effect>;
  readonly prepare?: (victim: Victim) => void;
  readonly flushes?: true;
}

const KINDS = [
  'wazuh add',
  'wazuh add, abort',
  'wazuh delete',
  'ossec add',
  'ossec delete',
  'add',
  'delete',
  'expire',
  'flush of one origin',
  'flush',
  'restore after a flush',
  'restore',
  'tick',
  'list',
] as const;
export type Kind = (typeof KINDS)[number] | 'migrate';

/** The commands that concern only the addresses that they name. */
export const QUIET_KINDS: readonly Kind[] = KINDS.slice(0, 7);

export function kindsFor(backend: BackendName | 'auto'): readonly Kind[] {
  // `flush` leaves nothing to migrate or to expire, so it is rare.
  const often: Kind[] = [...QUIET_KINDS, ...KINDS, 'add', 'add', 'expire'];
  return backend === 'auto' ? [...often, 'migrate', 'migrate', 'migrate', 'migrate'] : often;
}

export const ADDRESSES: readonly string[] = [
  ...Array.from({ length: 8 }, (_, index) => `203.0.113.${10 + index}`),
  ...Array.from({ length: 4 }, (_, index) => `2001:db8:ffff::${10 + index}`),
];

let alerts = 0;

/** Makes a random command. `taken` are the addresses of simultaneous commands. */
export function makePlan(
  kinds: readonly Kind[],
  model: Model,
  random: Random,
  taken: ReadonlySet<string>,
): Plan {
  const name = kinds[random(kinds.length)] ?? 'tick';
  const free = ADDRESSES.filter((address) => !taken.has(address));
  const some = (most: number): string[] => {
    const from = random(free.length);
    return free.slice(from, from + 1 + random(most));
  };
  return { name, ...parts(name, { model, some, random }) };
}

interface Means {
  readonly model: Model;
  readonly some: (most: number) => string[];
  readonly random: Random;
}

function parts(name: Kind, { model, some, random }: Means): Omit<Plan, 'name'> {
  const [srcip = ''] = some(1);
  const offence = { srcip, alertId: `1700000000.${(alerts += 1)}` };
  const heldBy = (origin: string): string[] => {
    return [...model].filter(([, origins]) => origins.includes(origin)).map(([address]) => address);
  };
  const nothing = new Map<string, Effect>();
  switch (name) {
    case 'wazuh add':
      return { run: wazuhAdd(offence), effects: adding([srcip], 'wazuh', model) };
    case 'wazuh add, abort': {
      const run = wazuhAdd(offence, 'abort');
      return { run, effects: holding([srcip], 'wazuh', model) };
    }
    case 'wazuh delete':
      return { run: wazuhDelete(offence), effects: ending([srcip], 'wazuh', model) };
    case 'ossec add':
      return { run: ossec('add', offence), effects: adding([srcip], 'ossec', model) };
    case 'ossec delete':
      return { run: ossec('delete', offence), effects: ending([srcip], 'ossec', model) };
    case 'add': {
      const list = some(5);
      const run = asPerson('add', '--timeout', '1h', ...list);
      return { run, effects: holding(list, 'manual', model) };
    }
    case 'delete': {
      const list = some(3);
      return { run: asPerson('delete', ...list), effects: ending(list, null, model) };
    }
    case 'expire': {
      const due = heldBy('manual').filter(() => random(2) === 0);
      const prepare = (victim: Victim): void => {
        victim.endTime(...due);
      };
      return { run: asPerson('expire'), effects: expiring(due, model), prepare };
    }
    case 'flush of one origin': {
      const run = asPerson('flush', '--origin', 'manual', '--yes');
      return { run, effects: ending(heldBy('manual'), 'manual', model) };
    }
    case 'flush':
      return {
        run: asPerson('flush', '--yes'),
        effects: ending([...model.keys()], null, model),
      };
    case 'restore after a flush': {
      const prepare = (victim: Victim): void => {
        flushKernel(victim.host);
      };
      return { run: asPerson('restore'), effects: nothing, prepare, flushes: true };
    }
    case 'restore':
      return { run: asPerson('restore'), effects: nothing };
    case 'tick':
      return { run: asPerson('expire'), effects: nothing };
    case 'list':
      return { run: asPerson('list', '--json'), effects: nothing };
    case 'migrate': {
      const to = ['iptables', 'ipset', 'nftables', 'auto'][random(4)] ?? 'auto';
      const prepare = (victim: Victim): void => {
        victim.configure(`[firewall]\nbackend = "${to}"\n`);
      };
      return { run: asPerson('expire'), effects: nothing, prepare };
    }
  }
}

function adding(list: readonly string[], origin: string, model: Model): Map<string, Effect> {
  return new Map(
    list.map((address) => {
      const origins = [...new Set([...(model.get(address) ?? []), origin])].sort();
      return [address, { verb: 'add', origins }];
    }),
  );
}

/** Returns the effects of holds. An address that is blocked already gets another hold, and no line is written. */
function holding(list: readonly string[], origin: string, model: Model): Map<string, Effect> {
  const effects = Array.from(adding(list, origin, model), ([address, effect]) => {
    return [address, model.has(address) ? { ...effect, verb: null } : effect] as const;
  });
  return new Map(effects);
}

/** Returns the effects of the end of an origin's holds; of all holds if `origin` is null. */
function ending(list: readonly string[], origin: string | null, model: Model): Map<string, Effect> {
  return new Map(
    list.map((address) => {
      const others = origin === null ? [] : without(origin, address, model);
      // For an address without a hold, nothing is released and no line is written.
      const verb = !model.has(address) ? null : others.length > 0 ? 'kept' : 'delete';
      return [address, { verb, origins: others }];
    }),
  );
}

function expiring(due: readonly string[], model: Model): Map<string, Effect> {
  return new Map(
    due.map((address) => {
      const origins = without('manual', address, model);
      return [address, { verb: origins.length > 0 ? null : 'delete', origins, anyway: true }];
    }),
  );
}

function without(origin: string, address: string, model: Model): string[] {
  return (model.get(address) ?? []).filter((other) => other !== origin);
}
