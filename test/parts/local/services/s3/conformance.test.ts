import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import { crc32 } from 'node:zlib';
import * as s3 from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { propertyRuns } from '../../../../support/property-runs.ts';
import { bytesOf, clientOf, expectRefusal, patternBytes, startTestS3, type TestS3 } from './support.ts';

const Bucket = 'conformance';
const MIB = 1024 ** 2;
const body = patternBytes(300_000);
const bodyEtag = `"${createHash('md5').update(body).digest('hex')}"`;

let local: TestS3;
let client: s3.S3Client;

beforeAll(async () => {
  local = await startTestS3();
  client = local.client;
  await client.send(new s3.CreateBucketCommand({ Bucket }));
  await client.send(new s3.PutObjectCommand({ Bucket, Key: 'object', Body: body }));
});

const consoleError = vi.spyOn(console, 'error');

afterAll(async () => {
  await local.stop();
  expect(consoleError, 'refusing a request is no reason to write to stderr').not.toHaveBeenCalled();
});

function put(
  Key: string,
  Body: Buffer | Uint8Array | string | Readable,
  rest: Partial<s3.PutObjectCommandInput> = {},
) {
  return client.send(new s3.PutObjectCommand({ Bucket, Key, Body, ...rest }));
}

function get(Key: string, rest: Partial<s3.GetObjectCommandInput> = {}) {
  return client.send(new s3.GetObjectCommand({ Bucket, Key, ...rest }));
}

function head(Key: string, rest: Partial<s3.HeadObjectCommandInput> = {}) {
  return client.send(new s3.HeadObjectCommand({ Bucket, Key, ...rest }));
}

/** Uploads parts one by one; gives what CompleteMultipartUpload needs. */
async function uploadParts(
  Key: string,
  parts: (Buffer | string)[],
  rest: Partial<s3.CreateMultipartUploadRequest> = {},
) {
  const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key, ...rest }));
  const Parts: s3.CompletedPart[] = [];
  for (const [index, Body] of parts.entries()) {
    const PartNumber = index + 1;
    const part = await client.send(new s3.UploadPartCommand({ Bucket, Key, UploadId, PartNumber, Body }));
    Parts.push({ PartNumber, ETag: part.ETag });
  }
  return { Bucket, Key, UploadId, MultipartUpload: { Parts } };
}

function crc32Base64(bytes: Buffer): string {
  const sum = Buffer.alloc(4);
  sum.writeUInt32BE(crc32(bytes));
  return sum.toString('base64');
}

describe('buckets', () => {
  it('lists the buckets and heads one with its region', async () => {
    const { Buckets } = await client.send(new s3.ListBucketsCommand({}));
    expect(Buckets?.map(({ Name }) => Name)).toContain(Bucket);
    const answer = await client.send(new s3.HeadBucketCommand({ Bucket }));
    expect(answer.BucketRegion).toBe('us-east-1');
  });

  it('fails with BucketAlreadyOwnedByYou when the bucket exists', () =>
    expectRefusal(client.send(new s3.CreateBucketCommand({ Bucket })), 409, 'BucketAlreadyOwnedByYou'));

  it('fails with InvalidBucketName on a name with capitals', () =>
    expectRefusal(client.send(new s3.CreateBucketCommand({ Bucket: 'Capitals' })), 400, 'InvalidBucketName'));

  it('fails with NotFound on the head of a bucket that is not there', () =>
    expectRefusal(client.send(new s3.HeadBucketCommand({ Bucket: 'not-there' })), 404, 'NotFound'));

  it('fails with NoSuchBucket on an object in a bucket that is not there', () =>
    expectRefusal(
      client.send(new s3.GetObjectCommand({ Bucket: 'not-there', Key: 'k' })),
      404,
      'NoSuchBucket',
    ));
});

