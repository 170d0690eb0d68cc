/** Rows of text under headings, fitted into the columns of a terminal: a column that has no room is left out. */
import { fitColumns } from './progress.ts';

/** A column; the first one is always shown. */
export interface Column<Row> {
  heading: string;
  of(row: Row): string;
  /** Numbers stand at the right. Default: text. */
  isNumber?: boolean;
  /** Takes what is left of the width, and loses its middle where it is longer. At most one. */
  takesRest?: boolean;
}

const GAP = '  ';
/** Fewer columns of a column that takes the rest tell nothing. */
const MIN_REST = 20;

/**
 * Lines of a table, headings first. Columns come in the order of their worth: each is left out if the width has no room
 * for it beside those before it.
 * @param width columns of the terminal.
 */
export function tableLines<Row>(
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  width: number,
): string[] {
  const cells = columns.map(({ heading, of }) => [heading, ...rows.map(of)]);
  const widths = cells.map((column) => Math.max(...column.map((cell) => cell.length)));
  const rest = columns.findIndex(({ takesRest }) => takesRest === true);
  const shown: number[] = [];
  let used = 0;
  for (const index of columns.keys()) {
    const least = index === rest ? Math.min(widths[index]!, MIN_REST) : widths[index]!;
    const more = least + (shown.length === 0 ? 0 : GAP.length);
    if (shown.length > 0 && used + more > width) continue;
    used += more;
    shown.push(index);
  }
  if (shown.includes(rest)) {
    const least = Math.min(widths[rest]!, MIN_REST);
    widths[rest] = Math.min(widths[rest]!, least + Math.max(0, width - used));
  }
  return [...rows.keys(), rows.length].map((line) => {
    const texts = shown.map((index) => {
      const cell = fitted(cells[index]![line]!, widths[index]!);
      return columns[index]!.isNumber ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!);
    });
    return fitColumns(texts.join(GAP).trimEnd(), width);
  });
}

/** Shortens in the middle: the key of a retry begins with the name of the file and ends with the id of the job. */
function fitted(text: string, width: number): string {
  if (text.length <= width) return text;
  const end = Math.floor((width - 1) / 2);
  return `${text.slice(0, width - 1 - end)}…${text.slice(text.length - end)}`;
}
