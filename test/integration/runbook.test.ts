// Checks that the code blocks of docs/runbook.md work in their order.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from '@jest/globals';
import { SaxesParser } from 'saxes';
import { wazuh4Message } from '../support/alerts.ts';
import { builtBinary } from '../support/binary.ts';
import { createVictim, ossecLine, type Victim } from '../support/victim.ts';

const A = '203.0.113.9';

interface Block {
  readonly kind: string;
  readonly text: string;
}

const RUNBOOK = readFileSync(join(__dirname, '../../docs/runbook.md'), 'utf8');
const BLOCKS: readonly Block[] = Array.from(
  RUNBOOK.matchAll(/^```(.*)\n([^]*?)^```$/gm),
  ([, kind = '', text = '']) => ({ kind, text }),
);

function blocksOf(kind: string): readonly string[] {
  return BLOCKS.filter((block) => block.kind === kind).map(({ text }) => text);
}

let victim: Victim;
beforeAll(async () => {
  // An agent before the installation of firewall-drop.
  victim = await createVictim({ names: [], variant: 'nft' });
  victim.host.mkdir('/var/ossec/bin');
  victim.host.symlink('/bin/sleep', '/var/ossec/bin/wazuh-execd');
  victim.host.spawn(['/var/ossec/bin/wazuh-execd', '600'], { stdio: 'ignore' });
});
afterAll(() => victim.dispose());

/** Returns the command that runs a block as if it were pasted into a shell, until the first failure. */
function commandFor(text: string): string[] {
  const prelude = 'set -euo pipefail; program=$1; firewall-drop() { "$program" "$@"; }\n';
  return ['bash', '-c', prelude + text, 'runbook', builtBinary()];
}

function shell(text: string): string {
  return victim.host.must(commandFor(text));
}

function succeeds(text: string): boolean {
  return victim.host.run(commandFor(text)).status === 0;
}

function orphan(): void {
  shell(`
    firewall-drop add ${A} --timeout 1h
    mkdir -p /etc/iptables
    iptables-save > /etc/iptables/rules.v4
  `);
}

let boots = 0;
/**
 * Simulates a reboot: the kernel loses its rules and gets a new boot id, and netfilter-persistent loads the saved
 * rules.
 */
function reboot(): void {
  boots += 1;
  victim.flushRules();
  victim.host.writeFile('/run/boot_id', `boot-${boots}\n`);
  victim.host.writeFile('/run/uptime', '0.01 0.01\n');
  if (boots === 1) {
    victim.host.bind('/run/boot_id', '/proc/sys/kernel/random/boot_id');
    victim.host.bind('/run/uptime', '/proc/uptime');
  }
  shell('iptables-restore < /etc/iptables/rules.v4');
}

test('every code block has a kind that is checked here', () => {
  expect(BLOCKS.length).toBeGreaterThan(8);
  for (const { kind } of BLOCKS)
    expect(['sh', 'sh manager', 'sh api', 'yaml', 'xml', 'crontab']).toContain(kind);
});

test.each(blocksOf('xml'))('XML block %# is well-formed', (text) => {
  const parser = new SaxesParser();
  parser.on('error', (error) => {
    throw error;
  });
  expect(() => parser.write(text).close()).not.toThrow();
  expect(text).not.toMatch(/[^\t\n\x20-\x7e]/);
});

/** Stands in for agent_control: its options, and a manual response, for which execd starts the program in ar.conf. */
const AGENT_CONTROL = `#!/bin/bash
set -euo pipefail
cd /var/ossec
while getopts Lb:f:u: option; do
  case $option in
    L) exec cut -d ' ' -f 1 etc/shared/ar.conf ;;
    b) address=$OPTARG ;;
    f) response=$OPTARG ;;
    u) [[ $OPTARG == [0-9][0-9][0-9] ]] ;;
    *) exit 2 ;;
  esac
done
program=$(awk -v name="$response" '$1 == name { print $3 }' etc/shared/ar.conf)
message='{"version":1,"origin":{"name":"","module":"wazuh-execd"},"command":"%s","parameters":{"extra_args":[],"alert":{"data":{"srcip":"%s"}},"program":"active-response/bin/%s"}}\\n'
{ printf "$message" add "$address" "$program"; printf "$message" continue "$address" "$program"; } |
  "active-response/bin/$program"
`;

/** Makes this host a manager, too: its configuration is where the runbook says, and stand-ins replace its daemons. */
function becomeManager(): void {
  const { host } = victim;
  const [conf = '', rules = ''] = blocksOf('xml');
  host.mkdir('/var/ossec/etc/rules');
  host.writeFile('/var/ossec/etc/ossec.conf', conf);
  host.writeFile('/var/ossec/etc/rules/local_rules.xml', rules);
  host.writeFile('/var/ossec/bin/agent_control', AGENT_CONTROL, { mode: '0750' });
  victim.setTimeouts(3600);
}

const SYSTEMCTL = `
systemctl() {
  [[ $* == "restart wazuh-manager" ]]
  echo restarted >> /run/manager
}
`;

