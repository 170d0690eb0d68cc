import { createHash } from 'node:crypto';
import { cp, readdir, readFile, writeFile } from 'node:fs/promises';
import http from 'node:http';
import path from 'node:path';
import * as s3 from '@aws-sdk/client-s3';
import { getSignedUrl } from '@aws-sdk/s3-request-presigner';
import fc from 'fast-check';
import { afterEach, describe, expect, it } from 'vitest';
import { ObjectStore } from '../../../../../local/services/s3/object-store.ts';
import {
  bytesOf,
  clientOf,
  patternBytes,
  seededRandom,
  startS3Process,
  startTestS3,
  temporaryFolder,
} from './support.ts';

const Bucket = 'durable';
const MIB = 1024 ** 2;

const cleanups: (() => Promise<unknown>)[] = [];

afterEach(async () => {
  for (const cleanup of cleanups.splice(0).reverse()) await cleanup();
});

async function freshFolder(): Promise<string> {
  const { dir, remove } = await temporaryFolder();
  cleanups.push(remove);
  return dir;
}

/** Everything that a client can see of a bucket, to be compared before and after a restart. */
async function visibleState(client: s3.S3Client) {
  const versions = await client.send(new s3.ListObjectVersionsCommand({ Bucket }));
  const contents = await Promise.all(
    (versions.Versions ?? []).map(async ({ Key, VersionId }) => {
      const object = await client.send(
        new s3.GetObjectCommand({ Bucket, Key, VersionId, ChecksumMode: 'ENABLED' }),
      );
      const { Body: _, $metadata: __, ...answer } = object;
      return {
        ...answer,
        sha256: createHash('sha256')
          .update(await bytesOf(object))
          .digest('hex'),
      };
    }),
  );
  const uploads = await client.send(new s3.ListMultipartUploadsCommand({ Bucket }));
  const parts = await Promise.all(
    (uploads.Uploads ?? []).map(async ({ Key, UploadId }) => {
      const { Parts } = await client.send(new s3.ListPartsCommand({ Bucket, Key, UploadId }));
      return Parts;
    }),
  );
  return {
    buckets: (await client.send(new s3.ListBucketsCommand({}))).Buckets,
    versioning: (await client.send(new s3.GetBucketVersioningCommand({ Bucket }))).Status,
    toEventBridge: (await client.send(new s3.GetBucketNotificationConfigurationCommand({ Bucket })))
      .EventBridgeConfiguration,
    versions: versions.Versions,
    deleteMarkers: versions.DeleteMarkers,
    uploads: uploads.Uploads,
    contents,
    parts,
  };
}

