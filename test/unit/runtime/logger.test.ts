import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { EVENTS } from '../../../src/contract/events.ts';
import { describeError } from '../../../src/runtime/logger.ts';

const MODULE = fileURLToPath(new URL('../../../src/runtime/logger.ts', import.meta.url));

/** The lines that a process writes that runs this code with `telemetry`. */
async function linesOf(code: string, env: Record<string, string> = {}): Promise<Record<string, unknown>[]> {
  const script = `import { createTelemetry } from ${JSON.stringify(MODULE)}; const telemetry = createTelemetry(); ${code}`;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module-typescript', '-e', script],
    {
      env: {
        ...process.env,
        POWERTOOLS_SERVICE_NAME: 'ingest',
        POWERTOOLS_LOG_LEVEL: 'INFO',
        POWERTOOLS_DEV: 'false',
        ...env,
      },
    },
  );
  // Warnings and errors go to the other stream; Lambda collects both.
  return `${stdout}${stderr}`
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('writes one line of JSON for each event: its name, message and fields, with service, invocation and bound fields', async () => {
  const lines = await linesOf(`
    const bound = telemetry.forInvocation({ awsRequestId: 'r', functionName: 'f' }).with({ jobId: 'j' });
    bound.record('object.ignored', { key: 'input/a b.txt' });
    bound.record('lease.lost', { lease: 'job j' });
    bound.with({ batchId: 'c', receiveCount: 2 }).record('step.failed', { error: { name: 'Error' }, waitMs: 30000 });
    telemetry.record('listing.started', { since: 0 });
  `);
  const byEvent = Object.fromEntries(lines.map((line) => [line.event, line]));
  expect(byEvent).toMatchObject({
    'object.ignored': {
      level: 'INFO',
      message: EVENTS['object.ignored'].message,
      service: 'ingest',
      function_request_id: 'r',
      jobId: 'j',
      key: 'input/a b.txt',
    },
    'lease.lost': { level: 'WARN', message: EVENTS['lease.lost'].message, jobId: 'j', lease: 'job j' },
    'step.failed': { level: 'ERROR', jobId: 'j', batchId: 'c', receiveCount: 2, error: { name: 'Error' } },
    'listing.started': { level: 'INFO', since: '1970-01-01T00:00:00.000Z' },
  });
  // What was bound to one event or one child is not on the others.
  expect(byEvent['lease.lost']).not.toHaveProperty('key');
  expect(byEvent['listing.started']).not.toHaveProperty('jobId');
});

test('writes the metrics of an event into its line, and none where there is no stack', async () => {
  const code = `telemetry.record('webhook.observed', { webhookId: 'w', type: 't', objectId: 'o', apiKey: 'default', jobId: 'j', batchId: 'b', lagMs: 250 });`;
  const [line, ...others] = await linesOf(code, { STACK_NAME: 'my-stack' });
  expect(others).toEqual([]);
  expect(line).toMatchObject({
    event: 'webhook.observed',
    lagMs: 250,
    Stack: 'my-stack',
    WebhookLag: 250,
    _aws: {
      Timestamp: expect.any(Number),
      CloudWatchMetrics: [
        {
          Namespace: 'batchdrop',
          Dimensions: [['Stack']],
          Metrics: [{ Name: 'WebhookLag', Unit: 'Milliseconds' }],
        },
      ],
    },
  });
  expect((await linesOf(code))[0]).not.toHaveProperty('_aws');
});

test('writes no value that is not of the kind of its field, and no field that the event does not have', async () => {
  const lines = await linesOf(`
    telemetry.record('batch.ended', { jobId: 'Translate: "Guten Morgen"', batchId: 'b', openaiBatchId: 'o', status: 'ended', prompt: 'Guten Morgen' });
    telemetry.with({ jobId: 'Guten Morgen' }).record('lease.lost', { lease: 'job j' });
  `);
  expect(lines).toMatchObject([{ jobId: 'withheld: expected id' }, { jobId: 'withheld: expected id' }]);
  expect(JSON.stringify(lines)).not.toContain('Guten');
});

test('describes an error by names, messages and codes along its causes', () => {
  const cause = Object.assign(new Error('reset'), { code: 'ECONNRESET' });
  expect(describeError(new TypeError('fetch failed', { cause }))).toMatchObject({
    name: 'TypeError',
    message: 'fetch failed',
    at: expect.arrayContaining([expect.stringMatching(/^at .*logger\.test\.ts/)]),
    cause: { name: 'Error', message: 'reset', code: 'ECONNRESET' },
  });
  expect(describeError('a prompt')).toEqual({ name: 'string' });
});
