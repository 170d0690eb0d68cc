import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { describeError } from '../../../src/runtime/logger.ts';

const MODULE = fileURLToPath(new URL('../../../src/runtime/logger.ts', import.meta.url));

/** The lines that a process writes that runs this code with a logger `log`. */
async function linesOf(code: string): Promise<Record<string, unknown>[]> {
  const script = `import { createLogger } from ${JSON.stringify(MODULE)}; const log = createLogger(); ${code}`;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--input-type=module-typescript', '-e', script],
    {
      env: {
        ...process.env,
        POWERTOOLS_SERVICE_NAME: 'ingest',
        POWERTOOLS_LOG_LEVEL: 'INFO',
        POWERTOOLS_DEV: 'false',
      },
    },
  );
  // Warnings and errors go to the other stream; Lambda collects both.
  return `${stdout}${stderr}`
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test('writes one line of JSON for each entry, with service, invocation and bound fields', async () => {
  const lines = await linesOf(`
    const bound = log.forInvocation({ awsRequestId: 'r', functionName: 'f' }).with({ jobId: 'j' });
    bound.info('one', { batchId: 'b' });
    bound.warn('two');
    bound.with({ batchId: 'c' }).error('three');
    log.info('four');
  `);
  const byMessage = Object.fromEntries(lines.map((line) => [line.message, line]));
  expect(['one', 'two', 'three', 'four'].map((message) => byMessage[message])).toMatchObject([
    { level: 'INFO', message: 'one', service: 'ingest', function_request_id: 'r', jobId: 'j', batchId: 'b' },
    { level: 'WARN', message: 'two', jobId: 'j' },
    { level: 'ERROR', message: 'three', jobId: 'j', batchId: 'c' },
    { level: 'INFO', message: 'four' },
  ]);
  // What was bound to one line or one child is not on the others.
  expect(byMessage.two).not.toHaveProperty('batchId');
  expect(byMessage.four).not.toHaveProperty('jobId');
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
