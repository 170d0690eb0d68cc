/**
 * A scan that is broken off anywhere and continued by another worker, and workers that are killed before or after
 * any call: the same plan, the same manifests, runs and spool as of one pass, byte for byte.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Route } from '../../../../../src/contract/route.ts';
import { defaultSettings } from '../../../../../src/contract/settings.ts';
import { UploadGoneError } from '../../../../../src/core/base/errors.ts';
import { readCheckpoint, writeCheckpoint } from '../../../../../src/core/files/checkpoint.ts';
import { readManifest } from '../../../../../src/core/files/manifest.ts';
import type { Plan } from '../../../../../src/core/files/plan.ts';
import { readRunIndex } from '../../../../../src/core/files/run-file.ts';
import type { Job } from '../../../../../src/core/model/job.ts';
import type { BatchLimits } from '../../../../../src/core/model/limits.ts';
import type { ObjectStore } from '../../../../../src/core/ports/objects.ts';
import { Prices } from '../../../../../src/core/pricing/prices.ts';
import { scan } from '../../../../../src/core/steps/ingest/scan.ts';
import type { ScanDeps, ScanState } from '../../../../../src/core/steps/ingest/scan-state.ts';
import { OPENAI_PRICES } from '../../../../../src/providers/openai/prices/table.ts';
import { OPENAI_RULES } from '../../../../../src/providers/openai/rules.ts';
import { chunkSizesArbitrary, collectBytes, cut } from '../../../../support/bytes.ts';
import { MemoryObjects } from '../../../../support/memory/objects.ts';
import { BUCKET, chopReads } from '../../../../support/memory-store.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';
import { fileArbitrary, layOut, limitsArbitrary, manyModels } from '../../../../support/request-files.ts';
import { requestLine } from '../../../../support/request-lines.ts';
import { scanWhole } from '../../../../support/scans.ts';
import { type Shape, shapeOfValue } from '../../../../support/stored-shapes.ts';

const { layout, routes } = defaultSettings();
const KEY = 'input/a.jsonl';
const PLENTY_MS = 1_000_000;

class KilledError extends Error {}

interface Setup {
  file: Uint8Array;
  limits: Partial<BatchLimits>;
  /** Sizes of the chunks in which the file comes. */
  chunks: readonly number[];
  sizes: NonNullable<ScanDeps['sizes']>;
  route?: Partial<Route>;
  /** For each look at the clock, over and over, whether time is over. */
  looks: readonly boolean[];
  /** Calls of a port, counted over all workers, at which one is killed. */
  kills: readonly { at: number; when: 'before' | 'after' }[];
}

/** Drops the file into a store of its own, whose uploads have parts of a few bytes. */
async function drop(
  file: Uint8Array,
  route: Partial<Route> = {},
): Promise<{ objects: MemoryObjects; job: Job }> {
  const objects = new MemoryObjects({ bucket: BUCKET, minPartBytes: 50 }, { now: () => 0 });
  await objects.put(KEY, file);
  const head = await objects.head(BUCKET, KEY);
  const source = { bucket: BUCKET, key: KEY, versionId: head!.versionId! };
  const job: Job = {
    v: 1,
    jobId: 'c0ffee00c0ffee00c0ffee00c0ffee00',
    input: { ...source, etag: '"e"', lastModified: 0, size: file.length },
    source,
    route: { ...routes[0]!, ...route },
    state: 'ingesting',
    createdAt: 0,
    updatedAt: 0,
  };
  return { objects, job };
}

/** Every call that has an effect may be the last that a worker makes. */
function mortal(
  objects: ObjectStore,
  call: <Result>(effect: () => Promise<Result>) => Promise<Result>,
): ObjectStore {
  return {
    head: (...args) => objects.head(...args),
    read: (...args) => objects.read(...args),
    get: (...args) => objects.get(...args),
    put: (...args) => call(() => objects.put(...args)),
    pin: (...args) => call(() => objects.pin(...args)),
    remove: (...args) => call(() => objects.remove(...args)),
    openWrite: (...args) => {
      const writer = objects.openWrite(...args);
      return {
        write: (bytes) => call(() => writer.write(bytes)),
        copy: (...stretch) => call(() => writer.copy(...stretch)),
        suspend: () => call(() => writer.suspend()),
        close: () => call(() => writer.close()),
        abort: () => call(() => writer.abort()),
      };
    },
  };
}

