#!/usr/bin/env node
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { startEmulator } from './emulator.ts';
import { CHECKS, type Check } from './request-checks.ts';

const numberAtLeast = (least: number) => (text: string) => {
  const value = Number(text);
  if (!(value >= least))
    throw new InvalidArgumentError(`expected a number of ${least} or more, got '${text}'.`);
  return value;
};

const readChecks = (text: string): Check[] =>
  text.split(',').map((name) => {
    const check = CHECKS.find((known) => known === name);
    if (check === undefined)
      throw new InvalidArgumentError(`expected some of ${CHECKS.join(',')}, got '${name}'.`);
    return check;
  });

const program = new Command('openai-batch-emulator')
  .description("OpenAI's Files, Uploads and Batch APIs on this machine, for the official openai client")
  .option('--port <number>', 'port on 127.0.0.1; 0 lets the system choose', numberAtLeast(0), 8787)
  .option('--dir <folder>', 'where state is kept; default a new temporary folder')
  .option('--scale <factor>', 'how many times as fast as real time the clock runs', numberAtLeast(0.001), 60)
  .option('--seed <text>', 'what ids and shuffles are derived from', 'batchdrop')
  .option('--faults <file>', 'JSON file of fault rules, see README.md')
  .option('--upstream <url>', 'base URL of an OpenAI-compatible server that gives the answers')
  .option('--upstream-key <key>', 'its API key', process.env.EMULATOR_UPSTREAM_KEY)
  .option('--concurrency <number>', 'upstream requests at a time', numberAtLeast(1), 4)
  .option(
    '--lenient [checks]',
    `let pass what OpenAI refuses: everything, or some of ${CHECKS.join(',')}`,
    readChecks,
  )
  .option('--refuse-chunked-uploads', 'answer 400 to an upload without Content-Length', false)
  .parse();

const flags = program.opts<{
  port: number;
  dir?: string;
  scale: number;
  seed: string;
  faults?: string;
  upstream?: string;
  upstreamKey?: string;
  concurrency: number;
  lenient?: true | Check[];
  refuseChunkedUploads: boolean;
}>();

const dir = flags.dir ?? mkdtempSync(join(tmpdir(), 'openai-emulator-'));
const emulator = await startEmulator({
  port: flags.port,
  dir,
  clock: { scale: flags.scale },
  seed: flags.seed,
  refuseChunkedUploads: flags.refuseChunkedUploads,
  lenient: flags.lenient,
  faults: flags.faults,
  ...(flags.upstream === undefined
    ? {}
    : {
        upstream: {
          baseURL: flags.upstream,
          concurrency: flags.concurrency,
          ...(flags.upstreamKey === undefined ? {} : { apiKey: flags.upstreamKey }),
        },
      }),
}).catch((error: Error) => program.error(`error: ${error.message}`));

console.log(`OpenAI emulator at ${emulator.endpoint}, ${flags.scale} times real time, state in ${dir}

export OPENAI_BASE_URL=${emulator.endpoint}
export OPENAI_API_KEY=sk-emulated
`);

for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.once(signal, () => void emulator.close().then(() => process.exit(0)));
}
