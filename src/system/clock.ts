// Two clocks: the wall's, which somebody may set, and the time since boot, which nobody can.
import { readFileSync } from 'node:fs';
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
  return readProc('sys/kernel/random/boot_id').trim();
}

/** Not from node:os, which every start would have to load. */
function readUptimeMs(): number {
  return Number(readProc('uptime').split(' ', 1)[0]) * 1000;
}

function readProc(file: string): string {
  try {
    return readFileSync(`/proc/${file}`, 'latin1');
  } catch {
    // No /proc: every run then counts as the first of a boot, and deadlines are only capped.
    return '';
  }
}
