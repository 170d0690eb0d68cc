import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  BatchdropError,
  CreateRefusedError,
  IncompleteDownloadError,
  UploadRefusedError,
} from '../../../../src/core/base/errors.ts';
import { OpenAIBatches } from '../../../../src/providers/openai/batch-api.ts';
import { OpenAIRequestError } from '../../../../src/providers/openai/request-error.ts';
import { UploadLengthError } from '../../../../src/providers/openai/upload-body.ts';
import { createOpenAIClient } from '../../../../src/runtime/deps/openai.ts';
import { streamOf } from '../../../support/contracts/batch-api.suite.ts';
import { bytesOf, collect, textOf } from '../../../support/contracts/object-store.suite.ts';

const KEY = 'sk-proj-abcdefghijklmnopqrstuvwxyz';
const PROMPT = 'the content of a prompt';

type Answer = (request: IncomingMessage, response: ServerResponse) => void;

/** The adapter in front of a server that answers as the test says. */
async function apiAnsweredBy(answer: Answer, readKey = async () => KEY, timeout = 60_000) {
  let requests = 0;
  const server = createServer((request, response) => {
    requests += 1;
    request.on('error', () => {});
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(() => {
    server.closeAllConnections();
    server.close();
  });
  const { port } = server.address() as AddressInfo;
  const client = createOpenAIClient(readKey, `http://127.0.0.1:${port}/v1`).withOptions({ timeout });
  return { api: new OpenAIBatches(client), requests: () => requests };
}

/** Reads the request whole, then answers with JSON. */
function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return (request, response) => {
    request.resume().on('end', () => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(JSON.stringify(body));
    });
  };
}

const errorBody = (message: string, code: string | null = null) => ({
  error: { message, type: 'invalid_request_error', param: null, code },
});

const batchObject = (changes: Record<string, unknown> = {}) => ({
  id: 'batch_1',
  object: 'batch',
  endpoint: '/v1/responses',
  input_file_id: 'file-1',
  completion_window: '24h',
  status: 'in_progress',
  created_at: 1_790_000_000,
  ...changes,
});

const BATCH = { inputFileId: 'file-1', endpoint: '/v1/responses', metadata: { note: PROMPT } };

async function failureOf(promise: Promise<unknown>): Promise<Error> {
  return promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: Error) => error,
  );
}

test.each([400, 401, 403, 404, 413, 429])('an upload takes %i for a refusal', async (status) => {
  const { api } = await apiAnsweredBy(json(status, errorBody('No.', 'some_code')));
  const file = { filename: 'a.jsonl', bytes: 2, body: streamOf(bytesOf('{}')) };
  const error = await failureOf(api.uploadFile(file));
  expect(error).toBeInstanceOf(UploadRefusedError);
  expect(error).toMatchObject({ status, code: 'some_code' });
});

