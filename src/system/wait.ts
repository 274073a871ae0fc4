// Waiting without an event loop: this program runs from start to exit in one go.

/** A moment after which nothing more may be waited for. */
export interface Deadline {
  remainingMs(): number;
}

/** A deadline by the monotonic clock, which no change of the wall clock can move. */
export function deadlineIn(milliseconds: number): Deadline {
  const end = monotonicMs() + milliseconds;
  return { remainingMs: () => Math.max(0, end - monotonicMs()) };
}

/** Milliseconds of a clock that nobody can set. The global `performance` would load a module of its own for this. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
