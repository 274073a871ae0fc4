// Compares the messages for forty usual mistakes with a snapshot, which is meant for reading.
import { afterAll, beforeAll, expect, test } from '@jest/globals';
import { createVictim, type Victim } from '../support/victim.ts';

const MISTAKES: readonly string[] = [
  '',
  'lst',
  'delte 203.0.113.9',
  'uban 203.0.113.9',
  'frobnicate',
  'protect',
  'protect chek 203.0.113.9',
  'config',
  'help lst',
  '--json list',
  'add',
  'add 203.0.113.9/24',
  'add 203.0.113.0/255.255.255.0',
  'add 203.0.113',
  'add 203.0.113.300',
  'add www.example.org',
  'add 203.0.113.9,203.0.113.10',
  'add 203.0.113.9 -t 2hours',
  'add 203.0.113.9 -t',
  'add 203.0.113.9 -t 1h -t 2h',
  'add 203.0.113.9 --timout 2h',
  'add 203.0.113.9 -t 1h --until 18:00',
  'add 203.0.113.9 --until tomorrow',
  'add 203.0.113.9 --until 2026-01-01',
  'add 203.0.113.9 --force=yes',
  'add 127.0.0.1',
  'add 10.0.0.0/8',
  'add -f /nonexistent/list.txt',
  'add -f /etc',
  'delete',
  'delete 203.0.113.9',
  'extend 203.0.113.9',
  'extend 203.0.113.9 2h',
  'flush',
  'list all',
  'list --json --csv',
  'list -o xml',
  'list --limit 0',
  'list --columns address,colour',
  'history --since yesterday',
  'is-blocked',
  'is-blocked 203.0.113.9 203.0.113.10',
  'config validate /nonexistent.toml',
  'config check /nonexistent.conf',
  'explain /nonexistent.json',
  'import /etc/hostname',
  'metrics --textfile /tmp/metrics.txt',
  'completion tcsh',
];

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
});
afterAll(() => victim.dispose());

function session(): string {
  return MISTAKES.map((line) => {
    const { status, stdout, stderr } = victim.person(line.split(' ').filter(Boolean));
    // Without arguments, the help comes first. screens.test.ts checks it.
    const said = line === '' ? (stderr.split('\n').at(-2) ?? '') : `${stdout}${stderr}`.trimEnd();
    return `$ firewall-drop ${line}\n${said}\n(exit status ${String(status)})\n`;
  }).join('\n');
}

test('each mistake is answered in our own words, once, with what to do', () => {
  const all = session();
  expect(all).toMatchSnapshot();
  expect(all).not.toMatch(/\bE[A-Z]{3,}\b|\bat .*:\d+:\d+|undefined|\[object/);
  expect(victim.allRules()).toEqual([]);
});
