/**
 * `npm run memory`: a large file through the whole local stack; prints the highest resident memory of each function's
 * processes beside what the function has.
 */
import { createReadStream, createWriteStream, mkdtempSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { parseArgs } from 'node:util';
import { GetObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { startEmulator } from '../../../local/openai-emulator/emulator.ts';
import { startLocalStack } from '../../../local/stack/start.ts';
import { ensureSynth } from '../../../local/stack/synth.ts';
import { S3Objects } from '../../../src/adapters/s3/objects.ts';
import { receiptSchema } from '../../../src/contract/receipt.ts';

const USAGE = `npm run memory -- [--megabytes N] [--line BYTES]

  --megabytes N   size of the file in millions of bytes, default 1000
  --line BYTES    of a line, default 4000
`;

const { values } = parseArgs({
  options: {
    megabytes: { type: 'string', default: '1000' },
    line: { type: 'string', default: '4000' },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  process.stdout.write(USAGE);
  process.exit(0);
}
const say = (text: string) => process.stdout.write(`${text}\n`);
const POLL_EVERY_MS = 5 * 60_000;
/** A job that takes longer than three days of its own time is not coming back. */
const MAX_POLLS = 864;
/** S3 takes no more in one PUT. */
const MAX_MEGABYTES = 5_000;

const megabytes = Number(values.megabytes);
const lineBytes = Number(values.line);
if (!(megabytes > 0 && megabytes <= MAX_MEGABYTES && lineBytes >= 200)) {
  process.stderr.write(USAGE);
  process.exit(2);
}
const folder = mkdtempSync(join(tmpdir(), 'batchdrop-memory-'));
try {
  const input = join(folder, 'input.jsonl');
  await pipeline(Readable.from(makeLines()), createWriteStream(input));
  const { size } = statSync(input);
  say(`${(size / 1e6).toFixed(0)} MB in ${Math.ceil((megabytes * 1e6) / lineBytes)} lines`);
  await run(input, size);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function* makeLines(): Generator<string> {
  const lines = Math.ceil((megabytes * 1e6) / lineBytes);
  let text = '';
  for (let index = 0; index < lines; index += 1) {
    const line = (content: string) =>
      JSON.stringify({
        custom_id: `request-${index}`,
        method: 'POST',
        url: '/v1/chat/completions',
        body: { model: 'gpt-6-luna', messages: [{ role: 'user', content }] },
      });
    const room = Math.max(0, lineBytes - 1 - line('').length);
    text += `${line('Once more, and with feeling. '.repeat(Math.ceil(room / 29)).slice(0, room))}\n`;
    if (text.length < 2 ** 20) continue;
    yield text;
    text = '';
  }
  yield text;
}

async function run(input: string, size: number): Promise<void> {
  let aheadMs = 0;
  const now = () => Date.now() + aheadMs;
  const emulator = await startEmulator({
    dir: join(folder, 'openai'),
    clock: { now, advance: () => {} },
    refuseChunkedUploads: true,
  });
  const stack = await startLocalStack({
    dir: join(folder, 'aws'),
    cdkOut: await ensureSynth({ root: resolve(import.meta.dirname, '../../..'), onProgress: say }),
    openai: { baseUrl: emulator.endpoint, apiKey: 'sk-memory' },
    scheduleEveryMs: 'manual',
    deliver: { retryAfterSeconds: 0 },
    now,
    onLog: (line, source) => {
      if (source === 'stack') say(`  ${line}`);
    },
  });
  const { endpoints, region, credentials, resources } = stack;
  const s3 = new S3Client({ endpoint: endpoints.s3, region, credentials });
  const objects = new S3Objects(s3, { bucket: resources.bucket });
  try {
    const put = { Bucket: resources.bucket, Key: 'input/memory.jsonl', ContentLength: size };
    await s3.send(new PutObjectCommand({ ...put, Body: createReadStream(input) }));
    rmSync(input);
    await stack.idle();
    for (
      let polls = 0;
      (await objects.head(resources.bucket, 'receipts/memory.json')) === undefined;
      polls += 1
    ) {
      if (polls === MAX_POLLS) throw new Error('the job has not ended');
      aheadMs += POLL_EVERY_MS;
      await stack.runSchedule();
      await stack.idle();
    }
    const { Body } = await s3.send(
      new GetObjectCommand({ Bucket: resources.bucket, Key: 'receipts/memory.json' }),
    );
    const { result, counts, batches } = receiptSchema.parse(JSON.parse(await Body!.transformToString()));
    say(`${result}: ${JSON.stringify(counts)} in ${batches.length} batches`);
    say('function   memory   peak RSS   runs   failed   longest');
    for (const [name, stats] of Object.entries(stack.stats)) {
      const { peakRssBytes, invocations, errors, longestMs } = stats;
      const { memoryMb } = resources.functions[name]!;
      say(
        `${name.padEnd(10)} ${String(memoryMb).padStart(4)} MB ${String(Math.ceil(peakRssBytes / 2 ** 20)).padStart(7)} MB ` +
          `${String(invocations).padStart(6)} ${String(errors).padStart(8)} ${(longestMs / 1000).toFixed(1).padStart(7)} s`,
      );
    }
  } finally {
    s3.destroy();
    await stack.stop();
    await emulator.close();
  }
}