describe('creating a batch', () => {
  test.each([400, 401, 403, 404, 413, 422, 429])(
    'takes %i for a refusal, after one request',
    async (status) => {
      const { api, requests } = await apiAnsweredBy(json(status, errorBody('No.', 'some_code')));
      const error = await failureOf(api.createBatch(BATCH));
      expect(error).toBeInstanceOf(CreateRefusedError);
      expect(error).toMatchObject({ status, code: 'some_code' });
      expect(error.message).toBe(`POST /batches was answered ${status} some_code: No.`);
      expect(requests()).toBe(1);
    },
  );

  test.each([408, 409, 500, 502, 503, 504, 418])(
    'leaves it open what %i means, after one request',
    async (status) => {
      const { api, requests } = await apiAnsweredBy(json(status, errorBody('Hm.')));
      const error = await failureOf(api.createBatch(BATCH));
      expect(error).toBeInstanceOf(OpenAIRequestError);
      expect(error).toMatchObject({ status });
      expect(requests()).toBe(1);
    },
  );

  test.each<[string, Answer]>([
    ['a reset before the answer', (request) => request.socket.resetAndDestroy()],
    [
      'a reset in the answer',
      (request, response) => {
        response.writeHead(200, { 'content-type': 'application/json', 'content-length': '500' });
        response.write('{"id":', () => request.socket.destroy());
      },
    ],
    ['no answer', () => {}],
    [
      'an answer that stops',
      (_request, response) => {
        response.writeHead(200, { 'content-type': 'application/json' });
        response.write('{"id":');
      },
    ],
    ['an answer that is not JSON', json(200, undefined)],
    ['an answer that is not a batch', json(200, { hello: 'world' })],
    ['an id that no record has room for', json(200, batchObject({ id: 'b'.repeat(500_000) }))],
  ])('leaves it open what %s means, after one request', async (_name, answer) => {
    const { api, requests } = await apiAnsweredBy(answer, undefined, 500);
    const error = await failureOf(api.createBatch(BATCH));
    expect(error).toBeInstanceOf(BatchdropError);
    expect(error).not.toBeInstanceOf(CreateRefusedError);
    expect(requests()).toBe(1);
  });

  test('asks for exactly the batch that it was asked to create', async () => {
    let sent = '';
    const { api } = await apiAnsweredBy((request, response) => {
      request.on('data', (chunk) => {
        sent += chunk;
      });
      json(200, batchObject())(request, response);
    });
    await api.createBatch({ ...BATCH, completionWindow: '7d' });
    expect(JSON.parse(sent)).toMatchObject({ completion_window: '7d' });
    sent = '';
    await api.createBatch(BATCH);
    expect(JSON.parse(sent)).toEqual({
      input_file_id: 'file-1',
      endpoint: '/v1/responses',
      completion_window: '24h',
      metadata: { note: PROMPT },
    });
  });
});

describe('what errors say', () => {
  test('never repeats the key that OpenAI quotes', async () => {
    const { api } = await apiAnsweredBy(
      json(401, errorBody(`Incorrect API key provided: ${KEY.slice(0, 12)}****wxyz.`, 'invalid_api_key')),
    );
    for (const call of [
      () => api.createBatch(BATCH),
      () => api.getBatch('batch_1'),
      () => api.listBatches(),
    ]) {
      const error = await failureOf(call());
      expect(error.message).toContain('invalid_api_key');
      expect(describeWhole(error)).not.toContain('abcd');
    }
  });

  test('never repeats what was sent', async () => {
    const { api } = await apiAnsweredBy(json(400, errorBody(`Cannot read {"input":"${PROMPT}"}`)));
    for (const call of [
      () => api.uploadFile({ filename: 'a.jsonl', bytes: 2, body: streamOf(bytesOf('{}')) }),
      () => api.createBatch(BATCH),
    ]) {
      const error = await failureOf(call());
      expect(error.message).toContain('400');
      expect(describeWhole(error)).not.toContain(PROMPT);
    }
  });

  test.each<[unknown, string | undefined]>([
    ['c'.repeat(500_000), 'c'.repeat(200)],
    [4001, '4001'],
    [null, undefined],
  ])('has a code that a record has room for', async (given, code) => {
    const { api } = await apiAnsweredBy(json(400, { error: { message: 'No.', code: given } }));
    const error = await failureOf(api.createBatch(BATCH));
    expect(error).toMatchObject({ status: 400, code });
    expect(error.message.length).toBeLessThan(1_000);
  });

  test('carries the request id that OpenAI asks for in support', async () => {
    const { api } = await apiAnsweredBy(json(400, errorBody('No.'), { 'x-request-id': 'req_7' }));
    expect((await failureOf(api.createBatch(BATCH))).message).toContain('(request req_7)');
  });

  test('is the error of the key when there is no key to use', async () => {
    const cause = new BatchdropError('the secret is empty');
    const { api, requests } = await apiAnsweredBy(json(200, {}), async () => {
      throw cause;
    });
    expect(await failureOf(api.createBatch(BATCH))).toBe(cause);
    const file = { filename: 'a.jsonl', bytes: 2, body: streamOf(bytesOf('{}')) };
    expect(await failureOf(api.uploadFile(file))).toBe(cause);
    expect(await failureOf(api.getBatch('batch_1'))).toBe(cause);
    expect(requests()).toBe(0);
  });

  /** Everything that a logger could find in an error. */
  function describeWhole(error: Error): string {
    return [error.message, error.stack, JSON.stringify(error), String(error.cause)].join('\n');
  }
});

