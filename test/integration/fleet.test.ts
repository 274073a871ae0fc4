// Checks which rules of packaging/wazuh the executable's real log lines raise on a manager.
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, expect, test } from '@jest/globals';
import { packaged, raisedBy } from '../support/local-rules.ts';
import { createVictim, type Victim } from '../support/victim.ts';

const A = '203.0.113.9';
const OWN_LOG = '/var/ossec/logs/firewall-drop.log';

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim({ variant: 'nft' });
});
beforeEach(() => {
  victim.host.useIptables('nft');
  victim.reset();
});
afterAll(() => victim.dispose());

const DOCUMENT = readFileSync(join(__dirname, '../../docs/fleet.md'), 'utf8');
const blocksOf = (kind: string): string[] =>
  Array.from(DOCUMENT.matchAll(/^```(.*)\n([^]*?)^```$/gm))
    .filter((block) => block[1] === kind)
    .map((block) => block[2] ?? '');

/** A command as in the configuration that a manager is installed with. */
const SHIPPED_COMMAND = `<ossec_config><command>
  <name>firewall-drop</name><executable>firewall-drop</executable>
  <timeout_allowed>yes</timeout_allowed>
</command></ossec_config>
`;

const linesOf = (text: string): string[] => text.split('\n').filter((line) => line !== '');
const raised = (lines: readonly string[]): (string | undefined)[] =>
  lines.map((line) => raisedBy(line)?.id);
const raisedByOwnLog = (): (string | undefined)[] =>
  victim.host.exists(OWN_LOG) ? raised(linesOf(victim.host.readFile(OWN_LOG))) : [];

test('a mistake in the configuration raises its own rule', () => {
  victim.configure('[limits]\ntotal_seconds = 1000\n');
  victim.add(A);
  expect(raisedByOwnLog()).toEqual(['106004']);
  victim.configure('[limits\n');
  victim.add(A);
  expect(raisedByOwnLog()).toEqual(['106004', '106004']);
});

test('a kernel that does not change raises an alert in each log', () => {
  victim.host.useIptables('none');
  victim.configure('[firewall]\nbackend = "iptables"\n');
  victim.add(A);
  expect(raised(victim.log())).toEqual(['106010']);
  expect(raisedByOwnLog()).toContain('106003');
  expect(raisedByOwnLog()).not.toContain(undefined);
});

test('a ban that is due and can’t be unblocked raises an alert for a person', () => {
  victim.person(['add', A, '--timeout', '1h']);
  victim.endTime(A);
  victim.host.useIptables('none');
  // The first run reports the failure only on standard error. The second finds the pending change, and logs it.
  for (let run = 1; run <= 2; run += 1) victim.person(['expire']);
  expect(raisedByOwnLog()).toContain('106005');
  expect(raisedByOwnLog()).not.toContain(undefined);
});

test('refused, reapplied and kept addresses raise other rules than blocked and unblocked ones', () => {
  victim.add('127.0.0.1');
  victim.add(A);
  victim.flushRules();
  victim.add(A, { answer: 'abort' });
  victim.person(['add', A]);
  victim.delete(A);
  victim.person(['delete', A]);
  expect(raised(victim.log())).toEqual(['106011', '601', '106012', '106013', '602']);
});

test('a migration to another backend raises a warning', () => {
  victim.configure('[firewall]\nbackend = "auto"\npromote_at = 1\n');
  victim.person(['add', A, '203.0.113.10', '203.0.113.11']);
  victim.person(['expire']);
  expect(raisedByOwnLog()).toEqual(['106002']);
});

test('doctor’s report of a host with problems is one line, and raises its own rule', () => {
  victim.host.useIptables('none');
  victim.configure('[firewall]\nbackend = "iptables"\n');
  const said = linesOf(victim.person(['doctor', '--json']).stdout);
  expect(said).toHaveLength(1);
  expect(raised([`ossec: output: 'firewall-drop doctor': ${said[0] ?? ''}`])).toEqual(['106021']);
});

test('config check and xmllint find nothing wrong in the shipped files', () => {
  const file = '/run/local_rules.xml';
  victim.host.writeFile(file, packaged('local_rules.xml'));
  expect(victim.person(['config', 'check', '--strict', file])).toMatchObject({
    status: 0,
    stdout: `${file}: 0 errors, 0 warnings\n`,
  });
  for (const name of ['local_rules.xml', 'local_decoder.xml']) {
    const path = join(__dirname, '../../packaging/wazuh', name);
    expect(spawnSync('xmllint', ['--noout', path], { encoding: 'utf8' })).toMatchObject({
      status: 0,
      stderr: '',
    });
  }
});

test('the snippets of docs/fleet.md pass config check, and its shell commands parse', () => {
  const file = '/run/ossec.conf';
  victim.host.writeFile(file, SHIPPED_COMMAND + blocksOf('xml').join(''));
  expect(victim.person(['config', 'check', file]).stdout).toBe(`${file}: 0 errors, 0 warnings\n`);
  for (const text of [...blocksOf('sh host'), ...blocksOf('sh manager')]) {
    expect(victim.host.run(['bash', '-n'], { input: text })).toMatchObject({ status: 0 });
  }
});

test('docs/fleet.md names every rule that raises an alert, with its level', () => {
  const rows = linesOf(DOCUMENT).filter((line) => /^\| 106\d{3}/.test(line));
  const told = rows.flatMap((row) => {
    const [ids = '', levels = ''] = row.split('|').slice(1);
    const level = levels.split(',');
    return ids.split(',').map((id, at) => `${id.trim()} ${(level[at] ?? level[0] ?? '').trim()}`);
  });
  const rules = packaged('local_rules.xml').matchAll(/<rule id="(\d+)" level="([1-9]\d?)"/g);
  expect(told).toEqual(Array.from(rules, ([, id, level]) => `${id ?? ''} ${level ?? ''}`));
});
