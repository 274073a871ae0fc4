// `metrics`: prints metrics in the Prometheus text format, for a scrape or for node_exporter's textfile collector.
import type * as Crypto from 'node:crypto';
import type * as PromClient from 'prom-client';
import { differences, familiesInUse } from '../../bans/reconcile.ts';
import { ORIGINS, type Ban } from '../../model/ban.ts';
import { orThrow } from '../../model/errors.ts';
import type { Context } from '../../context.ts';
import type { HeldAddress } from '../../firewall/backend.ts';
import type { Tally } from '../../state/history.ts';
import { BUILD } from '../../model/version.ts';
import { replaceFile } from '../../system/paths.ts';
import { heldOrNull } from '../ban-view.ts';
import { defineCommand, matching } from '../command.ts';
import type { Person } from '../session.ts';
import { lastChangeMs, stateBytes } from '../figures.ts';

export const metrics = defineCommand({
  name: 'metrics',
  summary: 'Print metrics in the Prometheus text format',
  details:
    'With --textfile, the metrics are written atomically to a file whose name ends in .prom, for the textfile collector of node_exporter. Counters count since the state was created; pruning the history does not reduce them.',
  options: {
    textfile: {
      ...matching('PATH', /\.prom$/, 'a name that ends in .prom: the collector reads no others'),
      isFile: true,
      describe: 'write to this file instead of standard output',
    },
  },
  examples: [
    ['metrics', 'print the metrics'],
    [
      'metrics --textfile /var/lib/prometheus/node-exporter/firewall-drop.prom',
      'write them for node_exporter, from a timer',
    ],
  ],
  exits: { 0: 'success' },
  async run(_words, { textfile }, person) {
    const text = await render(person.createContext(), person);
    if (textfile === undefined) person.print(text.trimEnd());
    else writeTextfile(textfile, text);
    return 0;
  },
});

const EVENTS: readonly (readonly [event: string, metric: string, help: string])[] = [
  ['add', 'adds_total', 'Addresses blocked'],
  ['delete', 'deletes_total', 'Bans released on request'],
  ['expire', 'expiries_total', 'Bans released because they expired'],
  ['failed', 'failures_total', 'Blocks and releases that failed'],
  ['refused', 'refusals_total', 'Blocks refused because of protection or policy'],
  ['reapplied', 'reapplied_total', 'Bans restored that the kernel had lost'],
];

function render(context: Context, person: Person): Promise<string> {
  const { Registry, Gauge, Counter } = require('prom-client') as typeof PromClient;
  const registry = new Registry();
  const registers = [registry];
  const gauge = (name: string, help: string, labelNames: string[] = []): PromClient.Gauge => {
    return new Gauge({ name: `firewall_drop_${name}`, help, labelNames, registers });
  };
  const counter = (name: string, help: string, value: number): void => {
    new Counter({ name: `firewall_drop_${name}`, help, registers }).inc(value);
  };
  const bans = context.store.bans.list();
  setBans(gauge, bans);
  const tallies = context.store.history.tallies();
  for (const [event, name, help] of EVENTS) {
    counter(name, help, tallies.find((tally) => tally.event === event)?.count ?? 0);
  }
  gauge('last_success_timestamp_seconds', 'Time of the last successful change in the kernel').set(
    (lastChangeMs(tallies) ?? 0) / 1000,
  );
  setLastTimes(gauge, tallies);
  gauge('build_info', 'Always 1; version and commit are labels', ['version', 'commit']).set(
    BUILD,
    1,
  );
  gauge('store_bytes', 'Size of the state').set(stateBytes() ?? 0);
  setState(gauge, context);
  setKernel(gauge, bans, context, person);
  return registry.metrics();
}

type MakeGauge = (name: string, help: string, labelNames?: string[]) => PromClient.Gauge;

/**
 * Sets the numbers of bans and holds. Every combination of labels has a value, so that a graph shows zero and not a
 * gap.
 */
function setBans(gauge: MakeGauge, all: readonly Ban[]): void {
  const bans = gauge('bans', 'Banned addresses and networks', ['family']);
  const holds = gauge('holds', 'Holds on bans, one for each origin', ['origin', 'family']);
  for (const family of [4, 6] as const) {
    const own = all.filter(({ address }) => address.family === family);
    bans.set({ family: String(family) }, own.length);
    for (const origin of ORIGINS) {
      const held = own.filter((ban) => ban.holds.some((hold) => hold.origin === origin));
      holds.set({ origin, family: String(family) }, held.length);
    }
  }
}

/** Sets the times of the last events. An event that never happened has 0, so that alert rules need no special case. */
function setLastTimes(gauge: MakeGauge, tallies: readonly Tally[]): void {
  const help = 'Time of the last event of each kind; 0 if there was none';
  const times = gauge('last_event_timestamp_seconds', help, ['event']);
  for (const [event] of EVENTS) {
    times.set({ event }, (tallies.find((tally) => tally.event === event)?.lastMs ?? 0) / 1000);
  }
}

function setState(gauge: MakeGauge, { store }: Context): void {
  const pending = store.bans.pending().length;
  gauge('pending_changes', 'Changes that are recorded but not yet confirmed').set(pending);
  const help = "1 if the state can't be written, otherwise 0";
  gauge('state_volatile', help).set(store.isBehind ? 1 : 0);
  const next =
    'Time when the next hold ends; in the past if nothing runs expire; 0 if no hold ends';
  gauge('next_deadline_timestamp_seconds', next).set((store.deadlines.nextMs() ?? 0) / 1000);
}

/**
 * Sets what the kernel counts. Gauges, because the values fall when rules are removed. A family that can't be queried
 * has no values.
 */
function setKernel(gauge: MakeGauge, bans: readonly Ban[], context: Context, person: Person): void {
  const packets = gauge('dropped_packets', 'Packets dropped by the rules of current bans', [
    'family',
  ]);
  const bytes = gauge('dropped_bytes', 'Bytes dropped by the rules of current bans', ['family']);
  const drift = gauge(
    'drift',
    'Differences between state and kernel: bans that lack rules (missing), rules without a ban (unknown)',
    ['kind', 'family'],
  );
  for (const family of familiesInUse(context.store)) {
    const held = heldOrNull(family, context, person);
    if (held === null) continue;
    const own = bans.filter(({ address }) => address.family === family);
    const { missing, unknown } = differences(own, held);
    const label = String(family);
    packets.set({ family: label }, sum(held, 'packets'));
    bytes.set({ family: label }, sum(held, 'bytes'));
    drift.set({ kind: 'missing', family: label }, missing.length);
    drift.set({ kind: 'unknown', family: label }, unknown.length);
  }
}

function sum(held: ReadonlyMap<string, HeldAddress>, what: 'packets' | 'bytes'): number {
  return [...held.values()].reduce((total, one) => total + one[what], 0);
}

/** Replaces the file atomically. It is readable by all users. */
function writeTextfile(path: string, content: string): void {
  const { randomBytes } = require('node:crypto') as typeof Crypto;
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  const file = { path, content, mode: 0o644, temporary };
  orThrow('FILE', `${path} can't be written`, () => replaceFile(file));
}
