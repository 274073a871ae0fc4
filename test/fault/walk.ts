/** Kills random commands at random moments. After each, another run follows, and all invariants are checked. */
import type { ChildProcess } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Random, randomFrom } from '../fuzz/mutate.ts';
import { isErrno } from '../../src/system/files.ts';
import { EXIT_STATUS } from '../../src/model/errors.ts';
import { type BackendName, readKernel } from '../support/kernel.ts';
import { type Entry, readState, type State } from '../support/state.ts';
import type { Victim } from '../support/victim.ts';
import { disagreements, unequalEntries } from './invariants.ts';
import { ADDRESSES, kindsFor, makePlan, type Model, type Plan, QUIET_KINDS } from './plans.ts';
import { readLog, type Stage } from './stage.ts';

export interface WalkOrder {
  /** `auto` migrates between all backends. */
  readonly backend: BackendName | 'auto';
  readonly seed: number;
  /** The walk ends after so many kills or seconds, whichever comes first. */
  readonly kills: number;
  readonly seconds: number;
}

export interface WalkReport {
  readonly seed: number;
  readonly backend: string;
  readonly runs: number;
  /** The number of runs that a signal ended. */
  readonly kills: number;
  readonly killsBySignal: Readonly<Record<string, number>>;
  readonly killsByKind: Readonly<Record<string, number>>;
  /** The kills by what the run had done: nothing, a part, or all. */
  readonly killsByOutcome: Readonly<Record<string, number>>;
  readonly seconds: number;
  /** null if nothing was wrong. */
  readonly violation: Violation | null;
}

interface Violation {
  readonly point: number;
  readonly what: string;
  readonly wrong: readonly string[];
}

/** Mostly SIGKILL, which cannot be caught. A group also contains the firewall program. */
const SIGNALS = [
  'SIGKILL to the group',
  'SIGKILL',
  'SIGKILL to the group',
  'SIGTERM to the group',
  'SIGINT to the group',
  'SIGHUP',
] as const;

/** Moments reach beyond the usual duration, so that the last instructions are hit, too. */
const BEYOND = 1.1;
const AT_ONCE = 4;
const { INTERRUPTED } = EXIT_STATUS;

