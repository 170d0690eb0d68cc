/** The synthesized stack on this machine, with the OpenAI emulator and a clock that both share and a test moves on. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { GetObjectCommand, NoSuchKey, PutObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { onTestFinished } from 'vitest';
import { type EmulatorOptions, startEmulator } from '../../local/openai-emulator/emulator.ts';
import { type LocalStackOptions, startLocalStack } from '../../local/stack.ts';
import { ensureSynth } from '../../local/synth.ts';

/** Started for one test, and gone after it. */
export async function startEmulatedStack(
  options: Pick<EmulatorOptions, 'faults'> & Pick<LocalStackOptions, 'functions'> = {},
) {
  const { functions, ...ofEmulator } = options;
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-stack-'));
  let aheadMs = 0;
  const clock = {
    now: () => Date.now() + aheadMs,
    advance: (ms: number) => {
      aheadMs += ms;
    },
  };
  const emulator = await startEmulator({ dir: join(dir, 'openai'), clock, ...ofEmulator });
  const stack = await startLocalStack({
    dir: join(dir, 'aws'),
    cdkOut: await ensureSynth({ root: resolve(import.meta.dirname, '../..') }),
    openai: { baseUrl: emulator.endpoint, apiKey: 'sk-test' },
    scheduleEveryMs: 'manual',
    now: clock.now,
    ...(functions === undefined ? {} : { functions }),
  });
  const { region, credentials, endpoints } = stack;
  const s3 = new S3Client({ endpoint: endpoints.s3, region, credentials });
  onTestFinished(async () => {
    s3.destroy();
    await stack.stop();
    await emulator.close();
    await rm(dir, { recursive: true, force: true });
  });
  const Bucket = stack.resources.bucket;
  return {
    clock,
    emulator,
    s3,
    bucket: Bucket,
    /** Puts an object and waits until nothing is left to do about it now. */
    async drop(Key: string, Body: string): Promise<void> {
      await s3.send(new PutObjectCommand({ Bucket, Key, Body }));
      await stack.idle();
    },
    /** `undefined` while there is no such object. */
    async read(Key: string): Promise<string | undefined> {
      try {
        const { Body } = await s3.send(new GetObjectCommand({ Bucket, Key }));
        return await Body!.transformToString();
      } catch (error) {
        if (error instanceof NoSuchKey) return undefined;
        throw error;
      }
    },
    /** Moves the clock on and runs the schedule once, with all that follows. */
    async poll(afterMs: number): Promise<void> {
      clock.advance(afterMs);
      await stack.runSchedule();
      await stack.idle();
    },
  };
}
