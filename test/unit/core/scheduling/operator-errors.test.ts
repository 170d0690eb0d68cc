/**
 * A key that is refused or missing, an account without money, a model without access: found at an upload or a create.
 * What it concerns waits unharmed and goes on by itself; nothing else waits.
 */

import OpenAI from 'openai';
import { afterEach, describe, expect, test } from 'vitest';
import type { FaultRule } from '../../../../local/openai-emulator/emulator.ts';
import { DEFAULT_API_KEY } from '../../../../src/contract/api-key.ts';
import { MINUTE_MS } from '../../../../src/contract/time.ts';
import {
  ApiKeyMissingError,
  ApiKeyUnknownError,
  CreateRefusedError,
  UploadRefusedError,
} from '../../../../src/core/base/errors.ts';
import type { BatchRecord } from '../../../../src/core/model/batch.ts';
import { operatorErrorOf } from '../../../../src/core/scheduling/operator-errors.ts';
import { suspensionScope } from '../../../../src/core/scheduling/scopes.ts';
import { poll } from '../../../../src/core/steps/poll/poll.ts';
import { OpenAIBatches } from '../../../../src/providers/openai/batch-api.ts';
import { OpenAIRequestError } from '../../../../src/providers/openai/request-error.ts';
import { OPENAI_RULES } from '../../../../src/providers/openai/rules.ts';
import { chatLine, type Pipeline, type PipelineOptions, startPipeline } from '../../../support/pipeline.ts';
import { expectListedEvents } from '../../../support/telemetry.ts';

expectListedEvents(import.meta.filename);

const KEY = 'input/a.jsonl';
const MINI = 'gpt-5.4-mini';

describe('what an error says of the key or the model', () => {
  const create = (status: number, code?: string) => new CreateRefusedError('no', status, code);
  const upload = (status: number, code?: string) => new UploadRefusedError('no', status, code);
  test.each([
    [create(401, 'invalid_api_key'), { scope: 'key', code: 'invalid_api_key' }],
    [create(429, 'insufficient_quota'), { scope: 'key', code: 'insufficient_quota' }],
    [create(400, 'billing_hard_limit_reached'), { scope: 'key', code: 'billing_hard_limit_reached' }],
    [create(403, 'model_not_found'), { scope: 'model', code: 'model_not_found' }],
    [create(404, 'model_not_found'), { scope: 'model', code: 'model_not_found' }],
    [create(401), { scope: 'key', code: 'http_401' }],
    [create(403), { scope: 'model', code: 'http_403' }],
    [create(404), { scope: 'model', code: 'http_404' }],
    [upload(401), { scope: 'key', code: 'http_401' }],
    [upload(403), { scope: 'key', code: 'http_403' }],
    [upload(404), { scope: 'key', code: 'http_404' }],
    [new ApiKeyMissingError('the secret is empty'), { scope: 'key', code: 'api_key_missing' }],
    [new ApiKeyUnknownError('there is no secret'), { scope: 'key', code: 'api_key_unknown' }],
    [create(429, 'rate_limit_exceeded'), undefined],
    [create(429), undefined],
    [create(400, 'invalid_value'), undefined],
    [upload(413), undefined],
    [new OpenAIRequestError('no answer'), undefined],
    [new OpenAIRequestError('unclear', 500, 'invalid_api_key'), undefined],
  ])('%o means %o', (error, expected) => {
    expect(operatorErrorOf(OPENAI_RULES.errors, error)).toEqual(expected);
  });
});

const running: Pipeline[] = [];
afterEach(async () => {
  for (const started of running.splice(0)) await started.stop();
});

async function start(options: PipelineOptions = {}): Promise<Pipeline> {
  const pipeline = await startPipeline(options);
  running.push(pipeline);
  return pipeline;
}

async function waitingOf({ deps }: Pipeline): Promise<BatchRecord[]> {
  return Array.fromAsync(deps.jobs.listWaiting());
}

