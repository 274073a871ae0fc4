// `metrics`: Prometheus text format, for a scrape or for node_exporter's textfile collector.
import type * as Crypto from 'node:crypto';
import {
  closeSync,
  fchmodSync,
  fsyncSync,
  openSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import type * as PromClient from 'prom-client';
import { familiesInUse } from '../../bans/families.ts';
import { ORIGINS } from '../../model/ban.ts';
import { AppError, describeError } from '../../model/errors.ts';
import type { Context } from '../../context.ts';
import { defineCommand } from '../command.ts';
import type { Person } from '../session.ts';
import { stateBytes } from '../state-size.ts';
import { lastChangeMs } from '../output/time.ts';

export const metrics = defineCommand({
  name: 'metrics',
  summary: 'Print metrics in the text format of Prometheus',
  details:
    'With --textfile they are written atomically to a file that ends in .prom, for the textfile collector of node_exporter. Counters count since the store was begun and do not shrink when history is pruned.',
  options: {
    textfile: { kind: 'text', value: 'PATH', describe: 'write there instead of standard output' },
  },
  examples: [
    ['metrics', 'for a look'],
    ['metrics --textfile /run/firewall-drop.prom', 'for node_exporter, by a timer'],
  ],
  needsRoot: true,
  async run(_words, { textfile }, person) {
    const text = await render(person.createContext(), person);
    if (textfile === undefined) person.print(text.trimEnd());
    else replaceFile(textfile, text);
    return 0;
  },
});

const EVENTS: readonly (readonly [event: string, metric: string, help: string])[] = [
  ['add', 'adds_total', 'Blocks made'],
  ['delete', 'deletes_total', 'Blocks released because somebody said so'],
  ['expire', 'expiries_total', 'Blocks released because their time was over'],
  ['failed', 'failures_total', 'Blocks and releases that the kernel did not obey'],
  ['refused', 'refusals_total', 'Blocks refused because the address is protected'],
  ['reapplied', 'reapplied_total', 'Blocks put back that the kernel had lost'],
];

function render(context: Context, person: Person): Promise<string> {
  const { Registry, Gauge, Counter } = require('prom-client') as typeof PromClient;
  const registers = [new Registry()];
  const gauge = (name: string, help: string, labelNames: string[] = []): PromClient.Gauge => {
    return new Gauge({ name: `firewall_drop_${name}`, help, labelNames, registers });
  };
  const counter = (name: string, help: string, value: number): void => {
    new Counter({ name: `firewall_drop_${name}`, help, registers }).inc(value);
  };
  setBans(gauge, context);
  const tallies = context.store.history.tallies();
  for (const [event, name, help] of EVENTS) {
    counter(name, help, tallies.find((tally) => tally.event === event)?.count ?? 0);
  }
  gauge('last_success_timestamp_seconds', 'When the kernel was last changed as asked').set(
    (lastChangeMs(tallies) ?? 0) / 1000,
  );
  gauge('store_bytes', 'Size of the store').set(stateBytes() ?? 0);
  setDropped(gauge, context, person);
  return registers[0]?.metrics() ?? Promise.resolve('');
}

type MakeGauge = (name: string, help: string, labelNames?: string[]) => PromClient.Gauge;

/** An address that two origins hold is one ban with two holds. Every combination has a value: a graph shows zero, not a gap. */
function setBans(gauge: MakeGauge, { store }: Context): void {
  const bans = gauge('bans', 'Bans: addresses and networks that are to be blocked', ['family']);
  const holds = gauge('holds', 'Holds on bans, one for each origin', ['origin', 'family']);
  const all = store.bans.list();
  for (const family of [4, 6] as const) {
    const own = all.filter(({ address }) => address.family === family);
    bans.set({ family: String(family) }, own.length);
    for (const origin of ORIGINS) {
      const held = own.filter((ban) => ban.holds.some((hold) => hold.origin === origin));
      holds.set({ origin, family: String(family) }, held.length);
    }
  }
}

/** Gauges, not counters: they fall when a block ends and its rules go. */
function setDropped(gauge: MakeGauge, context: Context, { complain }: Person): void {
  const packets = gauge('dropped_packets', 'Packets dropped by the rules of active blocks', [
    'family',
  ]);
  const bytes = gauge('dropped_bytes', 'Bytes dropped by the rules of active blocks', ['family']);
  for (const family of familiesInUse(context.store)) {
    try {
      const held = [...context.firewall.snapshot(family).held.values()];
      const labels = { family: String(family) };
      packets.set(
        labels,
        held.reduce((sum, one) => sum + one.packets, 0),
      );
      bytes.set(
        labels,
        held.reduce((sum, one) => sum + one.bytes, 0),
      );
    } catch (error) {
      complain(`IPv${family}: the kernel can't be asked: ${describeError(error)}`);
    }
  }
}

/** Whoever reads sees the old file or the new one; others may read it. */
function replaceFile(path: string, text: string): void {
  if (!path.endsWith('.prom')) {
    throw new AppError(
      'USAGE',
      `--textfile ${path}: the collector reads only files that end in .prom`,
    );
  }
  const { randomBytes } = require('node:crypto') as typeof Crypto;
  const temporary = `${path}.${randomBytes(8).toString('hex')}`;
  try {
    const descriptor = openSync(temporary, 'wx', 0o600);
    try {
      writeFileSync(descriptor, text);
      fchmodSync(descriptor, 0o644);
      fsyncSync(descriptor);
    } finally {
      closeSync(descriptor);
    }
    renameSync(temporary, path);
  } catch (error) {
    rmSync(temporary, { force: true });
    throw new AppError('LOG', `${path} can't be written: ${describeError(error)}`, error);
  }
}
