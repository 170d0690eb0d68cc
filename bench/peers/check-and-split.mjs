// What a script around JSON.parse does with a line: looks at the fields and the id, writes the line to a shard.
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join } from 'node:path';

/** What one shard may hold: OpenAI's 50,000 requests, and bytes below its 200 MB. */
export const MAX_LINES = 50_000;
export const MAX_BYTES = 190_000_000;

/** Looks at requests, one after the other. Throws at the first that is none, or has an id for the second time. */
export class Checker {
  lines = 0;
  #ids = new Set();

  /** @param request what JSON.parse gave. */
  check(request) {
    const { custom_id: id, method, url, body } = request;
    const isRequest = typeof id === 'string' && method === 'POST' && typeof url === 'string';
    if (!isRequest || typeof body?.model !== 'string')
      throw new Error(`line ${this.lines + 1}: not a request`);
    if (this.#ids.has(id)) throw new Error(`line ${this.lines + 1}: duplicate custom_id`);
    this.#ids.add(id);
    this.lines++;
  }
}

/** Checks each line of an async iterable with JSON.parse and writes it to a shard, with backpressure. */
export async function checkAndSplit(lines, folder) {
  const checker = new Checker();
  let [shard, shards, shardLines, shardBytes] = [undefined, 0, 0, 0];
  for await (const line of lines) {
    checker.check(JSON.parse(line));
    const bytes = Buffer.byteLength(line) + 1;
    if (shard === undefined || shardLines === MAX_LINES || shardBytes + bytes > MAX_BYTES) {
      shard?.end();
      shard = createWriteStream(join(folder, `shard-${shards++}.jsonl`));
      [shardLines, shardBytes] = [0, 0];
    }
    shardLines++;
    shardBytes += bytes;
    if (!shard.write(`${line}\n`)) await once(shard, 'drain');
  }
  shard?.end();
  if (shard) await once(shard, 'finish');
  console.log(JSON.stringify({ lines: checker.lines }));
}
