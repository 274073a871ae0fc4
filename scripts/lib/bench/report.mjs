// Formats the results of the benchmark: tables, ratios against their targets, and the charts of docs/performance.md.
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { CHECKOUT, ROOT } from './machine.mjs';
import { drawChart } from './plot.mjs';

const NAMES = { today: 'plain rules, by hand', peer: 'the other program' };
const SINGLE = ['add', 'delete', 'list'];
const BULK = ['bare load', 'load', 'load again', 'expire', 'restore', 'flush'];

/** Returns functions that look up single values in the rows of a run. */
function reader({ rows }) {
  const find = (backend, bans, what) =>
    rows.find((row) => row.backend === backend && row.bans === bans && row.what === what);
  const measured = rows.filter(({ backend }) => backend !== 'floor');
  const counts = [...new Set(measured.map(({ bans }) => bans))].toSorted((a, b) => a - b);
  const backends = [...new Set(measured.map(({ backend }) => backend))];
  const value = (backend, bans, what, measure) => find(backend, bans, what)?.[measure]?.median;
  return { find, value, counts, backends };
}

const number = (value) =>
  value >= 100 ? Math.round(value).toLocaleString('en') : String(Math.round(value * 10) / 10);

/** The tables: title, rows, measure, and the divisor for the unit. */
const TABLES = [
  { title: 'Wall time, milliseconds', whats: [...SINGLE, ...BULK], measure: 'wallMs' },
  { title: 'Processor time, milliseconds', whats: [...SINGLE, ...BULK], measure: 'cpuMs' },
  { title: 'Peak memory, MiB', whats: [...SINGLE, ...BULK], measure: 'peakKiB', divisor: 1024 },
  { title: 'Packets received per second', whats: ['packets'], measure: 'perSecond' },
];

function tableOf({ title, whats, measure, divisor = 1 }, results) {
  const { value, counts, backends } = reader(results);
  const rows = whats.flatMap((what) =>
    backends.flatMap((backend) => {
      const values = counts.map((bans) => value(backend, bans, what, measure));
      if (values.every((each) => each === undefined)) return [];
      const [base] = values;
      const cells = values.map((each, index) => {
        if (each === undefined) return '';
        const ratio = index === 0 || base === undefined ? '' : ` ×${(each / base).toFixed(2)}`;
        return `${number(each / divisor)}${ratio}`;
      });
      return [[what, NAMES[backend] ?? backend, ...cells]];
    }),
  );
  const head = [title, 'backend', ...counts.map((bans) => `${bans.toLocaleString('en')} bans`)];
  return [head, ...rows];
}

/** Returns each target as a ratio of two values and its bound. Leaves out targets whose values were not measured. */
function targets(results) {
  const { value, counts } = reader(results);
  const [none] = counts;
  const list = [];
  const hold = (name, ratio, bound, atLeast = false) => {
    if (!Number.isFinite(ratio)) return;
    const met = atLeast ? ratio >= bound : ratio <= bound;
    list.push({ name, ratio, bound: `${atLeast ? '≥' : '≤'} ${bound}`, met });
  };
  for (const backend of ['ipset', 'nftables']) {
    const wall = (bans, what) => value(backend, bans, what, 'wallMs');
    const packets = (bans) => value(backend, bans, 'packets', 'perSecond');
    for (const what of ['add', 'delete']) {
      for (const bans of [10_000, 100_000]) {
        const name = `${backend}: ${what}, ${bans.toLocaleString('en')} bans / none`;
        hold(name, wall(bans, what) / wall(none, what), 1.05);
      }
    }
    hold(`${backend}: packets, 100,000 bans / none`, packets(100_000) / packets(none), 0.8, true);
    for (const [bans, bound] of [
      [10_000, 10],
      [100_000, 60],
    ]) {
      const name = `${backend}: load of ${bans.toLocaleString('en')} / one add`;
      hold(name, wall(bans, 'load') / wall(none, 'add'), bound);
    }
    hold(
      `${backend}: load of 100,000 / bare load`,
      wall(100_000, 'load') / wall(100_000, 'bare load'),
      3,
    );
    const peakMiB = value(backend, 100_000, 'load', 'peakKiB') / 1024;
    hold(`${backend}: peak memory of a load of 100,000, MiB`, peakMiB, 250);
    const bare = value('floor', 0, 'bare Node', 'peakKiB');
    hold(
      `${backend}: peak memory of an add / bare Node`,
      value(backend, none, 'add', 'peakKiB') / bare,
      1.25,
    );
  }
  return list;
}

function targetTable(results) {
  const rows = targets(results).map(({ name, ratio, bound, met }) => [
    name,
    ratio.toFixed(2),
    bound,
    met ? 'met' : 'missed',
  ]);
  return [['Ratio of medians', 'value', 'target', ''], ...rows];
}