/** Worker after worker until there is a plan. @param onSave gets what each leaves for the next one. */
async function scanInPieces(
  { file, limits, chunks, sizes, looks, kills, route }: Setup,
  onSave: (state: ScanState) => void = () => {},
) {
  const { objects, job } = await drop(file, route);
  const chopped = chopReads(objects, async function* (stream) {
    yield* cut(await collectBytes(stream), chunks);
  });
  let calls = 0;
  let look = 0;
  let saves = 0;
  let workers = 0;
  let attempt = 'try-0';
  let saved: string | undefined;
  for (;;) {
    workers++;
    let isDead = false;
    const call = async <Result>(effect: () => Promise<Result>): Promise<Result> => {
      if (isDead) throw new KilledError();
      const kill = kills.find(({ at }) => at === calls);
      calls++;
      if (kill?.when !== 'before') {
        const result = await effect();
        if (kill === undefined) return result;
      }
      isDead = true;
      throw new KilledError();
    };
    const store = mortal(chopped, call);
    const isFresh = { value: true };
    const deps: ScanDeps = {
      objects: store,
      layout,
      rules: OPENAI_RULES,
      limits: { ...OPENAI_RULES.limits, ...limits },
      prices: new Prices(OPENAI_PRICES),
      // The first look only says how long the worker has.
      deadline: {
        remainingMs: () => {
          if (isFresh.value) {
            isFresh.value = false;
            return PLENTY_MS;
          }
          return looks[look++ % looks.length] ? 0 : PLENTY_MS;
        },
      },
      worker: `worker-${workers}`,
      async save(state) {
        const key = `work/checkpoint-${workers}-${saves}`;
        onSave(state);
        await writeCheckpoint(store, key, 'test', state);
        await call(async () => {
          saved = key;
          saves++;
        });
      },
      sizes,
    };
    const from =
      saved === undefined ? attempt : ((await readCheckpoint(objects, saved, 'test')) as ScanState);
    try {
      const plan = await scan(deps, job, from);
      if (plan !== undefined) return { objects, plan, saves, workers, calls };
    } catch (error) {
      if (error instanceof UploadGoneError) {
        // Killed between the end of an upload and the next checkpoint: everything anew, under another name.
        saved = undefined;
        attempt = `try-${workers}`;
      } else if (!(error instanceof KilledError)) throw error;
    }
    if (workers > 5_000) throw new Error('no end');
  }
}

/** The plan and the bytes of everything that it names, whatever the attempt is called. */
async function everythingOf(objects: MemoryObjects, plan: Plan): Promise<Record<string, unknown>> {
  const nameless = (text: string): string => text.replace(/try-\d+/g, 'try');
  const everything: Record<string, unknown> = { plan: JSON.parse(nameless(JSON.stringify(plan))) };
  const keep = async (key: string): Promise<void> => {
    everything[nameless(key)] = nameless(Buffer.from((await objects.get(key))!).toString('latin1'));
  };
  for (const { manifestKey } of plan.batches) {
    const { source, entries } = await readManifest(objects, manifestKey);
    everything[nameless(manifestKey)] = Array.from({ length: entries.count }, (_, index) =>
      entries.at(index),
    );
    if (source.key !== KEY) await keep(source.key);
  }
  if (plan.originals !== undefined) {
    await keep(plan.originals.dataKey);
    // Read, because its checksum goes over the attempt's name.
    const index = await Array.fromAsync(readRunIndex(objects, BUCKET, plan.originals));
    everything.originals = index.flatMap((piece) => ('records' in piece ? piece.records : []));
  }
  for (const { dataKey } of plan.invalidRuns) await keep(dataKey);
  return everything;
}

async function expectSame(setup: Setup) {
  const { file, limits, sizes, route } = setup;
  const reference = await drop(file, route);
  const plan = await scanWhole(
    {
      objects: reference.objects,
      layout,
      rules: OPENAI_RULES,
      limits: { ...OPENAI_RULES.limits, ...limits },
      sizes,
    },
    reference.job,
    'try-0',
  );
  const result = await scanInPieces(setup);
  expect(await everythingOf(result.objects, result.plan)).toEqual(
    await everythingOf(reference.objects, plan),
  );
  return result;
}

const setupArbitrary = fc
  .record({
    expected: fileArbitrary,
    packed: fc.boolean(),
    limits: limitsArbitrary,
    route: fc.constantFrom<Partial<Route>>(
      {},
      { defaults: { body: { temperature: 0.5, model: 'gpt-6-luna' } } },
    ),
    chunks: chunkSizesArbitrary(300),
    rangeBytes: fc.integer({ min: 40, max: 1_000 }),
    rangesInFlight: fc.integer({ min: 1, max: 3 }),
    hashMask: fc.constantFrom(0xffffffff, 0xffffffff, 3),
    blockBytes: fc.integer({ min: 64, max: 600 }),
    maxIdsInMemory: fc.integer({ min: 1, max: 40 }),
    maxOpenRequests: fc.integer({ min: 5, max: 60 }),
    hashesOfARound: fc.integer({ min: 1, max: 4 }),
    looksEvery: fc.integer({ min: 1, max: 30 }),
    looks: fc
      .array(fc.boolean(), { minLength: 1, maxLength: 8 })
      .map((looks) => (looks.every((look) => look) ? [...looks, false] : looks)),
    kills: fc.array(fc.record({ at: fc.nat({ max: 150 }), when: fc.constantFrom('before', 'after') }), {
      maxLength: 6,
    }),
  })
  .map(({ expected, packed, limits, route, chunks, looks, kills, ...sizes }): Setup => {
    const file = packed ? gzipSync(expected.file) : expected.file;
    return { file, limits, route, chunks, looks, kills, sizes };
  });

