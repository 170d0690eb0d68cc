/** What a client of each service gets, where the caller may do what it asks for but may not use the key. */
import { join } from 'node:path';
import { DynamoDBClient, GetItemCommand } from '@aws-sdk/client-dynamodb';
import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { GetSecretValueCommand, SecretsManagerClient } from '@aws-sdk/client-secrets-manager';
import { SendMessageCommand, SQSClient } from '@aws-sdk/client-sqs';
import { expect, onTestFinished, test } from 'vitest';
import { startDynamoDb } from '../../../../local/services/dynamodb/server.ts';
import { S3Error } from '../../../../local/services/s3/errors.ts';
import { startS3 } from '../../../../local/services/s3/server.ts';
import { startSecrets } from '../../../../local/services/secrets/secrets.ts';
import { startSqs } from '../../../../local/services/sqs/sqs.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const KEY = 'arn:aws:kms:us-east-1:000000000000:key/k';
const REASON = `User: u is not authorized to perform: kms:Decrypt on resource: ${KEY} because no identity-based policy allows the kms:Decrypt action`;
const authorize = () => REASON;

/** How to reach a service, which is closed after the test. */
function access({ endpoint, close }: { endpoint: string; close: () => unknown }) {
  onTestFinished(async () => void (await close()));
  const credentials = { accessKeyId: 'x', secretAccessKey: 'x' };
  return { endpoint, region: 'us-east-1', credentials, maxAttempts: 1 };
}

test('SQS answers KmsAccessDenied', async () => {
  const sqs = await startSqs({ dir: temporaryFolder(), authorize });
  const QueueUrl = sqs.ensureQueue('q', {});
  const client = new SQSClient(access(sqs));
  const refused = client.send(new SendMessageCommand({ QueueUrl, MessageBody: 'a' }));
  await expect(refused).rejects.toMatchObject({ name: 'KmsAccessDenied', message: REASON });
  expect(sqs.depth('q').ready).toBe(0);
});

test('DynamoDB says that it is the key', async () => {
  const client = new DynamoDBClient(access(await startDynamoDb({ dir: temporaryFolder(), authorize })));
  const refused = client.send(new GetItemCommand({ TableName: 't', Key: { pk: { S: 'a' } } }));
  await expect(refused).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: `KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: ${REASON}`,
  });
});

test('Secrets Manager says no more than that it is KMS', async () => {
  const secrets = await startSecrets({ file: join(temporaryFolder(), 'secrets.json'), authorize });
  secrets.ensureSecret({ name: 's', arn: 'arn:s', initialValue: 'x' });
  const refused = new SecretsManagerClient(access(secrets)).send(
    new GetSecretValueCommand({ SecretId: 's' }),
  );
  await expect(refused).rejects.toMatchObject({
    name: 'AccessDeniedException',
    message: 'Access to KMS is not allowed',
  });
});

test('S3 answers AccessDenied, which names the right', async () => {
  const s3 = await startS3({
    dir: temporaryFolder(),
    credentials: { x: 'x' },
    onCall: () => {
      throw new S3Error('AccessDenied', REASON);
    },
  });
  const refused = new S3Client(access(s3)).send(new GetObjectCommand({ Bucket: 'b', Key: 'k' }));
  await expect(refused).rejects.toMatchObject({ name: 'AccessDenied', message: REASON });
});
