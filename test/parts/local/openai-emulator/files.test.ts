import { readdirSync } from 'node:fs';
import OpenAI, { toStreamingFile } from 'openai';
import { describe, expect, test } from 'vitest';
import * as fixtures from './fixtures.ts';
import {
  chatLine,
  clientFor,
  contentOf,
  normalised,
  refusalOf,
  startForTest,
  toJsonl,
  upload,
} from './support.ts';

describe('POST /v1/files', () => {
  test('answers with the File object that was captured from the real service', async () => {
    const { client } = await startForTest();
    const content = toJsonl([chatLine('a')]).padEnd(170, ' ');
    const file = await upload(client, content, 'bad_lines.jsonl');
    expect(normalised(file)).toEqual(normalised(fixtures.FILE_OBJECT));
    expect(Object.keys(file)).toEqual(Object.keys(fixtures.FILE_OBJECT));
    expect(file.id).toMatch(/^file-[0-9A-Za-z]{22}$/);
  });

  test('refuses a batch file whose name does not end in .jsonl', async () => {
    const { client } = await startForTest();
    const refusal = await refusalOf(upload(client, toJsonl([chatLine('a')]), 'notes.txt'));
    expect(refusal).toBeInstanceOf(OpenAI.BadRequestError);
    expect(refusal.error).toEqual(fixtures.NOT_JSONL_BODY.error);
  });

  test('shows the refusal of a wrong name with its detail, as on the wire', async () => {
    const { emulator } = await startForTest();
    const form = new FormData();
    form.append('purpose', 'batch');
    form.append('file', new File(['{}\n'], 'notes.txt'));
    const headers = { authorization: 'Bearer sk-test' };
    const response = await fetch(`${emulator.endpoint}/files`, { method: 'POST', body: form, headers });
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual(fixtures.NOT_JSONL_BODY);
  });

  test.each([
    ['an empty file', ''],
    ['a first line that is not JSON', '{malformed json'],
    ['a blank first line', `\n${toJsonl([chatLine('a')])}`],
  ])('refuses %s', async (_, content) => {
    const { client, dir } = await startForTest();
    const refusal = await refusalOf(upload(client, content));
    expect(refusal.status).toBe(400);
    expect(refusal.error).toEqual(fixtures.NOT_JSONL_BODY.error);
    expect(readdirSync(`${dir}/incoming`)).toEqual([]);
  });

  test('accepts a file of which only a later line is broken', async () => {
    const { client } = await startForTest();
    await expect(upload(client, toJsonl([chatLine('a'), '{broken']))).resolves.toBeDefined();
  });

  test('refuses a batch file over the limit and accepts one of just the limit', async () => {
    const content = toJsonl([chatLine('a')]);
    const { client } = await startForTest({ limits: { batchFileBytes: content.length } });
    await expect(upload(client, content)).resolves.toMatchObject({ bytes: content.length });
    const refusal = await refusalOf(upload(client, `${content} `));
    expect(refusal.status).toBe(400);
    expect(refusal.error).toEqual(fixtures.TOO_LARGE_ERROR);
  });

  test('refuses a file over the limit for all files without keeping it', async () => {
    const { client, dir } = await startForTest({ limits: { fileBytes: 1000 } });
    const refusal = await refusalOf(upload(client, 'x'.repeat(300_000)));
    expect(refusal.error).toEqual(fixtures.TOO_LARGE_ERROR);
    expect(readdirSync(`${dir}/incoming`)).toEqual([]);
  });

  test('takes expires_after, and the file is gone when that has passed', async () => {
    const { client, emulator } = await startForTest();
    const file = await client.files.create({
      file: new File(['{}\n'], 'a.jsonl'),
      purpose: 'batch',
      expires_after: { anchor: 'created_at', seconds: 3600 },
    });
    expect(file.expires_at).toBe(file.created_at + 3600);
    emulator.clock.advance(3_600_000);
    expect((await refusalOf(client.files.retrieve(file.id))).status).toBe(404);
    expect((await client.files.list()).data).toEqual([]);
  });

  test('refuses an expiry outside one hour to thirty days', async () => {
    const { client } = await startForTest();
    const refusal = await refusalOf(
      client.files.create({
        file: new File(['{}\n'], 'a.jsonl'),
        purpose: 'batch',
        expires_after: { anchor: 'created_at', seconds: 3599 },
      }),
    );
    expect(refusal).toMatchObject({
      status: 400,
      param: 'expires_after.seconds',
      code: 'integer_below_min_value',
    });
  });

  test('takes a streamed upload, and refuses it where uploads must announce their length', async () => {
    const content = toJsonl([chatLine('a')]);
    const streamed = () => toStreamingFile(new Blob([content]).stream(), 'streamed.jsonl');
    const open = await startForTest();
    const file = await open.client.files.create({ purpose: 'batch', file: streamed() });
    expect(await contentOf(open.client, file.id)).toBe(content);
    const strict = await startForTest({ refuseChunkedUploads: true });
    const refusal = await refusalOf(strict.client.files.create({ purpose: 'batch', file: streamed() }));
    expect(refusal.status).toBe(400);
    await expect(upload(strict.client, content)).resolves.toBeDefined();
  });

  test('keeps nothing of an upload that breaks off', async () => {
    const { client, dir } = await startForTest();
    async function* broken() {
      yield Buffer.from(toJsonl([chatLine('a')]).repeat(1000));
      throw new Error('source broke');
    }
    await expect(
      client.files.create({ purpose: 'batch', file: toStreamingFile(broken(), 'broken.jsonl') }),
    ).rejects.toThrow();
    await expect.poll(() => readdirSync(`${dir}/incoming`)).toEqual([]);
    expect((await client.files.list()).data).toEqual([]);
  });
});