class Walk {
  readonly #stage: Stage;
  readonly #order: WalkOrder;
  readonly #random: Random;
  readonly #model: Model = new Map();
  /** The usual duration of each kind of command. */
  readonly #usualMs = new Map<string, number>();
  readonly #counts = {
    signal: new Map<string, number>(),
    kind: new Map<string, number>(),
    outcome: new Map<string, number>(),
  };
  #runs = 0;
  #kills = 0;

  constructor(stage: Stage, order: WalkOrder) {
    this.#order = order;
    this.#stage = stage;
    this.#random = randomFrom(order.seed);
  }

  get #victim(): Victim {
    return this.#stage.victim;
  }

  async walk(onProgress: (report: WalkReport) => void): Promise<WalkReport> {
    const { backend, kills, seconds } = this.#order;
    const beganMs = performance.now();
    const passed = (): number => (performance.now() - beganMs) / 1000;
    this.#stage.reset();
    const firewall = backend === 'auto' ? 'promote_at = 6' : `backend = "${backend}"`;
    // Simultaneous runs wait for each other, which takes long on a slow machine.
    const limits = 'lock_wait_seconds = 60\ntotal_seconds = 120';
    this.#victim.configure(`[firewall]\n${firewall}\n[limits]\n${limits}\n`);
    let toldAt = 0;
    for (let point = 1; this.#kills < kills && passed() < seconds; point += 1) {
      const violation = await this.#takePoint(point);
      if (violation !== null) return this.#report(passed(), violation);
      if (passed() - toldAt < 10) continue;
      toldAt = passed();
      onProgress(this.#report(toldAt, null));
    }
    return this.#report(passed(), null);
  }

  #report(seconds: number, violation: Violation | null): WalkReport {
    const { seed, backend } = this.#order;
    const { signal, kind, outcome } = this.#counts;
    return {
      ...{ seed, backend, seconds, violation, runs: this.#runs, kills: this.#kills },
      killsBySignal: Object.fromEntries(signal),
      killsByKind: Object.fromEntries(kind),
      killsByOutcome: Object.fromEntries(outcome),
    };
  }

  /** Runs one or several commands at once, and another one after them. Returns the violation, or null. */
  async #takePoint(point: number): Promise<Violation | null> {
    const before = readLog(this.#victim);
    const history = readState(this.#victim.host.pid).history.length;
    const plans = this.#choosePlans();
    for (const plan of plans) plan.prepare?.(this.#victim);
    const ends = await Promise.all(plans.map((plan) => this.#strike(plan)));
    const died = readState(this.#victim.host.pid);
    const expected = new Map<string, string[]>();
    const wrong = died.integrity === 'ok' ? [] : [`integrity_check: ${died.integrity}`];
    plans.forEach((plan, index) => {
      const end = ends[index] ?? '';
      const done = doneBy(plan, died, died.history.slice(history));
      if (end.startsWith('SIG')) this.#noteOutcome(plan, done);
      else if (end !== 'status 0') wrong.push(`${plan.name}: ${end}`);
      else wrong.push(...missing(plan, done));
      this.#follow(plan, done, expected);
    });
    const next = this.#chooseNext(plans);
    const after = this.#victim.run(next.run);
    this.#runs += 1;
    if (after.status !== 0) {
      wrong.push(`then ${next.name}: status ${after.status} ${after.signal}: ${after.stderr}`);
    }
    this.#follow(next, new Set(next.effects.keys()), expected);
    wrong.push(...this.#look(before, expected));
    if (wrong.length === 0) return null;
    const what = plans.map((plan, index) => `${plan.name} (${ends[index]})`).join(', ');
    return { point, what: `${what}; then ${next.name}`, wrong };
  }

  #choosePlans(): Plan[] {
    const { backend } = this.#order;
    const atOnce = this.#random(8) === 0 ? 2 + this.#random(AT_ONCE - 1) : 1;
    const plans: Plan[] = [];
    const taken = new Set<string>();
    while (plans.length < atOnce) {
      // Simultaneous commands concern different addresses, so that the outcome does not depend on their order.
      const kinds = atOnce > 1 ? QUIET_KINDS : kindsFor(backend);
      const plan = makePlan(kinds, this.#model, this.#random, taken);
      for (const address of plan.effects.keys()) taken.add(address);
      plans.push(plan);
    }
    return plans;
  }

  /**
   * Chooses the next run. Only a restore repairs a flushed kernel. A run that names an address acts before it expires
   * bans, so addresses that are due are left out.
   */
  #chooseNext(plans: readonly Plan[]): Plan {
    const kinds = plans.some(({ flushes }) => flushes) ? (['restore'] as const) : NEXT_KINDS;
    const due = plans.flatMap(({ effects }) => {
      return [...effects].filter(([, { anyway }]) => anyway).map(([address]) => address);
    });
    const hasFree = due.length < ADDRESSES.length;
    return makePlan(hasFree ? kinds : ['tick'], this.#model, this.#random, new Set(due));
  }

  /** Runs a plan, and ends it at a random moment within its usual duration. Returns how it ended. */
  async #strike({ name, run }: Plan): Promise<string> {
    const usual = this.#usualMs.get(name) ?? this.#longestMs();
    const signal = SIGNALS[this.#random(SIGNALS.length)] ?? 'SIGKILL';
    // The first run ends by itself.
    const delayMs = ((usual ?? Infinity) * BEYOND * (1 + this.#random(10_000))) / 10_000;
    const beganMs = performance.now();
    const running = this.#victim.start(run.args, { detached: true });
    running.say(run.input);
    running.hangUp();
    this.#runs += 1;
    const abort = new AbortController();
    const timer = sleep(Math.min(delayMs, 60_000), undefined, { signal: abort.signal });
    await Promise.race([running.ended, timer]);
    send(running.child, signal);
    abort.abort();
    const [{ status, stderr }] = await Promise.all([running.ended, timer.catch(() => undefined)]);
    // Commands of a person end between two transactions, and report what was done.
    if (status === null || status === INTERRUPTED) {
      this.#kills += 1;
      count(this.#counts.signal, signal);
      count(this.#counts.kind, name);
      return `${signal} after ${delayMs.toFixed(1)} of ${usual?.toFixed(1)} ms`;
    }
    const tookMs = performance.now() - beganMs;
    const known = this.#usualMs.get(name);
    this.#usualMs.set(name, known === undefined ? tookMs : known * 0.8 + tookMs * 0.2);
    return status === 0 ? 'status 0' : `status ${status}: ${stderr}`;
  }

  /** Returns the longest duration so far, which is used for kinds that have not run yet. */
  #longestMs(): number | undefined {
    return this.#usualMs.size === 0 ? undefined : Math.max(...this.#usualMs.values());
  }

  #noteOutcome({ effects }: Plan, done: ReadonlySet<string>): void {
    const outcome = done.size === 0 ? 'nothing' : done.size < effects.size ? 'a part' : 'all';
    count(this.#counts.outcome, outcome);
  }

  /** Updates the model with the changes that were made, and records the lines that they must have written. */
  #follow({ effects }: Plan, done: ReadonlySet<string>, expected: Map<string, string[]>): void {
    for (const [address, { verb, origins }] of effects) {
      if (!done.has(address)) continue;
      if (origins.length === 0) this.#model.delete(address);
      else this.#model.set(address, origins);
      if (verb !== null) expected.set(address, [...(expected.get(address) ?? []), verb]);
    }
  }

  #look(before: readonly Entry[], expected: ReadonlyMap<string, readonly string[]>): string[] {
    const { backend } = this.#order;
    const state = readState(this.#victim.host.pid);
    const log = readLog(this.#victim);
    const wrong = [
      ...disagreements(
        state,
        readKernel(this.#victim.host),
        backend === 'auto' ? 'iptables' : backend,
      ),
      ...unequalEntries(log, state.history),
    ];
    for (const address of new Set([...this.#model.keys(), ...state.bans.keys()])) {
      const wanted = (this.#model.get(address) ?? []).join();
      const found = state.bans.get(address)?.origins.join() ?? '';
      if (found !== wanted) wrong.push(`${address}: held by "${found}", not "${wanted}"`);
    }
    const news = Map.groupBy(log.slice(before.length), ({ address }) => address);
    for (const address of new Set([...news.keys(), ...expected.keys()])) {
      const verbs = (news.get(address) ?? []).map(({ verb }) => verb).join();
      const wanted = (expected.get(address) ?? []).join();
      if (verbs !== wanted) wrong.push(`${address}: lines "${verbs}", not "${wanted}"`);
    }
    return wrong;
  }
}

const NEXT_KINDS = ['wazuh add', 'wazuh delete', 'delete', 'tick', 'restore'] as const;

function count(counts: Map<string, number>, what: string): void {
  counts.set(what, (counts.get(what) ?? 0) + 1);
}

function send({ pid }: ChildProcess, signal: string): void {
  const [name = ''] = signal.split(' ');
  if (pid === undefined) throw new Error('the program was not started');
  try {
    process.kill(signal.endsWith('group') ? -pid : pid, name);
  } catch (error) {
    // The process has already ended.
    if (!isErrno(error, 'ESRCH')) throw error;
  }
}

/**
 * Returns the addresses whose change was begun or done, according to the state at the moment of death. The next run
 * completes changes that were begun.
 */
function doneBy(plan: Plan, { bans }: State, news: readonly Entry[]): Set<string> {
  const done = new Set<string>();
  for (const [address, { verb, origins, anyway }] of plan.effects) {
    const ban = bans.get(address);
    const isLogged = news.some((one) => one.address === address && one.verb === verb);
    const silent = verb === null && (ban?.origins ?? []).join() === origins.join();
    if (anyway === true || isLogged || silent || (verb !== null && ban?.owed === verb))
      done.add(address);
  }
  return done;
}

/** Lists the changes that a run with exit status 0 did not make. */
function missing({ name, effects }: Plan, done: ReadonlySet<string>): string[] {
  return [...effects.keys()]
    .filter((address) => !done.has(address))
    .map((address) => `${name} succeeded, and nothing was done about ${address}`);
}

export function walk(
  stage: Stage,
  order: WalkOrder,
  onProgress: (report: WalkReport) => void = () => undefined,
): Promise<WalkReport> {
  return new Walk(stage, order).walk(onProgress);
}
