/** Which of S3's answers say that a person has to act before an object can be read. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { S3Objects } from '../../../../src/adapters/s3/objects.ts';
import { ObjectUnreadableError } from '../../../../src/core/base/errors.ts';
import { createS3Client } from '../../../../src/runtime/clients.ts';

let answer = { status: 403, code: 'AccessDenied', message: 'Access Denied' };
const server = createServer((request, response) => {
  const { status, code, message } = answer;
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(
    request.method === 'HEAD' ? '' : `<Error><Code>${code}</Code><Message>${message}</Message></Error>`,
  );
});
let objects: S3Objects;
beforeAll(async () => {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  const client = createS3Client({
    region: 'us-east-1',
    credentials: { accessKeyId: 'a', secretAccessKey: 's' },
    endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
  });
  objects = new S3Objects(client, { bucket: 'bucket' });
});
afterAll(() => server.close());

const read = () => objects.read({ bucket: 'bucket', key: 'input/a.jsonl' });

test.each([
  [
    403,
    'InvalidObjectState',
    'The operation is not valid for the object',
    /InvalidObjectState\. It is in an archive .*restore-object/,
  ],
  [403, 'AccessDenied', 'Access Denied', /may not read it: a policy/],
  [403, 'AccessDenied', 'User x is not authorized to perform: kms:Decrypt on y', /grant it kms:Decrypt/],
  [400, 'KMS.DisabledException', 'arn:aws:kms:us-east-1:1:key/k is disabled.', /KMS key that cannot be used/],
  [400, 'KMS.NotFoundException', 'Key does not exist', /KMS key that cannot be used/],
  [400, 'KMS.KMSInvalidStateException', 'is pending deletion', /KMS key that cannot be used/],
])('%i %s (%s) is reported as what it is, with what to do', async (status, code, message, expected) => {
  answer = { status, code, message };
  const error = await read().catch((caught: unknown) => caught);
  expect(error).toBeInstanceOf(ObjectUnreadableError);
  expect(error).toMatchObject({ key: 'input/a.jsonl', code, message: expect.stringMatching(expected) });
  expect((error as Error).message).toContain(`s3://bucket/input/a.jsonl: S3 answers ${status} ${code}.`);
});

test('a HEAD that is forbidden has no code, and is reported all the same', async () => {
  answer = { status: 403, code: '', message: '' };
  await expect(objects.head('bucket', 'input/a.jsonl')).rejects.toThrow(ObjectUnreadableError);
});

test.each([
  [403, 'InvalidAccessKeyId', 'of our own credentials'],
  [403, 'SignatureDoesNotMatch', 'of our own credentials'],
  [400, 'ExpiredToken', 'of our own credentials'],
  [400, 'KMS.ThrottlingException', 'of a moment'],
])('%i %s is no fault of the object, but %s', async (status, code) => {
  answer = { status, code, message: 'x' };
  const error = await read().catch((caught: unknown) => caught);
  expect(error).not.toBeInstanceOf(ObjectUnreadableError);
});
