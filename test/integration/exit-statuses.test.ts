// The exit statuses that each command's help names are those that it gives, whatever goes wrong.
import { once } from 'node:events';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from '@jest/globals';
import { COMMANDS } from '../../src/cli/commands.ts';
import { builtBinary } from '../support/binary.ts';
import { createVictim, type Victim } from '../support/victim.ts';
import { eventually } from '../support/wait.ts';

const A = '203.0.113.7';
const ALERT = '/run/alert.json';
const LIST = '/run/bans.jsonl';

/** A usual line of each command, and one whose address, file or option can't be read. */
const LINES: Readonly<Record<string, { readonly usual: string; readonly wrong: string }>> = {
  add: { usual: 'add 203.0.113.8', wrong: 'add 203.0.113.300' },
  delete: { usual: `delete ${A}`, wrong: 'delete x' },
  extend: { usual: `extend ${A} 2h`, wrong: 'extend 203.0.113.99 2h' },
  flush: { usual: 'flush --yes', wrong: 'flush' },
  forgive: { usual: `forgive ${A}`, wrong: 'forgive x' },
  list: { usual: 'list', wrong: 'list --limit x' },
  status: { usual: 'status', wrong: 'status x' },
  'is-blocked': { usual: `is-blocked ${A}`, wrong: 'is-blocked x' },
  history: { usual: 'history', wrong: 'history x' },
  explain: { usual: `explain ${ALERT}`, wrong: 'explain /nonexistent' },
  expire: { usual: 'expire', wrong: 'expire x' },
  restore: { usual: 'restore', wrong: 'restore x' },
  reconcile: { usual: 'reconcile --dry-run', wrong: 'reconcile x' },
  backend: { usual: 'backend', wrong: 'backend x' },
  doctor: { usual: 'doctor --test', wrong: 'doctor x' },
  'protect check': { usual: `protect check ${A}`, wrong: 'protect check x' },
  'protect list': { usual: 'protect list', wrong: 'protect list x' },
  'config show': { usual: 'config show', wrong: 'config show x' },
  'config validate': { usual: 'config validate', wrong: 'config validate /nonexistent' },
  'config snippet': { usual: 'config snippet', wrong: 'config snippet --allow x' },
  'config check': { usual: 'config check', wrong: 'config check /nonexistent' },
  'test-alert': { usual: 'test-alert', wrong: 'test-alert --srcip x' },
  install: { usual: 'install --dry-run', wrong: 'install --home /nonexistent' },
  uninstall: { usual: 'uninstall --dry-run', wrong: 'uninstall --home /nonexistent' },
  export: { usual: 'export', wrong: 'export x' },
  import: { usual: `import ${LIST}`, wrong: 'import /etc/hostname' },
  metrics: { usual: 'metrics', wrong: 'metrics --textfile /run/x' },
  version: { usual: 'version', wrong: 'version x' },
  man: { usual: 'man', wrong: 'man x' },
  completion: { usual: 'completion bash', wrong: 'completion tcsh' },
};

let victim: Victim;
beforeAll(async () => {
  victim = await createVictim();
  victim.host.writeFile(ALERT, `{"data":{"srcip":"${A}"}}`);
  victim.person(['add', '203.0.113.9']);
  victim.host.writeFile(LIST, victim.person(['export']).stdout);
});
beforeEach(() => {
  victim.reset();
  victim.person(['add', A]);
});
afterAll(() => victim.dispose());

/** By shell, since what goes wrong is about how it is started. */
function statusOf(line: string, how = '"$@"', program = victim.agent.program()): number | null {
  const argv = ['bash', '-c', how, 'bash', program, ...line.split(' ')];
  return victim.host.run(argv).status;
}

/** The statuses at the beginning of lines below "Exit status:", and those that are the same for all commands. */
function namedBy(command: string): number[] {
  const { stdout } = victim.person([...command.split(' '), '--help']);
  const [, part = ''] = /^Exit status:\n([^]*?)\n\n/m.exec(stdout) ?? [];
  const own = Array.from(part.matchAll(/^ {2}(\d+) {2}/gm), ([, status]) => Number(status));
  const [, common = ''] = /^ {2}(\d+, .*?):/m.exec(part) ?? [];
  return [...own, ...common.split(/, | and /).map(Number)];
}

async function lockHeld(): Promise<() => Promise<unknown>> {
  const script = `const { DatabaseSync } = require('node:sqlite');
    globalThis.lock = new DatabaseSync('/run/firewall-drop/lock');
    lock.exec('BEGIN EXCLUSIVE');
    console.log('held');
    process.stdin.on('end', () => process.exit()).resume();`;
  const child = victim.host.spawn([process.execPath, '-e', script]);
  const ended = once(child, 'exit');
  let said = '';
  child.stdout?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  await eventually('the lock to be held', () => said.includes('held'));
  return () => {
    child.stdin?.end();
    return ended;
  };
}

test('every command is tried', () => {
  expect(Object.keys(LINES).toSorted()).toEqual(COMMANDS.map(({ name }) => name).toSorted());
});

describe.each(Object.entries(LINES))('%s', (command, { usual, wrong }) => {
  test('names the status of what goes wrong', async () => {
    const given = new Map<string, number | null>();
    given.set('usual', statusOf(usual));
    given.set('wrong', statusOf(wrong));
    given.set('an option that it has not', statusOf(`${usual} --nonexistent`));
    given.set('a full disk behind standard output', statusOf(usual, '"$@" >/dev/full'));
    given.set('another network namespace', statusOf(usual, 'unshare --net "$@"'));
    victim.host.useIptables('none');
    given.set('no firewall programs', statusOf(usual));
    victim.host.useIptables('nft');
    victim.configure('[limits]\nlock_wait_seconds = 0\n');
    const release = await lockHeld();
    given.set('another one at work', statusOf(usual));
    await release();
    const become = 'setpriv --reuid 65534 --regid 65534 --clear-groups "$@"';
    given.set('not root', statusOf(usual, become, builtBinary()));
    const known = namedBy(command);
    const unknown = [...given].filter(([, status]) => !known.includes(status ?? -1));
    expect({ unknown, known }).toEqual({ unknown: [], known });
    expect(given.get('an option that it has not')).toBe(64);
  });
});
