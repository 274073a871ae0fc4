/** Kills one path at each of its steps or system calls in turn, and lists the violations after the next run. */
import { type BackendName, BACKENDS, type Kernel, readKernel } from '../support/kernel.ts';
import { loadSnapshot, saveSnapshot } from '../support/snapshot.ts';
import { type Entry, readState, type State } from '../support/state.ts';
import type { RunResult } from '../support/host.ts';
import type { Run } from '../support/victim.ts';
import { disagreements, isDropped, unequalEntries } from './invariants.ts';
import { configOf, NEXT, type Next, type Path, pathNamed } from './paths.ts';
import { asPerson, readLog, type Stage, wazuhAdd } from './stage.ts';

/** One death, and the violations after it. */
export interface CrashPoint {
  readonly at: string;
  /** The run after the death. */
  readonly next: string;
  readonly wrong: readonly string[];
}

/** The system calls that change something or start a program. */
export const CALLS: readonly string[] = [
  'write',
  'pwrite64',
  'fsync',
  'fdatasync',
  'ftruncate',
  'rename',
  'unlink',
  'mkdir',
  'fchmod',
  'fchown',
  'clone',
  'clone3',
  'vfork',
  'execve',
];

export interface CrashOrder {
  readonly backend: BackendName;
  readonly path: string;
  /** The path is killed at every `stride`-th of its named steps, at a random offset. If absent, at each step. */
  readonly stride?: number;
  /** The path is killed at every `stride`-th occurrence of these system calls. If absent, at its named steps. */
  readonly calls?: { readonly names: readonly string[]; readonly stride: number };
}

const SUBJECTS = ['203.0.113.7', '2001:db8:ffff::7'] as const;
const OTHER = '198.51.100.99';

function runOf(next: Next, subject: string): Run {
  switch (next) {
    case 'same address':
      return asPerson('delete', subject);
    case 'other address':
      return wazuhAdd({ srcip: OTHER, alertId: '1800000000.9' });
    case 'expire':
    case 'restore':
      return asPerson(next);
  }
}

/** Runs something so that it dies at its `time`-th step or call; null if it had fewer and ended by itself. */
type Kill = (run: Run, time: number) => { readonly at: string; readonly ended: RunResult } | null;

function atSteps({ victim }: Stage): Kill {
  return (run, time) => {
    const ended = victim.run(run, { env: { FIREWALL_DROP_DIE_AT: String(time) } });
    const at = /dies at (.*)\n/.exec(ended.stderr)?.[1];
    return at === undefined ? null : { at, ended };
  };
}

const TRACE = '/run/trace';

function atCalls({ victim }: Stage, call: string): Kill {
  const inject = `inject=${call}:signal=SIGKILL:when=`;
  const options = ['-f', '-q', '-e', `trace=${call}`, '-o', TRACE];
  return (run, time) => {
    victim.host.remove(TRACE);
    const launcher = ['strace', ...options, '-e', `${inject}${time}`, '--'];
    const ended = victim.run(run, { launcher });
    const fired =
      ended.signal === 'SIGKILL' || victim.host.readFile(TRACE).includes('killed by SIGKILL');
    return fired ? { at: `${call} ${time}`, ended } : null;
  };
}

interface Trial {
  readonly stage: Stage;
  readonly path: Path;
  readonly backend: BackendName;
  readonly subject: string;
}

/** Prepares a path. Saves a snapshot once for each subject and loads it later, which needs no run of the executable. */
function prepare({ stage, path, backend, subject }: Trial): void {
  stage.reset();
  // One host serves all paths, so the name includes the path.
  const saved = `${path.name} for ${subject}`;
  if (!loadSnapshot(stage.victim, saved)) {
    stage.victim.configure(path.config ?? configOf(backend));
    path.prepare(stage, subject, backend);
    // A pending change refers to the log by its inode, which a copy does not keep.
    const isPending = [...readState(stage.victim.host.pid).bans.values()].some(
      ({ phase }) => phase !== 'blocked',
    );
    if (!isPending) saveSnapshot(stage.victim, saved);
  }
  if (path.breaks !== undefined) stage.breakFirewall(path.breaks(backend));
}

