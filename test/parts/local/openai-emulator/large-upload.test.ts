import { toStreamingFile } from 'openai';
import { expect, test } from 'vitest';
import { chatLine, startForTest } from './support.ts';

const BLOCKS = 160;
const BLOCK_BYTES = 1_048_576;

test('an upload of 160 MiB and its download take memory for a few blocks, not for the file', async () => {
  const { client } = await startForTest();
  // redirect: 'error' keeps the client from holding a second copy of what it sends.
  const options = { fetchOptions: { redirect: 'error' as const } };
  const line = Buffer.from(`${JSON.stringify(chatLine('x', { pad: 'x'.repeat(4096) }))}\n`);
  const block = Buffer.concat(Array(Math.floor(BLOCK_BYTES / line.length)).fill(line));
  let peak = 0;
  const measure = () => {
    peak = Math.max(peak, process.memoryUsage.rss());
  };
  async function* blocks() {
    for (let i = 0; i < BLOCKS; i++) {
      measure();
      yield block;
    }
  }
  const upload = () =>
    client.files.create({ purpose: 'batch', file: toStreamingFile(blocks(), 'large.jsonl') }, options);
  const before = process.memoryUsage.rss();
  const file = await upload();
  expect(file.bytes).toBe(BLOCKS * block.length);
  let received = 0;
  for await (const piece of (await client.files.content(file.id))
    .body as unknown as AsyncIterable<Uint8Array>) {
    received += piece.length;
    measure();
  }
  expect(received).toBe(file.bytes);
  const growth = peak - before;
  console.log(`large upload and download: ${file.bytes} bytes, memory grew by ${growth} bytes`);
  expect(growth).toBeLessThan(file.bytes);
});
