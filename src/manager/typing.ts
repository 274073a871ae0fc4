// Finds typing mistakes in XML that are wrong in any place, without regard to the nesting of tags.

/** A typing mistake. */
export type Slip = readonly [offset: number, cause: string, fix: string];

const CURLY_QUOTES = /[\u2018-\u201f\u00ab\u00bb]/;
const STRANGE = /[\u2018-\u201f\u00ab\u00bb\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]/;

/**
 * Finds the first typographic quote or special space, as web pages and word processors insert them; null if there is
 * none.
 */
export function findStrange(text: string): { readonly at: number; readonly what: string } | null {
  const at = text.search(STRANGE);
  if (at < 0) return null;
  const what = CURLY_QUOTES.test(text.charAt(at))
    ? 'a typographic quote, as web pages and word processors insert them'
    : 'a non-breaking or invisible space, as web pages contain them';
  return { at, what };
}

export const bareLessThan = (offset: number): Slip => [
  offset,
  '< begins a tag, but no valid tag follows',
  'write &lt; for the character itself',
];

/**
 * Matches a comment, CDATA section, processing instruction, declaration, tag or text. An unclosed comment or CDATA
 * section extends to the end of the text. A tag cannot contain <, not even in quotes, so an unclosed tag ends before
 * it.
 */
const PIECES =
  /<!--.*?(?:-->|$)|<!\[CDATA\[.*?(?:\]\]>|$)|<\?.*?(?:\?>|$)|<!.*?(?:>|$)|<(?:[^<>"']+|"[^"<]*"|'[^'<]*')*(?:>|["'][^<]*)?|[^<]+/gs;

/** Yields the mistakes in the order of the text. Skips those in a comment or tag that follow from an earlier one. */
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
  // Two hyphens are correct as part of the closing -->.
  const hyphens = comment.indexOf('--', 4);
  const cause = 'a comment must not contain two hyphens in a row';
  if (hyphens < end) {
    yield [offset + hyphens, cause, 'write one hyphen, or close the comment with --> first'];
  }
}

function* slipsInTag(tag: string, offset: number): Generator<Slip> {
  const isNamed = /[\p{L}_:/]/u.test(tag.charAt(1));
  // The strange character can be in the place of the tag's name.
  const bare = isNamed
    ? tag.replace(/"[^"]*"?|'[^']*'?/g, ({ length }) => ' '.repeat(length))
    : tag.slice(0, 2);
  const strange = findStrange(bare);
  if (strange !== null) {
    const fix = 'replace it with a plain quote or space';
    yield [offset + strange.at, `this is ${strange.what}`, fix];
  } else if (isNamed) yield* slipsInText(tag, offset);
  else yield bareLessThan(offset);
}

/** An & that begins neither a predefined entity nor a character reference. */
const BARE_AMPERSAND = /&(?!(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);)/g;

function* slipsInText(text: string, offset: number): Generator<Slip> {
  const cause = '& begins an entity, but no valid entity follows';
  for (const { index } of text.matchAll(BARE_AMPERSAND)) {
    yield [offset + index, cause, 'write &amp; for the character itself'];
  }
}