describe('put and get', () => {
  it('gives back the bytes, type and metadata of a buffer under an odd key', async () => {
    const Key = 'a/b c+ü%.bin';
    const answer = await put(Key, body, {
      Metadata: { job: 'j-1', 'mixed-Case': 'v' },
      ContentType: 'application/x-ndjson',
    });
    expect(answer.ETag).toBe(bodyEtag);
    expect(answer.ChecksumCRC32).toBe(crc32Base64(body));
    expect(answer.VersionId).toBeUndefined();
    const object = await get(Key);
    expect((await bytesOf(object)).equals(body)).toBe(true);
    expect(object.ContentType).toBe('application/x-ndjson');
    expect(object.Metadata).toEqual({ job: 'j-1', 'mixed-case': 'v' });
  });

  it('gives back any key and content', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.string({ unit: 'grapheme', minLength: 1, maxLength: 60 }),
        fc.uint8Array({ maxLength: 2000 }),
        async (suffix, bytes) => {
          const Key = `any/${suffix}`;
          await put(Key, bytes);
          expect((await bytesOf(await get(Key))).equals(bytes)).toBe(true);
          const list = await client.send(
            new s3.ListObjectsV2Command({ Bucket, Prefix: Key, EncodingType: 'url', MaxKeys: 1 }),
          );
          expect(decodeURIComponent(list.Contents?.[0]?.Key ?? '')).toBe(Key);
        },
      ),
      { numRuns: propertyRuns(60) },
    );
  });

  it('returns the stored CRC32 with ChecksumMode', async () => {
    const object = await get('object', { ChecksumMode: 'ENABLED' });
    await bytesOf(object);
    expect(object.ChecksumCRC32).toBe(crc32Base64(body));
  });

  it('takes a stream of known length, which the SDK sends as aws-chunked with a trailer', async () => {
    const pieces = Readable.from([body.subarray(0, 100_000), body.subarray(100_000)]);
    expect((await put('stream', pieces, { ContentLength: body.length })).ETag).toBe(bodyEtag);
    expect((await bytesOf(await get('stream'))).equals(body)).toBe(true);
  });

  it('fails with MissingContentLength on a stream of unknown length', async () => {
    // The SDK refuses this by itself.
    const url = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key: 'unknown-length' }));
    const stream = new Blob([body]).stream();
    const answer = await fetch(url, { method: 'PUT', body: stream, duplex: 'half' });
    expect(answer.status).toBe(411);
    expect(await answer.text()).toContain('<Code>MissingContentLength</Code>');
  });

  it.each(['SHA1', 'SHA256', 'CRC32C', 'CRC64NVME'] as const)(
    'computes and checks %s when the client chooses it',
    async (ChecksumAlgorithm) => {
      if (ChecksumAlgorithm.startsWith('SHA')) {
        const answer = await put(`checksum-${ChecksumAlgorithm}`, body, { ChecksumAlgorithm });
        const expected = createHash(ChecksumAlgorithm).update(body).digest('base64');
        expect(answer[`Checksum${ChecksumAlgorithm}` as 'ChecksumSHA256']).toBe(expected);
        return;
      }
      // The SDK has no code of its own for these: the known sum of the standard check string is given.
      const sums = { CRC32C: '4waSgw==', CRC64NVME: 'rosUhgp5mIg=' };
      const member = `Checksum${ChecksumAlgorithm}`;
      const known = sums[ChecksumAlgorithm as 'CRC32C'];
      const answer = await put(`checksum-${ChecksumAlgorithm}`, '123456789', { [member]: known });
      expect(answer[member as 'ChecksumCRC32C']).toBe(known);
      await expectRefusal(put('bad', '12345678', { [member]: known }), 400, 'BadDigest');
    },
  );

  it('fails with BadDigest on a wrong CRC32 and keeps nothing', async () => {
    await expectRefusal(put('bad-crc', body, { ChecksumCRC32: 'AAAAAA==' }), 400, 'BadDigest');
    await expectRefusal(head('bad-crc'), 404, 'NotFound');
  });

  it('fails with BadDigest on a wrong Content-MD5', () =>
    expectRefusal(
      put('bad-md5', body, { ContentMD5: createHash('md5').update('x').digest('base64') }),
      400,
      'BadDigest',
    ));

  it('fails with InvalidDigest on a Content-MD5 that is none', () =>
    expectRefusal(put('bad-md5', body, { ContentMD5: 'eA==' }), 400, 'InvalidDigest'));

  it('fails with KeyTooLongError on a key of 1025 bytes', () =>
    expectRefusal(put('k'.repeat(1025), 'x'), 400, 'KeyTooLongError'));

  it('heads an object with its length and time', async () => {
    const answer = await head('object');
    expect(answer.ContentLength).toBe(body.length);
    expect(answer.LastModified).toBeInstanceOf(Date);
    expect(answer.VersionId).toBeUndefined();
  });

  it('fails with NotFound on the head and with NoSuchKey on the get of a missing key', async () => {
    await expectRefusal(head('missing'), 404, 'NotFound');
    await expectRefusal(get('missing'), 404, 'NoSuchKey');
  });

  it('keeps an empty object', async () => {
    await put('empty', new Uint8Array());
    const object = await get('empty');
    expect(object.ContentLength).toBe(0);
    expect(await bytesOf(object)).toHaveLength(0);
    await expectRefusal(get('empty', { Range: 'bytes=0-0' }), 416, 'InvalidRange');
  });
});

