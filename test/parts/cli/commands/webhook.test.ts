/** Setting up webhooks: the emulator as OpenAI, a local Secrets Manager, and a URL that checks what it is sent. */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GetSecretValueCommand } from '@aws-sdk/client-secrets-manager';
import OpenAI from 'openai';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { registerWebhook, rotateWebhook, testWebhook } from '../../../../cli/commands/webhook.ts';
import { startEmulator } from '../../../../local/openai-emulator/emulator.ts';
import { startSecrets } from '../../../../local/services/secrets/secrets.ts';
import { SecretsManagerWebhookSecrets } from '../../../../src/adapters/webhook-secrets.ts';
import { WEBHOOK_EVENTS, webhookSecretName } from '../../../../src/contract/webhooks.ts';
import { WEBHOOK_RULES } from '../../../../src/providers/openai/webhooks.ts';
import { createSecretsManagerClient } from '../../../../src/runtime/clients.ts';
import { batchdrop } from '../../../support/run-script.ts';

const NAME = webhookSecretName('stack-1', 'default');
const ARN = `arn:aws:secretsmanager:us-east-1:000000000000:secret:${NAME}`;

/** What the commands say; nothing of it may be a secret. */
let said: string[];
beforeEach(() => {
  said = [];
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'AKIDTEST');
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', 'secret');
  vi.spyOn(console, 'log').mockImplementation((line: string) => said.push(line));
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  expect(said.join('\n')).not.toContain('whsec_');
});

async function started() {
  const dir = await mkdtemp(join(tmpdir(), 'batchdrop-webhook-cli-'));
  const emulator = await startEmulator({ dir: join(dir, 'openai'), clock: { scale: 1 } });
  let isBroken = false;
  const service = await startSecrets({
    file: join(dir, 'secrets.json'),
    authorize: (_accessKeyId, { action }) =>
      isBroken && action === 'secretsmanager:PutSecretValue' ? 'not allowed' : undefined,
  });
  service.ensureSecret({ name: NAME, arn: ARN, initialValue: 'not-set' });
  const client = createSecretsManagerClient({ endpoint: service.endpoint, region: 'us-east-1' });
  const stored = new SecretsManagerWebhookSecrets(client, { stackId: 'stack-1' }, Date.now);
  const server = createServer(async (request, response) => {
    const body = (await Array.fromAsync(request)).join('');
    const headers = request.headers as Record<string, string>;
    const secrets = (await stored.readAgain('default')) ?? (await stored.read('default'));
    const proofs = await Promise.all(
      secrets.map((secret) => WEBHOOK_RULES.verify({ headers, body }, secret)),
    );
    response.writeHead(proofs.includes('verified') ? 202 : 401).end();
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  onTestFinished(async () => {
    server.close();
    client.destroy();
    await service.close();
    await emulator.close();
    await rm(dir, { recursive: true, force: true });
  });
  const openai = new OpenAI({ apiKey: 'sk-test', baseURL: emulator.endpoint, logLevel: 'off' });
  return {
    options: {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
      secret: ARN,
      endpoint: service.endpoint,
    },
    env: { OPENAI_API_KEY: 'sk-test', OPENAI_BASE_URL: emulator.endpoint },
    endpoints: () => Array.fromAsync(openai.webhooks.list()),
    kept: async () => (await client.send(new GetSecretValueCommand({ SecretId: NAME }))).SecretString,
    /** Whether Secrets Manager takes no value. */
    breakSecrets: (broken: boolean) => {
      isBroken = broken;
    },
  };
}

test('register makes one endpoint for the events that are used and keeps its signing secret, however often', async () => {
  const { options, env, endpoints, kept } = await started();
  expect(await registerWebhook(options, env)).toBe(0);
  const secret = await kept();
  expect(secret).toMatch(/^whsec_/);
  expect(await registerWebhook(options, env)).toBe(0);
  expect(await kept()).toBe(secret);
  const made = await endpoints();
  expect(made).toHaveLength(1);
  expect(made[0]).toMatchObject({ name: 'batchdrop', url: options.url });
  expect([...made[0]!.event_types].sort()).toEqual([...WEBHOOK_EVENTS].sort());
  expect(await testWebhook(options, env)).toBe(0);
});

test('a signing secret that could not be kept is replaced by the next register', async () => {
  const { options, env, endpoints, kept, breakSecrets } = await started();
  breakSecrets(true);
  await expect(registerWebhook(options, env)).rejects.toThrow('could not be kept');
  breakSecrets(false);
  expect(await kept()).toBe('not-set');
  expect(await registerWebhook(options, env)).toBe(0);
  expect(await endpoints()).toHaveLength(1);
  expect(await testWebhook(options, env)).toBe(0);
});

test('rotate replaces the signing secret, and what is signed with the new one is accepted', async () => {
  const { options, env, kept } = await started();
  await registerWebhook(options, env);
  const before = await kept();
  expect(await rotateWebhook(options, env)).toBe(0);
  expect(await kept()).not.toBe(before);
  expect(await testWebhook(options, env)).toBe(0);
});

test('test says what the stack answered, and what to do about it', async () => {
  const { options, env } = await started();
  await registerWebhook(options, env);
  // Signed for another stack: its secret is elsewhere.
  const openai = new OpenAI({ apiKey: 'sk-test', baseURL: env.OPENAI_BASE_URL, logLevel: 'off' });
  const [endpoint] = await Array.fromAsync(openai.webhooks.list());
  await openai.webhooks.rotateSecret(endpoint!.id);
  expect(await testWebhook(options, env)).toBe(1);
  expect(said.at(-1)).toMatch(/answered 401 .* `batchdrop webhook rotate`/);
});

test('nothing is made at OpenAI where the secret cannot be read', async () => {
  const { options, env, endpoints } = await started();
  const elsewhere = { ...options, secret: ARN.replace('stack-1', 'stack-2') };
  await expect(registerWebhook(elsewhere, env)).rejects.toThrow('cannot be used (ResourceNotFoundException)');
  expect(await endpoints()).toEqual([]);
});

test('an endpoint that is not there is neither rotated nor tested', async () => {
  const { options, env } = await started();
  for (const command of [rotateWebhook, testWebhook])
    await expect(command(options, env)).rejects.toThrow('run `batchdrop webhook register` first');
});

test('the key and the URL are asked for', async () => {
  const { options, env } = await started();
  await expect(registerWebhook(options, {})).rejects.toThrow('set OPENAI_API_KEY');
  await expect(registerWebhook({ ...options, url: 'hook' }, env)).rejects.toThrow('--url is "hook"');
});

test('the command line takes the commands, and says what is missing', async () => {
  const missing = await batchdrop('webhook', 'register', '--url', 'http://127.0.0.1:9/');
  expect(missing.status).toBe(2);
  expect(missing.stderr).toContain('--secret');
});
