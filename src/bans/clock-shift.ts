// Keeps remaining times true when the wall clock is set: a jump neither frees everyone nor keeps anyone for ever.
import type { ClockReading } from '../system/clock.ts';
import type { Store } from '../state/store.ts';

/** Metadata: the last reading. */
const LAST_READING = 'clock';
/** Slewing by NTP and the coarseness of both clocks stay below this; a step that matters does not. */
const SMALLEST_STEP_MS = 2000;

/** To be called once a run, before any deadline is looked at. */
export function followClock(store: Store, reading: ClockReading): void {
  const step = stepSince(readLast(store.metadata.getJson(LAST_READING)), reading);
  // First the metadata: it is then written with the shift, and a step is never made up for twice.
  store.metadata.set(LAST_READING, JSON.stringify(reading));
  if (step !== 0) store.deadlines.shift(step);
  store.deadlines.cap(reading.wallMs);
}

/** By how many milliseconds the wall clock was set since the last run; 0 across a reboot, where it is not known. */
function stepSince(last: ClockReading | null, { bootId, uptimeMs, wallMs }: ClockReading): number {
  const isSameBoot = last !== null && bootId !== '' && last.bootId === bootId;
  if (!isSameBoot || !isUptime(uptimeMs)) return 0;
  const step = wallMs - last.wallMs - (uptimeMs - last.uptimeMs);
  return Math.abs(step) < SMALLEST_STEP_MS ? 0 : Math.round(step);
}

function readLast(value: unknown): ClockReading | null {
  const reading = value as Partial<ClockReading> | null;
  const sound =
    typeof reading?.bootId === 'string' &&
    isUptime(reading.uptimeMs) &&
    Number.isFinite(reading.wallMs);
  return sound ? (reading as ClockReading) : null;
}

/** In a container that emulates /proc/uptime it may fail alone, and each minute would then be one by which the clock was set. */
function isUptime(value: unknown): boolean {
  return Number.isFinite(value) && Number(value) > 0;
}
