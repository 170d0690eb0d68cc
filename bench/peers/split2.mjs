// split2 cuts lines, JSON.parse reads them.
import { createReadStream } from 'node:fs';
import split from 'split2';
import { checkAndSplit } from './check-and-split.mjs';

const [input, folder] = process.argv.slice(2);
await checkAndSplit(createReadStream(input).pipe(split()), folder);
