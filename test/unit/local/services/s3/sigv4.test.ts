import { GetObjectCommand, S3Client } from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import { Sha256 } from '@smithy/core/checksum';
import { SignatureV4 } from '@smithy/signature-v4';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  decodePercent,
  type SignedRequest,
  verifySignature,
} from '../../../../../local/services/s3/sigv4.ts';

const EXAMPLE_KEY = 'AKIAIOSFODNN7EXAMPLE';
const EXAMPLE_SECRET = 'wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY';
const EXAMPLE_TIME_MS = Date.parse('2013-05-24T00:00:00Z');
const EMPTY_SHA256 = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

function secretOf(accessKeyId: string): string | undefined {
  return accessKeyId === EXAMPLE_KEY ? EXAMPLE_SECRET : undefined;
}

/** A request of the examples in AWS's documentation of Signature Version 4 for S3. */
function exampleRequest(
  signature: string,
  { method = 'GET', path = '/', query = [], headers = {} }: Partial<SignedRequest> = {},
): SignedRequest {
  const signed: Record<string, string> = {
    host: 'examplebucket.s3.amazonaws.com',
    'x-amz-content-sha256': EMPTY_SHA256,
    'x-amz-date': '20130524T000000Z',
    ...(headers as Record<string, string>),
  };
  const names = Object.keys(signed).sort().join(';');
  const authorization = `AWS4-HMAC-SHA256 Credential=${EXAMPLE_KEY}/20130524/us-east-1/s3/aws4_request,SignedHeaders=${names},Signature=${signature}`;
  return { method, path, query, headers: { ...signed, authorization } };
}

const getWithRange = exampleRequest('f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41', {
  path: '/test.txt',
  headers: { range: 'bytes=0-9' },
});

function presignedRequest(url: string): SignedRequest {
  const [, host = '', path = '', queryText = ''] = /^https?:\/\/([^/]+)([^?]*)\?(.*)$/.exec(url) ?? [];
  const query = queryText.split('&').map((parameter) => {
    const at = parameter.indexOf('=');
    return [decodePercent(parameter.slice(0, at)), decodePercent(parameter.slice(at + 1))] as const;
  });
  return { method: 'GET', path, query, headers: { host } };
}

const presignedExample = presignedRequest(
  `https://examplebucket.s3.amazonaws.com/test.txt?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=${EXAMPLE_KEY}%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20130524T000000Z&X-Amz-Expires=86400&X-Amz-SignedHeaders=host&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404`,
);