describe('ranges', () => {
  it.each([
    ['bytes=100-199', 100, 200],
    ['bytes=-500', body.length - 500, body.length],
    ['bytes=299990-', 299_990, body.length],
    ['bytes=299990-999999', 299_990, body.length],
  ])('gives %s', async (Range, from, to) => {
    const object = await get('object', { Range });
    expect((await bytesOf(object)).equals(body.subarray(from, to))).toBe(true);
    expect(object.ContentRange).toBe(`bytes ${from}-${to - 1}/${body.length}`);
    expect(object.$metadata.httpStatusCode).toBe(206);
  });

  it('fails with InvalidRange past the end', () =>
    expectRefusal(get('object', { Range: 'bytes=900000-' }), 416, 'InvalidRange'));

  it('ignores a range that is not one byte range', async () => {
    const object = await get('object', { Range: 'bytes=0-1,5-6' });
    expect(await bytesOf(object)).toHaveLength(body.length);
  });

  it('gives many ranges at once across the parts of a multipart object', async () => {
    const parts = [patternBytes(5 * MIB, 1), patternBytes(5 * MIB, 2), patternBytes(12_345, 3)];
    await client.send(new s3.CompleteMultipartUploadCommand(await uploadParts('ranges', parts)));
    const whole = Buffer.concat(parts);
    await Promise.all(
      Array.from({ length: 50 }, async (_, index) => {
        const first = 5 * MIB - 25_000 + index * 1000;
        const last = first + 49_999 + index * 100_000;
        const object = await get('ranges', { Range: `bytes=${first}-${last}` });
        expect(
          (await bytesOf(object)).equals(whole.subarray(first, last + 1)),
          `range ${first}-${last}`,
        ).toBe(true);
      }),
    );
    const second = await get('ranges', { PartNumber: 2 });
    expect((await bytesOf(second)).equals(parts[1]!)).toBe(true);
    expect(second.PartsCount).toBe(3);
    await expectRefusal(get('ranges', { PartNumber: 4 }), 416, 'InvalidPartNumber');
  });
});

