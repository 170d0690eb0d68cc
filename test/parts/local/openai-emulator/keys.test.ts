import { expect, test } from 'vitest';
import { chatLines, clientFor, createBatch, refusalOf, startForTest, toJsonl, upload } from './support.ts';

const apiKeys = { 'sk-a': 'proj_a', 'sk-a-next': 'proj_a', 'sk-b': 'proj_b' };

test('each key sees its own project, and keys of one project see the same', async () => {
  const { emulator } = await startForTest({ apiKeys });
  const [a, next, b] = ['sk-a', 'sk-a-next', 'sk-b'].map((key) => clientFor(emulator, key));
  const batch = await createBatch(a!, chatLines(1));
  expect((await next!.batches.retrieve(batch.id)).id).toBe(batch.id);
  expect((await next!.files.retrieve(batch.input_file_id)).id).toBe(batch.input_file_id);
  for (const call of [
    b!.batches.retrieve(batch.id),
    b!.batches.cancel(batch.id),
    b!.files.retrieve(batch.input_file_id),
    b!.files.content(batch.input_file_id),
    b!.files.delete(batch.input_file_id),
  ]) {
    expect((await refusalOf(call)).status).toBe(404);
  }
  expect((await b!.batches.list()).data).toEqual([]);
  expect((await b!.files.list()).data).toEqual([]);
  expect((await refusalOf(clientFor(emulator, 'sk-c').batches.list())).code).toBe('invalid_api_key');
});

test('a batch over a file of another project is created, and fails', async () => {
  const { emulator } = await startForTest({ apiKeys });
  const file = await upload(clientFor(emulator, 'sk-a'), toJsonl(chatLines(1)));
  const b = clientFor(emulator, 'sk-b');
  const params = { endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
  const batch = await b.batches.create({ ...params, input_file_id: file.id });
  expect(batch.status).toBe('validating');
  emulator.clock.advance(60_000);
  const failed = await b.batches.retrieve(batch.id);
  expect(failed.errors?.data?.[0]?.message).toContain('Cannot find file');
});

test('a key that is rotated to another project finds nothing, and one that is revoked gets 401', async () => {
  const { emulator } = await startForTest({ apiKeys: ['sk-a'] });
  const client = clientFor(emulator, 'sk-a');
  const batch = await createBatch(client, chatLines(1));
  emulator.setFaults({ apiKeys: { 'sk-a': 'proj_elsewhere' } });
  expect((await refusalOf(client.batches.retrieve(batch.id))).status).toBe(404);
  emulator.setFaults({ apiKeys: [] });
  expect((await refusalOf(client.batches.retrieve(batch.id))).status).toBe(401);
});

test('an HTTP fault can be for one key', async () => {
  const { emulator } = await startForTest({
    faults: [{ match: { key: '^sk-a$' }, effect: { kind: 'http.status', status: 403 } }],
  });
  expect((await refusalOf(clientFor(emulator, 'sk-a').batches.list())).status).toBe(403);
  expect((await clientFor(emulator, 'sk-b').batches.list()).data).toEqual([]);
});

test('more batches an hour, or uploads a minute, than are allowed are refused until time has passed', async () => {
  const { emulator, client } = await startForTest({ limits: { batchesPerHour: 2, fileUploadsPerMinute: 3 } });
  await createBatch(client, chatLines(1));
  await createBatch(client, chatLines(1));
  const refusal = await refusalOf(createBatch(client, chatLines(1)));
  expect(refusal).toMatchObject({ status: 429, code: 'rate_limit_exceeded' });
  expect((await refusalOf(upload(client, toJsonl(chatLines(1))))).status).toBe(429);
  emulator.clock.advance(3_600_000);
  expect((await createBatch(client, chatLines(1))).status).toBe('validating');
});

test('synchronous calls carry the rate limits of their model, and are refused above them until time has passed', async () => {
  const { emulator, client } = await startForTest({
    limits: { requestsPerMinute: 2, tokensPerMinute: 1000 },
  });
  const ask = (content = 'x') =>
    client.chat.completions
      .create({ model: 'gpt-4o-mini', messages: [{ role: 'user', content }] })
      .asResponse();
  const headers = (await ask()).headers;
  expect(headers.get('x-ratelimit-limit-requests')).toBe('2');
  expect(headers.get('x-ratelimit-remaining-requests')).toBe('1');
  expect(headers.get('x-ratelimit-reset-requests')).toBe('30s');
  expect(headers.get('x-ratelimit-remaining-tokens')).toBe('999');
  await ask();
  const refusal = await refusalOf(ask());
  expect(refusal).toMatchObject({ status: 429, code: 'rate_limit_exceeded', type: 'requests' });
  expect(refusal.headers?.get('retry-after-ms')).toBe('30000');
  emulator.clock.advance(30_000);
  expect((await ask()).status).toBe(200);
  emulator.clock.advance(60_000);
  expect(await refusalOf(ask('x'.repeat(8000)))).toMatchObject({ type: 'tokens' });
  expect((await emulator.ledger.all()).length).toBe(3);
});
