import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import OpenAI, { toFile } from 'openai';
import { expect, onTestFinished, test } from 'vitest';
import { startEmulator } from '../../../../local/openai-emulator/emulator.ts';
import type { ServiceCall } from '../../../../local/services/interception.ts';
import { startOpenAiRelay } from '../../../../local/stack/openai-relay.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const LINE = JSON.stringify({
  custom_id: 'a',
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: 'gpt-6-luna', messages: [{ role: 'user', content: 'ü' }] },
});

async function start(verdict: (call: ServiceCall) => 'cut' | undefined = () => undefined) {
  const emulator = await startEmulator({ dir: temporaryFolder() });
  const calls: ServiceCall[] = [];
  const relay = await startOpenAiRelay({
    baseUrl: emulator.endpoint,
    intercept(call) {
      calls.push(call);
      return verdict(call);
    },
  });
  onTestFinished(async () => {
    await relay.close();
    await emulator.close();
  });
  const clientOf = (baseURL: string) => new OpenAI({ baseURL, apiKey: 'sk-local', maxRetries: 0 });
  return {
    calls,
    direct: clientOf(emulator.endpoint),
    relayed: clientOf(relay.baseUrlFor('worker.1')),
  };
}

const idsOf = async (client: OpenAI) => (await client.files.list()).data.map(({ id }) => id);

test('everything passes as it is, and each call is seen twice with the process that made it', async () => {
  const { calls, direct, relayed } = await start();
  const file = await relayed.files.create({
    purpose: 'batch',
    file: await toFile(Buffer.from(LINE), 'a.jsonl'),
  });
  expect(await idsOf(direct)).toEqual([file.id]);
  expect(await (await relayed.files.content(file.id)).text()).toBe(LINE);
  await expect(relayed.files.retrieve('file-none')).rejects.toMatchObject({ status: 404 });
  expect(calls.map(({ moment, operation }) => `${moment} ${operation}`)).toEqual([
    'before POST /v1/files',
    'after POST /v1/files',
    `before GET /v1/files/${file.id}/content`,
    `after GET /v1/files/${file.id}/content`,
    'before GET /v1/files/file-none',
    'after GET /v1/files/file-none',
  ]);
  expect(new Set(calls.map(({ sessionToken }) => sessionToken))).toEqual(new Set(['worker.1']));
});

test.each([
  ['before', 0],
  ['after', 1],
] as const)('a call that is cut %s its effect fails, and leaves %i files', async (moment, files) => {
  const { direct, relayed } = await start((call) => (call.moment === moment ? 'cut' : undefined));
  const creating = relayed.files.create({
    purpose: 'batch',
    file: await toFile(Buffer.from(LINE), 'a.jsonl'),
  });
  await expect(creating).rejects.toThrow(OpenAI.APIConnectionError);
  expect(await idsOf(direct)).toHaveLength(files);
});

test('a connection that the service cuts is cut for the caller', async () => {
  const server = createServer((request, response) => {
    response.writeHead(200, { 'content-length': '100' });
    response.write('half');
    setImmediate(() => request.socket.destroy());
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  const { port } = server.address() as AddressInfo;
  const relay = await startOpenAiRelay({
    baseUrl: `http://127.0.0.1:${port}/v1`,
    intercept: () => undefined,
  });
  onTestFinished(() => relay.close());
  const response = await fetch(`${relay.baseUrlFor('worker.1')}/files/x/content`);
  await expect(response.text()).rejects.toThrow('terminated');
});
