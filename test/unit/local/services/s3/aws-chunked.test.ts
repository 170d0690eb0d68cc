import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { AwsChunkedDecoder } from '../../../../../local/services/s3/aws-chunked.ts';

/** Puts the framing around payload chunks, as an SDK does. */
function frame(
  chunks: readonly Uint8Array[],
  trailers: Readonly<Record<string, string>>,
  extension = '',
): Buffer {
  const framed = chunks
    .filter((chunk) => chunk.length > 0)
    .map((chunk) =>
      Buffer.concat([
        Buffer.from(`${chunk.length.toString(16)}${extension}\r\n`),
        chunk,
        Buffer.from('\r\n'),
      ]),
    );
  const trailerLines = Object.entries(trailers).map(([name, value]) => `${name}:${value}\r\n`);
  return Buffer.concat([...framed, Buffer.from(`0${extension}\r\n${trailerLines.join('')}\r\n`)]);
}

/** Cuts bytes into pieces of the given lengths, over and over. */
function cut(bytes: Buffer, lengths: readonly number[]): Buffer[] {
  const pieces: Buffer[] = [];
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const length = lengths[turn % lengths.length] ?? bytes.length;
    pieces.push(bytes.subarray(at, at + length));
    at += length;
  }
  return pieces;
}

function decodeAll(pieces: readonly Buffer[]): {
  payload: Buffer;
  trailers: Readonly<Record<string, string>>;
} {
  const decoder = new AwsChunkedDecoder();
  const payload = Buffer.concat(pieces.flatMap((piece) => decoder.decode(piece)));
  return { payload, trailers: decoder.end() };
}

const chunks = fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 12 });
const pieceLengths = fc.array(fc.integer({ min: 1, max: 64 }), { minLength: 1, maxLength: 20 });

describe('AwsChunkedDecoder', () => {
  it('gives back the payload and the trailers however payload and transport were cut', () => {
    fc.assert(
      fc.property(chunks, pieceLengths, fc.boolean(), (payloadChunks, lengths, isSigned) => {
        const trailers = { 'x-amz-checksum-crc32': 'AAAAAA==' };
        const extension = isSigned ? `;chunk-signature=${'0'.repeat(64)}` : '';
        const decoded = decodeAll(cut(frame(payloadChunks, trailers, extension), lengths));
        expect(decoded.payload.equals(Buffer.concat(payloadChunks))).toBe(true);
        expect(decoded.trailers).toEqual(trailers);
      }),
    );
  });

  it('fails with IncompleteBody wherever the body is cut off', () => {
    fc.assert(
      fc.property(
        chunks,
        fc.double({ min: 0, max: 1, noNaN: true }),
        pieceLengths,
        (payloadChunks, at, lengths) => {
          const framed = frame(payloadChunks, { 'x-amz-checksum-crc32': 'AAAAAA==' });
          const truncated = framed.subarray(0, Math.floor(at * (framed.length - 1)));
          expect(() => decodeAll(cut(truncated, lengths))).toThrow(
            expect.objectContaining({ code: 'IncompleteBody' }),
          );
        },
      ),
    );
  });

  it.each([
    ['a size that is not hexadecimal', 'xyz\r\n'],
    ['an empty size', '\r\n'],
    ['a chunk that is longer than its size', '1\r\nab\r\n0\r\n\r\n'],
    ['a line without a carriage return', '1\na\n0\n\n'],
    ['bytes after the end', '0\r\n\r\nmore'],
    ['a line without end', `${'1'.repeat(5000)}`],
  ])('fails with InvalidRequest on %s', (_, framed) => {
    expect(() => decodeAll([Buffer.from(framed)])).toThrow(
      expect.objectContaining({ code: 'InvalidRequest' }),
    );
  });

  it('fails with MalformedTrailerError on a trailer without a colon', () => {
    expect(() => decodeAll([Buffer.from('0\r\nno colon here\r\n\r\n')])).toThrow(
      expect.objectContaining({ code: 'MalformedTrailerError' }),
    );
  });
});
