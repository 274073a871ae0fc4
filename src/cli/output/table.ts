// Formats rows as a table that fits the terminal, or as CSV.
import { AppError } from '../../model/errors.ts';
import { printable, quote } from '../../system/printable.ts';
import type { Terminal } from '../session.ts';

export interface Column<T> {
  readonly heading: string;
  readonly cell: (row: T) => string;
  readonly align?: 'right';
  /** The width in characters to which cells can be cut on a narrow terminal. Absent if cells are never cut. */
  readonly cuttableTo?: number;
  /**
   * The order in which columns are omitted on a narrow terminal, lowest first. Absent if the column is never omitted.
   */
  readonly dispensable?: number | undefined;
  /** Reports whether a row has nothing to show in this column. The column is omitted if that is so for all rows. */
  readonly isIdle?: (row: T) => boolean;
  readonly colour?: (row: T) => Colour | null;
}

export type Colour = 'red' | 'yellow' | 'green';

const CODES: Readonly<Record<Colour, string>> = { red: '31', yellow: '33', green: '32' };
const GAP = '  ';
const NARROWEST_CUT = 8;

/** Returns the name of a column in `--columns` and in CSV: `since_utc`. */
function nameOf<T>({ heading }: Column<T>): string {
  return heading.toLowerCase().replaceAll(' ', '_');
}

/**
 * Returns the named columns in that order, or without names all columns that are not idle. Throws `USAGE` for an
 * unknown name.
 */
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
    throw new AppError(
      'USAGE',
      `--columns: there is no column ${quote(name)}; the columns are ${known}`,
    );
  });
}

interface Sized<T> {
  readonly column: Column<T>;
  readonly cells: readonly string[];
  readonly width: number;
}

export function formatTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  terminal: Terminal,
): string[] {
  const all = columns.map((column): Sized<T> => {
    const cells = rows.map((row) => printable(column.cell(row)));
    // Count code points: an emoji counts as one.
    const longest = cells.reduce((most, cell) => Math.max(most, Array.from(cell).length), 0);
    return { column, cells, width: Math.max(longest, column.heading.length) };
  });
  const shown = fit(all, terminal.width ?? Infinity);
  const lineOf = (cellOf: (one: Sized<T>) => string): string => {
    return shown.map(cellOf).join(GAP).trimEnd();
  };
  const body = rows.map((row, at) => {
    return lineOf(({ column, cells, width }) => {
      return paint(pad(cells[at] ?? '', width, column), column.colour?.(row) ?? null, terminal);
    });
  });
  return [lineOf(({ column, width }) => pad(column.heading, width, column)), ...body];
}

/** Formats rows as CSV according to RFC 4180: quotes a cell if needed, and doubles quotes inside. */
export function formatCsv<T>(columns: readonly Column<T>[], rows: readonly T[]): string[] {
  const heading = columns.map(nameOf);
  const body = rows.map((row) => columns.map((column) => printable(column.cell(row))));
  return [heading, ...body].map((row) => row.map(csvCell).join(','));
}

export function paint(text: string, colour: Colour | null, { colours }: Terminal): string {
  return colours && colour !== null ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** The beginning of a cell that a spreadsheet evaluates as a formula. An attacker can have written the cell. */
const FORMULA = /^[=+\-@]/;

function csvCell(cell: string): string {
  const harmless = FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function pad<T>(text: string, width: number, column: Column<T>): string {
  const characters = Array.from(text);
  const cut = characters.length > width ? [...characters.slice(0, width - 1), '…'] : characters;
  const blanks = ' '.repeat(Math.max(0, width - cut.length));
  return column.align === 'right' ? blanks + cut.join('') : cut.join('') + blanks;
}

/**
 * Chooses the columns that fit, and their widths. First assumes that every column is cut to its minimum and admits
 * columns in order of importance. Then gives the remaining width to the cuttable columns, from the last one.
 */
function fit<T>(all: readonly Sized<T>[], available: number): Sized<T>[] {
  const least = ({ column, width }: Sized<T>): number =>
    Math.min(width, column.cuttableTo ?? width);
  const roomFor = (some: Iterable<Sized<T>>): number => {
    return Array.from(some, least).reduce((sum, width) => sum + width + GAP.length, -GAP.length);
  };
  const wantOf = ({ column }: Sized<T>): number => column.dispensable ?? Number.MAX_VALUE;
  const chosen = new Set<Sized<T>>();
  for (const one of all.toReversed().sort((a, b) => wantOf(b) - wantOf(a))) {
    const hasRoom = roomFor([...chosen, one]) <= available;
    if (hasRoom || one.column.dispensable === undefined) chosen.add(one);
  }
  let left = available - roomFor(chosen);
  const fitting = all.filter((one) => chosen.has(one)).reverse();
  const sized = fitting.map((one): Sized<T> => {
    if (one.column.cuttableTo === undefined) return one;
    const narrow = least(one);
    const width = Math.max(Math.min(NARROWEST_CUT, narrow), Math.min(one.width, narrow + left));
    left -= width - narrow;
    return { ...one, width };
  });
  return sized.reverse();
}
