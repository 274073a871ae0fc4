// Keeps remaining times correct when the wall clock is set, so that a jump neither ends all bans nor makes one last
// forever.
import type { ClockReading } from '../system/procfs.ts';
import type { Store } from '../state/store.ts';

/** Metadata: the last clock reading. */
const LAST_READING = 'clock';
/** The smallest step that counts. Slewing by NTP and the resolution of both clocks stay below it. */
const SMALLEST_STEP_MS = 2000;

/** Adjusts deadlines to steps of the wall clock. Must be called once per run, before deadlines are read. */
export function followClock(store: Store, reading: ClockReading): void {
  const note = (): void => store.metadata.set(LAST_READING, JSON.stringify(reading));
  if (stepSince(lastReading(store), reading) === 0) note();
  else {
    let step: number | null = null;
    store.bans.transaction(() => {
      // Another run may have followed the step in the meantime, if one of the two has no writer lock.
      store.metadata.reload();
      // After a failure, this work runs again, and the reading may have been noted already.
      step ??= stepSince(lastReading(store), reading);
      // The reading is written in the same transaction as the shift, so that no step is applied twice.
      note();
      if (step !== 0) store.deadlines.shift(step);
    });
  }
  store.deadlines.cap(reading.wallMs);
}

/**
 * Returns the milliseconds by which the wall clock was set since the last run; 0 after a reboot, since the step is then
 * unknown.
 */
function stepSince(last: ClockReading | null, { bootId, uptimeMs, wallMs }: ClockReading): number {
  const isSameBoot = last !== null && bootId !== '' && last.bootId === bootId;
  if (!isSameBoot || !isUptime(uptimeMs) || !isUptime(last.uptimeMs)) return 0;
  const step = wallMs - last.wallMs - (uptimeMs - last.uptimeMs);
  return Math.abs(step) < SMALLEST_STEP_MS ? 0 : Math.round(step);
}

/** Returns the clock reading of the last run that wrote to the state; null if there is none or it is invalid. */
export function lastReading({ metadata }: Store): ClockReading | null {
  const reading = metadata.getJson(LAST_READING) as Partial<ClockReading> | null;
  const isValid = typeof reading?.bootId === 'string' && Number.isFinite(reading.wallMs);
  return isValid ? (reading as ClockReading) : null;
}

/**
 * Reports whether a value is a valid uptime. If a container failed to emulate /proc/uptime, elapsed time would
 * otherwise look like a step of the wall clock.
 */
function isUptime(value: unknown): boolean {
  return Number.isFinite(value) && Number(value) > 0;
}
