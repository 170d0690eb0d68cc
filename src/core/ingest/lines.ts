import { MAX_LINE_BYTES } from '../limits.ts';

const LINE_FEED = 0x0a;
const BLANKS_TOLERATED_BYTES = 64 * 1024;
const BYTE_ORDER_MARK = [0xef, 0xbb, 0xbf] as const;

/** A line of the source without its line end and without blanks around it. */
export interface Line {
  /** 1-based, blank lines counted. */
  line: number;
  /** Offset of the first byte in the source. */
  offset: number;
  /** Length in bytes; of a line that is too long, its full length. */
  length: number;
  /** The bytes, valid only during the call; absent for a line longer than {@link MAX_LINE_BYTES}. */
  bytes: Uint8Array | undefined;
}

/**
 * Cuts a byte stream into lines, in memory that does not grow with the stream or with a line that is too long.
 *
 * Lines end at LF only: U+2028 and its kin may stand raw inside JSON strings. Blanks around a line (space, tab, CR) are
 * JSON white space and left out, so CRLF, indented lines and a missing last newline are all fine. A byte order mark is
 * dropped at the start of the stream.
 */
export class LineSplitter {
  readonly #onLine: (line: Line) => void;
  readonly #maxBytes: number;
  /** Pieces of the line that the last chunk did not finish. */
  #carry: Uint8Array[] = [];
  #carryBytes = 0;
  /** Offset of the first byte of the unfinished line. */
  #lineStart = 0;
  #position = 0;
  #line = 0;
  #tooLong = false;
  /** Lines that held nothing but blanks. */
  blank = 0;

  constructor(onLine: (line: Line) => void, maxBytes = MAX_LINE_BYTES) {
    this.#onLine = onLine;
    this.#maxBytes = maxBytes;
  }

  /** Bytes taken in so far. */
  get position(): number {
    return this.#position;
  }

  push(chunk: Uint8Array): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, from);
      if (end < 0) break;
      this.#finish(chunk.subarray(from, end));
      from = end + 1;
      this.#lineStart = this.#position + from;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from));
    this.#position += chunk.length;
  }

  /** The last line may end without a line feed. */
  end(): void {
    if (this.#carryBytes > 0) this.#finish(new Uint8Array(0));
  }

  #keep(rest: Uint8Array): void {
    this.#carryBytes += rest.length;
    if (this.#tooLong) return;
    // Blanks around a line do not count towards its length, but only so many of them are waited for.
    if (this.#carryBytes > this.#maxBytes + BLANKS_TOLERATED_BYTES) {
      this.#tooLong = true;
      this.#carry = [];
      return;
    }
    // A copy: the chunk belongs to the stream and may be used again.
    this.#carry.push(rest.slice());
  }

  #finish(last: Uint8Array): void {
    this.#line++;
    const start = this.#lineStart;
    if (this.#carryBytes === 0) {
      this.#emit(last, start, last.length);
      return;
    }
    const length = this.#carryBytes + last.length;
    if (this.#tooLong) {
      this.#onLine({ line: this.#line, offset: start, length, bytes: undefined });
    } else {
      this.#emit(Buffer.concat([...this.#carry, last], length), start, length);
    }
    this.#carry = [];
    this.#carryBytes = 0;
    this.#tooLong = false;
  }

  #emit(bytes: Uint8Array, start: number, length: number): void {
    let from = 0;
    let to = length;
    if (this.#line === 1 && BYTE_ORDER_MARK.every((byte, index) => bytes[index] === byte)) from = 3;
    while (from < to && isBlank(bytes[from]!)) from++;
    while (to > from && isBlank(bytes[to - 1]!)) to--;
    if (from === to) {
      this.blank++;
      return;
    }
    const tooLong = to - from > this.#maxBytes;
    this.#onLine({
      line: this.#line,
      offset: start + from,
      length: to - from,
      bytes: tooLong ? undefined : bytes.subarray(from, to),
    });
  }
}

/** JSON's white space without LF (RFC 8259, section 2). */
function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0d || byte === 0x09;
}