describe('reading a batch', () => {
  const read = async (changes: Record<string, unknown>) => {
    const { api } = await apiAnsweredBy(json(200, batchObject(changes)));
    return api.getBatch('batch_1');
  };

  test('takes empty, null and absent ids all for none', async () => {
    const expected = {
      id: 'batch_1',
      status: 'in_progress',
      inputFileId: 'file-1',
      metadata: {},
      createdAt: 1_790_000_000_000,
    };
    expect(await read({})).toEqual(expected);
    expect(
      await read({
        output_file_id: '',
        error_file_id: null,
        errors: null,
        metadata: null,
        request_counts: null,
      }),
    ).toEqual(expected);
  });

  test('reads statuses in capitals', async () => {
    expect(await read({ status: 'COMPLETED', output_file_id: 'file-2' })).toMatchObject({
      status: 'completed',
      outputFileId: 'file-2',
    });
  });

  test('takes a status that it does not know for one that is not final', async () => {
    expect(await read({ status: 'paused' })).toMatchObject({ status: 'in_progress' });
  });

  test('reads the errors of a batch that failed as a whole', async () => {
    const data = [
      { code: 'invalid_json_line', message: 'This line is not parseable.', param: null, line: 3 },
      { code: 'token_limit_exceeded', message: 'Enqueued token limit reached.', param: 'x', line: null },
      { code: null, message: null },
    ];
    expect((await read({ status: 'failed', errors: { object: 'list', data } }))!.errors).toStrictEqual([
      { code: 'invalid_json_line', message: 'This line is not parseable.', line: 3 },
      { code: 'token_limit_exceeded', message: 'Enqueued token limit reached.', param: 'x' },
      { code: 'unknown', message: '' },
    ]);
  });

  test.each([
    ['a list', [{ message: 'No.', count: 1 }]],
    ['a text', 'No.'],
    ['one with a number for a code', { data: [{ code: 400, message: 'No.' }] }],
  ])('shows a page on which the errors of somebody else are %s', async (_what, errors) => {
    const data = [batchObject({ id: 'batch_0', status: 'failed', errors }), batchObject()];
    const { api } = await apiAnsweredBy(json(200, { object: 'list', data, has_more: false }));
    const { batches } = await api.listBatches();
    expect(batches.map(({ id }) => id)).toEqual(['batch_0', 'batch_1']);
    expect(batches[0]?.errors).toBeUndefined();
  });

  test.each([
    [{ has_more: true }, 'batch_1'],
    [{ has_more: false }, undefined],
    [{}, 'batch_1'],
  ])('goes on after a page with %j at %s', async (more, next) => {
    const { api } = await apiAnsweredBy(json(200, { object: 'list', data: [batchObject()], ...more }));
    expect((await api.listBatches()).next).toBe(next);
    expect((await api.listBatches('batch_1')).next).toBeUndefined();
  });

  test.each([
    ['an empty page', { data: [], has_more: true }, true],
    ['the page that was read before', { data: [batchObject()], has_more: true }, true],
    ['an empty page that is the last one', { data: [], has_more: false }, false],
    ['an empty page of a service that never says has_more', { data: [] }, false],
  ])('tells a list that is cut off from one that ends: %s', async (_what, page, isCut) => {
    const { api } = await apiAnsweredBy(json(200, { object: 'list', ...page }));
    const { next, ...rest } = await api.listBatches('batch_1');
    expect(next).toBeUndefined();
    expect(rest.isCut).toBe(isCut);
  });
});

describe('listing models', () => {
  const modelsOf = async (answer: Answer) => (await apiAnsweredBy(answer)).api.listModels();

  test('reads the shutdown date where there is one, whatever else a service says of a model', async () => {
    const data = [
      { id: 'gpt-5-nano', object: 'model', shutdown_date: '2026-12-11' },
      { id: 'gpt-6-luna', object: 'model', shutdown_date: null },
      { id: 'llama', meta: {}, shutdown_date: 12 },
    ];
    expect(await modelsOf(json(200, { object: 'list', data }))).toEqual([
      { id: 'gpt-5-nano', shutdownDate: '2026-12-11' },
      { id: 'gpt-6-luna', shutdownDate: undefined },
      { id: 'llama', shutdownDate: undefined },
    ]);
  });

  test.each([403, 404])('takes an answer of %i for: the key may not ask', async (status) => {
    expect(await modelsOf(json(status, errorBody('You have insufficient permissions.')))).toBeUndefined();
  });

  test('fails where the key is refused', async () => {
    await expect(modelsOf(json(401, errorBody('No.')))).rejects.toBeInstanceOf(OpenAIRequestError);
  });
});