describe('conditions', () => {
  it('fails with PreconditionFailed on a get with another ETag and answers 304 to the same with If-None-Match', async () => {
    await expectRefusal(get('object', { IfMatch: '"deadbeef"' }), 412, 'PreconditionFailed');
    await expectRefusal(get('object', { IfNoneMatch: bodyEtag }), 304);
    await expectRefusal(get('object', { IfModifiedSince: new Date(Date.now() + 1000) }), 304);
    await expectRefusal(get('object', { IfUnmodifiedSince: new Date(0) }), 412, 'PreconditionFailed');
  });

  it('writes a new key with If-None-Match and fails with PreconditionFailed on one that is there', async () => {
    await put('new', 'one', { IfNoneMatch: '*' });
    await expectRefusal(put('new', 'two', { IfNoneMatch: '*' }), 412, 'PreconditionFailed');
    expect(String(await bytesOf(await get('new')))).toBe('one');
  });

  it('refuses a conditional put before the body is sent', async () => {
    // Larger than any buffer on the way: without the early answer it would have to be read to the end.
    const large = patternBytes(64 * MIB);
    await expectRefusal(put('object', large, { IfNoneMatch: '*' }), 412, 'PreconditionFailed');
  });

  it('lets exactly one of ten racing If-None-Match puts win', async () => {
    const racers = Array.from({ length: 10 }, (_, index) => put('race', `v${index}`, { IfNoneMatch: '*' }));
    const outcomes = await Promise.allSettled(racers);
    expect(outcomes.filter(({ status }) => status === 'fulfilled')).toHaveLength(1);
  });

  it('replaces with If-Match only the ETag that is named', async () => {
    const { ETag } = await put('match', 'one');
    await expectRefusal(put('match', 'two', { IfMatch: '"deadbeef"' }), 412, 'PreconditionFailed');
    await put('match', 'three', { IfMatch: ETag });
    expect(String(await bytesOf(await get('match')))).toBe('three');
    await expectRefusal(put('match-missing', 'x', { IfMatch: ETag }), 404, 'NoSuchKey');
  });

  it('fails with PreconditionFailed on a conditional delete of something else', async () => {
    const { ETag } = await put('delete-match', 'one');
    const command = (IfMatch: string | undefined) =>
      new s3.DeleteObjectCommand({ Bucket, Key: 'delete-match', IfMatch });
    await expectRefusal(client.send(command('"deadbeef"')), 412, 'PreconditionFailed');
    await client.send(command(ETag));
    await expectRefusal(head('delete-match'), 404);
    await expectRefusal(client.send(command(ETag)), 404, 'NoSuchKey');
  });

  it('deletes of many keys those whose ETag is named, and says of the others why not', async () => {
    const { ETag } = await put('delete-many', 'one');
    await put('delete-other', 'two');
    const Objects = ['delete-many', 'delete-other', 'delete-missing'].map((Key) => ({ Key, ETag }));
    const { Deleted, Errors } = await client.send(
      new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }),
    );
    expect(Deleted?.map(({ Key }) => Key)).toEqual(['delete-many']);
    expect(Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([
      ['delete-other', 'PreconditionFailed'],
      ['delete-missing', 'NoSuchKey'],
    ]);
  });

  it('takes no condition together with a version id, as S3 does not', async () => {
    const { ETag } = await put('delete-version', 'one');
    const command = new s3.DeleteObjectCommand({
      Bucket,
      Key: 'delete-version',
      VersionId: 'null',
      IfMatch: ETag,
    });
    await expectRefusal(client.send(command), 501, 'NotImplemented');
    expect(String(await bytesOf(await get('delete-version')))).toBe('one');
  });
});

