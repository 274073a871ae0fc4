/** Finds inputs that reach new code, with V8's block coverage of src. */
import { Session } from 'node:inspector';
import type { Profiler } from 'node:inspector';
import { setFlagsFromString } from 'node:v8';

export class Guide {
  readonly #session = new Session();
  readonly #known = new Set<string>();

  constructor() {
    // Discarded code would be compiled again without counters.
    setFlagsFromString('--no-flush-bytecode');
    this.#session.connect();
    this.#session.post('Profiler.enable');
  }

  get blocks(): number {
    return this.#known.size;
  }

  /** Runs the inputs, and bisects them until the inputs that cover something new are found. */
  newAmong(inputs: readonly Buffer[], run: (input: Buffer) => void): Buffer[] {
    // Counting prevents optimization, so it is on only during a search.
    this.#session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
    try {
      return this.#search(inputs, run);
    } finally {
      this.#session.post('Profiler.stopPreciseCoverage');
    }
  }

  #search(inputs: readonly Buffer[], run: (input: Buffer) => void): Buffer[] {
    if (inputs.length === 0) return [];
    this.#take();
    for (const input of inputs) run(input);
    const fresh = this.#take().filter((block) => !this.#known.has(block));
    if (fresh.length === 0) return [];
    if (inputs.length === 1) {
      for (const block of fresh) this.#known.add(block);
      return [...inputs];
    }
    const half = inputs.length >> 1;
    return [...this.#search(inputs.slice(0, half), run), ...this.#search(inputs.slice(half), run)];
  }

  /**
   * Returns the blocks covered since the last call. The session is in this process, so it answers before `post`
   * returns.
   */
  #take(): string[] {
    let scripts: readonly Profiler.ScriptCoverage[] = [];
    this.#session.post('Profiler.takePreciseCoverage', (error, answer) => {
      if (error !== null) throw error;
      scripts = answer.result;
    });
    return scripts.filter(({ url }) => url.includes('/src/')).flatMap(coveredBlocks);
  }
}

function coveredBlocks({ url, functions }: Profiler.ScriptCoverage): string[] {
  return functions.flatMap(({ ranges }) =>
    ranges
      .filter(({ count }) => count > 0)
      .map(({ startOffset, endOffset }) => `${url} ${startOffset} ${endOffset}`),
  );
}
