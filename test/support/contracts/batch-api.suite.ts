import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CreateRefusedError } from '../../../src/core/base/errors.ts';
import type { BatchApi, ByKey, RemoteBatch } from '../../../src/core/ports/provider.ts';
import { bytesOf, collect, textOf } from './object-store.suite.ts';

/** An API to test, with what the port does not offer. */
export interface BatchApiFixture {
  api: BatchApi;
  /** The same with two keys, each of a project of its own. */
  keyed: ByKey<BatchApi>;
  /** Lets a batch of one request come to its end, with an output file. */
  finish(batchId: string): Promise<void>;
  close(): Promise<void>;
}

const REQUEST = bytesOf(
  '{"custom_id":"a","method":"POST","url":"/v1/responses","body":{"model":"gpt-6-luna","input":"x"}}\n',
);

/** What every {@link BatchApi} does. */
export function describeBatchApi(name: string, start: () => Promise<BatchApiFixture>): void {
  describe(`batch API: ${name}`, () => {
    let fixture: BatchApiFixture;
    let api: BatchApi;
    beforeAll(async () => {
      fixture = await start();
      ({ api } = fixture);
    });
    afterAll(() => fixture?.close());

    const upload = (body: Uint8Array = REQUEST, filename = 'batchdrop-test.jsonl') =>
      api.uploadFile({ filename, bytes: body.length, body: streamOf(body) });
    const create = async (metadata: Record<string, string> = {}) =>
      api.createBatch({ inputFileId: (await upload()).id, endpoint: '/v1/responses', metadata });

    test('uploads a file and reads it back, byte for byte', async () => {
      const { id, bytes } = await upload();
      expect(bytes).toBe(REQUEST.length);
      const file = await api.readFile(id);
      expect(file.bytes).toBe(REQUEST.length);
      expect(textOf(await collect(file.body))).toBe(textOf(REQUEST));
    });

    test('reads a file from any byte on', async () => {
      const { id } = await upload();
      for (const from of [0, 1, REQUEST.length - 1, REQUEST.length]) {
        const file = await api.readFile(id, { from });
        expect(file.bytes).toBe(REQUEST.length);
        expect(textOf(await collect(file.body))).toBe(textOf(REQUEST.subarray(from)));
      }
    });

    test('uploads a body that comes in many chunks', async () => {
      const line = new Uint8Array(REQUEST);
      const lines = Array.from({ length: 2_000 }, () => line);
      const bytes = lines.length * line.length;
      async function* body() {
        for (const chunk of lines) {
          yield chunk.subarray(0, 7);
          yield chunk.subarray(7);
        }
      }
      const uploaded = await api.uploadFile({ filename: 'batchdrop-test.jsonl', bytes, body: body() });
      expect(uploaded.bytes).toBe(bytes);
      expect(await collect((await api.readFile(uploaded.id)).body)).toHaveLength(bytes);
    });

    test.each([REQUEST.length - 1, REQUEST.length + 1])(
      'refuses to upload %i bytes where the body has other ones',
      async (bytes) => {
        const uploading = api.uploadFile({ filename: 'batchdrop-x.jsonl', bytes, body: streamOf(REQUEST) });
        await expect(uploading).rejects.toThrow(`where ${bytes} were declared`);
      },
    );

    test('fails an upload with the error of its body', async () => {
      const cause = new Error('the source broke');
      async function* body(): AsyncGenerator<Uint8Array> {
        yield REQUEST;
        throw cause;
      }
      const uploading = api.uploadFile({ filename: 'batchdrop-x.jsonl', bytes: 1_000_000, body: body() });
      await expect(uploading).rejects.toBe(cause);
    });

    test('cancels a batch, once or twice, and takes no offence at one that has ended or never was', async () => {
      const { id } = await create();
      await api.cancelBatch(id);
      await api.cancelBatch(id);
      expect((await api.getBatch(id))?.status).toBe('cancelling');
      const done = await create();
      await fixture.finish(done.id);
      await api.cancelBatch(done.id);
      expect((await api.getBatch(done.id))?.status).toBe('completed');
      await api.cancelBatch('batch_00000000000000000000000000000000');
    });

    test('creates a batch that begins as validating and keeps its metadata', async () => {
      const metadata = { batchdrop_stack: 's', nonce: 'n' };
      const batch = await create(metadata);
      expect(batch).toMatchObject({ status: 'validating', metadata });
      expect(batch.createdAt % 1000).toBe(0);
      expect(batch.outputFileId).toBeUndefined();
      expect(batch.errorFileId).toBeUndefined();
      expect(batch.errors).toBeUndefined();
      expect(await api.getBatch(batch.id)).toMatchObject({ id: batch.id, metadata });
    });

    test('refuses a batch for an endpoint that is none', async () => {
      const { id } = await upload();
      const creating = api.createBatch({ inputFileId: id, endpoint: '/nowhere', metadata: {} });
      await expect(creating).rejects.toThrow(CreateRefusedError);
      await expect(creating).rejects.toMatchObject({ status: 400, code: 'invalid_value' });
    });

    test('knows no batch that was never created', async () => {
      expect(await api.getBatch('batch_00000000000000000000000000000000')).toBeUndefined();
    });

    test('gives the output of a batch that came to its end', async () => {
      const batch = await create();
      await fixture.finish(batch.id);
      const ended = (await api.getBatch(batch.id))!;
      expect(ended).toMatchObject({ status: 'completed', progress: { total: 1, completed: 1, failed: 0 } });
      expect(ended.errorFileId).toBeUndefined();
      const output = await api.readFile(ended.outputFileId!);
      const text = textOf(await collect(output.body))!;
      expect(Buffer.byteLength(text)).toBe(output.bytes);
      expect(JSON.parse(text)).toMatchObject({ custom_id: 'a' });
    });

    test('lists every batch once, over as many pages as it takes', async () => {
      const { id } = await upload();
      const created: string[] = [];
      for (let index = 0; index < 230; index += 1) {
        const metadata = { index: String(index) };
        created.push((await api.createBatch({ inputFileId: id, endpoint: '/v1/responses', metadata })).id);
      }
      const listed: RemoteBatch[] = [];
      let pages = 0;
      let after: string | undefined;
      do {
        const page = await api.listBatches(after);
        listed.push(...page.batches);
        after = page.next;
        pages += 1;
      } while (after !== undefined);
      expect(pages).toBeGreaterThan(2);
      const ids = listed.map((batch) => batch.id);
      expect(new Set(ids).size).toBe(ids.length);
      expect(created.filter((id) => !ids.includes(id))).toEqual([]);
    });

    test('has a project for each key, of which the other keys see nothing', async () => {
      const [one, other] = ['team-a', 'team-b'].map((name) => fixture.keyed.withKey(name));
      const file = { filename: 'batchdrop-a.jsonl', bytes: REQUEST.length, body: streamOf(REQUEST) };
      const { id } = await one!.uploadFile(file);
      const batch = await one!.createBatch({ inputFileId: id, endpoint: '/v1/responses', metadata: {} });
      expect((await fixture.keyed.withKey('team-a').getBatch(batch.id))?.id).toBe(batch.id);
      expect((await one!.listBatches()).batches.map((listed) => listed.id)).toEqual([batch.id]);
      expect(await other!.getBatch(batch.id)).toBeUndefined();
      expect((await other!.listBatches()).batches).toEqual([]);
      expect((await other!.listFiles()).files).toEqual([]);
      expect(await other!.fileSize(id)).toBeUndefined();
      await expect(other!.readFile(id)).rejects.toThrow('404');
      await other!.cancelBatch(batch.id);
      await other!.deleteFile(id);
      expect((await one!.getBatch(batch.id))?.status).toBe('validating');
      expect(await one!.fileSize(id)).toEqual({ bytes: REQUEST.length });
    });

    test('deletes a file, and one that is gone without complaint', async () => {
      const { id } = await upload();
      await api.deleteFile(id);
      await api.deleteFile(id);
      await expect(api.readFile(id)).rejects.toThrow('404');
    });
  });
}

export async function* streamOf(...chunks: Uint8Array[]): AsyncGenerator<Uint8Array> {
  yield* chunks;
}
