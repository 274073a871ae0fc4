// Kills a run at a chosen call. After it, no call of the run has an effect.
import type { BanContext } from '../../../src/bans/context.ts';
import { firewallsFor, type Workshop } from './workshop.ts';

/** The place of death: at the N-th call, `before` or `after` its effect. The run never gets its result. */
export interface Death {
  readonly atCall: number;
  readonly when: 'before' | 'after';
}

class Died extends Error {}

/** Runs `work` and kills it at the given place. Returns false if the run ended before that. */
export function dieDuring(
  host: Workshop,
  death: Death,
  work: (context: BanContext) => void,
): boolean {
  const life = new Life(death);
  const context = host.newRun();
  const store = life.bound(context.store);
  try {
    work({
      ...context,
      store,
      responseLog: life.bound(context.responseLog),
      firewall: firewallsFor(
        (command, timeoutMs) => life.call(() => host.kernel.run(command, timeoutMs)),
        context.store,
        'iptables',
        context.isWorkShared,
      ),
    });
  } catch (error) {
    // Code that catches the error is stopped at its next call, so the error may be another one.
    if (!life.isOver) throw error;
  } finally {
    context.store.close();
  }
  return life.isOver;
}

/** Yields every place of death until the work ends alive. Each needs a new host. */
export function* everyDeath(lived: () => boolean): Generator<Death> {
  for (let atCall = 1; ; atCall++) {
    yield { atCall, when: 'before' };
    if (lived()) return;
    yield { atCall, when: 'after' };
  }
}

class Life {
  readonly #death: Death;
  #calls = 0;
  isOver = false;

  constructor(death: Death) {
    this.#death = death;
  }

  call<T>(effect: () => T): T {
    this.#calls += 1;
    const last = this.#calls === this.#death.atCall;
    if (this.isOver || (last && this.#death.when === 'before')) throw this.#end();
    const result = effect();
    if (last) throw this.#end();
    return result;
  }

  /** Returns a proxy of an object. Each call of a method counts as a call. */
  bound<T extends object>(target: T): T {
    return new Proxy(target, {
      get: (_, name) => {
        const value: unknown = Reflect.get(target, name, target);
        if (typeof value === 'object' && value !== null) return this.bound(value);
        if (typeof value !== 'function') return value;
        return (...args: unknown[]) =>
          this.call(() => (value as (...all: unknown[]) => unknown).apply(target, args));
      },
    });
  }

  #end(): Died {
    this.isOver = true;
    return new Died('the run was killed');
  }
}
