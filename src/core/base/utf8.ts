/** Lines of result files as text that any reader takes. */
import { isUtf8 } from 'node:buffer';

/**
 * The text as valid UTF-8: what is none is replaced by U+FFFD, as every decoder does that does not fail.
 * @returns the same bytes if they are valid.
 */
export function asUtf8(text: Uint8Array): Uint8Array {
  if (isUtf8(text)) return text;
  return Buffer.from(Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('utf8'));
}
