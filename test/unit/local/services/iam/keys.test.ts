import { describe, expect, test } from 'vitest';
import { keyCallsOf, keyContextOfService, keyRefusalOf } from '../../../../../local/services/iam/keys.ts';

const KEY = { arn: 'arn:aws:kms:us-east-1:000000000000:key/k' };
const OBJECT = 'arn:aws:s3:::shop/input/a.jsonl';
const QUEUE = 'arn:aws:sqs:us-east-1:000000000000:submit';
const TABLE = 'arn:aws:dynamodb:us-east-1:000000000000:table/State';
const SECRET = 'arn:aws:secretsmanager:us-east-1:000000000000:secret:key-abcdef';

const asked = (action: string, resource: string, operation?: string) =>
  keyCallsOf({ action, resource, operation }, KEY).map((call) => call.action.slice('kms:'.length));

test.each<[string, string, string | undefined, string[]]>([
  ['s3:GetObject', OBJECT, undefined, ['Decrypt']],
  ['s3:GetObjectVersion', OBJECT, 'GetObject', ['Decrypt']],
  ['s3:GetObject', OBJECT, 'HeadObject', []],
  ['s3:PutObject', OBJECT, 'PutObject', ['GenerateDataKey']],
  ['s3:PutObject', OBJECT, 'CopyObject', ['GenerateDataKey']],
  ['s3:PutObject', OBJECT, 'CreateMultipartUpload', ['GenerateDataKey']],
  ['s3:PutObject', OBJECT, 'UploadPart', ['Decrypt']],
  ['s3:PutObject', OBJECT, 'CompleteMultipartUpload', ['Decrypt']],
  ['s3:DeleteObject', OBJECT, undefined, []],
  ['s3:ListBucket', 'arn:aws:s3:::shop', undefined, []],
  ['sqs:SendMessage', QUEUE, undefined, ['GenerateDataKey', 'Decrypt']],
  ['sqs:ReceiveMessage', QUEUE, undefined, ['Decrypt']],
  ['sqs:DeleteMessage', QUEUE, undefined, []],
  ['sqs:GetQueueAttributes', QUEUE, undefined, []],
  ['dynamodb:GetItem', TABLE, undefined, ['Decrypt']],
  ['dynamodb:Query', `${TABLE}/index/live`, undefined, ['Decrypt']],
  ['dynamodb:UpdateItem', TABLE, undefined, ['Decrypt']],
  ['dynamodb:DescribeTable', TABLE, undefined, []],
  ['secretsmanager:GetSecretValue', SECRET, undefined, ['Decrypt']],
  ['secretsmanager:PutSecretValue', SECRET, undefined, ['GenerateDataKey']],
  ['secretsmanager:DescribeSecret', SECRET, undefined, []],
  ['sns:Publish', 'arn:aws:sns:us-east-1:000000000000:pager', undefined, ['GenerateDataKey', 'Decrypt']],
  ['lambda:InvokeFunction', 'arn:aws:lambda:us-east-1:000000000000:function:f', undefined, []],
])('%s on %s (%s) asks KMS for %j', (action, resource, operation, actions) => {
  expect(asked(action, resource, operation)).toEqual(actions);
});

test('what is encrypted with a key of AWS asks for nothing', () => {
  expect(keyCallsOf({ action: 's3:GetObject', resource: OBJECT }, undefined)).toEqual([]);
});

describe('KMS is told', () => {
  test.each([
    ['s3:GetObject', OBJECT, 's3', { 'aws:s3:arn': OBJECT }],
    ['sqs:SendMessage', QUEUE, 'sqs', { 'aws:sqs:arn': QUEUE }],
    [
      'dynamodb:Query',
      `${TABLE}/index/live`,
      'dynamodb',
      { 'aws:dynamodb:tableName': 'State', 'aws:dynamodb:subscriberId': '000000000000' },
    ],
    ['secretsmanager:GetSecretValue', SECRET, 'secretsmanager', { SecretARN: SECRET }],
  ])('of %s by which service, and for what', (action, resource, service, pairs) => {
    for (const call of keyCallsOf({ action, resource }, KEY)) {
      expect(call.resource).toBe(KEY.arn);
      expect(call.context).toEqual({
        'aws:SecureTransport': 'true',
        'kms:ViaService': `${service}.us-east-1.amazonaws.com`,
        ...Object.fromEntries(
          Object.entries(pairs).map(([name, value]) => [`kms:EncryptionContext:${name}`, value]),
        ),
      });
    }
  });

  test('with a bucket key of the bucket, not of the object', () => {
    const [call] = keyCallsOf({ action: 's3:GetObject', resource: OBJECT }, { ...KEY, isBucketKey: true });
    expect(call!.context!['kms:EncryptionContext:aws:s3:arn']).toBe('arn:aws:s3:::shop');
  });

  test('of a group of log lines without what stands for its streams', () => {
    const group = 'arn:aws:logs:us-east-1:000000000000:log-group:shop';
    const calls = keyCallsOf({ action: 'logs:PutLogEvents', resource: `${group}:*` }, KEY);
    expect(calls).toHaveLength(5);
    for (const { context } of calls) expect(context!['kms:EncryptionContext:aws:logs:arn']).toBe(group);
  });

  test('of a call of a service of AWS its account, and of which resource it is made for, but not by EventBridge', () => {
    const known = { 'aws:SourceArn': 'arn:x', 'aws:SourceAccount': '1', 'kms:ViaService': 'sqs' };
    const { 'kms:ViaService': _, ...both } = known;
    expect(keyContextOfService('sns.amazonaws.com', known)).toEqual(both);
    expect(keyContextOfService('events.amazonaws.com', known)).toEqual({ 'aws:SourceAccount': '1' });
  });
});

describe('a refusal of KMS', () => {
  const reason = `User: u is not authorized to perform: kms:Decrypt on resource: ${KEY.arn} because no identity-based policy allows the kms:Decrypt action`;
  test.each([
    ['s3', 'AccessDenied', reason, 403],
    ['sqs', 'KmsAccessDenied', reason, 400],
    [
      'dynamodb',
      'AccessDeniedException',
      `KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: ${reason}`,
      400,
    ],
    ['secretsmanager', 'AccessDeniedException', 'Access to KMS is not allowed', 400],
  ])('is answered by %s as %s', (service, code, message, status) => {
    expect(keyRefusalOf(service, reason)).toEqual({ code, message, status });
  });
  test('is none, where the service itself refuses', () => {
    expect(
      keyRefusalOf('sqs', `User: u is not authorized to perform: sqs:SendMessage on resource: ${QUEUE}`),
    ).toBeUndefined();
  });
});
