/** Checks the systemd units with systemd itself. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from '@jest/globals';

const UNITS = join(__dirname, '../../packaging/systemd');
/**
 * The highest exposure, in tenths. The rest is necessary to change a firewall as root and to write to the agent's
 * directory.
 */
const MOST_EXPOSED = '35';

/** A directory for copies that name an existing program, because systemd checks that it exists. */
const directory = mkdtempSync(join(tmpdir(), 'units-'));
const names = readdirSync(UNITS);
for (const name of names) {
  const text = readFileSync(join(UNITS, name), 'utf8');
  writeFileSync(join(directory, name), text.replace(/^(ExecStart=)\S+/m, '$1/usr/bin/true'));
}
afterAll(() => {
  rmSync(directory, { recursive: true });
});

function analyze(args: readonly string[]): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('systemd-analyze', args, {
    cwd: directory,
    encoding: 'utf8',
  });
  return { status, output: stdout + stderr };
}

test.each(names)('systemd accepts every line of %s', (name) => {
  expect(analyze(['verify', '--man=no', `./${name}`])).toEqual({ status: 0, output: '' });
});

test.each(names.filter((name) => name.endsWith('.service')))('%s is hardened', (name) => {
  const args = ['security', '--offline=true', '--no-pager', `--threshold=${MOST_EXPOSED}`];
  const { status, output } = analyze([...args, `./${name}`]);
  expect(output).toContain('Overall exposure level');
  expect(status).toBe(0);
});
