// Reads two clocks: the wall clock, which can be set, and the time since boot, which cannot.
import { textOrEmpty } from './files.ts';
import { monotonicMs } from './wait.ts';

export interface ClockReading {
  /** An id that changes at every boot; empty if it cannot be read. */
  readonly bootId: string;
  /** The milliseconds since boot, including time in suspend. */
  readonly uptimeMs: number;
  readonly wallMs: number;
}

export function readClock(wallMs = Date.now()): ClockReading {
  return { bootId: readBootId(), uptimeMs: readUptimeMs(), wallMs };
}

/** Returns a wall clock that starts at the present time and does not jump if the system clock is set during the run. */
export function steadyClock(): () => number {
  const startMs = Date.now();
  const beganMs = monotonicMs();
  return () => Math.floor(startMs + monotonicMs() - beganMs);
}

export function readBootId(): string {
  return textOrEmpty('/proc/sys/kernel/random/boot_id').trim();
}

/**
 * Reads /proc/uptime instead of loading node:os at every start. Returns 0 without /proc; then remaining times are only
 * capped.
 */
function readUptimeMs(): number {
  return Number(textOrEmpty('/proc/uptime').split(' ', 1)[0]) * 1000;
}
