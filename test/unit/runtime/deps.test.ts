import { expect, test } from 'vitest';
import {
  callEnv,
  collectEnv,
  finalizeEnv,
  ingestEnv,
  observeEnv,
  pollEnv,
  submitEnv,
  webhookEnv,
} from '../../../src/contract/env.ts';
import { defaultSettings } from '../../../src/contract/settings.ts';
import { ApiKeyUnknownError } from '../../../src/core/base/errors.ts';
import { systemAmbient } from '../../../src/runtime/ambient.ts';
import { createCallDeps } from '../../../src/runtime/deps/call.ts';
import { createCollectDeps } from '../../../src/runtime/deps/collect.ts';
import { createFinalizeDeps } from '../../../src/runtime/deps/finalize.ts';
import { createIngestDeps } from '../../../src/runtime/deps/ingest.ts';
import { createObserveDeps } from '../../../src/runtime/deps/observe.ts';
import { createPollDeps } from '../../../src/runtime/deps/poll.ts';
import { createSubmitDeps } from '../../../src/runtime/deps/submit.ts';
import { createWebhookDeps } from '../../../src/runtime/deps/webhook.ts';
import { parseEnv } from '../../../src/runtime/env.ts';
import { settingsFile } from '../../support/settings-file.ts';

const ENV = {
  STACK_ID: 's',
  STACK_NAME: 'n',
  TABLE_NAME: 't',
  BUCKET_NAME: 'b',
  SETTINGS_FILE: settingsFile(defaultSettings()),
  POWERTOOLS_SERVICE_NAME: 'x',
  POLL_INTERVAL_MINUTES: '5',
  INGEST_QUEUE_URL: 'http://127.0.0.1/ingest',
  SUBMIT_QUEUE_URL: 'http://127.0.0.1/submit',
  CALL_QUEUE_URL: 'http://127.0.0.1/call',
  COLLECT_QUEUE_URL: 'http://127.0.0.1/collect',
  FINALIZE_QUEUE_URL: 'http://127.0.0.1/finalize',
  OBSERVE_QUEUE_URL: 'http://127.0.0.1/observe',
  WEBHOOK_API_KEYS: 'default,team-a',
  WORK_KEPT_DAYS: '30',
  EVENT_BUS_NAME: 'default',
  NODE_OPTIONS: '--max-semi-space-size=4',
};

test('builds what each capability works with from its environment, without a call to anything', () => {
  const common = [
    'ambient',
    'bucket',
    'drops',
    'heartbeat',
    'jobs',
    'limits',
    'objects',
    'outbox',
    'pauses',
    'suspensions',
    'quota',
    'rules',
    'settings',
    'shutdowns',
    'stackId',
  ];
  const namesOf = (deps: object) => Object.keys(deps).sort();
  expect(namesOf(createIngestDeps(parseEnv(ingestEnv, ENV)))).toEqual(
    [
      ...common,
      'events',
      'ignoredDrops',
      'inputs',
      'listing',
      'owners',
      'prices',
      'stackName',
      'tokenizerOf',
    ].sort(),
  );
  const withBatches = [...common, 'batches'].sort();
  expect(namesOf(createSubmitDeps(parseEnv(submitEnv, ENV)))).toEqual(withBatches);
  expect(namesOf(createCallDeps(parseEnv(callEnv, ENV)))).toEqual(
    [...common, 'background', 'calls', 'sleep', 'webhooks'].sort(),
  );
  expect(namesOf(createPollDeps(parseEnv(pollEnv, ENV)))).toEqual(
    [
      ...withBatches,
      'inputs',
      'listing',
      'owners',
      'prices',
      'sampler',
      'stackName',
      'webhooks',
      'workKeptMs',
    ].sort(),
  );
  expect(namesOf(createCollectDeps(parseEnv(collectEnv, ENV)))).toEqual(
    [...withBatches, 'prices', 'scratch'].sort(),
  );
  expect(namesOf(createObserveDeps(parseEnv(observeEnv, ENV)))).toEqual(
    [...withBatches, 'background', 'strangers', 'webhooks'].sort(),
  );
  expect(namesOf(createWebhookDeps(parseEnv(webhookEnv, ENV)))).toEqual([
    'ambient',
    'apiKeys',
    'outbox',
    'rules',
    'secrets',
  ]);
  expect(namesOf(createFinalizeDeps(parseEnv(finalizeEnv, ENV)))).toEqual(
    [...withBatches, 'events', 'index', 'prices'].sort(),
  );
});

test('has one API for each key, and with a key that has no secret nothing is sent', async () => {
  const { batches } = createSubmitDeps(parseEnv(submitEnv, ENV));
  const { calls } = createCallDeps(parseEnv(callEnv, ENV));
  const unknown = batches.withKey('team-a');
  const create = { inputFileId: 'file-1', endpoint: '/v1/responses', metadata: {} };
  for (const refused of [
    unknown.uploadFile({ filename: 'f', bytes: 0, body: (async function* () {})() }),
    unknown.createBatch(create),
    unknown.createBatch({ ...create, keyVersion: 'of another deployment' }),
    unknown.getBatch('batch_1', 'of another deployment'),
    unknown.listBatches(),
    calls.withKey('team-a').call({ endpoint: '/v1/responses', body: '{}', timeoutMs: 1_000 }),
  ])
    await expect(refused).rejects.toBeInstanceOf(ApiKeyUnknownError);
});

test('gives each nonce once, as 32 hex digits', () => {
  const nonces = new Set(Array.from({ length: 1_000 }, systemAmbient.nonce));
  expect(nonces.size).toBe(1_000);
  for (const nonce of nonces) expect(nonce).toMatch(/^[0-9a-f]{32}$/);
});
