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

/** While it is read. */
interface OpenElement extends Element {
  readonly offset: number;
  attributes: Readonly<Record<string, string>>;
  readonly children: Element[];
  text: string;
  textAt: Position;
  contentOffset: number;
}

interface RawMistake {
  readonly message: string;
  readonly offset: number;
  /** The element that the parser has open, or has just closed for want of its closing tag. */
  readonly element: Pick<OpenElement, 'name' | 'offset'> | undefined;
}

/** What the parser has come across so far. */
interface Progress {
  readonly roots: Element[];
  readonly open: OpenElement[];
  closed: OpenElement | undefined;
  first: RawMistake | undefined;
}

type Parser = Saxes.SaxesParser<{ fragment: true }>;

/** Text between the roots is passed over, as Wazuh passes it over. Loads the parser. */
export function readXml(text: string): XmlDocument {
  const { SaxesParser } = require('saxes') as typeof Saxes;
  const parser = new SaxesParser<{ fragment: true }>({ fragment: true });
  const place = placesIn(text);
  const progress: Progress = { roots: [], open: [], closed: undefined, first: undefined };
  noteMistakes(parser, progress);
  buildElements(parser, progress, text, place);
  try {
    parser.write(text).close();
  } catch (error) {
    // What follows is guessed, and of a text full of mistakes it takes minutes.
    if (progress.first === undefined) throw error;
  }
  const { roots, first } = progress;
  return { roots, mistakes: first === undefined ? [] : explainAll(first, text, place) };
}

function noteMistakes(parser: Parser, progress: Progress): void {
  parser.on('error', (error) => {
    const { message } = error;
    progress.first ??= {
      message: message.replace(/^[0-9]+:[0-9]+: /, ''),
      offset: Math.max(0, parser.position - 1),
      element: message.includes('unexpected close') ? progress.closed : progress.open.at(-1),
    };
    throw error;
  });
}

function buildElements(
  parser: Parser,
  progress: Progress,
  text: string,
  place: (offset: number) => Position,
): void {
  const { roots, open } = progress;
  parser.on('opentagstart', ({ name }) => {
    const offset = text.lastIndexOf(`<${name}`, parser.position - 1);
    const at = place(offset);
    const content = { attributes: {}, children: [], text: '', textAt: at };
    open.push({ ...at, ...content, name, offset, contentOffset: offset });
  });
  parser.on('opentag', ({ attributes }) => {
    const element = open.at(-1);
    if (element === undefined) return;
    // Without the option xmlns every value is text.
    element.attributes = attributes as Readonly<Record<string, string>>;
    element.contentOffset = parser.position;
  });
  const addText = (piece: string): void => {
    const element = open.at(-1);
    if (element !== undefined) element.text += piece;
  };
  parser.on('text', addText);
  parser.on('cdata', addText);
  parser.on('closetag', () => {
    const element = open.pop();
    progress.closed = element;
    if (element === undefined) return;
    trim(element, text, place);
    (open.at(-1)?.children ?? roots).push(element);
  });
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

/** Only what XML itself calls white space: a non-breaking space stays, and is found. */
const AROUND = /^[ \t\r\n]+|[ \t\r\n]+$/g;

function trim(element: OpenElement, source: string, place: (offset: number) => Position): void {
  element.text = element.text.replace(AROUND, '');
  if (element.text === '') return;
  let start = element.contentOffset;
  while (' \t\r\n'.includes(source[start] ?? '?')) start += 1;
  element.textAt = place(start);
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