describe('multipart uploads', () => {
  it('takes a stream from lib-storage in three parts with a composite checksum', async () => {
    const large = patternBytes(12 * MIB);
    const params = { Bucket, Key: 'upload', Body: Readable.from([large]), Metadata: { x: 'y' } };
    const answer = await new Upload({ client, params, partSize: 5 * MIB, queueSize: 3 }).done();
    expect(answer.ETag).toMatch(/-3"$/);
    expect(answer.ChecksumCRC32).toMatch(/-3$/);
    expect(answer.ChecksumType).toBe('COMPOSITE');
    const object = await get('upload', { ChecksumMode: 'ENABLED' });
    expect((await bytesOf(object)).equals(large)).toBe(true);
    expect(object.Metadata).toEqual({ x: 'y' });
    expect(object.ContentLength).toBe(12 * MIB);
    expect(object.ChecksumCRC32).toBe(answer.ChecksumCRC32);
    const first = await client.send(new s3.HeadObjectCommand({ Bucket, Key: 'upload', PartNumber: 1 }));
    expect(first.PartsCount).toBe(3);
  });

  it('combines part checksums into that of the whole object on request', async () => {
    const parts = [patternBytes(5 * MIB, 4), patternBytes(777, 5)];
    const upload = await uploadParts('full-object', parts, {
      ChecksumAlgorithm: 'CRC32',
      ChecksumType: 'FULL_OBJECT',
    });
    const expected = crc32Base64(Buffer.concat(parts));
    await expectRefusal(
      client.send(new s3.CompleteMultipartUploadCommand({ ...upload, ChecksumCRC32: 'AAAAAA==' })),
      400,
      'BadDigest',
    );
    const answer = await client.send(
      new s3.CompleteMultipartUploadCommand({ ...upload, ChecksumCRC32: expected }),
    );
    expect(answer).toMatchObject({ ChecksumCRC32: expected, ChecksumType: 'FULL_OBJECT' });
    const object = await get('full-object', { ChecksumMode: 'ENABLED' });
    expect(await bytesOf(object)).toHaveLength(5 * MIB + 777);
  });

  it('takes a small stream from lib-storage in one put', async () => {
    const params = { Bucket, Key: 'upload-small', Body: Readable.from([Buffer.from('hello')]) };
    await new Upload({ client, params }).done();
    expect(String(await bytesOf(await get('upload-small')))).toBe('hello');
  });

  it('fails with PreconditionFailed when completed with If-None-Match on a key that is there, and can continue', async () => {
    await put('complete', 'first');
    const upload = await uploadParts('complete', ['second']);
    await expectRefusal(
      client.send(new s3.CompleteMultipartUploadCommand({ ...upload, IfNoneMatch: '*' })),
      412,
      'PreconditionFailed',
    );
    await client.send(new s3.CompleteMultipartUploadCommand(upload));
    expect(String(await bytesOf(await get('complete')))).toBe('second');
    await expectRefusal(client.send(new s3.CompleteMultipartUploadCommand(upload)), 404, 'NoSuchUpload');
  });

  it('adds ranges of an object as parts by reference', async () => {
    await put('copied', patternBytes(7 * MIB));
    const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'from-copy' }));
    const target = { Bucket, Key: 'from-copy', UploadId };
    const copy = await client.send(
      new s3.UploadPartCopyCommand({
        ...target,
        PartNumber: 1,
        CopySource: `${Bucket}/copied`,
        CopySourceRange: 'bytes=1000-6000999',
      }),
    );
    const tail = await client.send(new s3.UploadPartCommand({ ...target, PartNumber: 2, Body: 'tail' }));
    // The part stays whole though its source is gone.
    await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'copied' }));
    const Parts = [
      { PartNumber: 1, ETag: copy.CopyPartResult?.ETag },
      { PartNumber: 2, ETag: tail.ETag },
    ];
    await client.send(new s3.CompleteMultipartUploadCommand({ ...target, MultipartUpload: { Parts } }));
    const expected = Buffer.concat([patternBytes(7 * MIB).subarray(1000, 6_001_000), Buffer.from('tail')]);
    expect((await bytesOf(await get('from-copy'))).equals(expected)).toBe(true);
  });

  it('fails with InvalidArgument on a copied range that ends past the source', async () => {
    const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'bad-copy' }));
    const copy = new s3.UploadPartCopyCommand({
      Bucket,
      Key: 'bad-copy',
      UploadId,
      PartNumber: 1,
      CopySource: `${Bucket}/object`,
      CopySourceRange: 'bytes=0-300000',
    });
    await expectRefusal(client.send(copy), 400, 'InvalidArgument');
  });

  it('addresses an object larger than 5 GiB and refuses to copy it in one go, as S3 does', async () => {
    const PART_BYTES = 64 * MIB;
    const PARTS = 81;
    await put('block', patternBytes(PART_BYTES));
    const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand({ Bucket, Key: 'large' }));
    const Parts: s3.CompletedPart[] = [];
    for (let PartNumber = 1; PartNumber <= PARTS; PartNumber++) {
      const { CopyPartResult } = await client.send(
        new s3.UploadPartCopyCommand({
          Bucket,
          Key: 'large',
          UploadId,
          PartNumber,
          CopySource: `${Bucket}/block`,
        }),
      );
      Parts.push({ PartNumber, ETag: CopyPartResult?.ETag });
    }
    await client.send(
      new s3.CompleteMultipartUploadCommand({ Bucket, Key: 'large', UploadId, MultipartUpload: { Parts } }),
    );
    expect((await head('large')).ContentLength).toBe(PARTS * PART_BYTES);
    const first = 80 * PART_BYTES - 10;
    const object = await get('large', { Range: `bytes=${first}-${first + 29}` });
    const block = patternBytes(PART_BYTES);
    expect((await bytesOf(object)).equals(Buffer.concat([block.subarray(-10), block.subarray(0, 20)]))).toBe(
      true,
    );
    const copy = new s3.CopyObjectCommand({ Bucket, Key: 'large-copy', CopySource: `${Bucket}/large` });
    await expectRefusal(client.send(copy), 400, 'InvalidRequest');
  });

  it('lists parts and uploads in pages', async () => {
    const upload = await uploadParts('listed', ['one', 'two', 'three']);
    const parts = await client.send(new s3.ListPartsCommand({ ...upload, MaxParts: 2 }));
    expect(parts.Parts?.map(({ PartNumber, Size }) => [PartNumber, Size])).toEqual([
      [1, 3],
      [2, 3],
    ]);
    expect(parts.IsTruncated).toBe(true);
    const rest = await client.send(
      new s3.ListPartsCommand({ ...upload, PartNumberMarker: parts.NextPartNumberMarker }),
    );
    expect(rest.Parts?.map(({ PartNumber }) => PartNumber)).toEqual([3]);

    const second = await uploadParts('listed', []);
    const page = (rest: Partial<s3.ListMultipartUploadsCommandInput>) =>
      client.send(new s3.ListMultipartUploadsCommand({ Bucket, Prefix: 'listed', MaxUploads: 1, ...rest }));
    const one = await page({});
    const two = await page({ KeyMarker: one.NextKeyMarker, UploadIdMarker: one.NextUploadIdMarker });
    expect([...(one.Uploads ?? []), ...(two.Uploads ?? [])].map(({ UploadId }) => UploadId)).toEqual([
      upload.UploadId,
      second.UploadId,
    ]);
    expect(two.IsTruncated).toBe(false);
  });

  it('fails with NoSuchUpload on a part of an aborted upload', async () => {
    const upload = await uploadParts('aborted', ['one']);
    await client.send(new s3.AbortMultipartUploadCommand(upload));
    await expectRefusal(
      client.send(new s3.UploadPartCommand({ ...upload, PartNumber: 2, Body: 'x' })),
      404,
      'NoSuchUpload',
    );
  });

  it('fails with EntityTooSmall, InvalidPart and InvalidPartOrder on parts that do not fit', async () => {
    const upload = await uploadParts('unfit', ['x', 'y']);
    const [one, two] = upload.MultipartUpload.Parts;
    const complete = (Parts: (s3.CompletedPart | undefined)[]) =>
      client.send(
        new s3.CompleteMultipartUploadCommand({
          ...upload,
          MultipartUpload: { Parts: Parts as s3.CompletedPart[] },
        }),
      );
    await expectRefusal(complete([one, two]), 400, 'EntityTooSmall');
    await expectRefusal(complete([{ ...one, ETag: '"deadbeef"' }]), 400, 'InvalidPart');
    await expectRefusal(complete([{ ...one, PartNumber: 9 }]), 400, 'InvalidPart');
    await expectRefusal(complete([two, one]), 400, 'InvalidPartOrder');
  });
});

