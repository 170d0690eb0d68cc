import { MAX_LINE_BYTES } from '../model/limits.ts';

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** A line of the source without its line end and without blanks around it. */
export interface Line {
  /** 1-based, blank lines counted. */
  line: number;
  /** Offset of the first byte in the source. */
  offset: number;
  /** Length in bytes; of a line that is too long, its full length. */
  length: number;
  /** The bytes, valid only during the call; absent for a line longer than the splitter's limit. */
  bytes: Uint8Array | undefined;
}

/** Where a line begins in the source. */
export interface LineStart {
  /** Offset of its first byte. */
  offset: number;
  /** Its number, 1-based. */
  line: number;
}

/** A line that began in an earlier chunk. */
interface UnfinishedLine {
  /** Offset of its first byte that is not blank. */
  start: number;
  /** Offset after its last byte so far that is not blank. */
  end: number;
  /** Its bytes from `start` on, blanks that may turn out to be the end of the line included. */
  pieces: Uint8Array[];
  /** Bytes in `pieces`. */
  kept: number;
}

/**
 * Cuts a byte stream into lines, in memory that grows neither with the stream nor with a line that is too long. What
 * comes out does not depend on how the stream is cut into chunks.
 *
 * Lines end at LF only: U+2028 and its kin may occur raw inside JSON strings. Blanks around a line (space, tab, CR) are
 * JSON white space and left out, so CRLF, indented lines and a missing last newline are all fine. A byte order mark is
 * dropped at the start of the stream.
 */
export class LineSplitter {
  readonly #onLine: (line: Line) => void;
  readonly #maxBytes: number;
  /** The first bytes of the stream, until it is clear whether they are a byte order mark. */
  #head: Uint8Array | undefined = new Uint8Array(0);
  #unfinished: UnfinishedLine | undefined;
  #position = 0;
  #line = 1;
  /** Whether anything came after the last line feed. */
  #isInLine = false;
  /** Lines that held nothing but blanks. */
  blank = 0;

  /** @param start where the stream begins in the source, which must be the start of a line. */
  constructor(
    onLine: (line: Line) => void,
    maxBytes = MAX_LINE_BYTES,
    start: LineStart = { offset: 0, line: 1 },
  ) {
    this.#onLine = onLine;
    this.#maxBytes = maxBytes;
    this.#position = start.offset;
    this.#line = start.line;
    if (start.offset > 0) this.#head = undefined;
  }

  /** Offset in the source after the bytes taken in so far. */
  get position(): number {
    return this.#position + (this.#head?.length ?? 0);
  }

  push(chunk: Uint8Array): void {
    if (this.#head === undefined) {
      this.#split(chunk);
      return;
    }
    const head = Buffer.concat([this.#head, chunk]);
    if (head.length < BYTE_ORDER_MARK.length && BYTE_ORDER_MARK.subarray(0, head.length).equals(head)) {
      this.#head = head;
      return;
    }
    this.#begin(head);
  }

  /** The last line may end without a line feed. */
  end(): void {
    if (this.#head !== undefined) this.#begin(this.#head);
    if (this.#isInLine) this.#finishLine(new Uint8Array(0), this.#position);
  }

  #begin(head: Uint8Array): void {
    this.#head = undefined;
    const hasMark = BYTE_ORDER_MARK.equals(head.subarray(0, BYTE_ORDER_MARK.length));
    if (hasMark) this.#position = BYTE_ORDER_MARK.length;
    this.#isInLine = hasMark;
    this.#split(hasMark ? head.subarray(BYTE_ORDER_MARK.length) : head);
  }

  #split(chunk: Uint8Array): void {
    let from = 0;
    for (;;) {
      const end = chunk.indexOf(LINE_FEED, from);
      if (end < 0) break;
      this.#finishLine(chunk.subarray(from, end), this.#position + from);
      from = end + 1;
    }
    if (from < chunk.length) this.#keep(chunk.subarray(from), this.#position + from);
    this.#position += chunk.length;
  }

  /** Takes in a part of a line that continues. */
  #keep(part: Uint8Array, offset: number): void {
    this.#isInLine = true;
    const from = firstNonBlank(part);
    if (this.#unfinished === undefined) {
      if (from === part.length) return;
      this.#unfinished = { start: offset + from, end: 0, pieces: [], kept: 0 };
      part = part.subarray(from);
      offset += from;
    }
    const line = this.#unfinished;
    const to = lastNonBlankEnd(part);
    if (to > 0) line.end = offset + to;
    // What is not kept is not needed: past the limit, either blanks follow to the end or the line is too long.
    const room = this.#maxBytes - line.kept;
    if (room > 0) {
      // A copy: the chunk belongs to the stream and may be used again.
      const piece = new Uint8Array(part.subarray(0, room));
      line.pieces.push(piece);
      line.kept += piece.length;
    }
    if (line.end - line.start > this.#maxBytes) line.pieces = [];
  }

  #finishLine(last: Uint8Array, offset: number): void {
    const number = this.#line++;
    this.#isInLine = false;
    const line = this.#unfinished;
    if (line === undefined) {
      const from = firstNonBlank(last);
      const to = lastNonBlankEnd(last);
      if (from >= to) {
        this.blank++;
        return;
      }
      this.#emit(number, offset + from, to - from, () => last.subarray(from, to));
      return;
    }
    this.#unfinished = undefined;
    const to = lastNonBlankEnd(last);
    const end = to > 0 ? offset + to : line.end;
    const length = end - line.start;
    this.#emit(number, line.start, length, () => Buffer.concat([...line.pieces, last], length));
  }

  #emit(line: number, offset: number, length: number, bytes: () => Uint8Array): void {
    this.#onLine({ line, offset, length, bytes: length > this.#maxBytes ? undefined : bytes() });
  }
}

function firstNonBlank(bytes: Uint8Array): number {
  let from = 0;
  while (from < bytes.length && isBlank(bytes[from]!)) from++;
  return from;
}

/** 0 if there are only blanks. */
function lastNonBlankEnd(bytes: Uint8Array): number {
  let to = bytes.length;
  while (to > 0 && isBlank(bytes[to - 1]!)) to--;
  return to;
}

/** JSON's white space without LF (RFC 8259, section 2). */
function isBlank(byte: number): boolean {
  return byte === 0x20 || byte === 0x0d || byte === 0x09;
}
