import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect, onTestFinished, test } from 'vitest';
import { API_KEY_CACHE_MS, ApiKey, UnknownApiKey } from '../../../src/adapters/api-key.ts';
import { API_KEY_PLACEHOLDER } from '../../../src/contract/api-key.ts';
import { ApiKeyMissingError } from '../../../src/core/base/errors.ts';
import { createSecretsManagerClient } from '../../../src/runtime/clients.ts';

const ARN = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:batchdrop-key';

/** A Secrets Manager that gives these values, one after the other, the last one for ever; a number is a status. */
async function secretOf(...values: (string | number)[]) {
  let calls = 0;
  const server = createServer((request, response) => {
    const value = values[Math.min(calls, values.length - 1)]!;
    calls += 1;
    request.resume().on('end', () => {
      const isError = typeof value === 'number';
      response.writeHead(isError ? 400 : 200, { 'content-type': 'application/x-amz-json-1.1' });
      response.end(
        JSON.stringify(
          isError
            ? { __type: value === 404 ? 'ResourceNotFoundException' : 'AccessDeniedException', message: 'no' }
            : { ARN, SecretString: value, VersionId: `version-${calls}` },
        ),
      );
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const client = createSecretsManagerClient({
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    region: 'us-east-1',
    credentials: { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' },
  });
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  const clock = { now: 1_790_000_000_000 };
  return { key: new ApiKey(client, { secretId: ARN }, () => clock.now), clock, calls: () => calls };
}

test('gives the key, without the line end that a paste leaves, and the version of the secret', async () => {
  const { key } = await secretOf('sk-first\n');
  expect(await key.read()).toEqual({ key: 'sk-first', versionId: 'version-1' });
});

test('keeps the key for five minutes, then reads it again', async () => {
  const { key, clock, calls } = await secretOf('sk-first', 'sk-second');
  await Promise.all([key.read(), key.read()]);
  clock.now += API_KEY_CACHE_MS - 1;
  expect((await key.read()).key).toBe('sk-first');
  expect(calls()).toBe(1);
  clock.now += 1;
  expect((await key.read()).key).toBe('sk-second');
});

test('reads the key again when asked, whatever it has kept', async () => {
  const { key } = await secretOf('sk-first', 'sk-second');
  await key.read();
  expect((await key.readAgain()).key).toBe('sk-second');
  expect((await key.read()).key).toBe('sk-second');
});

test('keeps an earlier version for good, and knows when there is none', async () => {
  const { key, clock, calls } = await secretOf('sk-old', 404);
  expect((await key.readVersion('version-1'))?.key).toBe('sk-old');
  clock.now += 10 * API_KEY_CACHE_MS;
  expect((await key.readVersion('version-1'))?.key).toBe('sk-old');
  expect(calls()).toBe(1);
  expect(await key.readVersion('version-0')).toBeUndefined();
});

test('asks once where the version that is wanted is the current one', async () => {
  const { key, calls } = await secretOf('sk-first');
  const { versionId } = await key.read();
  expect((await key.readVersion(versionId))?.key).toBe('sk-first');
  expect(calls()).toBe(1);
});

test.each(['', '  ', API_KEY_PLACEHOLDER])(
  'fails, naming the secret and the command that sets it, where the secret holds %j',
  async (value) => {
    const { key } = await secretOf(value);
    const reading = key.read();
    await expect(reading).rejects.toThrow(ApiKeyMissingError);
    await expect(reading).rejects.toThrow(`aws secretsmanager put-secret-value --secret-id ${ARN}`);
  },
);

test.each(['{"OPENAI_API_KEY":"sk-inside"}', 'sk-one sk-two', 'sk-ünicode'])(
  'fails without telling the value where the secret does not hold the key alone',
  async (value) => {
    const { key } = await secretOf(value);
    const error: Error = await key.read().then(
      () => expect.unreachable(),
      (reason) => reason,
    );
    expect(error).toBeInstanceOf(ApiKeyMissingError);
    expect(error.message).not.toContain('sk-');
  },
);

test.each(['sk-proj-abc_DEF-123', 'test', 'gsk_0123', 'setting-key-1'])(
  'takes %s for a key',
  async (value) => {
    const { key } = await secretOf(value);
    expect((await key.read()).key).toBe(value);
  },
);

test('fails, naming the command, where the secret has no value yet', async () => {
  const { key } = await secretOf(404);
  await expect(key.read()).rejects.toThrow('put-secret-value');
});

test('does not keep a failure', async () => {
  const { key } = await secretOf(403, 'sk-now');
  await expect(key.read()).rejects.toMatchObject({ name: 'AccessDeniedException' });
  expect((await key.read()).key).toBe('sk-now');
});

test('a key without a secret is reported as what it is, whatever is asked of it', async () => {
  const key = new UnknownApiKey('team-a');
  for (const reading of [key.read(), key.readAgain(), key.readVersion()])
    await expect(reading).rejects.toThrow(
      /no secret for the API key "team-a".*deploy a route with "apiKey": "team-a"/,
    );
});
