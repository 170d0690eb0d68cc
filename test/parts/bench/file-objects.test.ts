import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { generateLines } from '../../../bench/inputs/generate.ts';
import { FileObjects } from '../../../bench/ours/file-objects.ts';
import { defaultSettings } from '../../../src/contract/settings.ts';
import { ObjectGoneError } from '../../../src/core/base/errors.ts';
import type { Job } from '../../../src/core/model/job.ts';
import type { SourceObject } from '../../../src/core/model/objects.ts';
import type { ObjectStore } from '../../../src/core/ports/objects.ts';
import { OPENAI_LIMITS } from '../../../src/providers/openai/limits.ts';
import { OPENAI_RULES } from '../../../src/providers/openai/rules.ts';
import { collectBytes } from '../../support/bytes.ts';
import { BUCKET, memoryStore, putSource } from '../../support/memory-store.ts';
import { scanWhole } from '../../support/scans.ts';

const KEY = 'input/a.jsonl';

describe('objects on files', () => {
  let folder: string;
  let objects: FileObjects;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'bench-objects-'));
    objects = new FileObjects({ key: KEY, path: join(folder, 'a.jsonl') }, join(folder, 'objects'));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  it('give ingest what the memory store gives: the same plan and the same manifests', async () => {
    const lines: string[] = [];
    for (const line of generateLines('multi')) if (lines.push(line) === 400) break;
    const file = Buffer.from(`${lines.join('\n')}\n{"custom_id"\n`);
    writeFileSync(join(folder, 'a.jsonl'), file);
    const memory = memoryStore();
    const source = await putSource(memory, KEY, file);
    const ingest = (store: ObjectStore) => {
      const { layout, routes } = defaultSettings();
      const limits = { ...OPENAI_LIMITS, requests: 100 };
      return scanWhole(
        { objects: store, layout, rules: OPENAI_RULES, limits },
        jobOver(source, file.length, routes[0]!),
        'try',
      );
    };
    const plan = await ingest(objects);
    expect(plan.requests).toBe(401);
    expect(plan.invalid).toBe(1);
    expect(plan.batches).toHaveLength(4);
    expect(plan).toEqual(await ingest(memory));
    for (const { manifestKey } of plan.batches) {
      const manifest = await objects.get(manifestKey);
      expect(manifest).toBeDefined();
      expect(Buffer.compare(manifest!, (await memory.get(manifestKey))!)).toBe(0);
    }
  });

  it('read ranges, and the whole file in chunks', async () => {
    const bytes = Buffer.from(Array.from({ length: 600_000 }, (_, index) => index % 251));
    writeFileSync(join(folder, 'a.jsonl'), bytes);
    const read = async (...range: number[]) =>
      collectBytes(await objects.read({ bucket: BUCKET, key: KEY }, ...range));
    expect((await read()).equals(bytes)).toBe(true);
    expect((await read(0, 2)).equals(bytes.subarray(0, 2))).toBe(true);
    expect((await read(262_143, 524_290)).equals(bytes.subarray(262_143, 524_290))).toBe(true);
    expect((await read(599_999)).equals(bytes.subarray(599_999))).toBe(true);
  });

  it('are written whole or not at all, and once where asked', async () => {
    const writer = objects.openWrite('work/a');
    await writer.write(Buffer.from('ab'));
    expect(await objects.get('work/a')).toBeUndefined();
    await writer.write(Buffer.from('c'));
    expect(await writer.close()).toBe(3);
    expect(readFileSync(join(folder, 'objects/work/a'), 'utf8')).toBe('abc');
    const aborted = objects.openWrite('work/b');
    await aborted.write(Buffer.from('ab'));
    await aborted.abort();
    expect(await objects.head(BUCKET, 'work/b')).toBeUndefined();
    expect(await objects.put('work/c', Buffer.from('1'), { ifAbsent: true })).toBe(true);
    expect(await objects.put('work/c', Buffer.from('2'), { ifAbsent: true })).toBe(false);
    expect(Buffer.from((await objects.get('work/c'))!).toString()).toBe('1');
  });

  it('fails to read what is not there', async () => {
    await expect(objects.read({ bucket: BUCKET, key: KEY })).rejects.toThrow(ObjectGoneError);
  });
});

function jobOver(source: SourceObject, size: number, route: Job['route']): Job {
  return {
    v: 1,
    jobId: 'c0ffee00c0ffee00c0ffee00c0ffee00',
    input: { ...source, etag: '"e"', lastModified: 0, size },
    source,
    route,
    state: 'ingesting',
    createdAt: 0,
    updatedAt: 0,
  };
}
