/** Runs mutated inputs through the targets: guided by V8's coverage in one part, at full speed in the other. */
import type { Guide } from './coverage.ts';
import { mutate, pick, randomFrom, type Random } from './mutate.ts';
import { Finding } from './oracle.ts';
import type { Target } from './targets.ts';

/** A machine that is busy elsewhere makes anything slow once; a slow parse is slow each time. */
const SLOW_TRIES = 5;
const DOUBTFUL_MS = 10;

export interface Failure {
  readonly target: string;
  readonly input: Buffer;
  readonly error: unknown;
}

export interface SessionOptions {
  readonly seed: number;
  /** A parse that takes longer is a finding: execd waits for us. */
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

  /** Shows the guide what the corpus covers. The code that runs here first is the code that V8 counts blocks of. */
  teach(guide: Guide): void {
    for (const [name, target] of this.#targets) {
      guide.newAmong(this.#inputsOf(name), (input) => void this.#outcomeOf(target, input));
    }
  }

  /** The corpus as it is committed: nothing in it may fail. */
  runCorpus(): Failure | null {
    for (const [name, target] of this.#targets) {
      for (const input of this.#inputsOf(name)) {
        const failure = this.#try(name, target, input);
        if (failure !== null) return failure;
      }
    }
    return null;
  }

  /** `inputs` mutations of one target after the other. */
  run(inputs: number): Failure | null {
    for (let done = 0; done < inputs; done++) {
      const [name, target] = pick(this.#targets, this.#random);
      const failure = this.#try(name, target, this.#mutant(name));
      if (failure !== null) return failure;
    }
    return null;
  }

  /** The same for one target under the guide's eyes: what covers something new joins the corpus. */
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