describe('a restart', () => {
  it('shows the same buckets, versions, markers, configuration and uploads, and removes nothing that is needed', async () => {
    let local = await startTestS3();
    cleanups.push(() => local.stop());
    const { client } = local;
    await client.send(new s3.CreateBucketCommand({ Bucket }));
    await client.send(new s3.PutObjectCommand({ Bucket, Key: 'k', Body: 'null version' }));
    await client.send(
      new s3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration: { Status: 'Enabled' } }),
    );
    await client.send(
      new s3.PutBucketNotificationConfigurationCommand({
        Bucket,
        NotificationConfiguration: { EventBridgeConfiguration: {} },
      }),
    );
    await client.send(new s3.PutObjectCommand({ Bucket, Key: 'k', Body: 'two', Metadata: { m: '1' } }));
    await client.send(new s3.DeleteObjectCommand({ Bucket, Key: 'k' }));
    await client.send(new s3.PutObjectCommand({ Bucket, Key: 'source', Body: patternBytes(6 * MIB) }));
    await client.send(new s3.PutObjectCommand({ Bucket, Key: 'empty', Body: new Uint8Array() }));
    await client.send(
      new s3.CopyObjectCommand({
        Bucket,
        Key: 'copy',
        CopySource: `${Bucket}/source`,
        MetadataDirective: 'COPY',
      }),
    );
    const upload = { Bucket, Key: 'parts' };
    const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(upload));
    const one = await client.send(
      new s3.UploadPartCopyCommand({ ...upload, UploadId, PartNumber: 1, CopySource: `${Bucket}/source` }),
    );
    // Its bytes now live on in the copy and in the part alone.
    await client.send(new s3.DeleteObjectsCommand({ Bucket, Delete: { Objects: [{ Key: 'source' }] } }));
    const before = await visibleState(client);
    expect(before.contents).toHaveLength(5);

    local = await local.restart();
    expect(await visibleState(local.client)).toEqual(before);

    const two = await local.client.send(
      new s3.UploadPartCommand({ ...upload, UploadId, PartNumber: 2, Body: 'tail' }),
    );
    const Parts = [
      { PartNumber: 1, ETag: one.CopyPartResult?.ETag },
      { PartNumber: 2, ETag: two.ETag },
    ];
    await local.client.send(
      new s3.CompleteMultipartUploadCommand({ ...upload, UploadId, MultipartUpload: { Parts } }),
    );
    local = await local.restart();
    const object = await local.client.send(new s3.GetObjectCommand({ Bucket, Key: 'parts' }));
    expect((await bytesOf(object)).equals(Buffer.concat([patternBytes(6 * MIB), Buffer.from('tail')]))).toBe(
      true,
    );
  });

  it('removes blobs that nothing refers to and keeps no more files than are needed', async () => {
    const local = await startTestS3();
    cleanups.push(() => restarted.stop());
    await local.client.send(new s3.CreateBucketCommand({ Bucket }));
    for (const Body of ['one', 'two', 'three']) {
      await local.client.send(new s3.PutObjectCommand({ Bucket, Key: 'k', Body }));
    }
    await writeFile(path.join(local.dir, 'blobs', 'left-behind'), 'half an upload');
    const restarted = await local.restart();
    expect(await readdir(path.join(local.dir, 'blobs'))).toHaveLength(1);
    const object = await restarted.client.send(new s3.GetObjectCommand({ Bucket, Key: 'k' }));
    expect(String(await bytesOf(object))).toBe('three');
  });
});

describe('a copy whose source is deleted while it is under way', () => {
  it('has its bytes after a restart, though nothing referred to them between two lines of the journal', async () => {
    const dir = await freshFolder();
    const options = { dir, region: 'us-east-1', now: () => 0 };
    const cause = { reason: 'PutObject', requestId: 'r' } as const;
    const store = await ObjectStore.open(options);
    const writer = await store.blobs.create();
    await writer.write(Buffer.from('hello'));
    await writer.close();
    const segments = [{ blob: writer.name, start: 0, length: 5 }];
    const content = { sizeBytes: 5, etag: 'e', segments, headers: {} };
    store.createBucket(Bucket);
    store.putObject(Bucket, 'source', content, { conditions: {}, cause });
    store.blobs.retain(segments);
    store.deleteObject(Bucket, 'source', undefined, undefined, { ...cause, reason: 'DeleteObject' });
    store.putObject(Bucket, 'copy', content, {
      conditions: {},
      cause: { ...cause, reason: 'CopyObject' },
    });
    store.blobs.release(segments);
    await store.close();

    const reopened = await ObjectStore.open(options);
    const read: Buffer[] = [];
    for await (const bytes of reopened.blobs.read(reopened.getObject(Bucket, 'copy').segments))
      read.push(bytes);
    await reopened.close();
    expect(String(Buffer.concat(read))).toBe('hello');
  });
});

describe('an upload that the client breaks off', () => {
  it('leaves neither an object nor a file', async () => {
    const local = await startTestS3();
    cleanups.push(() => local.stop());
    await local.client.send(new s3.CreateBucketCommand({ Bucket }));
    const url = await getSignedUrl(local.client, new s3.PutObjectCommand({ Bucket, Key: 'broken-off' }));
    const request = http.request(url, { method: 'PUT', headers: { 'content-length': 10 * MIB } });
    const closed = new Promise<void>((resolve) => request.on('error', () => {}).on('close', resolve));
    const blobsDir = path.join(local.dir, 'blobs');
    // The server has opened its file when this many bytes have been taken.
    await new Promise<void>((resolve) => request.write(patternBytes(4 * MIB), () => resolve()));
    request.destroy();
    await closed;
    await expect(
      local.client.send(new s3.HeadObjectCommand({ Bucket, Key: 'broken-off' })),
    ).rejects.toMatchObject({ name: 'NotFound' });
    local.client.destroy();
    await local.server.close();
    expect(await readdir(blobsDir)).toEqual([]);
  });
});

