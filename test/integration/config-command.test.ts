// Checks `config snippet` and `config check` as persons and pipelines use them.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createVictim, type Victim } from '../support/victim.ts';

const USAGE = 64;
const BAD_DATA = 65;
const FILE = '/run/ossec.conf';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterAll(() => victim.dispose());

test('check accepts the output of snippet, and exits with 1 and names the place if something is missing', () => {
  const { status, stdout } = victim.person(['config', 'snippet', '--mail', 'ops@example.org']);
  expect(status).toBe(0);
  victim.host.writeFile(FILE, stdout);
  expect(victim.person(['config', 'check', '--strict', FILE])).toMatchObject({
    status: 0,
    stdout: `${FILE}: 0 errors, 0 warnings\n`,
  });
  victim.host.writeFile(FILE, stdout.replace('<location>local<', '<location>lokal<'));
  const response = victim.person(['config', 'check', FILE]);
  expect(response.status).toBe(1);
  expect(response.stdout).toMatch(
    /^\/run\/ossec\.conf:\d+:\d+: error: "lokal" is not a location\n/,
  );
  const json = victim.person(['config', 'check', '--json', FILE]);
  expect(json.status).toBe(1);
  expect(JSON.parse(json.stdout)).toMatchObject({
    schema: 1,
    files: [FILE],
    errors: 1,
    warnings: 0,
    findings: [{ severity: 'error', file: FILE }],
  });
});

test('check fails for a warning only with --strict', () => {
  const { stdout } = victim.person(['config', 'snippet', '--timeout', 'never']);
  victim.host.writeFile(FILE, stdout);
  expect(victim.person(['config', 'check', FILE]).status).toBe(0);
  expect(victim.person(['config', 'check', '--strict', FILE]).status).toBe(1);
});

test.each([
  [['--timeout', 'soon'], USAGE],
  [['--rules', 'sshd'], USAGE],
  [['--rules', ','], USAGE],
  [['--location', 'here'], USAGE],
  [['--location', 'defined-agent'], USAGE],
  [['--agent', '002'], USAGE],
  [['--mail', '<script>'], USAGE],
  [['--allow', '192.0.2.300'], BAD_DATA],
])('snippet refuses %j with status %s, and prints nothing', (args, status) => {
  const response = victim.person(['config', 'snippet', ...args]);
  expect(response).toMatchObject({ status, stdout: '' });
  expect(response.stderr).not.toBe('');
});

test('check of a missing file exits with 65 and names it', () => {
  const response = victim.person(['config', 'check', '/run/none.conf']);
  expect(response).toMatchObject({ status: BAD_DATA, stdout: '' });
  expect(response.stderr).toContain('/run/none.conf');
});