describe('copies', () => {
  it('copies bytes and metadata under an encoded source key', async () => {
    await put('src/ü +%.bin', body, { Metadata: { job: 'j-1' } });
    const CopySource = `${Bucket}/${encodeURIComponent('src/ü +%.bin')}`;
    const answer = await client.send(new s3.CopyObjectCommand({ Bucket, Key: 'copy', CopySource }));
    expect(answer.CopyObjectResult?.ETag).toBe(bodyEtag);
    const object = await get('copy');
    expect((await bytesOf(object)).equals(body)).toBe(true);
    expect(object.Metadata).toEqual({ job: 'j-1' });
  });

  it('replaces metadata on request, also in place', async () => {
    await put('in-place', 'x', { Metadata: { old: '1' } });
    const inPlace = { Bucket, Key: 'in-place', CopySource: `${Bucket}/in-place` };
    await expectRefusal(client.send(new s3.CopyObjectCommand(inPlace)), 400, 'InvalidRequest');
    await client.send(
      new s3.CopyObjectCommand({ ...inPlace, MetadataDirective: 'REPLACE', Metadata: { fresh: '2' } }),
    );
    expect((await head('in-place')).Metadata).toEqual({ fresh: '2' });
  });

  it('gives the copy of a multipart object the MD5 of its bytes, as S3 does', async () => {
    const answer = await client.send(
      new s3.CopyObjectCommand({ Bucket, Key: 'copy-of-parts', CopySource: `${Bucket}/ranges` }),
    );
    const md5 = createHash('md5').update(await bytesOf(await get('ranges')));
    expect(answer.CopyObjectResult?.ETag).toBe(`"${md5.digest('hex')}"`);
  });

  it('holds conditions on the source and on the target', async () => {
    const copy = (rest: Partial<s3.CopyObjectCommandInput>) =>
      client.send(
        new s3.CopyObjectCommand({ Bucket, Key: 'copy-cond', CopySource: `${Bucket}/object`, ...rest }),
      );
    await expectRefusal(copy({ CopySourceIfMatch: '"deadbeef"' }), 412, 'PreconditionFailed');
    await expectRefusal(copy({ CopySourceIfNoneMatch: bodyEtag }), 412, 'PreconditionFailed');
    await copy({ CopySourceIfMatch: bodyEtag, IfNoneMatch: '*' });
    await expectRefusal(copy({ IfNoneMatch: '*' }), 412, 'PreconditionFailed');
    await expectRefusal(copy({ IfMatch: '"deadbeef"' }), 412, 'PreconditionFailed');
    await expectRefusal(copy({ CopySource: `${Bucket}/missing` }), 404, 'NoSuchKey');
  });
});

