// The host's local time as date(1) prints it, by the zone file itself: rule engines decode `CEST` and `-03`, not Intl's `GMT+2`.
import { readRegularFile } from './files.ts';
import { parseZone, type LocalType, type Zone } from './zone-file.ts';

export const UTC: Zone = {
  first: { offsetSeconds: 0, abbreviation: 'UTC' },
  transitions: [],
  rule: undefined,
};

const LARGEST_ZONE_FILE = 64 * 1024;

/** The zone in which log lines are written: TZ where it is a plain zone name, else /etc/localtime, else UTC. Never throws. */
export function readHostZone(tz: string | undefined, read = readZoneFile): Zone {
  for (const path of [zonePath(tz), '/etc/localtime']) {
    if (path === undefined) continue;
    try {
      return parseZone(read(path));
    } catch {
      // A line in the next best zone is worth more than no line.
    }
  }
  return UTC;
}

function readZoneFile(path: string): Buffer {
  return readRegularFile(path, LARGEST_ZONE_FILE);
}

/** `Europe/Berlin`, and as POSIX has it with a colon before it. */
const ZONE_NAME = /^:?([A-Za-z0-9_+-]+(?:\/[A-Za-z0-9_+-]+){0,2})$/;

/** Only names below the zone directory: whoever sets TZ must not choose which file root opens. */
function zonePath(tz: string | undefined): string | undefined {
  const name = tz === undefined ? undefined : ZONE_NAME.exec(tz)?.[1];
  return name === undefined ? undefined : `/usr/share/zoneinfo/${name}`;
}

/** What holds in the zone at a Unix time (whole seconds, negative before 1970). */
export function typeAt(zone: Zone, epochSeconds: number): LocalType {
  const last = zone.transitions.at(-1);
  const afterAll = last === undefined || epochSeconds >= last.at;
  if (afterAll && zone.rule !== undefined) return zone.rule(epochSeconds);
  return zone.transitions.findLast(({ at }) => at <= epochSeconds)?.type ?? zone.first;
}

/** `Sun May  7 12:45:26 UTC 2024`, as `LC_ALL=C date` prints it; UTC where the zone's abbreviation would not be decoded. */
export function formatDate(zone: Zone, epochMs: number): string {
  const epochSeconds = Math.floor(epochMs / 1000);
  const local = typeAt(zone, epochSeconds);
  const type = /^[+-]?[A-Za-z0-9]{1,16}$/.test(local.abbreviation) ? local : UTC.first;
  const wall = wallOf(type, epochSeconds);
  const day = String(wall.getUTCDate()).padStart(2);
  const date = `${WEEKDAYS[wall.getUTCDay()] ?? ''} ${MONTHS[wall.getUTCMonth()] ?? ''} ${day}`;
  return `${date} ${timeOf(wall)} ${type.abbreviation} ${wall.getUTCFullYear()}`;
}

const WEEKDAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** `2024/05/07 12:45:26`, as Wazuh's own active responses print it. */
export function formatWazuhDate(zone: Zone, epochMs: number): string {
  const epochSeconds = Math.floor(epochMs / 1000);
  const wall = wallOf(typeAt(zone, epochSeconds), epochSeconds);
  const date = [
    wall.getUTCFullYear(),
    twoDigits(wall.getUTCMonth() + 1),
    twoDigits(wall.getUTCDate()),
  ];
  return `${date.join('/')} ${timeOf(wall)}`;
}

/**
 * By the numbers: the first text that V8 makes of a date has ICU look for the name of the host's zone, in all files of zones
 * where /etc/localtime is a copy of one.
 */
function timeOf(wall: Date): string {
  return [wall.getUTCHours(), wall.getUTCMinutes(), wall.getUTCSeconds()].map(twoDigits).join(':');
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** A moment that in UTC has the date and time which the clocks show. */
function wallOf({ offsetSeconds }: LocalType, epochSeconds: number): Date {
  return new Date((epochSeconds + offsetSeconds) * 1000);
}
