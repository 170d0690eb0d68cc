import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { ListObjectVersionsCommand, type S3Client } from '@aws-sdk/client-s3';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest';
import { S3Objects } from '../../../../src/adapters/s3/objects.ts';
import { copyRangesOf, partBytesOf, S3_SIZES } from '../../../../src/adapters/s3/sizes.ts';
import { ObjectGoneError } from '../../../../src/core/base/errors.ts';
import { createS3Client } from '../../../../src/runtime/clients.ts';
import { bytesOf, collect } from '../../../support/contracts/object-store.suite.ts';
import { startCuttingProxy } from '../../../support/cutting-proxy.ts';
import { BUCKET, CREDENTIALS, REGION, startLocalS3 } from '../../../support/local-s3.ts';

const MB = 1_000_000;
const names = { bucket: BUCKET };

let s3: Awaited<ReturnType<typeof startLocalS3>>;
let direct: S3Objects;

beforeAll(async () => {
  s3 = await startLocalS3({ minPartBytes: 1 });
  direct = new S3Objects(s3.client, names);
});
afterAll(() => s3?.close());

/** A store whose answers break off: see {@link startCuttingProxy}. */
async function storeWithCuts(cuts: number[]) {
  const proxy = await startCuttingProxy(s3.port, cuts);
  const client = createS3Client({ endpoint: proxy.endpoint, region: REGION, credentials: CREDENTIALS });
  onTestFinished(async () => {
    client.destroy();
    await proxy.close();
  });
  return { objects: new S3Objects(client, names), proxy };
}

/** A client of its own, into whose calls a test may reach. */
function ownClient(): S3Client {
  const client = createS3Client({ endpoint: s3.endpoint, region: REGION, credentials: CREDENTIALS });
  onTestFinished(() => client.destroy());
  return client;
}

function patternOf(size: number): Uint8Array {
  return Uint8Array.from({ length: size }, (_, index) => (index * 7 + (index >> 13)) % 251);
}

describe('reading a body that breaks off', () => {
  const body = patternOf(6 * MB);
  beforeAll(() => direct.put('work/long', body));

  test('continues from the last good byte', async () => {
    const { objects, proxy } = await storeWithCuts([MB, 2 * MB, 500]);
    const read = await collect(await objects.read({ bucket: BUCKET, key: 'work/long' }));
    expect(Buffer.compare(read, body)).toBe(0);
    expect(proxy.connections()).toBeGreaterThan(2);
  });

  test('continues inside the range that was asked for', async () => {
    const { objects } = await storeWithCuts([MB, MB]);
    const read = await collect(
      await objects.read({ bucket: BUCKET, key: 'work/long' }, 1_234_567, 5_000_001),
    );
    expect(Buffer.compare(read, body.subarray(1_234_567, 5_000_001))).toBe(0);
  });

  test('fails, saying where, when it breaks off for the sixth time', async () => {
    const { objects } = await storeWithCuts(Array.from({ length: 20 }, () => 100_000));
    const reading = collect(await objects.read({ bucket: BUCKET, key: 'work/long' }));
    await expect(reading).rejects.toThrow(/broke off 6 times, last after byte \d+ of 6000000/);
  });

  test('continues, however often, for a reader that takes its time', async () => {
    let now = performance.now();
    const clock = vi.spyOn(performance, 'now').mockImplementation(() => now);
    onTestFinished(() => clock.mockRestore());
    const { objects } = await storeWithCuts(Array.from({ length: 10 }, () => 200_000));
    const chunks: Uint8Array[] = [];
    for await (const chunk of await objects.read({ bucket: BUCKET, key: 'work/long' })) {
      chunks.push(new Uint8Array(chunk));
      now += 60_000;
    }
    expect(Buffer.compare(Buffer.concat(chunks), body)).toBe(0);
  });

  test('fails with ObjectGoneError when an object without versions is replaced meanwhile', async () => {
    await direct.put('work/replaced', body);
    const { objects } = await storeWithCuts([MB]);
    const stream = await objects.read({ bucket: BUCKET, key: 'work/replaced' });
    const reading = (async () => {
      let isFirst = true;
      for await (const _ of stream) {
        if (isFirst) await direct.put('work/replaced', patternOf(6 * MB).reverse());
        isFirst = false;
      }
    })();
    await expect(reading).rejects.toThrow(ObjectGoneError);
  });

  test('releases the connection when the reader stops', async () => {
    const { objects, proxy } = await storeWithCuts([]);
    for await (const _ of await objects.read({ bucket: BUCKET, key: 'work/long' })) break;
    await proxy.idle();
  });

  test('releases the connection when the stream is dropped unread', async () => {
    const { objects, proxy } = await storeWithCuts([]);
    const stream = await objects.read({ bucket: BUCKET, key: 'work/long' });
    await stream[Symbol.asyncIterator]().return!();
    await proxy.idle();
  });
});