async function callsOf(pipeline: Pipeline, minutes: number): Promise<void> {
  for (let minute = 0; minute < minutes; minute += 5) {
    await pipeline.drain();
    pipeline.emulator.clock.advance(5 * MINUTE_MS);
    await poll(pipeline.deps);
  }
  await pipeline.drain();
}

test('a key that OpenAI refuses suspends everything that would be sent with it until it is accepted', async () => {
  const p = await start({ emulator: { apiKeys: ['sk-another'] } });
  await p.drop(KEY, ['a', 'b'].map((id) => chatLine(id)).join('\n'));
  await p.drop('input/b.jsonl', chatLine('c', { model: MINI }));
  await callsOf(p, 180);
  const waiting = await waitingOf(p);
  expect(
    waiting.map(({ state, hold, history, wait }) => [state, hold?.reason, history?.refusals, wait?.failures]),
  ).toEqual([
    ['planned', 'invalid_api_key', undefined, undefined],
    ['planned', 'invalid_api_key', undefined, undefined],
  ]);
  expect(await p.deps.suspensions.getSuspension(suspensionScope(DEFAULT_API_KEY))).toMatchObject({
    reason: 'invalid_api_key',
    provenBy: 'created',
  });
  // First at once, then after 5, 10, 20 and 30 minutes: 5, 15, 35, 65, 95, 125, 155.
  expect(
    (await p.deps.suspensions.getSuspension(suspensionScope(DEFAULT_API_KEY)))!.probes,
  ).toBeLessThanOrEqual(7);
  expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);

  p.emulator.setFaults({ apiKeys: ['sk-test'] });
  await p.run();
  for (const key of [KEY, 'input/b.jsonl']) {
    const receipt = await p.receipt(key);
    expect(receipt.result).toBe('succeeded');
    expect(receipt.batches.map(({ round }) => round)).toEqual([0]);
  }
  expect(await p.deps.suspensions.getSuspension(suspensionScope(DEFAULT_API_KEY))).toBeUndefined();
  expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
});

const refusal = (status: number, code: string): FaultRule['effect'] => ({
  kind: 'http.status',
  status,
  headers: {},
  body: { error: { message: 'No.', type: 'invalid_request_error', param: null, code } },
  early: false,
});

test.each([
  [429, 'insufficient_quota'],
  [400, 'billing_hard_limit_reached'],
])(
  'an account out of money (%i %s) suspends the key, leaves no file behind, and continues once there is money',
  async (status, code) => {
    const p = await start({
      emulator: {
        faults: [
          { match: { route: 'POST /v1/batches' }, until_seconds: 3 * 3_600, effect: refusal(status, code) },
        ],
      },
    });
    await p.drop(KEY, ['a', 'b'].map((id) => chatLine(id)).join('\n'));
    await callsOf(p, 30);
    expect(await p.deps.suspensions.getSuspension(suspensionScope(DEFAULT_API_KEY))).toMatchObject({
      reason: code,
    });
    expect((await p.client.files.list()).data).toEqual([]);
    await p.run();
    expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded' });
    expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
  },
);

test.each([
  [403, 'model_not_found'],
  [404, 'model_not_found'],
])('a model without access (%i) suspends its own batches and no others', async (status, code) => {
  const faults: FaultRule[] = [
    { match: { route: 'POST /v1/batches' }, times: 1, effect: refusal(status, code) },
  ];
  const p = await start({ emulator: { faults } });
  await p.drop(KEY, chatLine('a', { model: MINI }));
  await p.drain();
  expect(await p.deps.suspensions.getSuspension(suspensionScope(DEFAULT_API_KEY, MINI))).toMatchObject({
    reason: code,
  });
  expect(await p.deps.suspensions.getSuspension(suspensionScope(DEFAULT_API_KEY))).toBeUndefined();
  await p.drop('input/b.jsonl', chatLine('b'));
  await p.drain();
  expect(await waitingOf(p)).toMatchObject([{ model: MINI, hold: { reason: code } }]);
  expect(await Array.fromAsync(p.deps.jobs.listAtOpenAI())).toMatchObject([{ model: 'gpt-6-luna' }]);
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', batches: [{ round: 0 }] });
});

