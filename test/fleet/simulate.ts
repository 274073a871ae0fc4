/**
 * `npm run simulate:fleet [-- --hosts N --json]`: simulates an attack on all agents at once, and the release on all of
 * them.
 */
import { readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { answerTo, wazuh4Message } from '../support/alerts.ts';
import { startExecd, type Execd } from '../support/execd-client.ts';
import { createVictim, type Victim } from '../support/victim.ts';

interface Agent {
  readonly name: string;
  readonly victim: Victim;
  readonly execd: Execd;
}

const ATTACKER = '203.0.113.9';
const OTHER = '203.0.113.10';
/** The number of agents that the manager cannot reach at the release, because their execd has died. */
const SILENT = 2;
/** The unit of times in /proc/PID/stat, see proc_pid_stat(5). */
const TICK_MS = 10;

const { values } = parseArgs({
  options: { hosts: { type: 'string', default: '100' }, json: { type: 'boolean', default: false } },
});
const count = Number(values.hosts);
if (!Number.isInteger(count) || count <= SILENT) {
  throw new Error(`--hosts must be a whole number above ${SILENT}, not ${values.hosts}`);
}
const say = (text: string): void => {
  if (!values.json) process.stdout.write(`${text}\n`);
};

async function createAgent(number: number): Promise<Agent> {
  const name = `agent-${String(number).padStart(3, '0')}`;
  const victim = await createVictim({ name });
  // Real hosts have their own processors. Here all share one machine, so each run needs more time.
  victim.configure('[limits]\ntotal_seconds = 120\n');
  return { name, victim, execd: await startExecd(victim.host) };
}

function isBlocked({ victim }: Agent): boolean {
  return victim.host.must(['iptables', '-S', 'INPUT']).includes(`-s ${ATTACKER}/32 -j DROP`);
}

/** Returns the processor time of the programs that execd has started, in milliseconds. */
function processorMs({ execd }: Agent): number {
  const stat = readFileSync(`/proc/${execd.pid}/stat`, 'latin1');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) * TICK_MS;
}

/** Returns the peak memory of one block on an idle machine, in KiB. */
function peakKiB({ victim }: Agent): number {
  const message = wazuh4Message({ srcip: OTHER, command: 'add' });
  const input = `${message}${answerTo(message, 'continue')}`;
  const program = ['/usr/bin/time', '-q', '-f', '%M', 'active-response/bin/firewall-drop'];
  const { stderr } = victim.host.run(program, { cwd: victim.agent.home, input });
  return Number(stderr.trim().split('\n').at(-1));
}

/** Raises an alert on all agents at once. Returns the milliseconds until each has finished. */
async function alertAll(agents: readonly Agent[], words: readonly string[]): Promise<number[]> {
  const began = performance.now();
  return Promise.all(
    agents.map(async ({ execd }) => {
      await execd.alert(ATTACKER, { extraArguments: words });
      return performance.now() - began;
    }),
  );
}

function median(numbers: readonly number[]): number {
  return numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)] ?? NaN;
}

const agents: Agent[] = [];
for (let number = 1; number <= count; number += 1) {
  agents.push(await createAgent(number));
  if (number % 20 === 0) say(`${number} agents started`);
}
const [first] = agents;
const memoryKiB = first === undefined ? NaN : peakKiB(first);

const before = agents.map(processorMs);
const blocking = await alertAll(agents, []);
const used = agents.map((agent, index) => processorMs(agent) - (before[index] ?? 0));
const open = agents.filter((agent) => !isBlocked(agent)).map(({ name }) => name);

const silent = agents.slice(-SILENT);
for (const { execd } of silent) await execd.kill();
const connected = agents.slice(0, -SILENT);
const releasing = await alertAll(connected, ['release']);
const stillBlocked = agents.filter(isBlocked).map(({ name }) => name);
// As the Ansible play does on the hosts that did not answer.
for (const { victim } of silent) victim.person(['delete', ATTACKER]);
const atLast = agents.filter(isBlocked).map(({ name }) => name);

const result = {
  agents: count,
  processors: availableParallelism(),
  blocked: { lastMs: Math.max(...blocking), medianMs: median(blocking), notBlocked: open },
  perAgent: { processorMs: median(used), peakMiB: memoryKiB / 1024 },
  released: { lastMs: Math.max(...releasing), stillBlocked, afterDeleteByHand: atLast },
};
if (values.json) process.stdout.write(`${JSON.stringify(result)}\n`);
say(
  `blocked on ${count - open.length} of ${count} agents, the last after ${(result.blocked.lastMs / 1000).toFixed(1)} s on ${result.processors} processors`,
);
say(
  `each used ${result.perAgent.processorMs} ms of processor time (median) and ${result.perAgent.peakMiB.toFixed(0)} MiB of memory at most`,
);
say(
  `released by the manager on ${connected.length} agents, the last after ${(result.released.lastMs / 1000).toFixed(1)} s; still blocked without a connection: ${stillBlocked.join(', ')}`,
);
say(`released there with firewall-drop delete; still blocked: ${atLast.join(', ') || 'none'}`);

for (const { execd, victim } of agents) {
  await execd.kill();
  await victim.dispose();
}
const expected = silent.map(({ name }) => name);
const isRight = open.length + atLast.length === 0 && stillBlocked.join() === expected.join();
process.exitCode = isRight ? 0 : 1;
