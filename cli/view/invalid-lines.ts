/** The first invalid lines of a file, by code. */
import type { FirstInvalid } from '../../src/contract/receipt.ts';
import { format } from './progress.ts';
import { count } from './text.ts';

/** One line for each code and one for each line that is shown of it, for plans and receipts alike. */
export function invalidLines({
  invalidByCode,
  firstInvalid,
}: {
  /** May have codes of which no line is shown. */
  invalidByCode: Readonly<Record<string, number>>;
  firstInvalid: FirstInvalid;
}): string[] {
  return Object.entries(firstInvalid).flatMap(([code, shown]) => {
    const all = invalidByCode[code] ?? shown.length;
    return [
      `  ${code}: ${count(all, 'line')}${all > shown.length ? `, of which the first ${shown.length} are` : ''}`,
      ...shown.map(
        ({ line, byte, message }) =>
          `    line ${format(line)}${byte === undefined ? '' : `, byte ${format(byte)}`}: ${message}`,
      ),
    ];
  });
}
