/** Tables of plain text that fit the width of a terminal. */
import { fitColumns } from './progress.ts';

/** A column. */
export interface Column {
  heading: string;
  /** Numbers are aligned at their ends. @default false */
  isNumber?: boolean;
}

/**
 * @param rows a cell for each column. The last column gets what room is left, and is cut there.
 * @param width columns of the terminal.
 */
export function tableLines(
  columns: readonly Column[],
  rows: readonly (readonly string[])[],
  width: number,
): string[] {
  const widths = columns.map(({ heading }, index) =>
    Math.max(heading.length, ...rows.map((row) => row[index]!.length)),
  );
  const line = (cells: readonly string[]): string => {
    const padded = cells.map((cell, index) =>
      columns[index]!.isNumber ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!),
    );
    return fitColumns(padded.join('  ').trimEnd(), width);
  };
  return [line(columns.map(({ heading }) => heading)), ...rows.map(line)];
}