describe('verifySignature', () => {
  it.each([
    ['GET Object with a range', getWithRange],
    [
      'PUT Object with a special character in its key',
      exampleRequest('98ad721746da40c64f1a55b78f14c238d841ea1380cd77a1b5971af0ece108bd', {
        method: 'PUT',
        path: '/test$file.text',
        headers: {
          date: 'Fri, 24 May 2013 00:00:00 GMT',
          'x-amz-content-sha256': '44ce7dd67c959e0d3524ffac1771dfbba87d2b6b4b4e99e42034a8b803f8b072',
          'x-amz-storage-class': 'REDUCED_REDUNDANCY',
        },
      }),
    ],
    [
      'GET Bucket Lifecycle with a parameter without value',
      exampleRequest('fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543', {
        query: [['lifecycle', '']],
      }),
    ],
    [
      'GET Bucket with parameters in another order',
      exampleRequest('34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7', {
        query: [
          ['prefix', 'J'],
          ['max-keys', '2'],
        ],
      }),
    ],
    ['presigned GET Object', presignedExample],
  ])("accepts AWS's published example: %s", (_, request) => {
    return expect(verifySignature(request, secretOf, EXAMPLE_TIME_MS)).resolves.toMatchObject({
      accessKeyId: EXAMPLE_KEY,
    });
  });

  it.each([
    ['SignatureDoesNotMatch', 'another path', { ...getWithRange, path: '/other.txt' }, 0],
    ['SignatureDoesNotMatch', 'another method', { ...getWithRange, method: 'DELETE' }, 0],
    [
      'SignatureDoesNotMatch',
      'a changed signed header',
      { ...getWithRange, headers: { ...getWithRange.headers, range: 'bytes=0-10' } },
      0,
    ],
    ['SignatureDoesNotMatch', 'an added parameter', { ...getWithRange, query: [['acl', '']] as const }, 0],
    ['RequestTimeTooSkewed', 'a clock that is 16 minutes off', getWithRange, 16 * 60_000],
    ['AccessDenied', 'no signature at all', { ...getWithRange, headers: {} }, 0],
    [
      'AuthorizationHeaderMalformed',
      'another scheme',
      { ...getWithRange, headers: { authorization: 'Basic abc' } },
      0,
    ],
    ['AccessDenied', 'a presigned URL after its last second', presignedExample, 86_401_000],
    [
      'AuthorizationQueryParametersError',
      'a presigned URL without expiry',
      { ...presignedExample, query: presignedExample.query.filter(([name]) => name !== 'X-Amz-Expires') },
      0,
    ],
  ])('fails with %s on %s', (code, _, request, delayMs) => {
    return expect(verifySignature(request, secretOf, EXAMPLE_TIME_MS + delayMs)).rejects.toThrow(
      expect.objectContaining({ code }),
    );
  });

  it('fails with InvalidAccessKeyId on an unknown key', () => {
    return expect(verifySignature(getWithRange, () => undefined, EXAMPLE_TIME_MS)).rejects.toThrow(
      expect.objectContaining({ code: 'InvalidAccessKeyId' }),
    );
  });

  it.each(['user-agent', 'expect', 'cache-control', 'x-amzn-trace-id'])(
    'accepts a signature over %s, which SDKs leave out, and fails once that is changed',
    async (name) => {
      const credentials = { accessKeyId: EXAMPLE_KEY, secretAccessKey: EXAMPLE_SECRET };
      const signer = new SignatureV4({
        service: 's3',
        region: 'eu-central-1',
        credentials,
        sha256: Sha256,
        uriEscapePath: false,
      });
      const { method, path, headers } = await signer.sign(
        {
          method: 'GET',
          protocol: 'https:',
          hostname: 'bucket.s3.amazonaws.com',
          path: '/a%20b',
          headers: { host: 'bucket.s3.amazonaws.com', [name]: ' one  and   two ' },
        },
        { signingDate: new Date(EXAMPLE_TIME_MS), signableHeaders: new Set([name]) },
      );
      expect(headers.authorization).toContain(name);
      const request = { method, path, query: [], headers };
      await expect(verifySignature(request, secretOf, EXAMPLE_TIME_MS)).resolves.toMatchObject({
        accessKeyId: EXAMPLE_KEY,
      });
      const changed = { ...request, headers: { ...headers, [name]: 'another' } };
      await expect(verifySignature(changed, secretOf, EXAMPLE_TIME_MS)).rejects.toThrow(
        expect.objectContaining({ code: 'SignatureDoesNotMatch' }),
      );
    },
  );

  it('accepts what the SDK presigns for any key', async () => {
    const client = new S3Client({
      endpoint: 'http://127.0.0.1:9',
      region: 'eu-central-1',
      credentials: { accessKeyId: EXAMPLE_KEY, secretAccessKey: EXAMPLE_SECRET },
    });
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 }), async (key) => {
        const command = new GetObjectCommand({ Bucket: 'bucket', Key: key, VersionId: key });
        const url = await getSignedUrl(client, command, { signingDate: new Date(EXAMPLE_TIME_MS) });
        const verified = await verifySignature(presignedRequest(url), secretOf, EXAMPLE_TIME_MS);
        expect(verified.accessKeyId).toBe(EXAMPLE_KEY);
      }),
    );
  });
});
