/** How result files come from OpenAI to S3: whole, whatever breaks off, runs out or dies. */

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { defaultSettings } from '../../../../../src/contract/settings.ts';
import { IncompleteDownloadError } from '../../../../../src/core/base/errors.ts';
import { LeasedBatch, TakenOverError } from '../../../../../src/core/lifecycle/leased.ts';
import type { BatchRecord, FetchedFile } from '../../../../../src/core/model/batch.ts';
import { type FetchDeps, fetchResults, readFetched } from '../../../../../src/core/steps/collect/fetch.ts';
import { chunkSizesArbitrary, collectBytes, cut } from '../../../../support/bytes.ts';
import { MemoryJobs } from '../../../../support/memory/jobs.ts';
import { MemoryObjects } from '../../../../support/memory/objects.ts';
import { BUCKET } from '../../../../support/memory-store.ts';
import { batchOf, batchWrite, remoteOf } from '../../../../support/records.ts';
import { expectListedEvents, noTelemetry } from '../../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const NOW = 1_790_000_000_000;
const HOLDER = 'holder';
const FOREVER = { remainingMs: () => 900_000 };
const BATCH = batchOf('c0ffee00c0ffee00c0ffee00c0ffee00', 0, {
  state: 'ended',
  requests: 1,
  remote: remoteOf({ outputFileId: 'file-output', errorFileId: 'file-error' }),
});

/** What a download does: how many bytes come before it breaks off; `undefined`: all. */
type Download = number | undefined;

interface World {
  deps: FetchDeps;
  jobs: MemoryJobs;
  objects: MemoryObjects;
  /** Where each download began. */
  begun: { id: string; from: number }[];
  /** One invocation over the batch as it stands. */
  invoke(takesWhatIsReadable?: boolean): Promise<Awaited<ReturnType<typeof fetchResults>>>;
  batch(): Promise<BatchRecord>;
  /** The batch as a worker has it. */
  lease(): Promise<LeasedBatch>;
}

/** @param told what OpenAI says of a file's length; default: the truth. */
async function world(
  files: Record<string, Uint8Array>,
  options: {
    sizes?: readonly number[];
    downloads?: Iterator<Download>;
    remainingMs?: () => number;
    told?: (id: string) => number | undefined;
    intercept?: () => void;
  } = {},
): Promise<World> {
  let nonces = 0;
  const ambient = { now: () => NOW, nonce: () => `nonce-${nonces++}` };
  const objects = new MemoryObjects({ bucket: BUCKET, minPartBytes: 40 }, ambient);
  class WatchedJobs extends MemoryJobs {
    override async moveBatch(...parameters: Parameters<MemoryJobs['moveBatch']>) {
      options.intercept?.();
      const moved = await super.moveBatch(...parameters);
      options.intercept?.();
      return moved;
    }
  }
  const jobs = new WatchedJobs();
  await jobs.createBatch(BATCH);
  const begun: World['begun'] = [];
  const deps: FetchDeps = {
    settings: defaultSettings(),
    objects,
    batches: {
      readFile: async (id, { from = 0 } = {}) => {
        begun.push({ id, from });
        const content = files[id]!;
        const most = options.downloads?.next().value as Download;
        const bytes = options.told === undefined ? content.length : options.told(id);
        return {
          ...(bytes === undefined ? {} : { bytes }),
          body: (async function* () {
            let left = most ?? Number.POSITIVE_INFINITY;
            for (const chunk of cut(content.subarray(from), options.sizes ?? [50])) {
              options.intercept?.();
              yield chunk.slice(0, left);
              left -= chunk.length;
              if (left <= 0) throw new IncompleteDownloadError('broke off');
            }
          })(),
        };
      },
    },
    ambient,
    deadline: { remainingMs: options.remainingMs ?? (() => 900_000) },
    telemetry: noTelemetry,
  };
  const batch = async () => (await jobs.getBatch(BATCH.jobId, BATCH.batchId))!;
  const lease = async () => {
    const leasing = { jobs, ambient: { ...ambient, nonce: () => HOLDER }, deadline: FOREVER };
    return (await LeasedBatch.lease(leasing, BATCH, 'ended'))!;
  };
  return {
    deps,
    lease,
    jobs,
    objects,
    begun,
    batch,
    invoke: async (takesWhatIsReadable = false) => fetchResults(deps, await lease(), takesWhatIsReadable),
  };
}

const contentsOf = async ({ deps, objects }: World, files: FetchedFile[]): Promise<Buffer[]> =>
  Promise.all(files.map((file) => collectBytes(readFetched({ ...deps, objects }, BUCKET, file, -1))));

const pattern = (size: number): Uint8Array => Uint8Array.from({ length: size }, (_, at) => (at * 7) % 251);

