// Waits without an event loop.

/** A point in time at which waiting must end. */
export interface Deadline {
  remainingMs(): number;
}

/** Returns a deadline on the monotonic clock, which is independent of changes to the wall clock. */
export function deadlineIn(milliseconds: number): Deadline {
  const end = monotonicMs() + milliseconds;
  return { remainingMs: () => Math.max(0, end - monotonicMs()) };
}

/** Returns the milliseconds of the monotonic clock. The global `performance` would load another module. */
export function monotonicMs(): number {
  return Number(process.hrtime.bigint()) / 1e6;
}

export function sleep(milliseconds: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds);
}
