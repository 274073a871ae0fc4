// Parses the XML of Wazuh's and OSSEC's files with positions, allows several roots in one file, and explains mistakes.
import type * as Saxes from 'saxes';
import { error, type Diagnosis } from './diagnosis.ts';
import { bareLessThan, findSlips, type Slip } from './typing.ts';

/** A position in a text. Lines and columns count from 1, columns in UTF-16 units. */
export interface Position {
  readonly line: number;
  readonly column: number;
}

export interface Element extends Position {
  readonly name: string;
  readonly attributes: Readonly<Record<string, string>>;
  readonly children: readonly Element[];
  /** The text directly inside the element, without surrounding XML white space. */
  readonly text: string;
  /** The position of that text; the element's own position if it is empty. */
  readonly textAt: Position;
}

export interface XmlDocument {
  readonly roots: readonly Element[];
  /**
   * Why the text is not well-formed XML, in the order of the text; empty if it is. Contains only the first error of the
   * parser, which guesses after that, and typing mistakes, which are certain.
   */
  readonly mistakes: readonly Diagnosis[];
}

/** An element that is not closed yet, with the offsets of its opening tag and of its content. */
interface OpenElement extends Pick<Element, 'name' | 'attributes'> {
  readonly offset: number;
  readonly contentOffset: number;
  readonly children: Element[];
  text: string;
}

interface RawMistake {
  readonly message: string;
  readonly offset: number;
  /** The innermost open element, or the element that the parser has just closed because its closing tag was missing. */
  readonly element: OpenElement | undefined;
}

/** Parses a text. Ignores text between the roots, as Wazuh does. Loads the parser. */
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
    // The parser would guess from here on, and a text full of mistakes would take minutes.
    throw error;
  });
  parser.on('opentag', ({ name, attributes }) => {
    const contentOffset = parser.position;
    const offset = text.lastIndexOf(`<${name}`, contentOffset - 1);
    // Without the option xmlns, saxes gives every attribute value as a string.
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

/** Surrounding white space as XML defines it. A non-breaking space is not included, so that it is reported. */
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

/** Limits the mistakes, because a copied web page can have thousands. */
const MOST_SLIPS = 1000;

function explainAll(
  first: RawMistake,
  text: string,
  place: (offset: number) => Position,
): Diagnosis[] {
  const slips = [...findSlips(text).take(MOST_SLIPS)];
  // The parser stops at the first mistake. A slip before that position is the mistake it met.
  const isSlip = slips.some(([offset]) => offset <= first.offset);
  return (isSlip ? slips : [causeOf(first, text, place), ...slips])
    .sort(([one], [other]) => one - other)
    .flatMap(([offset, cause, fix]) => error(place(offset), cause, fix));
}

/** Returns a function from an offset to its position. */
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

/** Explains an error of the parser that is not a typing mistake: mostly tags that do not match. */
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
      `${found} found while <${inner.name}> of line ${place(inner.offset).line} is still open`,
      `close <${inner.name}> first, or correct the name`,
    ];
  }
  const tag = text.lastIndexOf('<', offset);
  if (/attribute|quoted/.test(message)) {
    return [
      offset,
      `the attributes of this tag are invalid: ${message}`,
      'write name="value", with straight quotes and a space between attributes',
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

/** Returns the sections of all `<ossec_config>` and `<agent_config>` roots, which form one configuration. */
export function sectionsOf({ roots }: XmlDocument): Element[] {
  return roots.filter(({ name }) => ROOTS.includes(name)).flatMap(({ children }) => children);
}

/** Returns the last child with a name, because Wazuh's daemons use the last one. */
export function child(element: Element | undefined, name: string): Element | undefined {
  return element?.children.findLast((one) => one.name === name);
}

export function valueOf(element: Element | undefined, name: string): string {
  return child(element, name)?.text ?? '';
}
