import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PutSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import { expect, onTestFinished, test } from 'vitest';
import type { Intercept } from '../../../local/services/interception.ts';
import { startSecrets } from '../../../local/services/secrets/secrets.ts';
import { SecretsManagerWebhookSecrets } from '../../../src/adapters/webhook-secrets.ts';
import { HOUR_MS, MINUTE_MS } from '../../../src/contract/time.ts';
import { WEBHOOK_SECRET_PLACEHOLDER, webhookSecretName } from '../../../src/contract/webhooks.ts';
import { createSecretsManagerClient } from '../../../src/runtime/clients.ts';

const NAME = webhookSecretName('stack-1', 'default');

async function start() {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-webhook-secrets-'));
  let reads = 0;
  const intercept: Intercept = ({ operation, moment }) => {
    if (operation === 'GetSecretValue' && moment === 'before') reads += 1;
    return undefined;
  };
  const server = await startSecrets({ file: join(dir, 'secrets.json'), intercept });
  const arn = `arn:aws:secretsmanager:us-east-1:000000000000:secret:${NAME}`;
  server.ensureSecret({ name: NAME, arn, initialValue: WEBHOOK_SECRET_PLACEHOLDER });
  const client = createSecretsManagerClient({
    endpoint: server.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
  });
  onTestFinished(async () => {
    client.destroy();
    await server.close();
    await rm(dir, { recursive: true, force: true });
  });
  // Secrets Manager keeps the time of the machine.
  const clock = { ms: Date.now() };
  return {
    secrets: new SecretsManagerWebhookSecrets(client, { stackId: 'stack-1' }, () => clock.ms),
    clock,
    put: (value: string) => client.send(new PutSecretValueCommand({ SecretId: NAME, SecretString: value })),
    reads: () => reads,
  };
}

test('there is no secret until one is set, whatever the deployment put there', async () => {
  const { secrets, put } = await start();
  expect(await secrets.read('default')).toEqual([]);
  await put('whsec_first\n');
  expect(await secrets.readAgain('default')).toBeUndefined();
});

test('a secret that was just set is the only one: what the deployment put there is none', async () => {
  const { secrets, put } = await start();
  await put('whsec_first\n');
  expect(await secrets.read('default')).toEqual(['whsec_first']);
});

test('JSON, or text with blanks, is no secret', async () => {
  const { secrets, put, clock } = await start();
  await put('{"secret":"whsec_first"}');
  expect(await secrets.read('default')).toEqual([]);
  await put('whsec_first whsec_second');
  clock.ms += 5 * MINUTE_MS;
  expect(await secrets.read('default')).toEqual([]);
});

test('while it is rotated, the one before is valid as well, for 25 hours', async () => {
  const { secrets, put, clock } = await start();
  await put('whsec_first');
  await put('whsec_second');
  expect(await secrets.read('default')).toEqual(['whsec_second', 'whsec_first']);
  clock.ms += 24.9 * HOUR_MS;
  expect(await secrets.read('default')).toEqual(['whsec_second', 'whsec_first']);
  clock.ms += 0.2 * HOUR_MS;
  expect(await secrets.read('default')).toEqual(['whsec_second']);
});

test('what was read is used for five minutes, and read again when asked after 30 seconds, however often that is', async () => {
  const { secrets, put, clock, reads } = await start();
  await put('whsec_first');
  expect(await secrets.read('default')).toEqual(['whsec_first']);
  const once = reads();
  await put('whsec_second');
  for (let times = 0; times < 100; times += 1) {
    clock.ms += 299;
    expect(await secrets.readAgain('default')).toBeUndefined();
    expect(await secrets.read('default')).toEqual(['whsec_first']);
  }
  expect(reads()).toBe(once);
  clock.ms += 100;
  expect(await secrets.readAgain('default')).toEqual(['whsec_second', 'whsec_first']);
  expect(reads()).toBe(2 * once);
  await put('whsec_third');
  clock.ms += 5 * MINUTE_MS - 1;
  expect(await secrets.read('default')).toEqual(['whsec_second', 'whsec_first']);
  clock.ms += 1;
  expect(await secrets.read('default')).toEqual(['whsec_third', 'whsec_second']);
});

test('an API key that this stack has no signing secret for has none', async () => {
  const { secrets } = await start();
  expect(await secrets.read('team-a')).toEqual([]);
});
