import fc from 'fast-check';
import { expect, test } from 'vitest';
import { multipartBoundary, readMultipart } from '../../../../local/openai-emulator/multipart.ts';

type Part = { name: string; filename: string | null; content: Buffer };

const BOUNDARY = '----bound';

function encode(parts: readonly Part[]): Buffer {
  const pieces = parts.flatMap(({ name, filename, content }) => [
    Buffer.from(
      `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${filename === null ? '' : `; filename="${filename}"`}\r\n\r\n`,
    ),
    content,
    Buffer.from('\r\n'),
  ]);
  return Buffer.concat([...pieces, Buffer.from(`--${BOUNDARY}--\r\n`)]);
}

async function* cutInto(body: Buffer, sizes: readonly number[]) {
  let at = 0;
  for (let i = 0; at < body.length; i++) {
    const size = sizes[i % sizes.length]!;
    yield body.subarray(at, at + size);
    at += size;
  }
}

async function decode(body: Buffer, sizes: readonly number[]): Promise<Part[]> {
  const parts: Part[] = [];
  await readMultipart(cutInto(body, sizes), BOUNDARY, (head) => {
    const pieces: Buffer[] = [];
    return {
      write: (bytes) => {
        pieces.push(Buffer.from(bytes));
      },
      end: () => {
        parts.push({ ...head, content: Buffer.concat(pieces) });
      },
    };
  });
  return parts;
}

const name = fc.stringMatching(/^[a-z_[\]]{1,12}$/);
// Contents made of the delimiter's own characters, so that near-delimiters fall on every block border.
const content = fc
  .array(
    fc.constantFrom('\r\n', '\r', '\n', '--', '-', BOUNDARY, `\r\n--${BOUNDARY.slice(0, 5)}`, 'a', 'ü'),
    {
      maxLength: 30,
    },
  )
  .map((pieces) => Buffer.from(pieces.join('').replaceAll(`\r\n--${BOUNDARY}`, '')));
const part = fc.record({ name, filename: fc.option(fc.constantFrom('a.jsonl', 'ü b.jsonl')), content });
const sizes = fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 5 });

test('a form is read the same however it is cut into blocks', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(part, { maxLength: 4 }), sizes, async (parts, cuts) => {
      expect(await decode(encode(parts), cuts)).toEqual(parts);
    }),
  );
});

test('a form that breaks off anywhere is refused', async () => {
  const body = encode([{ name: 'file', filename: 'a.jsonl', content: Buffer.from('{}\n') }]);
  const end = body.length - '\r\n'.length - 1;
  for (let length = 0; length < end; length++) {
    await expect(decode(body.subarray(0, length), [7])).rejects.toThrow('multipart');
  }
});

test('refuses a content type without a boundary', () => {
  expect(multipartBoundary('multipart/form-data; boundary="a b"')).toBe('a b');
  expect(() => multipartBoundary('application/json')).toThrow('multipart/form-data');
});
