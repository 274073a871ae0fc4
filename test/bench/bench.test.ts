// Runs a small benchmark, and checks that it measures everything on its page with every backend.
import { spawnSync } from 'node:child_process';
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');
const BACKENDS = ['iptables', 'ipset', 'nftables'];
const SINGLE = ['add', 'delete', 'list'];
const BULK = ['load', 'load again', 'expire', 'restore', 'flush'];

interface Row {
  readonly backend: string;
  readonly what: string;
  readonly wallMs?: { readonly median: number };
  readonly peakKiB?: { readonly median: number };
  readonly perSecond?: { readonly median: number };
}

let directory = '';
let results = '';

beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'firewall-drop-bench-'));
  results = join(directory, 'results.json');
  const few = ['--bans', '20', '--runs', '1', '--bulk-runs', '1', '--packet-runs', '1'];
  const words = ['scripts/bench.mjs', ...few, '--packet-seconds', '1', '--out', results];
  const { status, stdout, stderr } = spawnSync(process.execPath, words, {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (status !== 0) throw new Error(`the benchmark failed:\n${stdout}${stderr}`);
});

afterAll(() => {
  rmSync(directory, { recursive: true });
});

function rows(): readonly Row[] {
  return (JSON.parse(readFileSync(results, 'utf8')) as { rows: readonly Row[] }).rows;
}

test.each(BACKENDS.flatMap((backend) => [...SINGLE, ...BULK].map((what) => ({ backend, what }))))(
  'measures time and memory of $what with $backend',
  ({ backend, what }) => {
    const row = rows().find((each) => each.backend === backend && each.what === what);
    expect(row?.wallMs?.median).toBeGreaterThan(0);
    expect(row?.peakKiB?.median).toBeGreaterThan(0);
  },
);

test.each([...BACKENDS, 'today'])(
  'measures packets that reach a host with bans by %s',
  (backend) => {
    const row = rows().find((each) => each.backend === backend && each.what === 'packets');
    expect(row?.perSecond?.median).toBeGreaterThan(0);
  },
);

test('publishes tables and charts with labels on both axes', () => {
  copyFileSync(join(ROOT, 'docs/performance.md'), join(directory, 'performance.md'));
  const report = join(ROOT, 'scripts/lib/bench/report.mjs');
  const script = `import(process.argv[1]).then(({ publish }) => publish(...process.argv.slice(2)))`;
  const run = spawnSync(process.execPath, ['-e', script, report, results, directory]);
  expect(run.status).toBe(0);
  expect(readFileSync(join(directory, 'performance.md'), 'utf8')).toMatch(
    /^\| add +\| +ipset +\| +\d/m,
  );
  for (const [chart, up] of [
    ['packets', 'packets per second'],
    ['add', 'milliseconds'],
  ] as const) {
    const svg = join(directory, `performance-${chart}.svg`);
    expect(spawnSync('xmllint', ['--noout', svg]).status).toBe(0);
    expect(readFileSync(svg, 'utf8')).toContain('bans on the host');
    expect(readFileSync(svg, 'utf8')).toContain(up);
  }
});
