/** Runs mutated inputs through the targets: a part guided by V8's coverage, the rest at full speed. */
import type { Guide } from './coverage.ts';
import { mutate, pick, randomFrom, type Random } from './mutate.ts';
import { Finding } from './oracle.ts';
import type { Target } from './targets.ts';

/** The number of tries before a parse counts as slow. On a busy machine any parse can be slow once. */
const SLOW_TRIES = 5;
const DOUBTFUL_MS = 10;

export interface Failure {
  readonly target: string;
  readonly input: Buffer;
  readonly error: unknown;
}

export interface SessionOptions {
  readonly seed: number;
  /** The time after which a parse is a finding, because execd waits for it. */
  readonly longestMs: number;
}

export class Session {
  readonly #targets: readonly (readonly [string, Target])[];
  readonly #corpus: ReadonlyMap<string, Buffer[]>;
  readonly #random: Random;
  readonly #longestMs: number;
  count = 0;
  slowestMs = 0;
  slowestTarget = '';
  readonly found: { target: string; input: Buffer }[] = [];

  constructor(
    targets: Readonly<Record<string, Target>>,
    corpus: (target: string) => Buffer[],
    { seed, longestMs }: SessionOptions,
  ) {
    this.#targets = Object.entries(targets);
    this.#corpus = new Map(this.#targets.map(([name]) => [name, corpus(name)]));
    this.#random = randomFrom(seed);
    this.#longestMs = longestMs;
  }

  /** Shows the guide what the corpus covers. V8 counts blocks only of code that first runs here. */
  teach(guide: Guide): void {
    for (const [name, target] of this.#targets) {
      guide.newAmong(this.#inputsOf(name), (input) => void this.#outcomeOf(target, input));
    }
  }

  /** Runs the committed corpus, in which no input must fail. */
  runCorpus(): Failure | null {
    for (const [name, target] of this.#targets) {
      for (const input of this.#inputsOf(name)) {
        const failure = this.#try(name, target, input);
        if (failure !== null) return failure;
      }
    }
    return null;
  }

  /** Runs `inputs` mutations, each for a random target. */
  run(inputs: number): Failure | null {
    for (let done = 0; done < inputs; done++) {
      const [name, target] = pick(this.#targets, this.#random);
      const failure = this.#try(name, target, this.#mutant(name));
      if (failure !== null) return failure;
    }
    return null;
  }

  /** Runs mutations for one random target with coverage. Inputs that cover something new join the corpus. */
  explore(inputs: number, guide: Guide): Failure | null {
    const [name, target] = pick(this.#targets, this.#random);
    const batch = Array.from({ length: inputs }, () => this.#mutant(name));
    for (const input of batch) {
      const failure = this.#try(name, target, input);
      if (failure !== null) return failure;
    }
    for (const input of guide.newAmong(batch, (each) => void this.#outcomeOf(target, each))) {
      this.#inputsOf(name).push(input);
      this.found.push({ target: name, input });
    }
    return null;
  }

  #mutant(name: string): Buffer {
    const inputs = this.#inputsOf(name);
    return mutate(pick(inputs, this.#random), pick(inputs, this.#random), this.#random);
  }

  #inputsOf(name: string): Buffer[] {
    return this.#corpus.get(name) ?? [];
  }

  #try(name: string, target: Target, input: Buffer): Failure | null {
    this.count++;
    let took = this.#timed(target, input);
    for (let again = 1; again < SLOW_TRIES && took.ms > DOUBTFUL_MS; again++) {
      const next = this.#timed(target, input);
      if (next.ms < took.ms) took = next;
    }
    if (took.ms > this.slowestMs) [this.slowestMs, this.slowestTarget] = [took.ms, name];
    if (took.error !== null) return { target: name, input, error: took.error };
    if (took.ms <= this.#longestMs) return null;
    return { target: name, input, error: new Finding(`took ${took.ms.toFixed(0)} ms`) };
  }

  #timed(target: Target, input: Buffer): { ms: number; error: unknown } {
    const beganMs = performance.now();
    const error = this.#outcomeOf(target, input);
    return { ms: performance.now() - beganMs, error };
  }

  #outcomeOf(target: Target, input: Buffer): unknown {
    try {
      target(input);
      return null;
    } catch (error) {
      return error;
    }
  }
}
