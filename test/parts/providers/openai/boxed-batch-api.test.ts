/** Every call to OpenAI ends in time, over real HTTP with a server that hangs, trickles and stalls. */
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { BatchdropError, IncompleteDownloadError } from '../../../../src/core/base/errors.ts';
import type { Deadline } from '../../../../src/core/ports/ambient.ts';
import { MAX_ANSWER_BYTES } from '../../../../src/providers/openai/bounded-answer.ts';
import { BoxedBatches, type CallTimes } from '../../../../src/providers/openai/boxed-batch-api.ts';
import { OpenAIRequestError } from '../../../../src/providers/openai/request-error.ts';
import { createOpenAIClient } from '../../../../src/runtime/deps/openai.ts';
import { collectBytes } from '../../../support/bytes.ts';

async function apiOf(
  answer: RequestListener,
  options: { times?: Partial<CallTimes>; deadline?: Deadline } = {},
): Promise<{ api: BoxedBatches; calls: string[] }> {
  const calls: string[] = [];
  const server = createServer((request, response) => {
    calls.push(`${request.method} ${request.url}`);
    return answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = createOpenAIClient(async () => 'sk-test', `http://127.0.0.1:${port}/v1`);
  return { api: new BoxedBatches(client, undefined, options), calls };
}

const hang: RequestListener = () => {};
const CREATE = { inputFileId: 'file-1', endpoint: '/v1/responses', metadata: {} };

test('a service that takes connections and never answers ends every kind of call, retries included', async () => {
  const { api } = await apiOf(hang, { times: { readMs: 400, tryMs: 150, createMs: 400, uploadMs: 400 } });
  const calls: (() => Promise<unknown>)[] = [
    () => api.listBatches(),
    () => api.getBatch('batch_1'),
    () => api.cancelBatch('batch_1'),
    () => api.listFiles(),
    () => api.fileSize('file-1'),
    () => api.deleteFile('file-1'),
    () => api.readFile('file-1'),
    () => api.createBatch(CREATE),
    () => api.uploadFile({ filename: 'f', bytes: 0, body: (async function* () {})() }),
  ];
  await Promise.all(
    calls.map(async (call) => {
      const begunAt = performance.now();
      await expect(call()).rejects.toThrow(/timed out|took longer/);
      expect(performance.now() - begunAt).toBeLessThan(3_000);
    }),
  );
});

test('a JSON answer that comes byte by byte and never ends is given up', async () => {
  const { api } = await apiOf(
    (_request, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    },
    { times: { readMs: 300 } },
  );
  await expect(api.listBatches()).rejects.toThrow('GET /batches took longer than 0 s in all');
});

/** Sends blanks as fast as they are taken, four times what an answer may have, and counts them. */
function blanksOf(status: number) {
  const sent = { bytes: 0 };
  const blanks = Buffer.alloc(1024 * 1024, ' ');
  const answer: RequestListener = (_request, response) => {
    response.writeHead(status, {
      'content-type': 'application/json',
      'content-length': 4 * MAX_ANSWER_BYTES,
    });
    const send = (): void => {
      while (!response.destroyed && sent.bytes < 4 * MAX_ANSWER_BYTES) {
        sent.bytes += blanks.length;
        if (!response.write(blanks)) return;
      }
      response.end();
    };
    response.on('drain', send);
    send();
  };
  return { answer, sent };
}

test.each([200, 400])(
  'an answer of %i that is too large is given up before it fills the memory',
  async (status) => {
    const calls: ((api: BoxedBatches) => Promise<unknown>)[] = [
      (api) => api.listBatches(),
      (api) => api.createBatch(CREATE),
      (api) => api.cancelBatch('batch_1'),
    ];
    for (const call of calls) {
      const { answer, sent } = blanksOf(status);
      const { api } = await apiOf(answer);
      await expect(call(api)).rejects.toThrow(BatchdropError);
      // What is on its way in sockets and streams was sent, too.
      expect(sent.bytes).toBeLessThan(2 * MAX_ANSWER_BYTES);
    }
  },
);

test('a file may be larger than any other answer, also from where the service sends us for it', async () => {
  const { answer } = blanksOf(200);
  const { api } = await apiOf((request, response) =>
    request.url === '/stored'
      ? answer(request, response)
      : response.writeHead(302, { location: '/stored' }).end(),
  );
  const { body } = await api.readFile('file-1');
  let bytes = 0;
  for await (const chunk of body) bytes += chunk.length;
  expect(bytes).toBe(4 * MAX_ANSWER_BYTES);
});

test('no call outlasts the run that it is in, and none begins after it', async () => {
  const endsAt = performance.now() + 300;
  const deadline = { remainingMs: () => endsAt - performance.now() };
  const { api, calls } = await apiOf(hang, { deadline });
  await expect(api.listBatches()).rejects.toThrow(OpenAIRequestError);
  expect(deadline.remainingMs()).toBeGreaterThan(-2_000);
  await wait(Math.max(0, deadline.remainingMs()));
  calls.length = 0;
  await expect(api.getBatch('batch_1')).rejects.toThrow('no time is left');
  expect(calls).toEqual([]);
});

/** A file of 100 KB, in pieces of `bytes` every `ms`. */
const slowFile =
  (bytes: number, ms: number): RequestListener =>
  async (_request, response) => {
    response.writeHead(200, { 'content-length': '100000' });
    for (let sent = 0; sent < 100_000 && !response.destroyed; sent += bytes) {
      response.write(Buffer.alloc(Math.min(bytes, 100_000 - sent)));
      await wait(ms);
    }
    response.end();
  };
const STALL = { stallMs: 300, minBytes: 10_000 };

test('a download that stops, or comes slower than the least rate, is given up for another one', async () => {
  for (const file of [slowFile(50_000, 60_000), slowFile(10, 20)]) {
    const { api } = await apiOf(file, { times: STALL });
    const { body } = await api.readFile('file-1');
    await expect(collectBytes(body)).rejects.toThrow(IncompleteDownloadError);
  }
});

test('a download that moves is read to its end, however long that takes and however slow its reader is', async () => {
  const { api } = await apiOf(slowFile(20_000, 150), { times: { ...STALL, readMs: 100 } });
  const { body } = await api.readFile('file-1');
  let bytes = 0;
  for await (const chunk of body) {
    bytes += chunk.length;
    await wait(400);
  }
  expect(bytes).toBe(100_000);
});