describe('a scan that is interrupted', () => {
  it('gives the same plan, manifests, runs and spool as one pass, wherever workers end or are killed', {
    timeout: 240_000,
  }, async () => {
    const runs = propertyRuns(200);
    let saves = 0;
    let workers = 0;
    await fc.assert(
      fc.asyncProperty(setupArbitrary, async (setup) => {
        const result = await expectSame(setup);
        saves += result.saves;
        workers += result.workers;
      }),
      { numRuns: runs },
    );
    // The property says something only if that happens.
    expect(saves).toBeGreaterThan(runs);
    expect(workers).toBeGreaterThan(2 * runs);
  });

  it('continues at every chunk, in each kind of file, with ids that occur twice many workers apart', async () => {
    const good = manyModels(3, 400, 100);
    const { file } = layOut([...good, good[0]!, good[399]!, good[200]!], ['\n']);
    // Gzip is unpacked in larger chunks than it is read.
    for (const [input, least] of [
      [file, 40],
      [gzipSync(file), 10],
    ] as const) {
      const { workers, plan } = await expectSame({
        file: input,
        limits: { requests: 50 },
        chunks: [1_000],
        sizes: { rangeBytes: 1_000, blockBytes: 1_024, maxIdsInMemory: 100 },
        looks: [true],
        kills: [],
      });
      expect(workers).toBeGreaterThan(least);
      expect(plan.invalidByCode).toEqual({ duplicate_custom_id: 3 });
    }
  });

  it('gives the same keys to prompts that begin alike, whichever worker comes to them', async () => {
    const prompts = ['one', 'other'].map((seed) => `${seed} `.repeat(2_000));
    const lines = Array.from({ length: 40 }, (_, index) => {
      const content = `${prompts[index % 2]}${index}`;
      const body = { model: 'gpt-5.4-mini', messages: [{ role: 'user', content }] };
      return requestLine(String(index), { body });
    });
    const { objects, plan, saves } = await expectSame({
      file: Buffer.from(lines.join('\n')),
      limits: { requests: 15 },
      route: { promptCacheKey: 'by_prefix' },
      chunks: [20_000],
      sizes: { rangeBytes: 20_000, blockBytes: 20_000 },
      looks: [false, false, true],
      kills: [
        { at: 9, when: 'before' },
        { at: 31, when: 'after' },
      ],
    });
    expect(saves).toBeGreaterThan(3);
    expect(plan.batches).toHaveLength(3);
    const { source } = await readManifest(objects, plan.batches[0]!.manifestKey);
    const sent = Buffer.from((await objects.get(source.key))!)
      .toString('utf8')
      .trimEnd()
      .split('\n');
    const keys = sent.map((line) => JSON.parse(line).body.prompt_cache_key);
    expect(keys).toEqual(lines.map((_, index) => keys[index % 2]));
    expect(new Set(keys).size).toBe(2);
  });

  describe('with ids that occur twice and ids that share a hash', () => {
    const good = manyModels(2, 30, 20);
    const repeated = [0, 0, 7, 12, 29].map((index) => good[index]!);
    const setup = {
      file: layOut([...good, ...repeated], ['\n']).file,
      limits: { requests: 6 },
      chunks: [700],
      // 32 different hashes.
      sizes: { blockBytes: 512, maxIdsInMemory: 12, hashesOfARound: 3, looksEvery: 1, hashMask: 7 },
      kills: [],
    };

    it('gives the same, whichever step it is interrupted after', { timeout: 240_000 }, async () => {
      for (let at = 0; ; at++) {
        const looks = Array.from({ length: 100_000 }, (_, look) => look === at);
        const { saves, workers, plan } = await expectSame({ ...setup, looks });
        expect(plan.invalidByCode).toEqual({ duplicate_custom_id: 5 });
        if (saves === 0) {
          expect(at).toBeGreaterThan(150);
          break;
        }
        expect(workers).toBe(2);
      }
    });

    it('gives the same where every worker ends after one step, and whichever calls some are killed at', {
      timeout: 240_000,
    }, async () => {
      const { workers, calls } = await expectSame({ ...setup, looks: [true] });
      expect(workers).toBeGreaterThan(150);
      const every = 23;
      for (let first = 0; first < every; first++) {
        const kills = Array.from({ length: Math.ceil(calls / every) }, (_, index) => {
          const when = (first + index) % 2 === 0 ? ('before' as const) : ('after' as const);
          return { at: first + index * every, when };
        });
        await expectSame({ ...setup, looks: [true], kills });
      }
    });
  });

  it('continues in the second pass over a file in which models take turns', {
    timeout: 240_000,
  }, async () => {
    const { file } = layOut(manyModels(5, 3_000, 6_500), ['\n']);
    const { saves } = await expectSame({
      file,
      limits: {},
      chunks: [1_000_000],
      sizes: {},
      looks: [false, false, false, true],
      kills: [],
    });
    expect(saves).toBeGreaterThan(5);
  });

  it('says nothing of a manifest before it is written, and fails if it cannot be', async () => {
    const { file } = layOut(manyModels(1, 200, 50), ['\n']);
    const { objects, job } = await drop(file);
    let underWay = 0;
    let most = 0;
    const scanTo = async (unwritable: string): Promise<Plan> => {
      const store: ObjectStore = {
        ...mortal(objects, (effect) => effect()),
        async put(key, body) {
          most = Math.max(most, ++underWay);
          for (let turns = 0; turns < 20; turns++) await setImmediate();
          underWay--;
          if (key.endsWith(unwritable)) throw new Error(`${unwritable} cannot be written`);
          return objects.put(key, body);
        },
      };
      let from: string | ScanState = 'try-0';
      for (;;) {
        const plan = await scan(
          {
            objects: store,
            layout,
            rules: OPENAI_RULES,
            limits: { ...OPENAI_RULES.limits, requests: 7 },
            prices: new Prices(OPENAI_PRICES),
            deadline: { remainingMs: () => -1 },
            worker: 'a',
            async save(state) {
              from = structuredClone(state);
              const named = state.phase === 'lines' ? state.batches : state.work.batches;
              for (const { manifestKey } of named) await readManifest(objects, manifestKey);
            },
            sizes: { rangeBytes: 8_000 },
          },
          job,
          from,
        );
        if (plan !== undefined) return plan;
      }
    };
    await expect(scanTo('0-00005.manifest')).rejects.toThrow('0-00005.manifest cannot be written');
    expect(underWay).toBe(0);
    const plan = await scanTo('nothing');
    expect(plan.batches).toHaveLength(29);
    expect(most).toBeGreaterThan(1);
  });

  it('gets further in every worker, however little time it has', async () => {
    const { file } = layOut(manyModels(2, 100, 50), ['\n']);
    const { objects, job } = await drop(file);
    const positions: number[] = [];
    let from: string | ScanState = 'try-0';
    for (let plan: Plan | undefined; plan === undefined; ) {
      plan = await scan(
        {
          objects,
          layout,
          rules: OPENAI_RULES,
          limits: OPENAI_RULES.limits,
          prices: new Prices(OPENAI_PRICES),
          deadline: { remainingMs: () => -1 },
          worker: String(positions.length),
          async save(state) {
            from = structuredClone(state);
            if (state.phase === 'lines') positions.push(state.next.offset);
          },
          sizes: { blockBytes: 300 },
        },
        job,
        from,
      );
    }
    expect(positions.length).toBeGreaterThan(0);
    expect(positions).toEqual([...new Set(positions)].sort((a, b) => a - b));
  });
});

it('what a worker leaves has the shape that other releases know; a changed one takes a new version', async () => {
  const shapes: Record<string, Shape> = {};
  const lines = Array.from({ length: 60 }, (_, index) =>
    index % 9 === 8 ? 'broken' : requestLine(`id-${index % 50}`, { model: `model-${index % 3}` }),
  );
  await scanInPieces(
    {
      file: Buffer.from(lines.join('\n')),
      limits: { requests: 7 },
      chunks: [400],
      sizes: { rangeBytes: 400, blockBytes: 512, maxIdsInMemory: 12, hashesOfARound: 3, looksEvery: 1 },
      looks: [true],
      kills: [],
    },
    (state) => {
      const name = `ingest: ${state.phase}`;
      shapes[name] = { ...shapes[name], ...shapeOfValue(state) };
    },
  );
  const known = join(import.meta.dirname, '../../../../support/checkpoint-shapes.json');
  expect(JSON.parse(readFileSync(known, 'utf8'))).toMatchObject(shapes);
});
