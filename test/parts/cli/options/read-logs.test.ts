/** Which lines are asked for of CloudWatch Logs, and how they are found in the files of a local stack. */

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, expect, test } from 'vitest';
import { readLogLines } from '../../../../cli/options/read-logs.ts';
import type { OpenStack } from '../../../../cli/options/stack.ts';

const QUERY = { jobId: 'j1', from: 1_000, to: 2_000 };
const ends: (() => unknown)[] = [];
afterEach(async () => {
  for (const end of ends.splice(0)) await end();
});

/** CloudWatch Logs with two functions of stack `films`, one of `films-2`, and what it was asked. */
async function startLogs() {
  const asked: Record<string, unknown>[] = [];
  const server: Server = createServer(async (request, response) => {
    const operation = String(request.headers['x-amz-target']).split('.')[1];
    const input = JSON.parse((await Array.fromAsync(request)).join(''));
    asked.push({ operation, ...input });
    response.setHeader('content-type', 'application/x-amz-json-1.1');
    const groups = ['films-PipelineIngestLogs0A1B2C3D-xyz', 'films-PipelineCollectLogs0A1B2C3D-xyz'];
    const others = ['films-2-PipelineIngestLogs0A1B2C3D-xyz', 'films-WebhookAccessLogs-x'];
    response.end(
      JSON.stringify(
        operation === 'DescribeLogGroups'
          ? { logGroups: [...groups, ...others].map((logGroupName) => ({ logGroupName })) }
          : input.nextToken === undefined
            ? { events: [{ message: `${input.logGroupName} 1` }], nextToken: 'more' }
            : { events: [{ message: `${input.logGroupName} 2` }] },
      ),
    );
  });
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
  ends.push(
    () => server.close(),
    () => server.closeAllConnections(),
  );
  const endpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const credentials = { accessKeyId: 'a', secretAccessKey: 's' };
  const stack: OpenStack = {
    name: 'films',
    kind: 'deployed',
    outputs: {},
    connectionTo: () => ({ region: 'us-east-1', endpoint, credentials }),
    close: async () => {},
  };
  return { stack, asked };
}

test('each function of the stack is asked for the lines of the job, page by page, and no other stack', async () => {
  const { stack, asked } = await startLogs();
  const lines = await Array.fromAsync(readLogLines(stack, '', QUERY));
  expect(lines).toEqual([
    'films-PipelineCollectLogs0A1B2C3D-xyz 1',
    'films-PipelineCollectLogs0A1B2C3D-xyz 2',
    'films-PipelineIngestLogs0A1B2C3D-xyz 1',
    'films-PipelineIngestLogs0A1B2C3D-xyz 2',
  ]);
  expect(asked[0]).toMatchObject({ operation: 'DescribeLogGroups', logGroupNamePrefix: 'films-' });
  expect(asked[1]).toMatchObject({ filterPattern: '{ $.jobId = "j1" }', startTime: 1_000, endTime: 2_000 });
});

test('of a local stack the files of all functions are read, and lines of other jobs left out', async () => {
  const state = await mkdtemp(join(tmpdir(), 'batchdrop-logs-'));
  ends.push(() => rm(state, { recursive: true, force: true }));
  await mkdir(join(state, 'aws', 'logs'), { recursive: true });
  await writeFile(join(state, 'aws', 'logs', 'ingest.log'), '{"jobId":"j1"}\n{"jobId":"j2"}\n');
  await writeFile(join(state, 'aws', 'logs', 'submit.log'), '{"jobId":"j1","n":2}\n');
  const stack: OpenStack = { ...(await startLogs()).stack, kind: 'local' };
  expect(await Array.fromAsync(readLogLines(stack, state, QUERY))).toEqual([
    '{"jobId":"j1"}',
    '{"jobId":"j1","n":2}',
  ]);
  await expect(Array.fromAsync(readLogLines(stack, `${state}/none`, QUERY))).rejects.toThrow(
    'no local stack has written logs there',
  );
});
