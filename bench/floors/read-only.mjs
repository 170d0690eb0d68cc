// The least that a Node process can do with a file: read it, in chunks of 1 MB. Nothing is checked.
import { createReadStream } from 'node:fs';

let bytes = 0;
const stream = createReadStream(process.argv[2], { highWaterMark: 1024 * 1024 });
stream.on('data', (chunk) => {
  bytes += chunk.length;
});
stream.on('end', () => console.log(JSON.stringify({ bytes })));
