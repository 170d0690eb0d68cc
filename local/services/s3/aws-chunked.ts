import { S3Error } from './errors.ts';

/** Longest size or trailer line that is buffered; real ones are under 200 bytes. */
const MAX_LINE_BYTES = 4096;

/**
 * Decodes the `aws-chunked` framing that SDKs put around a body: `<hex size>[;chunk-signature=…]\r\n<bytes>\r\n`
 * repeated, a chunk of size 0, trailer lines, an empty line. Works on any cut of the input, without copying payload.
 * Chunk signatures are read past, not checked: the signature over the headers is.
 */
export class AwsChunkedDecoder {
  #state: 'size' | 'payload' | 'payload-end' | 'trailer' | 'done' = 'size';
  #line = '';
  #payloadLeft = 0;
  readonly #trailers: Record<string, string> = {};

  /**
   * Takes the next piece of the framed body and gives the payload in it, as views on `input`.
   *
   * @throws S3Error `InvalidRequest` when the framing is broken
   */
  decode(input: Buffer): Buffer[] {
    const payload: Buffer[] = [];
    let at = 0;
    while (at < input.length) {
      if (this.#state === 'done') throw malformed('bytes after the last chunk');
      if (this.#state === 'payload') {
        const take = Math.min(this.#payloadLeft, input.length - at);
        payload.push(input.subarray(at, at + take));
        at += take;
        this.#payloadLeft -= take;
        if (this.#payloadLeft === 0) this.#state = 'payload-end';
        continue;
      }
      const newline = input.indexOf(0x0a, at);
      const end = newline < 0 ? input.length : newline + 1;
      this.#line += input.toString('latin1', at, end);
      at = end;
      if (this.#line.length > MAX_LINE_BYTES) throw malformed('a line longer than 4096 bytes');
      if (newline >= 0) this.#takeLine();
    }
    return payload;
  }

  /**
   * To be called when the body has ended.
   *
   * @returns the trailers by lower-case name
   * @throws S3Error `IncompleteBody` when the last chunk or the closing empty line has not been seen
   */
  end(): Readonly<Record<string, string>> {
    if (this.#state !== 'done') throw new S3Error('IncompleteBody');
    return this.#trailers;
  }

  #takeLine(): void {
    if (!this.#line.endsWith('\r\n')) throw malformed('a line that does not end in CRLF');
    const line = this.#line.slice(0, -2);
    this.#line = '';
    if (this.#state === 'size') {
      const size = /^([0-9a-f]{1,12})(?:;.*)?$/i.exec(line)?.[1];
      if (size === undefined) throw malformed('a chunk size that is not hexadecimal');
      this.#payloadLeft = Number.parseInt(size, 16);
      this.#state = this.#payloadLeft > 0 ? 'payload' : 'trailer';
    } else if (this.#state === 'payload-end') {
      if (line !== '') throw malformed('a chunk longer than its size');
      this.#state = 'size';
    } else if (line === '') {
      this.#state = 'done';
    } else {
      const colon = line.indexOf(':');
      if (colon < 1) throw new S3Error('MalformedTrailerError');
      this.#trailers[line.slice(0, colon).toLowerCase()] = line.slice(colon + 1).trim();
    }
  }
}

function malformed(what: string): S3Error {
  return new S3Error('InvalidRequest', `The aws-chunked body is malformed: ${what}.`);
}
