/** Checks runs with few resources: they block completely, or fail with a status and block nothing. */
import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { answerTo, ATTACKER, wazuh4Message } from '../support/alerts.ts';
import { builtBinary } from '../support/binary.ts';

const SCARCE = join(__dirname, '../support/scarce.sh');
/** An unprivileged user, because the kernel does not limit the processes of root. */
const NOBODY_IN_PARTICULAR = '54321';

let directory = '';
let binary = '';
beforeAll(() => {
  // A directory that this user can read, too.
  directory = mkdtempSync(join(tmpdir(), 'firewall-drop-scarce-'));
  chmodSync(directory, 0o755);
  binary = join(directory, 'firewall-drop');
  copyFileSync(builtBinary(), binary);
  chmodSync(binary, 0o755);
  copyFileSync(SCARCE, join(directory, 'scarce.sh'));
});
afterAll(() => {
  rmSync(directory, { recursive: true });
});

interface Outcome {
  readonly limit: number;
  readonly status: number;
  readonly rules: number;
}

function addUnder(option: string, limits: readonly number[]): Outcome[] {
  const message = wazuh4Message({ srcip: ATTACKER });
  const input = (message + answerTo(message, 'continue')).trimEnd();
  const become = process.getuid?.() === 0 ? becomeOrdinary() : [];
  const unshare = ['unshare', '--user', '--map-root-user', '--net', '--mount'];
  const script = ['bash', join(directory, 'scarce.sh'), binary, input, option];
  const [program = '', ...rest] = [...become, ...unshare, ...script, ...limits.map(String)];
  const { status, stdout, stderr } = spawnSync(program, rest, { cwd: '/', encoding: 'utf8' });
  if (status !== 0) throw new Error(`the limits could not be tried: ${stderr}`);
  return stdout
    .trim()
    .split('\n')
    .map((line) => {
      const [limit = NaN, ended = NaN, rules = NaN] = line.split(' ').map(Number);
      return { limit, status: ended, rules };
    });
}

function becomeOrdinary(): string[] {
  const id = NOBODY_IN_PARTICULAR;
  return ['setpriv', `--reuid=${id}`, `--regid=${id}`, '--clear-groups'];
}

test.each([
  // With 3, the runtime waits forever for a thread that it could not start: see docs/security.md.
  { what: 'processes', option: '-u', limits: [2, 4, 5, 6, 8, 100] },
  { what: 'memory (KiB of data)', option: '-d', limits: [8000, 64_000, 1_000_000] },
])(
  'an add with a low limit of $what makes both rules and exits with 0, or makes no rule',
  ({ option, limits }) => {
    const outcomes = addUnder(option, limits);
    expect(outcomes.map(({ limit }) => limit)).toEqual(limits);
    for (const { status, rules } of outcomes) expect(rules).toBe(status === 0 ? 2 : 0);
    expect(outcomes.at(0)?.status).not.toBe(0);
    expect(outcomes.at(-1)?.status).toBe(0);
  },
);