describe('listings', () => {
  it('pages, groups by delimiter and starts after a key', async () => {
    const keys = Array.from({ length: 25 }, (_, index) => `list/${String(index).padStart(3, '0')}`);
    await Promise.all(keys.map((key) => put(key, 'x')));
    const listed: (string | undefined)[] = [];
    let pages = 0;
    for await (const page of s3.paginateListObjectsV2(
      { client, pageSize: 10 },
      { Bucket, Prefix: 'list/' },
    )) {
      listed.push(...(page.Contents ?? []).map(({ Key }) => Key));
      pages++;
    }
    expect(listed).toEqual(keys);
    expect(pages).toBe(3);
    const grouped = await client.send(new s3.ListObjectsV2Command({ Bucket, Delimiter: '/' }));
    expect(grouped.CommonPrefixes?.map(({ Prefix }) => Prefix)).toContain('list/');
    const after = await client.send(
      new s3.ListObjectsV2Command({ Bucket, Prefix: 'list/', StartAfter: 'list/019' }),
    );
    expect(after.KeyCount).toBe(5);
  });

  it('gives at most 1000 keys on a page', async () => {
    for (let hundred = 0; hundred < 11; hundred++) {
      await Promise.all(Array.from({ length: 100 }, (_, index) => put(`many/${hundred}-${index}`, 'x')));
    }
    const page = await client.send(new s3.ListObjectsV2Command({ Bucket, Prefix: 'many/' }));
    expect(page.Contents).toHaveLength(1000);
    expect(page.IsTruncated).toBe(true);
  });

  it('fails with InvalidArgument on a continuation token that it did not give', () =>
    expectRefusal(
      client.send(new s3.ListObjectsV2Command({ Bucket, ContinuationToken: '???' })),
      400,
      'InvalidArgument',
    ));
});

describe('deletes', () => {
  it('deletes thirty keys at once and says so, be they there or not', async () => {
    const Objects = Array.from({ length: 30 }, (_, index) => ({ Key: `batch/${index}` }));
    await Promise.all(Objects.slice(0, 25).map(({ Key }) => put(Key, 'x')));
    const answer = await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects } }));
    expect(answer.Deleted).toHaveLength(30);
    const list = await client.send(new s3.ListObjectsV2Command({ Bucket, Prefix: 'batch/' }));
    expect(list.KeyCount).toBe(0);
  });

  it('deletes a key with characters that XML escapes', async () => {
    const Key = 'w/&<"ü>';
    await put(Key, 'x');
    const answer = await client.send(
      new s3.DeleteObjectsCommand({ Bucket, Delete: { Quiet: true, Objects: [{ Key }] } }),
    );
    expect(answer.Deleted).toBeUndefined();
    await expectRefusal(head(Key), 404, 'NotFound');
  });

  it('reports a refused key beside the deleted ones', async () => {
    await put('del-1', 'x');
    await put('del-2', 'x');
    const answer = await client.send(
      new s3.DeleteObjectsCommand({
        Bucket,
        Delete: { Objects: [{ Key: 'del-1', ETag: '"deadbeef"' }, { Key: 'del-2' }] },
      }),
    );
    expect(answer.Errors?.map(({ Key, Code }) => [Key, Code])).toEqual([['del-1', 'PreconditionFailed']]);
    expect(answer.Deleted?.map(({ Key }) => Key)).toEqual(['del-2']);
  });

  it('answers the delete of a missing key like any other', async () => {
    const answer = await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'nothing-here' }));
    expect(answer.$metadata.httpStatusCode).toBe(204);
  });
});

