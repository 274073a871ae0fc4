// The XML of Wazuh's and OSSEC's files, read with positions: several roots in one file, mistakes named, and how it is looked up.
import type * as Saxes from 'saxes';
import { error, type Diagnosis } from './diagnosis.ts';
import { bareLessThan, findSlips, type Slip } from './typing.ts';

/** Where something stands; both count from 1, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Element extends Position {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Element[];
  /** All text directly in it, trimmed of XML's own white space. */
  readonly text: string;
  /** Where that text begins; the element's own position when there is none. */
  readonly textAt: Position;
}

export interface XmlDocument {
  readonly roots: readonly Element[];
  /**
   * Why it is not well-formed XML, in the order of the text; empty: it is. Only the first that the parser met, since it
   * guesses after that, and what is certainly wrong elsewhere.
   */
  readonly mistakes: readonly Diagnosis[];
}

/** While it is read: where its tag begins, and where that ends. */
interface OpenElement extends Pick<Element, 'name' | 'attributes'> {
  readonly offset: number;
  readonly contentOffset: number;
  readonly children: Element[];
  text: string;
}

interface RawMistake {
  readonly message: string;
  readonly offset: number;
  /** The element that the parser has open, or has just closed for want of its closing tag. */
  readonly element: OpenElement | undefined;
}

/** Text between the roots is passed over, as Wazuh passes it over. Loads the parser. */
export function readXml(text: string): XmlDocument {
  const { SaxesParser } = require('saxes') as typeof Saxes;
  const parser = new SaxesParser<{ fragment: true }>({ fragment: true });
  const place = placesIn(text);
  const roots: Element[] = [];
  const open: OpenElement[] = [];
  const met: RawMistake[] = [];
  let closed: OpenElement | undefined;
  parser.on('error', (error) => {
    const message = error.message.replace(/^[0-9]+:[0-9]+: /, '');
    const element = message.includes('unexpected close') ? closed : open.at(-1);
    met.push({ message, offset: Math.max(0, parser.position - 1), element });
    // What follows is guessed, and of a text full of mistakes it takes minutes.
    throw error;
  });
  parser.on('opentag', ({ name, attributes }) => {
    const contentOffset = parser.position;
    const offset = text.lastIndexOf(`<${name}`, contentOffset - 1);
    // Without the option xmlns every value is text.
    const values = attributes as Readonly<Record<string, string>>;
    open.push({ name, attributes: values, offset, contentOffset, children: [], text: '' });
  });
  const addText = (piece: string): void => {
    const element = open.at(-1);
    if (element !== undefined) element.text += piece;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('closetag', () => {
    closed = open.pop();
    if (closed !== undefined) (open.at(-1)?.children ?? roots).push(finished(closed, text, place));
  });
  try {
    parser.write(text).close();
  } catch (error) {
    if (met.length === 0) throw error;
  }
  return { roots, mistakes: met.flatMap((first) => explainAll(first, text, place)) };
}

/** Only what XML itself calls white space: a non-breaking space stays, and is found. */
const AROUND = /^[ \t\r\n]+|[ \t\r\n]+$/g;

function finished(
  { name, attributes, children, text: whole, offset, contentOffset }: OpenElement,
  source: string,
  place: (offset: number) => Position,
): Element {
  const text = whole.replace(AROUND, '');
  let start = contentOffset;
  while (' \t\r\n'.includes(source[start] ?? '?')) start += 1;
  const textAt = place(text === '' ? offset : start);
  return { ...place(offset), name, attributes, children, text, textAt };
}

/** A page that was copied as a whole may have thousands. */
const MOST_SLIPS = 1000;

function explainAll(
  first: RawMistake,
  text: string,
  place: (offset: number) => Position,
): Diagnosis[] {
  const slips = [...findSlips(text).take(MOST_SLIPS)];
  // The parser stops at the first mistake: a slip before that is what it met.
  const isSlip = slips.some(([offset]) => offset <= first.offset);
  return (isSlip ? slips : [causeOf(first, text, place), ...slips])
    .sort(([one], [other]) => one - other)
    .flatMap(([offset, cause, fix]) => error(place(offset), cause, fix));
}

/** A function from an offset to its line and column. */
export function placesIn(text: string): (offset: number) => Position {
  const starts = [0];
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) starts.push(at + 1);
  return (offset) => {
    let low = 0;
    let high = starts.length - 1;
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if ((starts[middle] ?? 0) <= offset) low = middle;
      else high = middle - 1;
    }
    return { line: low + 1, column: offset - (starts[low] ?? 0) + 1 };
  };
}

/** What the parser met, where it is no slip: the tags do not match. */
function causeOf(
  { message, offset, element }: RawMistake,
  text: string,
  place: (offset: number) => Position,
): Slip {
  const [, name = ''] = /^(?:unclosed tag|unmatched closing tag): (.*?)\.?$/.exec(message) ?? [];
  if (message.startsWith('unclosed tag')) {
    const begin = element?.name === name ? element.offset : text.lastIndexOf(`<${name}`);
    return [begin, `<${name}> is never closed`, `add </${name}> where it ends`];
  }
  const close = text.lastIndexOf('</', offset);
  if (message.startsWith('unmatched closing tag')) {
    return [close, `</${name}> closes nothing that is open`, 'remove it, or add its opening tag'];
  }
  if (message === 'unexpected close tag.') {
    const found = text.slice(close, offset + 1);
    const inner = element ?? { name: '?', offset: close };
    return [
      close,
      `${found} stands where <${inner.name}> of line ${place(inner.offset).line} is still open`,
      `close <${inner.name}> first, or correct the name`,
    ];
  }
  const tag = text.lastIndexOf('<', offset);
  if (/attribute|quoted/.test(message)) {
    return [
      offset,
      `the attributes of this tag can not be read: ${message}`,
      'write name="value", with straight quotes and a space between two of them',
    ];
  }
  if (/tag name|forward-slash|closing tag/.test(message)) {
    return bareLessThan(tag < 0 ? offset : tag);
  }
  return [
    offset,
    `this is not well-formed XML: ${message}`,
    'compare the line with the documentation, character by character',
  ];
}

const ROOTS = ['ossec_config', 'agent_config'];

/** All `<ossec_config>` of a file are one configuration. */
export function sectionsOf({ roots }: XmlDocument): Element[] {
  return roots.filter(({ name }) => ROOTS.includes(name)).flatMap(({ children }) => children);
}

/** As the daemons have it: the last one counts. */
export function child(element: Element | undefined, name: string): Element | undefined {
  return element?.children.findLast((one) => one.name === name);
}

export function valueOf(element: Element | undefined, name: string): string {
  return child(element, name)?.text ?? '';
}
