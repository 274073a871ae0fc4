// Tables for people: columns that fit the terminal, colours where there are any, and the same rows as CSV.
import { printable } from '../os/printable.ts';
import type { Terminal } from './person.ts';

export interface Column<T> {
  readonly heading: string;
  readonly cell: (row: T) => string;
  /** Numbers stand on the right. */
  readonly align?: 'right';
  /** May be cut when the terminal is too narrow; without this a cell is always whole. */
  readonly cuttable?: true;
  readonly colour?: (row: T) => Colour | null;
}

export type Colour = 'red' | 'yellow' | 'green' | 'dim';

const CODES: Readonly<Record<Colour, string>> = { red: '31', yellow: '33', green: '32', dim: '2' };
const GAP = '  ';
const NARROWEST_CUT = 8;

/** Lines of a table with a heading; one line in words when there are no rows. */
export function formatTable<T>(
  columns: readonly Column<T>[],
  rows: readonly T[],
  terminal: Terminal,
): string[] {
  const cells = rows.map((row) => columns.map((column) => printable(column.cell(row))));
  const widths = fit(
    columns,
    columns.map((column, index) => {
      return Math.max(column.heading.length, ...cells.map((row) => row[index]?.length ?? 0));
    }),
    terminal.width,
  );
  const heading = columns.map((column, index) => pad(column.heading, widths[index] ?? 0, column));
  const body = rows.map((row, at) =>
    columns.map((column, index) => {
      const text = pad(cells[at]?.[index] ?? '', widths[index] ?? 0, column);
      return paint(text, column.colour?.(row) ?? null, terminal);
    }),
  );
  return [heading, ...body].map((row) => row.join(GAP).trimEnd());
}

/** RFC 4180: quotes where they are needed, doubled inside. */
export function formatCsv<T>(columns: readonly Column<T>[], rows: readonly T[]): string[] {
  const heading = columns.map(({ heading }) => heading.toLowerCase().replaceAll(' ', '_'));
  const body = rows.map((row) => columns.map((column) => printable(column.cell(row))));
  return [heading, ...body].map((row) => row.map(quote).join(','));
}

export function paint(text: string, colour: Colour | null, { colours }: Terminal): string {
  return colours && colour !== null ? `\u001b[${CODES[colour]}m${text}\u001b[0m` : text;
}

/** A spreadsheet takes a cell that begins so for a formula, and an attacker may have written it. */
const FORMULA = /^[=+\-@]/;

function quote(cell: string): string {
  const harmless = FORMULA.test(cell) ? `'${cell}` : cell;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

function pad<T>(text: string, width: number, column: Column<T>): string {
  const cut = text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;
  return column.align === 'right' ? cut.padStart(width) : cut.padEnd(width);
}

/** What is too wide goes from the cuttable columns, the last one first. */
function fit<T>(
  columns: readonly Column<T>[],
  widths: readonly number[],
  available: number | null,
): number[] {
  const fitted = [...widths];
  if (available === null) return fitted;
  let excess = fitted.reduce((sum, width) => sum + width + GAP.length, -GAP.length) - available;
  for (let index = columns.length - 1; index >= 0 && excess > 0; index -= 1) {
    if (columns[index]?.cuttable !== true) continue;
    const width = fitted[index] ?? 0;
    const cut = Math.max(0, Math.min(excess, width - NARROWEST_CUT));
    fitted[index] = width - cut;
    excess -= cut;
  }
  return fitted;
}
