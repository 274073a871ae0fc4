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

/** An element while it is parsed. */
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
  /** The innermost open element, or the element that the parser has just closed because its closing tag was missing. */
  readonly element: Pick<OpenElement, 'name' | 'offset'> | undefined;
}

/** The state of a parse. */
interface Progress {
  readonly roots: Element[];
  readonly open: OpenElement[];
  closed: OpenElement | undefined;
  first: RawMistake | undefined;
}

type Parser = Saxes.SaxesParser<{ fragment: true }>;

/** Parses a text. Ignores text between the roots, as Wazuh does. Loads the parser. */
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
    // The parser would guess from here on, and a text full of mistakes would take minutes.
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
    // Without the option xmlns, saxes gives every attribute value as a string.
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

/** Surrounding white space as XML defines it. A non-breaking space is not included, so that it is reported. */
const AROUND = /^[ \t\r\n]+|[ \t\r\n]+$/g;

function trim(element: OpenElement, source: string, place: (offset: number) => Position): void {
  element.text = element.text.replace(AROUND, '');
  if (element.text === '') return;
  let start = element.contentOffset;
  while (' \t\r\n'.includes(source[start] ?? '?')) start += 1;
  element.textAt = place(start);
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
      `${found} closes an outer element while <${inner.name}> of line ${place(inner.offset).line} is still open`,
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