test('every code block works, from top to bottom', () => {
  becomeManager();
  for (const { kind, text } of BLOCKS) {
    if (kind === 'sh') shell(text);
    if (kind === 'sh manager') shell(SYSTEMCTL + text);
    if (text.includes('agent_control -b')) {
      expect(victim.log().at(-1)).toContain(`add - ${A} `);
      expect(victim.rules(A)).toHaveLength(2);
    }
  }
  expect(victim.host.readFile('/run/manager')).toBe('restarted\n');
  expect(victim.allRules()).toEqual([]);
});

test('both checks find typographic quotes in a snippet before a restart', () => {
  const { host } = victim;
  const [conf = '', rules = ''] = blocksOf('xml');
  const [check = ''] = blocksOf('sh manager');
  host.writeFile('/run/manager', '');
  host.writeFile('/var/ossec/etc/rules/local_rules.xml', rules.replaceAll('"', '”'));
  host.writeFile('/var/ossec/etc/ossec.conf', conf);
  const lines = check.split(/ &&\n/).slice(0, -1);
  expect(lines.map((line) => succeeds(line))).toEqual([false, true, false]);
  expect(succeeds(SYSTEMCTL + check)).toBe(false);
  expect(host.readFile('/run/manager')).toBe('');
});

describe('rules that come back from a saved file', () => {
  test('count as ours while their address has a ban', () => {
    orphan();
    victim.flushRules();
    expect(shell('iptables-restore < /etc/iptables/rules.v4; firewall-drop restore')).toBe(
      '1 ban already in place\n',
    );
    expect(victim.rules(A)).toHaveLength(2);
    shell(`firewall-drop delete ${A}`);
    expect(victim.rules(A)).toEqual([]);
  });

  test('are removed by the first run after a boot if the ban has ended', () => {
    orphan();
    shell(`firewall-drop delete ${A}`);
    reboot();
    expect(shell('firewall-drop restore')).toBe(
      `0 bans already in place\n${A} released: its ban had ended, and /etc/iptables/rules.v4 restored the rule\n`,
    );
    expect(victim.allRules()).toEqual([]);
    expect(victim.log().at(-1)).toContain(`delete - ${A} `);
  });

  test('are reported and left in place if they were saved later, and removed when their address is named', () => {
    orphan();
    shell(`
      firewall-drop delete ${A}
      iptables-restore < /etc/iptables/rules.v4
      iptables-save > /etc/iptables/rules.v4
    `);
    reboot();
    expect(shell('firewall-drop restore')).toBe('0 bans already in place\n');
    expect(shell('firewall-drop reconcile --dry-run')).toContain(
      `${A}: dropped in INPUT and FORWARD without a ban`,
    );
    shell(`firewall-drop delete ${A}`);
    expect(victim.allRules()).toEqual([]);
  });
});

describe('an address is unblocked on every agent', () => {
  test('by the API call, whose body execd passes on', () => {
    const body = /-d '([^']+)'/.exec(blocksOf('sh api')[0] ?? '')?.[1] ?? '';
    const call = JSON.parse(body) as {
      readonly arguments: readonly string[];
      readonly alert: { readonly data: { readonly srcip: string } };
    };
    const { srcip } = call.alert.data;
    shell(`firewall-drop add ${srcip}`);
    victim.setTimeouts(3600);
    const message = wazuh4Message({ alert: call.alert, extraArguments: call.arguments });
    expect(victim.respond(message).status).toBe(0);
    expect(victim.rules(srcip)).toEqual([]);
    expect(victim.log().at(-1)).toContain(`delete - ${srcip} `);
  });

  test('by the command of the play', () => {
    const list = /argv: \[(.*)\]/.exec(blocksOf('yaml')[0] ?? '')?.[1] ?? '';
    const argv = list.split(', ').map((word) => word.replace(`'{{ address }}'`, A));
    expect(argv.slice(1)).toEqual(['delete', A]);
    shell(`firewall-drop add ${A}`);
    expect(victim.host.must(argv)).toBe(`${A} released\n`);
  });
});

test('the crontab line blocks the listed addresses, moves their ends each time, and logs new ones', () => {
  const [entry = ''] = blocksOf('crontab');
  const command = entry
    .replace(/^(\S+ ){5}/, '')
    .replace('/usr/sbin/firewall-drop', 'firewall-drop');
  const fetch = (...lines: readonly string[]): void => {
    shell(`curl() { printf '%s\\n' ${lines.join(' ')}; }\n${command}`);
  };
  const before = victim.log().length;
  fetch(A, '198.51.100.0/24');
  const end = victim.banOn(A)?.holds[0]?.expires;
  fetch(A, '198.51.100.0/24', '198.51.100.7');
  expect(victim.log().slice(before)).toEqual(
    [A, '198.51.100.0/24', '198.51.100.7'].map((address) =>
      expect.stringMatching(ossecLine('add', address)),
    ),
  );
  expect(victim.banOn(A)?.holds[0]?.expires).not.toBe(end);
  for (const address of [A, '198.51.100.0/24']) expect(victim.rules(address)).toHaveLength(2);
});
