// What a Node process takes to copy a file, as anything does that writes its shards out. Nothing is checked.
import { createReadStream, createWriteStream } from 'node:fs';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';

const [input, folder] = process.argv.slice(2);
const reader = createReadStream(input, { highWaterMark: 1024 * 1024 });
const writer = createWriteStream(join(folder, 'copy.jsonl'), { highWaterMark: 1024 * 1024 });
await pipeline(reader, writer);
console.log(JSON.stringify({ bytes: writer.bytesWritten }));