describe('stored files', () => {
  test('are listed newest first, by purpose, in pages', async () => {
    const { client } = await startForTest();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.push((await upload(client, '{}\n', `${i}.jsonl`)).id);
    const other = await client.files.create({ purpose: 'user_data', file: new File(['x'], 'x.txt') });
    const all: string[] = [];
    for await (const file of client.files.list({ purpose: 'batch', limit: 2 })) all.push(file.id);
    expect(all).toEqual([...ids].reverse());
    const oldest = await client.files.list({ order: 'asc', limit: 1 });
    expect(oldest.data[0]?.id).toBe(ids[0]);
    expect((await client.files.list({ purpose: 'user_data' })).data[0]?.id).toBe(other.id);
  });

  test('have their content byte for byte until they are deleted', async () => {
    const { client } = await startForTest();
    const content = toJsonl([chatLine('ü—\u2028')]);
    const file = await upload(client, content);
    expect(await contentOf(client, file.id)).toBe(content);
    expect(await client.files.delete(file.id)).toEqual({ id: file.id, object: 'file', deleted: true });
    expect((await refusalOf(client.files.content(file.id))).status).toBe(404);
  });

  test('fails with the real message for an unknown file', async () => {
    const { client } = await startForTest();
    const refusal = await refusalOf(client.files.retrieve('file-nonexistent'));
    expect(refusal).toBeInstanceOf(OpenAI.NotFoundError);
    expect(refusal.error).toEqual(fixtures.NO_FILE_ERROR);
  });
});

describe('Uploads API', () => {
  test('joins parts in the order that complete gives them', async () => {
    const { client } = await startForTest();
    const content = toJsonl([chatLine('a'), chatLine('b')]);
    const started = await client.uploads.create({
      bytes: content.length,
      filename: 'parts.jsonl',
      mime_type: 'application/jsonl',
      purpose: 'batch',
    });
    expect(started).toMatchObject({ object: 'upload', status: 'pending' });
    expect(started.expires_at).toBe(started.created_at + 3600);
    const second = await client.uploads.parts.create(started.id, {
      data: new File([content.slice(50)], 'p2'),
    });
    const first = await client.uploads.parts.create(started.id, {
      data: new File([content.slice(0, 50)], 'p1'),
    });
    expect(first).toMatchObject({ object: 'upload.part', upload_id: started.id });
    const done = await client.uploads.complete(started.id, { part_ids: [first.id, second.id] });
    expect(done).toMatchObject({
      status: 'completed',
      file: { filename: 'parts.jsonl', bytes: content.length },
    });
    expect(await contentOf(client, done.file!.id)).toBe(content);
    const late = client.uploads.parts.create(started.id, { data: new File(['x'], 'p3') });
    expect((await refusalOf(late)).status).toBe(400);
  });

  test('refuses to complete with other bytes than declared, and any step after cancel', async () => {
    const { client } = await startForTest();
    const started = await client.uploads.create({
      bytes: 10,
      filename: 'a.jsonl',
      mime_type: 'application/jsonl',
      purpose: 'batch',
    });
    const part = await client.uploads.parts.create(started.id, { data: new File(['{}\n'], 'p') });
    expect((await refusalOf(client.uploads.complete(started.id, { part_ids: [part.id] }))).status).toBe(400);
    expect(await client.uploads.cancel(started.id)).toMatchObject({ status: 'cancelled' });
    expect((await refusalOf(client.uploads.cancel(started.id))).status).toBe(400);
  });
});

describe('keys and addresses', () => {
  test('refuses a key that is not in the list with invalid_api_key', async () => {
    const { emulator } = await startForTest({ apiKeys: ['sk-good'] });
    await expect(clientFor(emulator, 'sk-good').batches.list()).resolves.toBeDefined();
    const refusal = await refusalOf(clientFor(emulator, 'sk-bad').batches.list());
    expect(refusal).toBeInstanceOf(OpenAI.AuthenticationError);
    expect(refusal).toMatchObject({ status: 401, code: 'invalid_api_key' });
    expect(refusal.message).not.toContain('sk-bad');
  });

  test('refuses an address that the API does not have', async () => {
    const { client } = await startForTest();
    const refusal = await refusalOf(client.get('/nowhere'));
    expect(refusal.error).toMatchObject({
      message: 'Invalid URL (GET /v1/nowhere)',
      type: 'invalid_request_error',
    });
  });
});
