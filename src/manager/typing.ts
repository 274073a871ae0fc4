// Mistakes of typing in XML that are wrong wherever they stand: found in the whole text, however its tags nest.

/** Where, what, and what to do about it. */
export type Slip = readonly [offset: number, cause: string, fix: string];

const CURLY_QUOTES = /[\u2018-\u201f\u00ab\u00bb]/;
const STRANGE = /[\u2018-\u201f\u00ab\u00bb\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]/;

/** The first character in a text that web pages and word processors make of quotes and spaces; null: there is none. */
export function findStrange(text: string): { readonly at: number; readonly what: string } | null {
  const at = text.search(STRANGE);
  if (at < 0) return null;
  const what = CURLY_QUOTES.test(text.charAt(at))
    ? 'a typographic quote, as web pages and word processors make it'
    : 'a non-breaking or invisible space, as web pages have them';
  return { at, what };
}

export const bareLessThan = (offset: number): Slip => [
  offset,
  'a < begins a tag, and no tag follows that XML knows',
  'write &lt; for the character itself',
];

/**
 * Comment, CDATA, instruction, declaration, tag and text. One that never ends hides all that follows. A < is in no tag, not
 * even between quotes: one that is never closed ends there.
 */
const PIECES =
  /<!--.*?(?:-->|$)|<!\[CDATA\[.*?(?:\]\]>|$)|<\?.*?(?:\?>|$)|<!.*?(?:>|$)|<(?:[^<>"']+|"[^"<]*"|'[^'<]*')*(?:>|["'][^<]*)?|[^<]+/gs;

/** In order; one for each comment and each tag, since what follows in it is more of the same. */
export function* findSlips(text: string): Generator<Slip> {
  for (const { 0: piece, index } of text.matchAll(PIECES)) {
    if (piece.startsWith('<!--')) yield* slipsInComment(piece, index);
    else if (/^<[!?]/.test(piece)) continue;
    else if (piece.startsWith('<')) yield* slipsInTag(piece, index);
    else yield* slipsInText(piece, index);
  }
}

function* slipsInComment(comment: string, offset: number): Generator<Slip> {
  const end = comment.indexOf('-->', 4);
  if (end < 0) yield [offset, 'this comment is never closed', 'end it with -->'];
  // They may be the first of those that end it.
  const hyphens = comment.indexOf('--', 4);
  const cause = 'a comment may not contain two hyphens in a row';
  if (hyphens < end) {
    yield [offset + hyphens, cause, 'write one hyphen, or end the comment with --> before it'];
  }
}

function* slipsInTag(tag: string, offset: number): Generator<Slip> {
  const isNamed = /[\p{L}_:/]/u.test(tag.charAt(1));
  // A strange character may stand where the name should begin.
  const bare = isNamed
    ? tag.replace(/"[^"]*"?|'[^']*'?/g, ({ length }) => ' '.repeat(length))
    : tag.slice(0, 2);
  const strange = findStrange(bare);
  if (strange !== null) {
    const fix = 'type the quote or the space again on the keyboard';
    yield [offset + strange.at, `here stands ${strange.what}`, fix];
  } else if (isNamed) yield* slipsInText(tag, offset);
  else yield bareLessThan(offset);
}

/** One that is none of those that XML knows. */
const BARE_AMPERSAND = /&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)/g;

function* slipsInText(text: string, offset: number): Generator<Slip> {
  const cause = 'an & begins an entity in XML, and here is none that XML knows';
  for (const { index } of text.matchAll(BARE_AMPERSAND)) {
    yield [offset + index, cause, 'write &amp; for the character itself'];
  }
}
