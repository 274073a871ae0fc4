// Two clocks: the wall's, which somebody may set, and the time since boot, which nobody can.
import { textOrEmpty } from './files.ts';
import { monotonicMs } from './wait.ts';

export interface ClockReading {
  /** Changes at every boot; empty where it can not be read. */
  readonly bootId: string;
  /** Milliseconds since boot, time asleep included. */
  readonly uptimeMs: number;
  readonly wallMs: number;
}

export function readClock(wallMs = Date.now()): ClockReading {
  return { bootId: readBootId(), uptimeMs: readUptimeMs(), wallMs };
}

/** The wall's clock as it was at the start, going on evenly for one run though somebody sets it meanwhile. */
export function steadyClock(): () => number {
  const startMs = Date.now();
  const beganMs = monotonicMs();
  return () => Math.floor(startMs + monotonicMs() - beganMs);
}

export function readBootId(): string {
  return textOrEmpty('/proc/sys/kernel/random/boot_id').trim();
}

/** Not from node:os, which every start would have to load. Without /proc deadlines are only capped. */
function readUptimeMs(): number {
  return Number(textOrEmpty('/proc/uptime').split(' ', 1)[0]) * 1000;
}
