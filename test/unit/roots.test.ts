// The scripts that make roots for tests report a failure, with the log that explains it.
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from '@jest/globals';

const ROOT = join(__dirname, '../..');

let checkout = '';
beforeEach(() => {
  checkout = mkdtempSync(join(tmpdir(), 'roots-'));
  cpSync(join(ROOT, 'scripts'), join(checkout, 'scripts'), { recursive: true });
  writeFileSync(join(checkout, 'scripts/setup'), '#!/bin/sh\n', { mode: 0o755 });
  mkdirSync(join(checkout, 'bin'));
  mkdirSync(join(checkout, 'dist'));
  replace(
    'debootstrap',
    'for root in "$@"; do case $root in /*/dist/*) mkdir -p "$root"/{etc,usr/sbin} ;; esac; done',
  );
  replace('chroot', 'echo "no network" >&2; exit 100');
});
afterEach(() => {
  rmSync(checkout, { recursive: true });
});

/** Puts a script in front of a program of the host. */
function replace(program: string, script: string): void {
  writeFileSync(join(checkout, 'bin', program), `#!/bin/bash\n${script}\n`, { mode: 0o755 });
}

test.each([
  ['system-root', ['bookworm'], 'dist/systems/bookworm.log'],
  ['neighbours-root', [], 'dist/neighbours-root.log'],
])('%s names its log if a package cannot be installed', (script, args, log) => {
  const env = { ...process.env, PATH: `${join(checkout, 'bin')}:${process.env['PATH'] ?? ''}` };
  const run = spawnSync(join('scripts', script), args, { cwd: checkout, env, encoding: 'utf8' });
  expect(run.status).toBe(1);
  expect(run.stderr).toContain(`${script}: failed, see `);
  expect(run.stderr).toContain(log);
  expect(readFileSync(join(checkout, log), 'utf8')).toContain('no network');
});