describe('versions', () => {
  test('takes a version that is a delete marker for gone', async () => {
    const versioned = await startLocalS3({ versioning: 'Enabled' });
    onTestFinished(() => versioned.close());
    const objects = new S3Objects(versioned.client, names);
    await objects.put('work/marked', bytesOf('x'));
    await objects.remove('work/marked');
    const { DeleteMarkers } = await versioned.client.send(new ListObjectVersionsCommand({ Bucket: BUCKET }));
    const versionId = DeleteMarkers![0]!.VersionId!;
    expect(await objects.head(BUCKET, 'work/marked', versionId)).toBeUndefined();
    await expect(objects.read({ bucket: BUCKET, key: 'work/marked', versionId })).rejects.toThrow(
      ObjectGoneError,
    );
  });

  test('reports no version where versioning was suspended', async () => {
    const suspended = await startLocalS3({ versioning: 'Suspended' });
    onTestFinished(() => suspended.close());
    const objects = new S3Objects(suspended.client, names);
    await objects.put('work/null', bytesOf('x'));
    expect(await objects.head(BUCKET, 'work/null')).not.toHaveProperty('versionId');
  });
});

describe('conditional puts', () => {
  test.each([
    { answers: [409, 409, 200], expected: true },
    { answers: [409, 412], expected: false },
  ])('sends a put that met another one again: $answers', async ({ answers, expected }) => {
    const { objects, requests } = await scriptedStore(answers);
    expect(await objects.put('work/plan', bytesOf('x'), { ifAbsent: true })).toBe(expected);
    expect(requests()).toBe(answers.length);
  });

  test('fails when a put meets another one five times', async () => {
    const { objects, requests } = await scriptedStore([409]);
    await expect(objects.put('work/plan', bytesOf('x'), { ifAbsent: true })).rejects.toMatchObject({
      name: 'ConditionalRequestConflict',
    });
    expect(requests()).toBe(5);
  });

  /** A server that gives these answers, the last one for ever. */
  async function scriptedStore(answers: number[]) {
    let requests = 0;
    const codes: Record<number, string> = { 409: 'ConditionalRequestConflict', 412: 'PreconditionFailed' };
    const server = createServer((request: IncomingMessage, response: ServerResponse) => {
      const status = answers[Math.min(requests, answers.length - 1)]!;
      requests += 1;
      request.resume().on('end', () => {
        response.writeHead(status, { 'content-type': 'application/xml' });
        response.end(status === 200 ? '' : `<Error><Code>${codes[status]}</Code></Error>`);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const client = createS3Client({
      endpoint: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      region: REGION,
      credentials: CREDENTIALS,
    });
    onTestFinished(() => {
      client.destroy();
      server.close();
    });
    return { objects: new S3Objects(client, names), requests: () => requests };
  }
});

describe('writing in parts', () => {
  const sizes = { ...S3_SIZES, firstPartBytes: 100_000 };

  test('has at most two parts in flight', async () => {
    const client = ownClient();
    let inFlight = 0;
    let most = 0;
    client.middlewareStack.add(
      (next, context) => async (args) => {
        if (context.commandName !== 'UploadPartCommand') return next(args);
        inFlight += 1;
        most = Math.max(most, inFlight);
        try {
          return await next(args);
        } finally {
          inFlight -= 1;
        }
      },
      { step: 'initialize' },
    );
    const writer = new S3Objects(client, names, sizes).openWrite('work/parts');
    for (let index = 0; index < 20; index += 1) await writer.write(new Uint8Array(99_999));
    expect(await writer.close()).toBe(1_999_980);
    expect(most).toBe(2);
  });

  test.each(['UploadPartCommand', 'CompleteMultipartUploadCommand', 'CreateMultipartUploadCommand'])(
    'fails and leaves nothing when %s fails',
    async (command) => {
      const client = ownClient();
      client.middlewareStack.add(
        (next, context) => async (args) => {
          if (context.commandName === command) throw new Error('no such luck');
          return next(args);
        },
        { step: 'initialize' },
      );
      const writer = new S3Objects(client, names, sizes).openWrite('work/unlucky');
      const writing = (async () => {
        for (let index = 0; index < 20; index += 1) await writer.write(new Uint8Array(99_999));
        await writer.close();
      })();
      await expect(writing).rejects.toThrow('no such luck');
      await writer.abort();
      expect(await direct.get('work/unlucky')).toBeUndefined();
      expect(await s3.countOpenUploads()).toBe(0);
    },
  );

  test('leaves a resumed object as it was when a part fails, so that it can be continued', async () => {
    const client = ownClient();
    const objects = new S3Objects(client, names, { ...sizes, minPartBytes: 50_000 });
    const writer = objects.openWrite('work/unlucky twice');
    await writer.write(new Uint8Array(250_000).fill(1));
    const state = await writer.suspend();
    let isUnlucky = true;
    client.middlewareStack.add(
      (next, context) => async (args) => {
        if (isUnlucky && context.commandName === 'UploadPartCommand') throw new Error('no such luck');
        return next(args);
      },
      { step: 'initialize' },
    );
    const failing = objects.openWrite('work/unlucky twice', { resume: state });
    await expect(
      (async () => {
        await failing.write(new Uint8Array(250_000));
        await failing.close();
      })(),
    ).rejects.toThrow('no such luck');
    await expect(failing.write(new Uint8Array(1))).rejects.toThrow('no such luck');
    isUnlucky = false;
    const again = objects.openWrite('work/unlucky twice', { resume: state });
    await again.write(new Uint8Array(250_000).fill(2));
    expect(await again.close()).toBe(500_000);
    const expected = Buffer.concat([new Uint8Array(250_000).fill(1), new Uint8Array(250_000).fill(2)]);
    expect(Buffer.compare((await direct.get('work/unlucky twice'))!, expected)).toBe(0);
  });

  test('copies long stretches within S3: no byte of them is read or sent', async () => {
    await direct.put('work/long source', patternOf(2 * MB));
    const client = ownClient();
    const calls: string[] = [];
    client.middlewareStack.add(
      (next, context) => async (args) => {
        calls.push(context.commandName!);
        return next(args);
      },
      { step: 'initialize' },
    );
    const objects = new S3Objects(client, names, { ...sizes, minPartBytes: 50_000, copyPartBytes: MB });
    const writer = objects.openWrite('work/copied');
    await writer.copy({ bucket: BUCKET, key: 'work/long source' }, 1, 2 * MB);
    expect(await writer.close()).toBe(2 * MB - 1);
    expect(calls.sort()).toEqual([
      'CompleteMultipartUploadCommand',
      'CreateMultipartUploadCommand',
      'UploadPartCopyCommand',
      'UploadPartCopyCommand',
    ]);
    expect(Buffer.compare((await direct.get('work/copied'))!, patternOf(2 * MB).subarray(1))).toBe(0);
  });

  test('reaches 5 TB with 10,000 parts, none larger than 5 GiB', () => {
    let total = 0;
    for (let part = 1; part <= 10_000; part += 1) total += partBytesOf(part, S3_SIZES.firstPartBytes);
    expect(total).toBeGreaterThan(5 * 1024 ** 4);
    expect(partBytesOf(1, S3_SIZES.firstPartBytes)).toBe(8_388_608);
    expect(partBytesOf(10_000, S3_SIZES.firstPartBytes)).toBeLessThanOrEqual(5 * 1024 ** 3);
  });
});

describe('pinning in parts', () => {
  const sizes = { ...S3_SIZES, copyObjectBytes: MB, copyPartBytes: 300_000 };

  test('copies an object that is too large for one call', async () => {
    const body = patternOf(2 * MB + 1);
    await direct.put('input/large file+.jsonl', body);
    const head = (await direct.head(BUCKET, 'input/large file+.jsonl'))!;
    await new S3Objects(s3.client, names, sizes).pin(head, 'work/large');
    expect(Buffer.compare((await direct.get('work/large'))!, body)).toBe(0);
  });

  test('fails with ObjectGoneError and leaves nothing when the object was replaced', async () => {
    await direct.put('input/changing', patternOf(2 * MB));
    const head = (await direct.head(BUCKET, 'input/changing'))!;
    await direct.put('input/changing', patternOf(2 * MB).reverse());
    await expect(new S3Objects(s3.client, names, sizes).pin(head, 'work/changing')).rejects.toThrow(
      ObjectGoneError,
    );
    expect(await direct.get('work/changing')).toBeUndefined();
    expect(await s3.countOpenUploads()).toBe(0);
  });

  test('cuts any size into at most 10,000 ranges without gap or overlap', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 2 ** 43 }),
        fc.integer({ min: 1, max: 2 ** 32 }),
        (size, part) => {
          const ranges = copyRangesOf(size, part);
          expect(ranges.length).toBeLessThanOrEqual(10_000);
          let at = 0;
          let isWhole = true;
          for (const { start, end } of ranges) {
            isWhole &&= start === at && end > start && Number.isInteger(end);
            at = end;
          }
          expect({ isWhole, at }).toEqual({ isWhole: true, at: size });
        },
      ),
      { numRuns: 50 },
    );
  });
});
