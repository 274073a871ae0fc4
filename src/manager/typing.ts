// Mistakes of typing in XML that are wrong wherever they stand: found in the whole text, however its tags nest.

/** Where, what, and what to do about it. */
export type Slip = readonly [offset: number, cause: string, fix: string];

const CURLY_QUOTES = '\u2018\u2019\u201a\u201b\u201c\u201d\u201e\u201f\u00ab\u00bb';
const STRANGE_SPACES = /^[\u00a0\u1680\u2000-\u200b\u202f\u205f\u3000\ufeff]$/;

/** What web pages and word processors make of quotes and spaces. */
export function nameStrangeCharacter(character: string): string | null {
  if (character !== '' && CURLY_QUOTES.includes(character)) {
    return 'a typographic quote, as web pages and word processors make it';
  }
  return STRANGE_SPACES.test(character)
    ? 'a non-breaking or invisible space, as web pages have them'
    : null;
}

export const bareLessThan = (offset: number): Slip => [
  offset,
  'a < begins a tag, and no tag follows that XML knows',
  'write &lt; for the character itself',
];

function strangeCharacter(text: string, offset: number): Slip | null {
  const strange = nameStrangeCharacter(text[offset] ?? '');
  if (strange === null) return null;
  return [offset, `here stands ${strange}`, 'type the quote or the space again on the keyboard'];
}

/** In order; one for each comment and each tag, since what follows in it is more of the same. */
export function* findSlips(text: string): Generator<Slip> {
  for (const { kind, from, to } of piecesOf(text)) {
    if (kind === 'open comment') {
      yield [from, 'this comment is never closed', 'end it with -->'];
    } else if (kind === 'comment') yield* slipsInComment(text, from, to);
    else if (kind === 'tag') yield* slipsInTag(text, from, to);
    else yield* slipsInText(text, from, to);
  }
}

interface Piece {
  readonly kind: 'comment' | 'open comment' | 'tag' | 'text';
  readonly from: number;
  readonly to: number;
}

/** Opaque pieces are passed over; one that never ends hides all that follows. */
const ENDS: readonly (readonly [begin: string, end: string])[] = [
  ['<!--', '-->'],
  ['<![CDATA[', ']]>'],
  ['<?', '?>'],
  ['<!', '>'],
];

function* piecesOf(text: string): Generator<Piece> {
  let at = 0;
  while (at < text.length) {
    const found = text.indexOf('<', at);
    const begin = found < 0 ? text.length : found;
    if (begin > at) yield { kind: 'text', from: at, to: begin };
    if (begin === text.length) return;
    const opaque = ENDS.find(([opening]) => text.startsWith(opening, begin));
    if (opaque === undefined) {
      at = endOfTag(text, begin);
      yield { kind: 'tag', from: begin, to: at };
      continue;
    }
    const [opening, closing] = opaque;
    const end = text.indexOf(closing, begin + opening.length);
    if (end < 0) {
      if (opening === '<!--') yield { kind: 'open comment', from: begin, to: text.length };
      return;
    }
    if (opening === '<!--') yield { kind: 'comment', from: begin + opening.length, to: end };
    at = end + closing.length;
  }
}

/** A < is in no tag, not even between quotes: one that is never closed ends there. */
function endOfTag(text: string, begin: number): number {
  let quote = '';
  for (let at = begin + 1; at < text.length; at += 1) {
    const character = text[at] ?? '';
    if (character === '<') return at;
    if (quote === '' && character === '>') return at + 1;
    if (character === quote) quote = '';
    else if (quote === '' && (character === '"' || character === "'")) quote = character;
  }
  return text.length;
}

/** The hyphens may be the first of those that end it. */
function* slipsInComment(text: string, from: number, to: number): Generator<Slip> {
  const hyphens = text.indexOf('--', from);
  const cause = 'a comment may not contain two hyphens in a row';
  if (hyphens < to)
    yield [hyphens, cause, 'write one hyphen, or end the comment with --> before it'];
}

function slipsInTag(text: string, from: number, to: number): Slip[] {
  // A strange character may stand where the name should begin.
  if (/[^\p{L}_:/]/u.test(text[from + 1] ?? ' ')) {
    const strange = strangeCharacter(text, from + 1);
    return [strange ?? bareLessThan(from)];
  }
  let quote = '';
  for (let at = from + 1; at < to; at += 1) {
    const character = text[at] ?? '';
    if (character === quote) quote = '';
    else if (quote !== '') continue;
    else if (character === '"' || character === "'") quote = character;
    else {
      const strange = strangeCharacter(text, at);
      if (strange !== null) return [strange];
    }
  }
  return [...slipsInText(text, from, to)];
}

const ENTITY = /^&(?:amp|lt|gt|quot|apos|#[0-9]+|#x[0-9a-fA-F]+);/;
const LONGEST_ENTITY = 12;

/** Of the piece alone: to search on to the end of the text for each of its pieces takes minutes. */
function* slipsInText(text: string, from: number, to: number): Generator<Slip> {
  const piece = text.slice(from, to);
  for (let at = piece.indexOf('&'); at >= 0; at = piece.indexOf('&', at + 1)) {
    if (!ENTITY.test(piece.slice(at, at + LONGEST_ENTITY))) {
      const cause = 'an & begins an entity in XML, and here is none that XML knows';
      yield [from + at, cause, 'write &amp; for the character itself'];
    }
  }
}
