// stream-json's parser for JSON lines. It gives objects and not their text, so nothing is written.
import { createReadStream } from 'node:fs';
import chain from 'stream-chain';
import { parser } from 'stream-json/jsonl/parser.js';
import { Checker } from './check-and-split.mjs';

const checker = new Checker();
const stream = chain([createReadStream(process.argv[2]), parser()]);
stream.on('data', ({ value }) => checker.check(value));
stream.on('end', () => console.log(JSON.stringify({ lines: checker.lines })));
