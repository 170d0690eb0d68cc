// stream-json's token parser, the way it is meant for objects that are too large to build. Nothing is written.
import { createReadStream } from 'node:fs';
import chain from 'stream-chain';
import { parser } from 'stream-json';

const ids = new Set();
let [lines, depth, key] = [0, 0, ''];
const stream = chain([
  createReadStream(process.argv[2]),
  parser({ jsonStreaming: true, streamValues: false }),
]);
stream.on('data', ({ name, value }) => {
  if (name === 'startObject') depth++;
  else if (name === 'endObject') {
    if (--depth === 0) lines++;
  } else if (name === 'keyValue') key = value;
  else if (name === 'stringValue' && depth === 1 && key === 'custom_id') ids.add(value);
});
stream.on('end', () => {
  if (ids.size !== lines) throw new Error(`${lines - ids.size} duplicate ids`);
  console.log(JSON.stringify({ lines }));
});