describe('a journal that was cut off at any byte', () => {
  it('gives the state of its last whole commit', async () => {
    const dir = await freshFolder();
    const options = { region: 'us-east-1', now: () => 0 };
    const store = await ObjectStore.open({ dir, ...options });
    const content = { sizeBytes: 0, etag: 'e', segments: [], headers: {} };
    const cause = { reason: 'PutObject', requestId: 'r' } as const;
    store.createBucket(Bucket);
    for (let index = 0; index < 20; index++)
      store.putObject(Bucket, `ü-${index}`, content, { conditions: {}, cause });
    await store.close();
    const journal = await readFile(path.join(dir, 'journal.jsonl'));

    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 0, max: journal.length }), async (length) => {
        const cutDir = await freshFolder();
        await cp(dir, cutDir, { recursive: true });
        await writeFile(path.join(cutDir, 'journal.jsonl'), journal.subarray(0, length));
        const wholeCommits = journal.subarray(0, length).toString('latin1').split('\n').length - 1;
        // Twice: opening must leave a journal that can be opened.
        for (const _ of ['first', 'second']) {
          const reopened = await ObjectStore.open({ dir: cutDir, ...options });
          const keys = reopened.listBuckets().map(({ versions }) => versions.size);
          await reopened.close();
          expect(keys).toEqual(wholeCommits === 0 ? [] : [wholeCommits - 1]);
        }
      }),
      { numRuns: 40, examples: [[0], [journal.length], [journal.length - 1]] },
    );
  });

  it('fails to open when a line before the last is damaged, and says which', async () => {
    const dir = await freshFolder();
    await writeFile(path.join(dir, 'journal.jsonl'), '[]\n{broken\n[]\n');
    await expect(ObjectStore.open({ dir, region: 'us-east-1', now: () => 0 })).rejects.toThrow(/line 2/);
  });
});

