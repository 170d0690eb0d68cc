/** No call to AWS outlasts the invocation that it is made in, over real HTTP. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { HeadObjectCommand } from '@aws-sdk/client-s3';
import { GetCommand } from '@aws-sdk/lib-dynamodb';
import { afterEach, expect, test } from 'vitest';
import { createDynamoDBClient, createS3Client } from '../../../src/runtime/clients.ts';
import { beginLife } from '../../../src/runtime/life.ts';

afterEach(() => beginLife({ remainingMs: () => Number.POSITIVE_INFINITY }));

test.each(['hangs', 'trickles'])(
  'a service that %s ends its call with the invocation',
  async (how) => {
    const server = createServer((_request, response) => {
      if (how === 'hangs') return;
      response.writeHead(200, { 'content-type': 'application/x-amz-json-1.0' });
      const timer = setInterval(() => response.write(' '), 20);
      response.on('close', () => clearInterval(timer));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const { port } = server.address() as AddressInfo;
    const credentials = { accessKeyId: 'AKIDTEST', secretAccessKey: 'secret' };
    const connection = { endpoint: `http://127.0.0.1:${port}`, region: 'us-east-1', credentials };
    const [dynamodb, s3] = [createDynamoDBClient(connection), createS3Client(connection)];
    const endsAt = performance.now() + 500;
    beginLife({ remainingMs: () => endsAt - performance.now() });
    const calls = [dynamodb.send(new GetCommand({ TableName: 't', Key: { pk: 'a', sk: 'b' } }))];
    // The answer to a HEAD has no body that could trickle.
    if (how === 'hangs') calls.push(s3.send(new HeadObjectCommand({ Bucket: 'b', Key: 'k' })) as never);
    const ends = await Promise.allSettled(calls);
    expect(ends.map(({ status }) => status)).toEqual(calls.map(() => 'rejected'));
    expect(performance.now()).toBeGreaterThan(endsAt - 10);
    expect(performance.now()).toBeLessThan(endsAt + 10_000);
    server.closeAllConnections();
    server.close();
  },
  20_000,
);