describe('uploading', () => {
  const BODY = bytesOf('{"custom_id":"a"}\n');
  const fileOf = (changes: Partial<Parameters<OpenAIBatches['uploadFile']>[0]> = {}) => ({
    filename: 'a.jsonl',
    bytes: BODY.length,
    body: streamOf(BODY),
    ...changes,
  });

  test('sends one form with its length, purpose first, and a file name that cannot break out', async () => {
    let headers: IncomingMessage['headers'] = {};
    let sent = '';
    const { api } = await apiAnsweredBy((request, response) => {
      headers = request.headers;
      request.on('data', (chunk) => {
        sent += chunk;
      });
      json(200, { id: 'file-1', bytes: 18 })(request, response);
    });
    await api.uploadFile(fileOf({ filename: 'a"\r\nx: y.jsonl' }));
    expect(headers['transfer-encoding']).toBeUndefined();
    expect(Number(headers['content-length'])).toBe(sent.length);
    expect(headers.authorization).toBe(`Bearer ${KEY}`);
    const boundary = /boundary=(.+)$/.exec(headers['content-type']!)![1]!;
    expect(sent.split(`--${boundary}`)).toEqual([
      '',
      '\r\nContent-Disposition: form-data; name="purpose"\r\n\r\nbatch\r\n',
      '\r\nContent-Disposition: form-data; name="file"; filename="a%22%0D%0Ax: y.jsonl"\r\n' +
        'Content-Type: application/jsonl\r\n\r\n{"custom_id":"a"}\n\r\n',
      '--\r\n',
    ]);
  });

  test.each([BODY.length - 1, BODY.length + 1])(
    'fails, and lets no request be finished, when %i bytes are declared for a body of 18',
    async (bytes) => {
      let isFinished = false;
      const { api } = await apiAnsweredBy((request, response) => {
        request.resume().on('end', () => {
          isFinished = true;
          response.end();
        });
      });
      await expect(api.uploadFile(fileOf({ bytes }))).rejects.toThrow(UploadLengthError);
      expect(isFinished).toBe(false);
    },
  );

  test.each<[string, Answer]>([
    [
      'is refused before it is read',
      (_request, response) => {
        response.writeHead(413, { 'content-type': 'application/json', connection: 'close' });
        response.end(JSON.stringify(errorBody('File is too large.')));
      },
    ],
    ['is cut off', (request) => request.once('data', () => request.socket.resetAndDestroy())],
  ])('is not tried again and lets go of its source when it %s', async (_name, answer) => {
    const { api, requests } = await apiAnsweredBy(answer);
    let release = () => {};
    const released = new Promise<void>((resolve) => {
      release = resolve;
    });
    async function* endless(): AsyncGenerator<Uint8Array> {
      try {
        for (;;) yield new Uint8Array(65_536);
      } finally {
        release();
      }
    }
    const uploading = failureOf(api.uploadFile(fileOf({ bytes: 50_000_000, body: endless() })));
    expect(await uploading).toBeInstanceOf(BatchdropError);
    await released;
    expect(requests()).toBe(1);
  });

  test('releases its source when no one reads', async () => {
    const { api } = await apiAnsweredBy(json(200, {}), async () => {
      throw new BatchdropError('no key');
    });
    let isReleased = false;
    const body = {
      [Symbol.asyncIterator]: () => ({
        next: async () => ({ done: false as const, value: BODY }),
        return: async () => {
          isReleased = true;
          return { done: true as const, value: undefined };
        },
      }),
    };
    await expect(api.uploadFile(fileOf({ body }))).rejects.toThrow('no key');
    expect(isReleased).toBe(true);
  });
});