/** A pipeline whose key is read from what the test sets, as the functions read the secret. */
async function startWithSecret(secret: { key: string | undefined }): Promise<Pipeline> {
  const p = await start();
  const readKey = async (): Promise<string> => {
    if (secret.key === undefined)
      throw new ApiKeyMissingError('the secret still holds what the deployment put there');
    return secret.key;
  };
  const client = new OpenAI({ apiKey: readKey, baseURL: p.emulator.endpoint, logLevel: 'off' });
  const batches = new OpenAIBatches(client);
  for (const name of ['uploadFile', 'createBatch'] as const)
    p.deps.batches[name] = batches[name].bind(batches) as never;
  return p;
}

test('while the key is not set nothing is sent, and once it is set everything runs', async () => {
  const secret: { key: string | undefined } = { key: undefined };
  const p = await startWithSecret(secret);
  await p.drop(KEY, ['a', 'b'].map((id) => chatLine(id)).join('\n'));
  await callsOf(p, 60);
  expect(await waitingOf(p)).toMatchObject([{ hold: { reason: 'api_key_missing' } }]);
  expect(await p.deps.suspensions.getSuspension(suspensionScope(DEFAULT_API_KEY))).toMatchObject({
    reason: 'api_key_missing',
  });
  secret.key = 'sk-set';
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded', batches: [{ round: 0 }] });
});

test('a key that is taken away between upload and create leads to no second batch', async () => {
  const secret: { key: string | undefined } = { key: 'sk-set' };
  const p = await startWithSecret(secret);
  const upload = p.deps.batches.uploadFile;
  p.deps.batches.uploadFile = async (file) => {
    const uploaded = await upload(file);
    secret.key = undefined;
    return uploaded;
  };
  await p.drop(KEY, chatLine('a'));
  await callsOf(p, 10);
  expect(await waitingOf(p)).toMatchObject([{ state: 'planned', hold: { reason: 'api_key_missing' } }]);
  p.deps.batches.uploadFile = upload;
  secret.key = 'sk-set';
  await p.run();
  expect(await p.receipt(KEY)).toMatchObject({ result: 'succeeded' });
  expect((await p.client.batches.list()).data).toHaveLength(1);
});

test.each(['suspensions.suspend', 'jobs.moveBatch', 'quota.settle', 'batches.deleteFile'])(
  'dying right before or after any %s, the batch still runs once and nothing stays reserved',
  async (fatal) => {
    for (let occurrence = 0; occurrence < 4; occurrence++) {
      for (const moment of ['before', 'after'] as const) {
        let seen = 0;
        let isArmed = false;
        const p = await start({
          emulator: {
            faults: [
              {
                match: { route: 'POST /v1/batches' },
                times: 2,
                effect: refusal(400, 'billing_hard_limit_reached'),
              },
            ],
          },
          intercept: async (call, effect) => {
            if (call === 'batches.createBatch') isArmed = true;
            if (!isArmed || call !== fatal || seen++ !== occurrence) return effect();
            if (moment === 'after') await effect();
            throw new Error(`died ${moment} ${call}`);
          },
        });
        await p.drop(KEY, ['a', 'b'].map((id) => chatLine(id)).join('\n'));
        await p.run();
        expect(await p.receipt(KEY), `${moment} ${occurrence}`).toMatchObject({ result: 'succeeded' });
        expect(await p.emulator.ledger.boughtTwice()).toEqual([]);
        // What a worker that died had left reserved is found within the hour.
        await callsOf(p, 120);
        expect(await Array.fromAsync(p.deps.quota.listReservations())).toEqual([]);
      }
    }
  },
);
