import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import {
  DescribeSecretCommand,
  GetSecretValueCommand,
  PutSecretValueCommand,
  SecretsManagerClient,
} from '@aws-sdk/client-secrets-manager';
import { expect, onTestFinished, test } from 'vitest';
import { startSecrets } from '../../../../../local/services/secrets/secrets.ts';
import { temporaryFolder } from '../../../../support/temporary-folder.ts';

const NAME = 'api-key';
const ARN = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:api-key-123456';

async function start(
  file: string,
  values: { initialValue?: string; memoryValue?: string },
  authorize?: Parameters<typeof startSecrets>[0]['authorize'],
) {
  const secrets = await startSecrets({ file, authorize });
  secrets.ensureSecret({ name: NAME, arn: ARN, ...values });
  onTestFinished(secrets.close);
  const client = new SecretsManagerClient({
    endpoint: secrets.endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: 'x', secretAccessKey: 'y' },
    maxAttempts: 1,
  });
  onTestFinished(() => client.destroy());
  return {
    get: (input: object = {}) => client.send(new GetSecretValueCommand({ SecretId: ARN, ...input })),
    put: (SecretString: string, input: object = {}) =>
      client.send(new PutSecretValueCommand({ SecretId: NAME, SecretString, ...input })),
    describe: () => client.send(new DescribeSecretCommand({ SecretId: ARN })),
  };
}

test('a secret is found by ARN and by name, with the value of the template', async () => {
  const secrets = await start(join(temporaryFolder(), 'secrets.json'), { initialValue: 'not-set' });
  const byArn = await secrets.get();
  expect(byArn).toMatchObject({ ARN, Name: NAME, SecretString: 'not-set', VersionStages: ['AWSCURRENT'] });
  expect((await secrets.get({ SecretId: NAME })).VersionId).toBe(byArn.VersionId);
});

test('a value that is put becomes current, the one before it previous, each with its version id', async () => {
  const secrets = await start(join(temporaryFolder(), 'secrets.json'), { initialValue: 'first' });
  const first = await secrets.get();
  const { VersionId } = await secrets.put('second');
  expect(await secrets.get()).toMatchObject({ SecretString: 'second', VersionId });
  expect(await secrets.get({ VersionStage: 'AWSPREVIOUS' })).toMatchObject({ SecretString: 'first' });
  expect(await secrets.get({ VersionId: first.VersionId })).toMatchObject({ SecretString: 'first' });
  expect((await secrets.describe()).VersionIdsToStages).toEqual({
    [VersionId!]: ['AWSCURRENT'],
    [first.VersionId!]: ['AWSPREVIOUS'],
  });
});

test('a put with the same ClientRequestToken happens once', async () => {
  const secrets = await start(join(temporaryFolder(), 'secrets.json'), { initialValue: 'first' });
  const ClientRequestToken = '12345678-1234-1234-1234-123456789012';
  await secrets.put('second', { ClientRequestToken });
  await secrets.put('second', { ClientRequestToken });
  expect(await secrets.get({ VersionStage: 'AWSPREVIOUS' })).toMatchObject({ SecretString: 'first' });
});

test('a value that was put survives a restart, in a file that only the user may read', async () => {
  const file = join(temporaryFolder(), 'secrets.json');
  await (await start(file, { initialValue: 'first' })).put('second');
  expect(statSync(file).mode & 0o777).toBe(0o600);
  const again = await start(file, { initialValue: 'first' });
  expect(await again.get()).toMatchObject({ SecretString: 'second' });
});

test('the key of this run is current and never on disk; a value that is put after it takes its place', async () => {
  const file = join(temporaryFolder(), 'secrets.json');
  const secrets = await start(file, { initialValue: 'not-set', memoryValue: 'sk-very-secret' });
  expect(await secrets.get()).toMatchObject({ SecretString: 'sk-very-secret' });
  expect(existsSync(file)).toBe(false);
  await secrets.put('put');
  expect(await secrets.get()).toMatchObject({ SecretString: 'put' });
  expect(readFileSync(file, 'utf8')).not.toContain('sk-very-secret');
});

test('fails for a secret and for a version that are not there', async () => {
  const secrets = await start(join(temporaryFolder(), 'secrets.json'), {});
  await expect(secrets.get({ SecretId: 'other' })).rejects.toThrow("can't find the specified secret");
  await expect(secrets.get()).rejects.toThrow('staging label: AWSCURRENT');
});

test('a call that the caller may not make is refused', async () => {
  const secrets = await start(
    join(temporaryFolder(), 'secrets.json'),
    { initialValue: 'x' },
    (_key, { action, resource }) => `no ${action} on ${resource}`,
  );
  await expect(secrets.get()).rejects.toThrow(`no secretsmanager:GetSecretValue on ${ARN}`);
});
