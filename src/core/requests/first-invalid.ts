/** The first invalid lines of each code: enough to see a mistake without opening the errors file. */
import type { FirstInvalid } from '../../contract/receipt.ts';
import { defined } from '../base/defined.ts';

/** Lines of a code that are shown; of more, only their number is said. */
const MAX_SHOWN = 3;
/** Characters of a message: the longest of ours that quotes nothing has fewer. */
const MAX_MESSAGE_CHARS = 500;

/** An invalid line, as the errors file has it. */
export interface Shown {
  /** 1-based. */
  line: number;
  /** Offset of its first byte. Absent when the input was compressed. */
  byte?: number | undefined;
  message: string;
}

/** Adds a line, if it is one of the first of its code; lines may come in any order. */
export function showInvalid(first: FirstInvalid, code: string, { line, byte, message }: Shown): void {
  const shown = first[code] ?? [];
  if (shown.length === MAX_SHOWN && shown.at(-1)!.line < line) return;
  const text =
    message.length > MAX_MESSAGE_CHARS ? `${message.slice(0, MAX_MESSAGE_CHARS).toWellFormed()}…` : message;
  shown.push(defined({ line, byte, message: text }));
  first[code] = shown.sort((one, other) => one.line - other.line).slice(0, MAX_SHOWN);
}
