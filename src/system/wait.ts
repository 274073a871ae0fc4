// Measures time and waits without an event loop.

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

/** Returns a wall clock that starts at the present time and does not jump if the system clock is set during the run. */
export function steadyClock(): () => number {
  const startMs = Date.now();
  const beganMs = monotonicMs();
  return () => Math.floor(startMs + monotonicMs() - beganMs);
}
