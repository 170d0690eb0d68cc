/**
 * A JSON text without its long strings. Nine tenths of a result line are one string, the answer, of which nothing is
 * looked at here: to have it in the heap twice, as text and as a value, is most of what parsing a line would cost.
 */
import type { Block } from '../../base/block.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const SPACE = 0x20;
const LETTER_U = 0x75;

/** Strings up to this length, in bytes as written, are left as they are. */
const KEPT_BYTES = 1_024;

/** What a long string is replaced by: text, so that what is said in one is not taken for unsaid. */
export const LONG_STRING = '…';
const LONG_STRING_BYTES = Buffer.from(LONG_STRING);

/** What may follow a backslash beside `u` (RFC 8259, section 7). */
const ESCAPED = new Set(Buffer.from('"\\/bfnrt'));

/**
 * Writes the bytes of a JSON text to `outline`, each string of more than {@link KEPT_BYTES} replaced by
 * {@link LONG_STRING}. What is written is valid JSON exactly if the text is, and has the same values but for those
 * strings.
 * @returns `false` if one of the long strings is not valid, so that the text is not either.
 */
export function writeOutline(bytes: Uint8Array, outline: Block): boolean {
  outline.clear();
  // A Buffer looks for a byte many times faster.
  const text = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  let kept = 0;
  for (let at = 0; at < text.length; at++) {
    if (text[at] !== QUOTE) continue;
    const end = endOfString(text, at + 1);
    if (end - at > KEPT_BYTES) {
      if (!isValidString(text, at + 1, end)) return false;
      outline.add(text.subarray(kept, at + 1));
      outline.add(LONG_STRING_BYTES);
      kept = end;
    }
    at = end;
  }
  outline.add(text.subarray(kept));
  return true;
}

/** Where the quote is that ends a string, or the end of the text if there is none. */
function endOfString(text: Buffer, from: number): number {
  const quote = text.indexOf(QUOTE, from);
  if (quote < 0) return text.length;
  if (text[quote - 1] !== BACKSLASH || quote === from) return quote;
  // From the first backslash on, byte by byte: where quotes are escaped, there are many.
  for (let at = text.indexOf(BACKSLASH, from); at < text.length; at++) {
    const byte = text[at]!;
    if (byte === QUOTE) return at;
    if (byte === BACKSLASH) at++;
  }
  return text.length;
}

function isValidString(text: Buffer, from: number, end: number): boolean {
  return end < text.length && !hasControlCharacter(text, from, end) && hasValidEscapes(text, from, end);
}

/** Four bytes at a time: by one, this would take longer than to parse them. */
function hasControlCharacter(text: Buffer, from: number, end: number): boolean {
  let at = from;
  for (; at < end && (text.byteOffset + at) % 4 !== 0; at++) if (text[at]! < SPACE) return true;
  const words = new Int32Array(text.buffer, text.byteOffset + at, (end - at) >> 2);
  for (let index = 0; index < words.length; index++) {
    const word = words[index]!;
    // The highest bit of a byte is set by the subtraction, and was not set before: the byte is less than 0x20.
    if (((word - 0x20202020) & ~word & 0x80808080) !== 0) return true;
  }
  for (at += 4 * words.length; at < end; at++) if (text[at]! < SPACE) return true;
  return false;
}

function hasValidEscapes(text: Buffer, from: number, end: number): boolean {
  const first = text.indexOf(BACKSLASH, from);
  if (first < 0) return true;
  for (let at = first; at < end; at++) {
    if (text[at] !== BACKSLASH) continue;
    const escaped = text[++at]!;
    if (escaped === LETTER_U) {
      // Past the end there is a quote, which is no digit.
      for (let digit = 0; digit < 4; digit++) if (!isHexDigit(text[++at])) return false;
    } else if (!ESCAPED.has(escaped)) return false;
  }
  return true;
}

function isHexDigit(byte: number | undefined): boolean {
  if (byte === undefined) return false;
  const letter = byte | 0x20;
  return (byte >= 0x30 && byte <= 0x39) || (letter >= 0x61 && letter <= 0x66);
}