describe('a server killed with SIGKILL while clients write', () => {
  const ROUNDS = 4;
  const WRITERS = 6;
  const seed = 20260102;

  /** A put whose content can be told from its version alone. */
  interface Acknowledged {
    readonly Key: string;
    readonly VersionId: string;
    readonly sha256: string;
  }

  it(`loses no acknowledged write, shows no half one and sends an event for each (seed ${seed})`, async () => {
    const dir = await freshFolder();
    const random = seededRandom(seed);
    const acknowledged: Acknowledged[] = [];
    const acknowledgedParts: { Key: string; UploadId: string; ETag: string }[] = [];
    const eventVersions = new Set<string>();
    const waiting = new Set<() => void>();
    const onEvent = (event: unknown) => {
      eventVersions.add(
        (event as { detail: { object: { 'version-id': string } } }).detail.object['version-id'],
      );
      for (const check of waiting) check();
    };

    /** Writes objects, one in four as a multipart upload, until the server dies. */
    async function write(client: s3.S3Client, name: string, onAcknowledged: () => void): Promise<void> {
      for (let turn = 0; ; turn++) {
        const body = patternBytes(1 + Math.floor(random() * 200_000), Math.floor(random() * 2 ** 31));
        const Key = `${name}/${turn % 3}`;
        const sha256 = createHash('sha256').update(body).digest('hex');
        const target = { Bucket, Key };
        if (turn % 4 !== 3) {
          const { VersionId } = await client.send(new s3.PutObjectCommand({ ...target, Body: body }));
          acknowledged.push({ Key, VersionId: VersionId!, sha256 });
        } else {
          const { UploadId } = await client.send(new s3.CreateMultipartUploadCommand(target));
          const part = { ...target, UploadId, PartNumber: 1 };
          const { ETag } = await client.send(new s3.UploadPartCommand({ ...part, Body: body }));
          const open = { Key, UploadId: UploadId!, ETag: ETag! };
          acknowledgedParts.push(open);
          // From the request on, the upload may be complete though the answer is never seen.
          const MultipartUpload = { Parts: [{ PartNumber: 1, ETag }] };
          if (turn % 8 === 7) continue;
          acknowledgedParts.splice(acknowledgedParts.indexOf(open), 1);
          const { VersionId } = await client.send(
            new s3.CompleteMultipartUploadCommand({ ...target, UploadId, MultipartUpload }),
          );
          acknowledged.push({ Key, VersionId: VersionId!, sha256 });
        }
        onAcknowledged();
      }
    }

    for (let round = 0; round < ROUNDS; round++) {
      const server = await startS3Process(dir, onEvent);
      cleanups.push(() => server.kill());
      const client = clientOf(server.endpoint);
      if (round === 0) {
        await client.send(new s3.CreateBucketCommand({ Bucket }));
        const VersioningConfiguration = { Status: 'Enabled' } as const;
        await client.send(new s3.PutBucketVersioningCommand({ Bucket, VersioningConfiguration }));
        const NotificationConfiguration = { EventBridgeConfiguration: {} };
        await client.send(
          new s3.PutBucketNotificationConfigurationCommand({ Bucket, NotificationConfiguration }),
        );
      }
      let left = 30 + Math.floor(random() * 60);
      let killed: Promise<void> | undefined;
      const countDown = () => {
        if (--left <= 0) killed ??= server.kill();
      };
      const writers = Array.from({ length: WRITERS }, (_, index) => write(client, `w${index}`, countDown));
      await Promise.allSettled(writers);
      await killed;
      expect(left, 'the writers ended before the server was killed').toBeLessThanOrEqual(0);
      client.destroy();
    }

    const server = await startS3Process(dir, onEvent);
    cleanups.push(() => server.kill());
    const client = clientOf(server.endpoint);
    for (const { Key, VersionId, sha256 } of acknowledged) {
      const object = await client.send(new s3.GetObjectCommand({ Bucket, Key, VersionId }));
      expect(
        createHash('sha256')
          .update(await bytesOf(object))
          .digest('hex'),
      ).toBe(sha256);
    }
    // What nobody was told of may be there, but then it is whole: its MD5 is its ETag.
    let versionCount = 0;
    for await (const page of paginateVersions(client)) {
      for (const { Key, VersionId, ETag } of page) {
        versionCount++;
        const bytes = await bytesOf(await client.send(new s3.GetObjectCommand({ Bucket, Key, VersionId })));
        const md5 = createHash('md5').update(bytes);
        const expected = ETag?.includes('-')
          ? `${createHash('md5').update(md5.digest()).digest('hex')}-1`
          : md5.digest('hex');
        expect(ETag).toBe(`"${expected}"`);
      }
    }
    expect(versionCount).toBeGreaterThanOrEqual(acknowledged.length);
    for (const { Key, UploadId, ETag } of acknowledgedParts) {
      const { Parts } = await client.send(new s3.ListPartsCommand({ Bucket, Key, UploadId }));
      expect(Parts?.map((part) => part.ETag)).toEqual([ETag]);
    }
    // One file per version and open part, and none of what was cut off.
    const { Uploads = [] } = await client.send(new s3.ListMultipartUploadsCommand({ Bucket }));
    const blobs = await readdir(path.join(dir, 'blobs'));
    expect(blobs.length).toBeLessThanOrEqual(versionCount + Uploads.length);
    await new Promise<void>((resolve) => {
      const check = () => {
        if (acknowledged.every(({ VersionId }) => eventVersions.has(VersionId))) resolve();
      };
      waiting.add(check);
      check();
    });
    client.destroy();
  });

  async function* paginateVersions(client: s3.S3Client): AsyncGenerator<s3.ObjectVersion[]> {
    let KeyMarker: string | undefined;
    let VersionIdMarker: string | undefined;
    let isTruncated = true;
    while (isTruncated) {
      const page = await client.send(
        new s3.ListObjectVersionsCommand({ Bucket, KeyMarker, VersionIdMarker, MaxKeys: 100 }),
      );
      yield page.Versions ?? [];
      ({
        NextKeyMarker: KeyMarker,
        NextVersionIdMarker: VersionIdMarker,
        IsTruncated: isTruncated = false,
      } = page);
    }
  }
});