describe('signatures', () => {
  it('serves and takes objects by presigned URL', async () => {
    const getUrl = await getSignedUrl(client, new s3.GetObjectCommand({ Bucket, Key: 'object' }));
    const answer = await fetch(getUrl);
    expect(answer.status).toBe(200);
    expect(Buffer.from(await answer.arrayBuffer()).equals(body)).toBe(true);
    const putUrl = await getSignedUrl(client, new s3.PutObjectCommand({ Bucket, Key: 'presigned' }));
    expect((await fetch(putUrl, { method: 'PUT', body: 'hey' })).status).toBe(200);
    expect((await head('presigned')).ContentLength).toBe(3);
  });

  it('answers 403 to a presigned URL that was changed or has expired', async () => {
    const command = new s3.GetObjectCommand({ Bucket, Key: 'object' });
    const changed = (await getSignedUrl(client, command)).replace('/object', '/other');
    const signingDate = new Date(Date.now() - 60_000);
    const expired = await getSignedUrl(client, command, { expiresIn: 1, signingDate });
    for (const url of [changed, expired]) {
      const answer = await fetch(url);
      expect(answer.status).toBe(403);
      expect(await answer.text()).toMatch(/<Code>(SignatureDoesNotMatch|AccessDenied)<\/Code>/);
    }
  });

  it('fails with SignatureDoesNotMatch, InvalidAccessKeyId and AccessDenied on who may not', async () => {
    const { endpoint } = local.server;
    const wrongSecret = clientOf(endpoint, 'wrong');
    const command = new s3.GetObjectCommand({ Bucket, Key: 'object' });
    await expectRefusal(wrongSecret.send(command), 403, 'SignatureDoesNotMatch');
    const stranger = new s3.S3Client({
      endpoint,
      region: 'us-east-1',
      credentials: { accessKeyId: 'constructor', secretAccessKey: 'x' },
    });
    await expectRefusal(stranger.send(command), 403, 'InvalidAccessKeyId');
    const anonymous = await fetch(`${endpoint}/${Bucket}/object`);
    expect(anonymous.status).toBe(403);
    expect(await anonymous.text()).toContain('<Code>AccessDenied</Code>');
  });
});

describe('documents of buckets', () => {
  it('keeps notification configurations', async () => {
    const read = () => client.send(new s3.GetBucketNotificationConfigurationCommand({ Bucket }));
    const write = (NotificationConfiguration: s3.NotificationConfiguration) =>
      client.send(new s3.PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }));
    expect((await read()).QueueConfigurations).toBeUndefined();
    await write({
      QueueConfigurations: [
        { QueueArn: 'arn:aws:sqs:us-east-1:000000000000:q', Events: ['s3:ObjectCreated:*'] },
      ],
    });
    expect((await read()).QueueConfigurations).toHaveLength(1);
    await write({ EventBridgeConfiguration: {} });
    expect((await read()).EventBridgeConfiguration).toEqual({});
  });

  it.each<[string, (client: s3.S3Client) => Promise<unknown>]>([
    [
      'the rights of an object',
      (c) => c.send(new s3.PutObjectAclCommand({ Bucket, Key: 'k', ACL: 'private' })),
    ],
    ['tags of an object', (c) => c.send(new s3.GetObjectTaggingCommand({ Bucket, Key: 'k' }))],
    ['a new object with tags', (c) => c.send(new s3.PutObjectCommand({ Bucket, Key: 'k', Tagging: 'a=1' }))],
    ['a lifecycle', (c) => c.send(new s3.GetBucketLifecycleConfigurationCommand({ Bucket }))],
    ['a bucket policy', (c) => c.send(new s3.PutBucketPolicyCommand({ Bucket, Policy: '{}' }))],
    ['a location', (c) => c.send(new s3.GetBucketLocationCommand({ Bucket }))],
  ])('fails with NotImplemented on %s, rather than doing something else', async (_, call) => {
    await expectRefusal(call(client), 501, 'NotImplemented');
  });
});
