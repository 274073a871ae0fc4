// Parses durations as people and configurations write them.

export const UNIT_SECONDS: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3600,
  d: 86400,
  w: 604800,
};
const PART = /([0-9]{1,10})([smhdw])/g;
const WHOLE = /^(?:[0-9]{1,10}[smhdw])+$/;
/** The longest duration, about 68 years. */
const LONGEST_SECONDS = 2 ** 31;

/**
 * Parses `90m`, `1h30m`, `2d`, plain seconds, or `never`. Returns seconds, null for `never`, and undefined for other
 * text.
 */
export function parseDuration(text: string): number | null | undefined {
  if (text === 'never') return null;
  const seconds = /^[0-9]{1,10}$/.test(text) ? Number(text) : sumOfParts(text);
  return seconds === undefined || seconds < 1 || seconds > LONGEST_SECONDS ? undefined : seconds;
}

function sumOfParts(text: string): number | undefined {
  if (!WHOLE.test(text)) return undefined;
  let seconds = 0;
  for (const [, count, unit] of text.matchAll(PART)) {
    seconds += Number(count) * (UNIT_SECONDS[unit ?? ''] ?? 0);
  }
  return seconds;
}
