/**
 * `npm run soak [-- --minutes N --seed S --backend NAME --job K --json]`: runs random commands and kills for a given
 * time.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { builtBinary, faultBinary } from '../support/binary.ts';
import { BACKENDS } from '../support/kernel.ts';
import { CALLS, type CrashPoint } from './crash.ts';
import { pathsFor } from './paths.ts';
import type { WalkReport } from './walk.ts';

const WALKED = ['iptables', 'ipset', 'nftables', 'auto'] as const;
/** The length of a walk, after which a new one starts on a new host. */
const WALK_SECONDS = 60;
const WALKS_FOR_EACH_SWEEP = 3;
const TELL_EVERY_MS = 30_000;

const { values } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    seed: { type: 'string', default: String(Date.now() % 2 ** 31) },
    backend: { type: 'string' },
    job: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

/** A walk, or the kills of one path at each of its system calls. */
interface Job {
  readonly number: number;
  readonly title: string;
  readonly kind: 'walk' | 'crash';
  readonly order: object;
}

interface Summary {
  readonly seed: number;
  minutes: number;
  jobs: number;
  runs: number;
  kills: number;
  /** Deaths at system calls. */
  deathsAtCalls: number;
  readonly bySignal: Record<string, number>;
  readonly byKind: Record<string, number>;
  readonly byOutcome: Record<string, number>;
  readonly violations: { readonly job: number; readonly title: string; readonly what: unknown }[];
}

const seed = Number(values.seed);
const minutes = Number(values.minutes);
const summary: Summary = {
  ...{ seed, minutes: 0, jobs: 0, runs: 0, kills: 0, deathsAtCalls: 0 },
  ...{ bySignal: {}, byKind: {}, byOutcome: {}, violations: [] },
};

/** Returns a job, which depends only on its number and the seed. */
function jobOf(number: number): Job {
  const round = Math.floor(number / (WALKS_FOR_EACH_SWEEP + 1));
  const isWalk = number % (WALKS_FOR_EACH_SWEEP + 1) < WALKS_FOR_EACH_SWEEP;
  if (!isWalk) return sweepJob(number, round);
  const backend = values.backend ?? WALKED[(number - round) % WALKED.length] ?? 'auto';
  const walkSeed = (seed + number * 7919) % 2 ** 31;
  return {
    ...{ number, kind: 'walk', title: `random commands with ${backend}, seed ${walkSeed}` },
    order: {
      ...{ backend, seed: walkSeed, kills: 1e9, seconds: WALK_SECONDS },
    },
  };
}

function sweepJob(number: number, round: number): Job {
  const trials = BACKENDS.flatMap((backend) =>
    pathsFor(backend).map(({ name }) => ({ backend, name })),
  );
  // A step that is coprime to the number of trials visits all of them, starting at another one for each seed.
  const { backend, name } = trials[(seed + round * 37) % trials.length] ?? {
    backend: 'iptables',
    name: '',
  };
  return {
    ...{
      number,
      kind: 'crash',
      title: `${name}, with ${backend}, killed at each system call`,
    },
    order: {
      backend,
      path: name,
      calls: { names: CALLS, stride: 1 },
    },
  };
}

/** Runs a job on its own host, and passes on each line that it prints. */
async function runJob({ kind, order }: Job, onLine: (line: string) => void): Promise<void> {
  const program = join(import.meta.dirname, 'job.ts');
  const args = ['--no-warnings', program, kind, JSON.stringify(order)];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
  createInterface({ input: child.stdout }).on('line', onLine);
  await once(child, 'close');
  if (child.exitCode !== 0) throw new Error(`${kind} exited with status ${child.exitCode}`);
}

const endMs = performance.now() + minutes * 60_000;
const mayGoOn = (): boolean => performance.now() < endMs && summary.violations.length === 0;

async function work(job: Job): Promise<void> {
  const lines: string[] = [];
  await runJob(job, (line) => lines.push(line));
  summary.jobs += 1;
  note(job, JSON.parse(lines.at(-1) ?? '') as WalkReport | readonly CrashPoint[]);
}

function note(job: Job, report: WalkReport | readonly CrashPoint[]): void {
  if (!('kills' in report)) {
    summary.deathsAtCalls += report.length;
    const wrong = report.filter((point) => point.wrong.length > 0);
    if (wrong.length > 0) blame(job, wrong);
    return;
  }
  summary.runs += report.runs;
  summary.kills += report.kills;
  sum(summary.bySignal, report.killsBySignal);
  sum(summary.byKind, report.killsByKind);
  sum(summary.byOutcome, report.killsByOutcome);
  if (report.violation !== null) blame(job, report.violation);
}

function sum(into: Record<string, number>, from: Readonly<Record<string, number>>): void {
  for (const [key, count] of Object.entries(from)) into[key] = (into[key] ?? 0) + count;
}

function blame({ number, title }: Job, what: unknown): void {
  summary.violations.push({ job: number, title, what });
  say(`VIOLATION in job ${number} (${title}):\n${JSON.stringify(what, null, 2)}`);
  say(
    `To repeat: npm run soak -- --seed ${seed} --job ${number}${values.backend === undefined ? '' : ` --backend ${values.backend}`}`,
  );
}

function say(text: string): void {
  process.stderr.write(`${text}\n`);
}

function tell(): void {
  const { jobs, runs, kills, deathsAtCalls } = summary;
  const passed = minutes - (endMs - performance.now()) / 60_000;
  say(
    `${passed.toFixed(1)} min: ${jobs} jobs, ${runs} runs, ${kills} killed, ${deathsAtCalls} deaths at system calls`,
  );
}

let nextJob = 0;
async function lane(): Promise<void> {
  while (mayGoOn()) await work(jobOf(nextJob++));
}

async function main(): Promise<void> {
  // Both binaries must exist.
  builtBinary();
  faultBinary();
  say(`seed ${seed}`);
  const timer = setInterval(tell, TELL_EVERY_MS);
  const beganMs = performance.now();
  if (values.job === undefined) {
    await Promise.all(Array.from({ length: Math.max(1, availableParallelism()) }, lane));
  } else await work(jobOf(Number(values.job)));
  clearInterval(timer);
  summary.minutes = (performance.now() - beganMs) / 60_000;
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else describe();
  process.exitCode = summary.violations.length === 0 ? 0 : 1;
}

function describe(): void {
  const { jobs, runs, kills, deathsAtCalls, bySignal, byKind, byOutcome, violations } = summary;
  const listed = (counts: Readonly<Record<string, number>>): string => {
    const sorted = Object.entries(counts).sort(([, one], [, other]) => other - one);
    return sorted.map(([key, count]) => `${key} ${count}`).join(', ');
  };
  const lines = [
    `seed         ${seed}`,
    `time         ${summary.minutes.toFixed(1)} minutes, ${jobs} jobs`,
    `runs         ${runs}, of which ${kills} were killed at a random moment`,
    `by signal    ${listed(bySignal)}`,
    `by command   ${listed(byKind)}`,
    `had done     ${listed(byOutcome)}`,
    `at calls     ${deathsAtCalls} deaths at system calls`,
    `violations   ${violations.length}`,
  ];
  process.stdout.write(`${lines.join('\n')}\n`);
}

await main();
