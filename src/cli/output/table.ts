// Tables for people: columns that fit the terminal, colours where there are any, and the same rows as CSV.
import { AppError } from '../../model/errors.ts';
import { printable, quote } from '../../system/printable.ts';
import type { Terminal } from '../session.ts';

export interface Column<T> {
  readonly heading: string;
  readonly cell: (row: T) => string;
  readonly align?: 'right';
  /** May be cut to so many characters when the terminal is too narrow; without this a cell is always whole. */
  readonly cuttableTo?: number;
  /** May go when that is not enough: the lowest number first. Without this a column always stays. */
  readonly dispensable?: number | undefined;
  /** Of a row in which the cell says nothing; where all say nothing the column is left out. */
  readonly isIdle?: (row: T) => boolean;
  readonly colour?: (row: T) => Colour | null;
}

export type Colour = 'red' | 'yellow' | 'green' | 'dim';

const CODES: Readonly<Record<Colour, string>> = { red: '31', yellow: '33', green: '32', dim: '2' };
const GAP = '  ';
const NARROWEST_CUT = 8;

/** The name of a column for `--columns`, and in CSV: `since_utc`. */
function nameOf<T>({ heading }: Column<T>): string {
  return heading.toLowerCase().replaceAll(' ', '_');
}

/** The columns that are named, in that order, or those that say something. Throws `USAGE` for a name that no column has. */
export function chooseColumns<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  names: string | undefined,
): readonly Column<T>[] {
  if (names === undefined) {
    return columns.filter(({ isIdle }) => isIdle === undefined || !rows.every(isIdle));
  }
  return names.split(',').map((name) => {
    const column = columns.find((one) => nameOf(one) === name.trim().toLowerCase());
    if (column !== undefined) return { ...column, dispensable: undefined };
    const known = columns.map(nameOf).join(', ');
    throw new AppError('USAGE', `--columns ${quote(name)} is not a column; they are ${known}`);
  });
}

export function formatTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  terminal: Terminal,
): string[] {
  const cells = columns.map((column) => rows.map((row) => printable(column.cell(row))));
  const natural = columns.map(({ heading }, index) => {
    return (cells[index] ?? []).reduce(
      (most, cell) => Math.max(most, lengthOf(cell)),
      heading.length,
    );
  });
  const widths = fit(columns, natural, terminal.width);
  const shown = columns.flatMap((column, index) => {
    const width = widths[index] ?? null;
    return width === null ? [] : [{ column, width, cells: cells[index] ?? [] }];
  });
  const heading = shown.map(({ column, width }) => pad(column.heading, width, column));
  const body = rows.map((row, at) =>
    shown.map(({ column, width, cells: own }) => {
      return paint(pad(own[at] ?? '', width, column), column.colour?.(row) ?? null, terminal);
    }),
  );
  return [heading, ...body].map((row) => row.join(GAP).trimEnd());
}

/** RFC 4180: quotes where they are needed, doubled inside. */
export function formatCsv<T>(columns: readonly Column<T>[], rows: readonly T[]): string[] {
  const heading = columns.map(nameOf);
  const body = rows.map((row) => columns.map((column) => printable(column.cell(row))));
  return [heading, ...body].map((row) => row.map(csvCell).join(','));
}

export function paint(text: string, colour: Colour | null, { colours }: Terminal): string {
  return colours && colour !== null ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** A spreadsheet takes a cell that begins so for a formula, and an attacker may have written it. */
const FORMULA = /^[=+\-@]/;

function csvCell(cell: string): string {
  const harmless = FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

/** In characters as people count them: an emoji is one, whatever it takes to store. */
function lengthOf(text: string): number {
  return Array.from(text).length;
}

function pad<T>(text: string, width: number, column: Column<T>): string {
  const characters = Array.from(text);
  const cut = characters.length > width ? [...characters.slice(0, width - 1), '…'] : characters;
  const blanks = ' '.repeat(Math.max(0, width - cut.length));
  return column.align === 'right' ? blanks + cut.join('') : cut.join('') + blanks;
}

/**
 * Widths that fit, null for columns that have no room: those that may go come in, the most wanted first, as far as there is
 * room with all cut as far as they may be. What is left goes to the last column that was cut.
 */
function fit<T>(
  columns: readonly Column<T>[],
  natural: readonly number[],
  available: number | null,
): (number | null)[] {
  if (available === null) return [...natural];
  const narrow = natural.map((width, index) =>
    Math.min(width, columns[index]?.cuttableTo ?? width),
  );
  let widths = narrow.map((width, index) => {
    return columns[index]?.dispensable === undefined ? width : null;
  });
  for (const index of mostWantedFirst(columns)) {
    const more = widths.with(index, narrow[index] ?? null);
    if (totalOf(more) <= available) widths = more;
  }
  for (let index = columns.length - 1; index >= 0; index -= 1) {
    const width = widths[index] ?? null;
    if (width === null || columns[index]?.cuttableTo === undefined) continue;
    const most = width + available - totalOf(widths);
    widths[index] = Math.max(Math.min(NARROWEST_CUT, width), Math.min(natural[index] ?? 0, most));
  }
  return widths;
}

function totalOf(widths: readonly (number | null)[]): number {
  const shown = widths.filter((width) => width !== null);
  return shown.reduce((sum, width) => sum + width + GAP.length, -GAP.length);
}

function mostWantedFirst<T>(columns: readonly Column<T>[]): number[] {
  const indexes = columns.flatMap(({ dispensable }, index) =>
    dispensable === undefined ? [] : index,
  );
  const priorityOf = (index: number): number => columns[index]?.dispensable ?? 0;
  return indexes.sort((a, b) => priorityOf(b) - priorityOf(a) || b - a);
}
