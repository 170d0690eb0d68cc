/** How text is laid out on a terminal. */
import { format } from './progress.ts';

/** `1 line`, `2,000 lines`. */
export function count(found: number, one: string, many = `${one}s`): string {
  return `${format(found)} ${found === 1 ? one : many}`;
}

/** Breaks a line between words; what follows is indented as far as its text, or by `hang` columns. */
export function wrapped(line: string, width: number, hang = 0): string[] {
  const indent = ' '.repeat(Math.max(hang, /^(\s*\S.{0,9}\s{2,}|\s*)/.exec(line)![0].length));
  const lines: string[] = [];
  let rest = line;
  while (rest.length > width) {
    const at = rest.lastIndexOf(' ', width);
    if (at <= indent.length) break;
    lines.push(rest.slice(0, at));
    rest = indent + rest.slice(at + 1);
  }
  return [...lines, rest];
}

/** Columns of a terminal; what is not one is read with a wide window, or by a program. */
export function terminalWidth({ isTTY, columns }: Pick<NodeJS.WriteStream, 'isTTY' | 'columns'>): number {
  return isTTY ? (columns ?? 80) : 120;
}