/** Steps of every run. Nothing changes between them, except in the paths with `everyStep`. */
const COMMON: readonly string[] = [
  'run: begun',
  'run: clock followed',
  'run: recovered',
  'journal: holds ended',
  'run: ended',
];

/** Returns the numbers of the steps at which to kill a path. */
function stepsOf(trial: Trial): number[] {
  prepare(trial);
  const run = trial.path.run(trial.subject, trial.backend);
  const { stderr } = trial.stage.victim.run(run, { env: { FIREWALL_DROP_DIE_AT: 'nowhere' } });
  const names = Array.from(stderr.matchAll(/^passes (.*)$/gm), ([, name = '']) => name);
  const isWorth = (name: string): boolean => trial.path.everyStep ?? !COMMON.includes(name);
  return names.flatMap((name, index) => (isWorth(name) ? [index + 1] : []));
}

/**
 * Returns how often a path makes a system call. strace counts for each process, so the process with the most calls
 * decides.
 */
function callsOf(trial: Trial, names: readonly string[]): (name: string) => number {
  prepare(trial);
  const { victim } = trial.stage;
  victim.host.remove(TRACE);
  const launcher = ['strace', '-f', '-q', '-e', `trace=${names.join()}`, '-o', TRACE, '--'];
  victim.run(trial.path.run(trial.subject, trial.backend), { launcher });
  const begun = victim.host.readFile(TRACE).matchAll(/^(\d+) +(\w+)\(/gm);
  const made = Map.groupBy(begun, ([, pid = '', name = '']) => `${name} ${pid}`);
  return (name) => {
    const counts = Array.from(made, ([key, all]) => (key.startsWith(`${name} `) ? all.length : 0));
    return Math.max(0, ...counts);
  };
}

function* every(stride: number, last: number): Generator<number> {
  const first = 1 + Math.floor(Math.random() * stride);
  for (let time = first; time <= last; time += stride) yield time;
}

/** Kills a path at each of these times, until it survives. */
function* deathsOf(
  kill: Kill,
  trialOf: (time: number) => Trial,
  { times, fromTime }: { readonly times: Iterable<number>; readonly fromTime: number },
): Generator<CrashPoint> {
  let count = fromTime;
  for (const time of times) {
    const trial = trialOf(time);
    prepare(trial);
    const linesBefore = readLog(trial.stage.victim).length;
    const death = kill(trial.path.run(trial.subject, trial.backend), time);
    if (death === null) {
      trial.stage.repairFirewall();
      return;
    }
    count += 1;
    const next = NEXT[count % NEXT.length] ?? 'expire';
    const { at, ended } = death;
    yield { at, next, wrong: aftermath(trial, { next, linesBefore, ended }) };
  }
}

interface Death {
  readonly next: Next;
  readonly linesBefore: number;
  readonly ended: RunResult;
}

function aftermath(trial: Trial, { next, linesBefore, ended }: Death): string[] {
  const { stage, path, backend, subject } = trial;
  const { victim } = stage;
  const wrong: string[] = [];
  const died = readState(victim.host.pid);
  const kernel = readKernel(victim.host);
  if (died.integrity !== 'ok') wrong.push(`integrity_check: ${died.integrity}`);
  const open = (path.staying?.(subject) ?? []).filter((address) => !isDropped(kernel, address));
  wrong.push(...open.map((address) => `${address} gets through at the moment of death`));
  // If a program that the run had started was killed, the run itself reported whether it succeeded.
  if (ended.signal !== 'SIGKILL') wrong.push(...falseSuccess(trial, ended));
  const due = new Map(path.all(subject).map((each) => [each, isDue(path, each, died)]));

  stage.repairFirewall();
  const after = victim.run(runOf(next, subject));
  if (after.status !== 0) wrong.push(`the next run: status ${after.status}: ${after.stderr}`);
  // Only a run for this address, or for all addresses, repairs changes of the kernel by others.
  const isRestored = path.isAfterFlush === true && ![...due.values()].includes(true);
  if (isRestored) victim.do(asPerson('restore'));
  const came: readonly Next[] = isRestored ? [next, 'restore'] : [next];

  const state = readState(victim.host.pid);
  const log = readLog(victim);
  wrong.push(
    ...disagreements(state, readKernel(victim.host), backend),
    ...unequalEntries(log, state.history),
  );
  const news = log.slice(linesBefore).filter(({ verb }) => verb !== 'failed');
  for (const [address, isBegun] of due) {
    const isReleased =
      next === 'same address' && address === subject && isLeft(subject, died, kernel);
    const own = isReleased ? ['delete'] : [];
    const isDoneAnyway = own.length === 0 && came.some((each) => path.anyway?.includes(each));
    const isDone = isBegun || isDoneAnyway;
    const expected = [...(isDone ? [path.verb] : []), ...own].join();
    const found = verbsAbout(address, news);
    if (found !== expected) wrong.push(`${address}: lines "${found}", not "${expected}"`);
    if (own.length > 0) continue;
    const holders = state.bans.get(address)?.origins.join() ?? '';
    if (isDone && holders !== (path.origins ?? []).join()) {
      wrong.push(`${address}: held by "${holders}" afterwards`);
    }
  }
  return wrong;
}

/** Reports whether, according to the state at the moment of death, the change was begun or done. */
function isDue({ verb }: Path, address: string, { bans, history }: State): boolean {
  return (
    (verb !== null && bans.get(address)?.owed === verb) ||
    history.some((entry) => entry.address === address && entry.verb === verb && isNew(entry))
  );
}

/** Reports whether a delete finds something to release after recovery. If not, it writes no line. */
function isLeft(address: string, { bans }: State, kernel: Kernel): boolean {
  const ban = bans.get(address);
  return ban === undefined ? (kernel.iptables.get(address) ?? 0) > 0 : ban.phase !== 'unblocking';
}

/** Reports whether an entry was made after the preparation, whose entries have other ids or another verb. */
function isNew({ alertId }: Entry): boolean {
  return !alertId.startsWith('16000');
}

function verbsAbout(address: string, entries: readonly Entry[]): string {
  return entries
    .filter((one) => one.address === address)
    .map(({ verb }) => verb)
    .join();
}

/** Lists the addresses whose kernel state contradicts exit status 0. */
function falseSuccess({ stage, path, subject }: Trial, { status }: RunResult): string[] {
  if (status !== 0 || path.verb === null) return [];
  const kernel = readKernel(stage.victim.host);
  const expected = path.verb !== 'delete';
  return path
    .all(subject)
    .filter((address) => isDropped(kernel, address) !== expected)
    .map((address) => `${address}: status 0, but the kernel was not changed`);
}

export function crash(
  stage: Stage,
  { backend, path: name, stride = 1, calls }: CrashOrder,
): readonly CrashPoint[] {
  const path = pathNamed(name);
  const offset = BACKENDS.indexOf(backend);
  const trialOf = (time: number): Trial => {
    return { stage, path, backend, subject: SUBJECTS[(time + offset) % 2] ?? SUBJECTS[0] };
  };
  if (calls === undefined) {
    const first = Math.floor(Math.random() * stride);
    const times = stepsOf(trialOf(1)).filter((_, index) => index % stride === first);
    return [...deathsOf(atSteps(stage), trialOf, { times, fromTime: offset })];
  }
  const countOf = callsOf(trialOf(1), calls.names);
  return calls.names.flatMap((name, index) => {
    const times = every(calls.stride, countOf(name));
    return [...deathsOf(atCalls(stage, name), trialOf, { times, fromTime: offset + index })];
  });
}