function floorTable({ rows }) {
  const body = rows
    .filter(({ backend }) => backend === 'floor')
    .map(({ what, wallMs, cpuMs, peakKiB }) => [
      what,
      number(wallMs.median),
      number(cpuMs.median),
      number(peakKiB.median / 1024),
    ]);
  return [['Lower bounds', 'wall ms', 'processor ms', 'peak MiB'], ...body];
}

function allTables(results) {
  const measured = TABLES.map((table) => tableOf(table, results));
  return [...measured, floorTable(results), targetTable(results)].filter(
    ({ length }) => length > 1,
  );
}

function runsOf({ rows }) {
  const fewest = (whats) => {
    const numbers = rows
      .filter(({ what }) => whats.includes(what))
      .map((row) => (row.wallMs ?? row.perSecond).runs);
    const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
    return least === most ? `${least}` : `${least} to ${most}`;
  };
  return `Medians of ${fewest(SINGLE)} runs of a single command, ${fewest(BULK)} of a bulk command and ${fewest(['packets'])} of packets (UDP).`;
}

function machineOf({ machine: { cpu, cores, kernel, date } }) {
  return `${date}, ${cores} cores of ${cpu}, kernel ${kernel}.`;
}

/** Prints the tables for a terminal, with aligned columns. */
export function printReport(results) {
  for (const table of allTables(results)) {
    const widths = table[0].map((_, column) => Math.max(...table.map((row) => row[column].length)));
    for (const row of table) {
      const cells = row.map((cell, column) =>
        column < 2 ? cell.padEnd(widths[column]) : cell.padStart(widths[column]),
      );
      console.log(cells.join('  ').trimEnd());
    }
    console.log('');
  }
  console.log(`${runsOf(results)} ×: ratio to the first column. ${machineOf(results)}`);
  console.log('The state is on tmpfs. A disk adds the time to make it durable.');
}

function markdownTable([head, ...rows]) {
  const line = (cells) => `| ${cells.join(' | ')} |`;
  const rule = head.map((_, column) => (column < 2 ? '---' : '--:'));
  return [line(head), line(rule), ...rows.map(line)].join('\n');
}

const BEGIN = '<!-- npm run bench -- --publish: begin -->';
const END = '<!-- npm run bench -- --publish: end -->';

/** Writes the results and the targets as JSON. A relative path refers to the checkout. */
export function writeResults(results, file) {
  const target = path.resolve(CHECKOUT, file);
  fs.mkdirSync(path.dirname(target), { recursive: true });
  const all = { ...results, targets: targets(results) };
  fs.writeFileSync(target, `${JSON.stringify(all, null, 2)}\n`);
}

function seriesOf(results, what, measure) {
  const { value, counts, backends } = reader(results);
  const entries = backends.map((backend) => {
    const line = counts
      .map((bans) => [bans, value(backend, bans, what, measure)])
      .filter(([, each]) => each !== undefined);
    return [NAMES[backend] ?? backend, line];
  });
  return Object.fromEntries(entries.filter(([, line]) => line.length > 0));
}

const CHARTS = {
  packets: {
    title: 'Received packets of 64 bytes, by the number of bans',
    up: 'packets per second',
    logarithmic: false,
    of: ['packets', 'perSecond'],
  },
  add: {
    title: 'One block, by the number of bans',
    up: 'milliseconds, from start to exit',
    logarithmic: true,
    of: ['add', 'wallMs'],
  },
};

/** Updates the tables in performance.md of a directory with the results of a run, and draws its charts. */
export function publish(file, directory = 'docs') {
  const results = JSON.parse(fs.readFileSync(path.resolve(ROOT, file), 'utf8'));
  const docs = path.resolve(ROOT, directory);
  for (const [name, { of, ...chart }] of Object.entries(CHARTS)) {
    const series = seriesOf(results, ...of);
    const svg = drawChart({ ...chart, series, along: 'bans on the host' });
    fs.writeFileSync(path.join(docs, `performance-${name}.svg`), svg);
  }
  const page = path.join(docs, 'performance.md');
  const text = fs.readFileSync(page, 'utf8');
  const [begin, end] = [text.indexOf(BEGIN), text.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${page} lacks the marks ${BEGIN} and ${END}`);
  const tables = allTables(results).map(markdownTable).join('\n\n');
  const about = `${machineOf(results)} ${runsOf(results)} ×: ratio to the first column.`;
  const made = `${BEGIN}\n\n${about}\n\n${tables}\n\n`;
  fs.writeFileSync(page, text.slice(0, begin) + made + text.slice(end));
  execFileSync(path.join(ROOT, 'node_modules/.bin/prettier'), [
    '--write',
    '--log-level=warn',
    page,
  ]);
}