describe('downloading', () => {
  const CONTENT = '{"custom_id":"a"}\n'.repeat(1000);

  test('reports no length where neither the answer nor the file does', async () => {
    const { api } = await apiAnsweredBy((request, response) => {
      if (!request.url!.endsWith('/content'))
        return json(404, errorBody('No such File object'))(request, response);
      response.write(CONTENT);
      response.end();
    });
    const file = await api.readFile('file-1');
    expect(file.bytes).toBeUndefined();
    expect(textOf(await collect(file.body))).toBe(CONTENT);
  });

  test('asks the file for its length where the answer is packed', async () => {
    const { api } = await apiAnsweredBy((request, response) => {
      if (!request.url!.endsWith('/content')) {
        return json(200, { id: 'file-1', bytes: CONTENT.length })(request, response);
      }
      const packed = gzipSync(CONTENT);
      response.writeHead(200, { 'content-encoding': 'gzip', 'content-length': String(packed.length) });
      response.end(packed);
    });
    const file = await api.readFile('file-1');
    expect(file.bytes).toBe(CONTENT.length);
    expect(textOf(await collect(file.body))).toBe(CONTENT);
  });

  test('reads an empty file', async () => {
    const { api } = await apiAnsweredBy((_request, response) => {
      response.writeHead(200, { 'content-length': '0' });
      response.end();
    });
    const file = await api.readFile('file-1');
    expect(file.bytes).toBe(0);
    expect(await collect(file.body)).toHaveLength(0);
  });

  test('fails, saying where, when the body breaks off', async () => {
    const { api } = await apiAnsweredBy((request, response) => {
      response.writeHead(200, { 'content-length': String(CONTENT.length) });
      response.write(CONTENT.slice(0, 5_000), () => request.socket.destroy());
    });
    const error = await failureOf(collect((await api.readFile('file-1')).body));
    expect(error).toBeInstanceOf(IncompleteDownloadError);
    expect(error.message).toMatch(/GET \/files\/file-1\/content broke off after \d+ of 18000 bytes/);
  });

  describe('from a byte on', () => {
    /** A service that makes of a range what `answer` says. */
    const apiWith = (answer: (start: number) => [status: number, range: string, body: string]) =>
      apiAnsweredBy((request, response) => {
        const range = /^bytes=(\d+)-$/.exec(request.headers.range ?? '');
        const [status, contentRange, body] = range === null ? [200, '', CONTENT] : answer(Number(range[1]));
        response.writeHead(status, {
          'content-length': String(body.length),
          ...(contentRange === '' ? {} : { 'content-range': contentRange }),
        });
        response.end(body);
      });

    test.each<[string, Parameters<typeof apiWith>[0]]>([
      ['gives the range', (start) => [206, `bytes ${start}-17999/18000`, CONTENT.slice(start)]],
      ['knows no ranges', () => [200, '', CONTENT]],
      ['gives another range', () => [206, 'bytes 0-9/18000', CONTENT.slice(0, 10)]],
      [
        'gives a range that ends early',
        (start) => [206, `bytes ${start}-${start}/18000`, CONTENT.charAt(start)],
      ],
      ['gives a range without saying which', () => [206, '', CONTENT.slice(3)]],
      ['refuses ranges', () => [416, 'bytes */18000', '']],
    ])('reads the same bytes where the service %s', async (_what, answer) => {
      const { api } = await apiWith(answer);
      for (const from of [1, 5_000, 17_999, 18_000]) {
        const file = await api.readFile('file-1', { from });
        expect(file.bytes).toBe(CONTENT.length);
        expect(textOf(await collect(file.body))).toBe(CONTENT.slice(from));
      }
    });

    test('asks for the missing bytes only', async () => {
      const ranges: (string | undefined)[] = [];
      const { api } = await apiAnsweredBy((request, response) => {
        ranges.push(request.headers.range);
        response.writeHead(206, { 'content-range': 'bytes 17999-17999/18000' });
        response.end('\n');
      });
      expect(textOf(await collect((await api.readFile('file-1', { from: 17_999 })).body))).toBe('\n');
      expect(ranges).toEqual(['bytes=17999-']);
    });
  });

  test('lets a reader stop early', async () => {
    const closed = Promise.withResolvers<void>();
    const { api } = await apiAnsweredBy((_request, response) => {
      response.on('close', closed.resolve);
      response.writeHead(200, { 'content-length': '100000000' });
      response.write(new Uint8Array(1_000_000));
    });
    for await (const _ of (await api.readFile('file-1')).body) break;
    await closed.promise;
  });
});
