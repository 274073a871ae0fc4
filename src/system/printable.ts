// Makes untrusted text safe for a log line and for a terminal.

/* eslint-disable no-control-regex -- control characters are what must be escaped */
const UNPRINTABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\ufeff\u202a-\u202e\u2066-\u2069]/g;

const LONGEST_QUOTE = 60;

/** Quotes untrusted text and shortens it to 60 characters. */
export function quote(text: string): string {
  const cut = text.length > LONGEST_QUOTE ? `${text.slice(0, LONGEST_QUOTE)}…` : text;
  return JSON.stringify(cut);
}

/**
 * Escapes control and direction characters as `\\uXXXX`, so that text stays on one line and cannot control a terminal.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => {
    return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
  });
}