describe('fetching', () => {
  it('brings each file whole, whatever the chunks, and however often it breaks off, runs out of time or dies', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.record({ output: fc.nat({ max: 600 }), error: fc.nat({ max: 300 }) }),
        chunkSizesArbitrary(90),
        fc.array(fc.option(fc.nat({ max: 200 }), { nil: undefined }), { maxLength: 6 }),
        fc.func(fc.nat({ max: 9 })),
        fc.boolean(),
        async (sizes, chunks, breaks, chance, isLengthTold) => {
          const files = { 'file-output': pattern(sizes.output), 'file-error': pattern(sizes.error) };
          let asked = 0;
          let effects = 0;
          const w = await world(files, {
            sizes: chunks,
            downloads: breaks[Symbol.iterator](),
            // Two in ten chunks are the last of their invocation, for a while.
            remainingMs: () => (asked++ < 40 && chance('time', asked) < 2 ? 0 : 900_000),
            intercept: () => {
              if (effects++ < 30 && chance('death', effects) < 1) throw new Error('killed');
            },
            ...(isLengthTold ? {} : { told: () => undefined }),
          });
          for (let invocations = 0; invocations < 300; invocations++) {
            const fetched = await w.invoke().catch((error: Error) => error);
            if (typeof fetched === 'string' || fetched instanceof Error) continue;
            const contents = await contentsOf(w, fetched.files);
            expect(contents.map((bytes) => bytes.toString('hex'))).toEqual(
              Object.values(files).map((bytes) => Buffer.from(bytes).toString('hex')),
            );
            return;
          }
          expect.fail('never came to an end');
        },
      ),
    );
  });

  it('continues where the last invocation stopped, and asks for nothing that it has', async () => {
    let chunks = 0;
    const w = await world(
      { 'file-output': pattern(500), 'file-error': pattern(10) },
      { remainingMs: () => (++chunks % 4 === 0 ? 0 : 900_000) },
    );
    expect(await w.invoke()).toBe('to be continued');
    expect((await w.batch()).download?.fetching).toMatchObject({ fileId: 'file-output', bytes: 200 });
    expect(await w.invoke()).toBe('to be continued');
    const last = await w.invoke();
    expect(last).toMatchObject({ isFresh: true });
    expect(w.begun).toEqual([
      { id: 'file-output', from: 0 },
      { id: 'file-output', from: 200 },
      { id: 'file-output', from: 400 },
      { id: 'file-error', from: 0 },
    ]);
    expect(await w.invoke()).toMatchObject({ isFresh: false });
    expect(w.begun).toHaveLength(4);
    expect(await w.batch()).not.toHaveProperty('fetching');
  });

  it('fails when a file stays shorter than OpenAI says, keeps what came, and takes it when asked to', async () => {
    const w = await world(
      { 'file-output': pattern(300), 'file-error': pattern(10) },
      { told: (id) => (id === 'file-output' ? 400 : 10) },
    );
    await expect(w.invoke()).rejects.toThrow('read 300 bytes, the provider has 400');
    expect((await w.batch()).download?.fetching).toMatchObject({ bytes: 300 });
    await expect(w.invoke()).rejects.toThrow(IncompleteDownloadError);
    const fetched = await w.invoke(true);
    if (typeof fetched === 'string') throw new Error(fetched);
    expect(fetched.files).toMatchObject([{ bytes: 300, isPartial: true }, { bytes: 10 }]);
    expect((await contentsOf(w, fetched.files))[0]!.length).toBe(300);
  });

  it('begins again when a file is longer than OpenAI says, or has another length than before', async () => {
    let told = 300;
    const w = await world(
      { 'file-output': pattern(300), 'file-error': pattern(0) },
      {
        told: (id) => (id === 'file-output' ? told : 0),
        downloads: [100, 0, 0][Symbol.iterator](),
      },
    );
    await expect(w.invoke()).rejects.toThrow('broke off');
    told = 200;
    await expect(w.invoke()).rejects.toThrow('had 300 bytes and has 200 now');
    expect(await w.batch()).not.toHaveProperty('fetching');
    await expect(w.invoke()).rejects.toThrow('read 300 bytes, the provider has 200');
    expect(await w.batch()).not.toHaveProperty('fetching');
    told = 300;
    expect(await w.invoke()).toMatchObject({ isFresh: true });
    expect(w.begun.at(-2)).toEqual({ id: 'file-output', from: 0 });
    expect(w.objects.countOpenUploads()).toBe(0);
  });

  it('begins again when the upload or the checkpoint of a copy is gone', async () => {
    for (const loss of ['upload', 'checkpoint']) {
      const w = await world(
        { 'file-output': pattern(300), 'file-error': pattern(0) },
        {
          downloads: [200, 0, 0][Symbol.iterator](),
        },
      );
      await expect(w.invoke()).rejects.toThrow('broke off');
      const fetching = (await w.batch()).download?.fetching;
      if (loss === 'checkpoint') w.objects.destroy(fetching!.checkpointKey);
      else w.objects.dropUploads();
      const first = await w.invoke().catch((error: Error) => error.name);
      if (loss === 'upload') expect(first).toBe('UploadGoneError');
      const fetched = loss === 'upload' ? await w.invoke() : first;
      if (typeof fetched === 'string') throw new Error(fetched);
      expect((await contentsOf(w, fetched.files))[0]!.equals(pattern(300))).toBe(true);
    }
  });

  it('gives a batch up that another worker has taken over', async () => {
    const w = await world({ 'file-output': pattern(300), 'file-error': pattern(0) });
    const batch = await w.lease();
    await w.jobs.moveBatch(batch.record, batchWrite('ended', { lease: { holder: 'another' } }), NOW);
    await expect(fetchResults(w.deps, batch, false)).rejects.toThrow(TakenOverError);
  });

  it('fails for a copy that is not what was fetched', async () => {
    const w = await world({ 'file-output': pattern(300), 'file-error': pattern(0) });
    const fetched = await w.invoke();
    if (typeof fetched === 'string') throw new Error(fetched);
    for (const other of [pattern(300).reverse(), pattern(299), pattern(0)]) {
      await w.objects.put(fetched.files[0]!.key, other);
      await expect(contentsOf(w, fetched.files)).rejects.toThrow(IncompleteDownloadError);
    }
  });
});
