// `doctor`: checks whether alerts lead to blocks on this host, and whether blocks end.
import { describeError } from '../../model/errors.ts';
import { listProcesses } from '../../system/procfs.ts';
import { ANSWER_NO, defineCommand, outputAs } from '../command.ts';
import { count } from '../output/count.ts';
import { printAnswer } from '../output/json.ts';
import { problem, type Check, type Finding, type State } from '../doctor/check.ts';
import { agent, agentFiles, arConf, configuration, manager, responseLog } from '../doctor/agent.ts';
import { boot, clock, timer } from '../doctor/schedule.ts';
import { unknownSets, lock, namespace, order, outcomes, store } from '../doctor/state.ts';
import { executable, packageRecord } from '../doctor/executable.ts';
import { connections, installed, kernel, variants } from '../doctor/firewall.ts';
import { neighbours, savedRules } from '../doctor/neighbours.ts';
import { REMEDIES, type RemedyName } from '../doctor/remedies.ts';
import { runTrial } from '../doctor/trial.ts';
import { enterForChange, type Person } from '../session.ts';
import { paint, type Colour } from '../output/table.ts';

export const doctor = defineCommand({
  name: 'doctor',
  summary: 'Check this host from end to end, and say how to fix each problem',
  details:
    'Prints one line per check: ok, warning or problem, followed by what to do. Without options it changes nothing, and it starts no programs but those of the firewall. --fix makes safe repairs: it creates or corrects active-responses.log, makes the state readable by root only, and restores missing rules; then it repeats all checks. --test really blocks and releases an unused address of 192.0.2.0/24 (TEST-NET-1), and one of 2001:db8::/32 if the host has IPv6, and verifies the kernel, the log and the state.',
  options: {
    output: outputAs('text', 'json'),
    fix: { kind: 'flag', describe: 'make safe repairs, and report them' },
    test: { kind: 'flag', describe: 'really block and release a documentation address' },
  },
  examples: [
    ['doctor', 'find out why nothing is blocked'],
    ['doctor --fix --test', 'repair what is safe, and test a block'],
  ],
  exits: {
    0: 'no problem was found; there may be warnings',
    1: 'at least one problem was found',
    69: 'with --fix or --test: the state belongs to another network namespace',
    75: 'with --fix or --test: another firewall-drop is running',
  },
  isLong: () => true,
  run(_words, { output, fix, test }, person) {
    const first = examine(person);
    const fixed = fix ? repair(first, person) : [];
    const reports = [
      ...(fixed.length > 0 ? examine(person) : first),
      ...(test ? runTest(person) : []),
    ];
    const lines = describe(reports, fixed, person);
    printAnswer(output, reportsToJson(reports, fixed), lines, person);
    return reports.some(({ finding }) => finding.state === 'problem') ? ANSWER_NO : 0;
  },
});

/** All checks, in the order in which they are printed. */
const CHECKS: Readonly<Record<string, Check>> = {
  executable,
  package: packageRecord,
  agent,
  manager,
  'ar.conf': arConf,
  'agent files': agentFiles,
  configuration,
  log: responseLog,
  store,
  lock,
  namespace,
  iptables: installed('iptables'),
  ip6tables: installed('ip6tables'),
  ipset: installed('ipset'),
  nft: installed('nft'),
  connections,
  variants,
  kernel,
  neighbours,
  'saved rules': savedRules,
  rules: order,
  sets: unknownSets,
  timer,
  boot,
  clock,
  outcomes,
};

interface Report {
  readonly check: string;
  readonly finding: Finding;
}

function examine(person: Person): Report[] {
  const context = person.createContext();
  const scene = { context, processes: listProcesses() };
  try {
    return Object.entries(CHECKS).flatMap(([name, check]) => reportsOf(name, () => check(scene)));
  } finally {
    context.close();
  }
}

function runTest(person: Person): Report[] {
  const context = enterForChange(person);
  try {
    return reportsOf('test', () => runTrial(context));
  } finally {
    context.close();
  }
}

/** Runs one check. A check that throws becomes a problem and does not stop the others. */
function reportsOf(check: string, run: () => Finding | readonly Finding[]): Report[] {
  try {
    return [run()].flat().map((finding) => ({ check, finding }));
  } catch (error) {
    const what = `the check failed: ${describeError(error)}`;
    return [{ check, finding: problem(what, 'fix the cause first') }];
  }
}

type Fixed = ReturnType<typeof repair>[number];

function repair(reports: readonly Report[], person: Person) {
  const wanted = new Set(reports.map(({ finding }) => finding.remedy));
  const names = (Object.keys(REMEDIES) as RemedyName[]).filter((name) => wanted.has(name));
  return names.map((remedy) => {
    try {
      return { remedy, done: true, what: REMEDIES[remedy](person) };
    } catch (error) {
      return { remedy, done: false, what: describeError(error) };
    }
  });
}

const COLOURS: Readonly<Record<State, Colour>> = { ok: 'green', warning: 'yellow', problem: 'red' };
const STATE_WIDTH = 9;
const NAME_WIDTH = 15;

function describe(
  reports: readonly Report[],
  fixed: readonly Fixed[],
  { terminal }: Person,
): string[] {
  const indent = ' '.repeat(STATE_WIDTH + NAME_WIDTH);
  const countOf = (wanted: State): string => {
    return count(reports.filter(({ finding }) => finding.state === wanted).length, wanted);
  };
  return [
    ...fixed.map(({ done, what }) => `${done ? 'fixed' : 'not fixed'}: ${what}`),
    ...reports.flatMap(({ check, finding: { state, what, fix, details = [] } }) => {
      const label = paint(state.padEnd(STATE_WIDTH), COLOURS[state], terminal);
      const below = [...(fix === undefined ? [] : [`→ ${fix}`]), ...details];
      return [`${label}${check.padEnd(NAME_WIDTH)}${what}`, ...below.map((line) => indent + line)];
    }),
    `${countOf('problem')}, ${countOf('warning')}`,
  ];
}

function reportsToJson(reports: readonly Report[], fixed: readonly Fixed[]): object {
  return {
    healthy: reports.every(({ finding }) => finding.state !== 'problem'),
    checks: reports.map(({ check, finding }) => {
      const { state, what, fix = null, details = [] } = finding;
      return { check, state, what, fix, details };
    }),
    fixed,
  };
}
