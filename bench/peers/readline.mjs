// Node's readline and JSON.parse, the way the documentation of readline reads a file.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import { checkAndSplit } from './check-and-split.mjs';

const [input, folder] = process.argv.slice(2);
const lines = createInterface({ input: createReadStream(input), crlfDelay: Number.POSITIVE_INFINITY });
await checkAndSplit(lines, folder);
