import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test, vi } from 'vitest';
import {
  createLocalFunction,
  type LocalFunction,
  lineageOf,
  mergeLineages,
  runsInLineage,
} from '../../../../../local/services/lambda/runtime-api.ts';
import type { FunctionSettings } from '../../../../../local/services/lambda/sandbox.ts';
import { temporaryFolder } from '../../../../support/temporary-folder.ts';

/** Makes a function out of the text of its one module. */
function makeFunction(
  code: string,
  settings: Partial<FunctionSettings> = {},
  options: { maxConcurrency?: number; onLog?: (line: string) => void } = {},
): LocalFunction & { folder: string } {
  const folder = temporaryFolder();
  const taskRoot = join(folder, 'task');
  mkdirSync(taskRoot);
  writeFileSync(join(taskRoot, 'index.mjs'), code);
  const made = createLocalFunction(
    {
      name: 'fn',
      arn: 'arn:aws:lambda:us-east-1:000000000000:function:fn',
      handler: 'index.handler',
      taskRoot,
      timeoutMs: 10_000,
      memoryMb: 256,
      environment: {},
      tempRoot: join(folder, 'tmp'),
      ...settings,
    },
    { maxConcurrency: 1, logFile: join(folder, 'fn.log'), ...options },
  );
  onTestFinished(() => made.stop());
  return Object.assign(made, { folder });
}

async function failureOf(target: LocalFunction, event: unknown = {}) {
  const invocation = await target.invoke(event);
  if (invocation.ok) throw new Error(`should have failed, gave ${JSON.stringify(invocation.payload)}`);
  return invocation.error;
}

async function payloadOf(target: LocalFunction, event: unknown = {}) {
  const invocation = await target.invoke(event);
  if (!invocation.ok) throw new Error(`should have succeeded: ${JSON.stringify(invocation.error)}`);
  return invocation.payload as never;
}

test('the handler gets the event and a context, and what it returns is the payload', async () => {
  const target = makeFunction(`
    export const handler = async (event, context) => ({
      event,
      name: context.functionName,
      arn: context.invokedFunctionArn,
      memory: context.memoryLimitInMB,
      remaining: context.getRemainingTimeInMillis(),
      requestId: context.awsRequestId,
    });`);
  const invocation = await target.invoke({ a: 'ü' });
  expect(invocation).toMatchObject({
    ok: true,
    payload: {
      event: { a: 'ü' },
      name: 'fn',
      arn: 'arn:aws:lambda:us-east-1:000000000000:function:fn',
      memory: '256',
      requestId: invocation.requestId,
    },
  });
  const { remaining } = (invocation as unknown as { payload: { remaining: number } }).payload;
  expect(remaining).toBeGreaterThan(0);
  expect(remaining).toBeLessThanOrEqual(10_000);
});

test('a handler that returns nothing gives null', async () => {
  expect(await payloadOf(makeFunction('export const handler = async () => {};'))).toBeNull();
});

test('globals survive from one invocation to the next, which is warm', async () => {
  const target = makeFunction(
    'let n = 0; export const handler = async () => ({ n: ++n, pid: process.pid });',
  );
  const first: { n: number; pid: number } = await payloadOf(target);
  const second: { n: number; pid: number } = await payloadOf(target);
  expect([first.n, second.n]).toEqual([1, 2]);
  expect(second.pid).toBe(first.pid);
  expect(target.stats).toMatchObject({ invocations: 2, errors: 0, coldStarts: 1 });
});

test('the environment is what was synthesized, the variables of Lambda and a temporary folder: nothing of ours', async () => {
  process.env.BATCHDROP_TEST_LEAK = 'leaked';
  onTestFinished(() => {
    delete process.env.BATCHDROP_TEST_LEAK;
  });
  const target = makeFunction('export const handler = async () => process.env;', {
    environment: { TABLE_NAME: 'table', AWS_REGION: 'us-east-1' },
  });
  const environment: Record<string, string> = await payloadOf(target);
  expect(environment).toMatchObject({
    TABLE_NAME: 'table',
    AWS_REGION: 'us-east-1',
    AWS_LAMBDA_FUNCTION_NAME: 'fn',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: '256',
    _HANDLER: 'index.handler',
    TZ: ':UTC',
  });
  expect(environment).not.toHaveProperty('BATCHDROP_TEST_LEAK');
  expect(environment.TMPDIR).toContain(join(target.folder, 'tmp'));
});

test('the temporary folder is shared by the invocations of a process and removed with it', async () => {
  const target = makeFunction(`
    import { appendFileSync, readFileSync } from 'node:fs';
    import { tmpdir } from 'node:os';
    import { join } from 'node:path';
    export const handler = async () => {
      appendFileSync(join(tmpdir(), 'file'), 'x');
      return { folder: tmpdir(), text: readFileSync(join(tmpdir(), 'file'), 'utf8') };
    };`);
  await payloadOf(target);
  const { folder, text }: { folder: string; text: string } = await payloadOf(target);
  expect(text).toBe('xx');
  expect(existsSync(folder)).toBe(true);
  await target.kill();
  expect(existsSync(folder)).toBe(false);
  expect(readdirSync(join(target.folder, 'tmp'))).toEqual([]);
});

test('fails with the name, message and trace of what the handler throws, and continues in the same process', async () => {
  const target = makeFunction(`
    let n = 0;
    class WrongThing extends Error { name = 'WrongThing'; }
    export const handler = async () => { n += 1; if (n === 1) throw new WrongThing('no good'); return n; };`);
  const error = await failureOf(target);
  expect(error).toMatchObject({ errorType: 'WrongThing', errorMessage: 'no good' });
  expect(error.trace?.[0]).toContain('no good');
  expect(await payloadOf(target)).toBe(2);
  expect(target.stats).toMatchObject({ invocations: 2, errors: 1, coldStarts: 1 });
});

test('fails by killing the process at the timeout; the next invocation gets a fresh one', async () => {
  const target = makeFunction(
    `let n = 0;
    export const handler = async (event) => { n += 1; if (event.hang) await new Promise(() => setInterval(() => {}, 1000)); return n; };`,
    { timeoutMs: 250 },
  );
  expect(await payloadOf(target)).toBe(1);
  const error = await failureOf(target, { hang: true });
  expect(error.errorType).toBe('Sandbox.Timedout');
  expect(error.errorMessage).toMatch(/^RequestId: [0-9a-f-]{36} Error: Task timed out after 0\.25 seconds$/);
  expect(await payloadOf(target)).toBe(1);
});

test('fails at the timeout also when the handler blocks the event loop', async () => {
  const target = makeFunction('export const handler = async () => { for (;;); };', { timeoutMs: 250 });
  expect((await failureOf(target)).errorType).toBe('Sandbox.Timedout');
});

test('fails when the process exits, with its status', async () => {
  const target = makeFunction('export const handler = async (event) => { if (event.die) process.exit(7); };');
  const error = await failureOf(target, { die: true });
  expect(error.errorType).toBe('Runtime.ExitError');
  expect(error.errorMessage).toContain('Runtime exited with error: exit status 7');
  expect(await payloadOf(target)).toBeNull();
});

test('fails when the heap outgrows the memory of the function', async () => {
  const target = makeFunction(
    `export const handler = async () => { const all = []; for (;;) all.push(new Array(1e5).fill(Math.random())); };`,
    { memoryMb: 128, timeoutMs: 30_000 },
  );
  expect((await failureOf(target)).errorType).toMatch(/^Runtime\.(ExitError|OutOfMemory)$/);
});

test.each([
  // V8 makes 32 MB of AWS's 25.
  ['fits the heap to the memory of the function', {}, 921 + 3 * 32],
  [
    'leaves the heap to the options of the function, where they name one of its limits',
    { NODE_OPTIONS: '--max-old-space-size=700 --max-semi-space-size=4' },
    700 + 3 * 4,
  ],
])('%s', async (_what, environment, limitMb) => {
  const target = makeFunction(
    `import { getHeapStatistics } from 'node:v8';
    export const handler = async () => getHeapStatistics().heap_size_limit / 2 ** 20;`,
    { memoryMb: 1024, environment },
  );
  expect(await payloadOf(target)).toBe(limitMb);
});

test.runIf(existsSync('/proc/self/status'))(
  'fails when memory outside the heap outgrows the memory of the function, and the peak is recorded',
  async () => {
    const target = makeFunction(
      `export const handler = async () => {
        const all = [];
        for (;;) { all.push(Buffer.alloc(8 * 2 ** 20, 1)); await new Promise((go) => setTimeout(go, 10)); }
      };`,
      { memoryMb: 128, timeoutMs: 30_000 },
    );
    expect((await failureOf(target)).errorType).toBe('Runtime.OutOfMemory');
    expect(target.stats.peakRssBytes).toBeGreaterThan(128 * 2 ** 20);
  },
);

test.each([
  [
    'fails with the import error of a module that cannot be loaded',
    'import "no-such-package"; export const handler = async () => {};',
    'Runtime.ImportModuleError',
    'no-such-package',
  ],
  [
    'fails with the syntax error of a module',
    'export const handler = async ( => {};',
    'Runtime.UserCodeSyntaxError',
    'SyntaxError',
  ],
  [
    'fails with what the module throws while it is loaded',
    'throw new TypeError("bad configuration");',
    'TypeError',
    'bad configuration',
  ],
  [
    'fails when the module has no such handler',
    'export const other = 1;',
    'Runtime.HandlerNotFound',
    'index.handler is undefined or not exported',
  ],
])('%s', async (_sentence, code, errorType, message) => {
  const error = await failureOf(makeFunction(code));
  expect(error.errorType).toBe(errorType);
  expect(error.errorMessage).toContain(message);
});

test('invocations beyond the limit wait for a process, and every one is answered', async () => {
  const target = makeFunction(
    'export const handler = async (event) => { await new Promise((go) => setTimeout(go, 20)); return { n: event.n, pid: process.pid }; };',
    {},
    { maxConcurrency: 2 },
  );
  const events = Array.from({ length: 8 }, (_, n) => ({ n }));
  const results = await Promise.all(
    events.map((event) => payloadOf(target, event) as Promise<{ n: number; pid: number }>),
  );
  expect(results.map(({ n }) => n)).toEqual(events.map(({ n }) => n));
  expect(new Set(results.map(({ pid }) => pid)).size).toBe(2);
  expect(target.active).toBe(0);
});

test('a process that is killed while it works fails its invocation', async () => {
  const started = Promise.withResolvers<void>();
  const target = makeFunction(
    `export const handler = async () => { console.log('started'); await new Promise(() => setInterval(() => {}, 1000)); };`,
    {},
    { onLog: (line) => line === 'started' && started.resolve() },
  );
  const failing = failureOf(target);
  await started.promise;
  await target.kill();
  expect(await failing).toMatchObject({
    errorType: 'Runtime.ExitError',
    errorMessage: expect.stringContaining('signal: killed'),
  });
});

test('what the function writes goes to its log file and, line by line, to the listener', async () => {
  const onLog = vi.fn();
  const target = makeFunction(
    `export const handler = async () => { process.stdout.write('one\\ntw'); console.error('problem'); process.stdout.write('o\\n'); };`,
    {},
    { onLog },
  );
  await payloadOf(target);
  await target.stop();
  const log = readFileSync(join(target.folder, 'fn.log'), 'utf8');
  expect(log).toContain('one\n');
  expect(log).toContain('problem\n');
  expect(onLog).toHaveBeenCalledWith('one');
});

test('the trace header counts how often each function has run in a chain of calls', async () => {
  const target = makeFunction('export const handler = async () => process.env._X_AMZN_TRACE_ID;');
  const first = lineageOf(await payloadOf(target));
  expect(runsInLineage(first, 'fn')).toBe(1);
  const second = await target.invoke({}, first);
  const lineage = lineageOf((second as unknown as { payload: string }).payload);
  expect(runsInLineage(lineage, 'fn')).toBe(2);
  expect(runsInLineage(lineage, 'other')).toBe(0);
  expect(mergeLineages([first, lineage])).toEqual(lineage);
});

test('a connection to the runtime API that is silent for longer than Node keeps one is not closed under the function', async () => {
  const target = makeFunction(
    `
    import { Agent, request } from 'node:http';
    import { setTimeout as wait } from 'node:timers/promises';
    const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
    export const handler = async (ms) => {
      const agent = new Agent({ keepAlive: true, maxSockets: 1 });
      const socket = await new Promise((resolve, reject) => {
        const outgoing = request({ agent, host, port, path: '/none' }, (answer) => {
          answer.resume().on('end', () => resolve(outgoing.socket));
        });
        outgoing.on('error', reject).end();
      });
      await wait(ms);
      return { isClosed: socket.destroyed || socket.readableEnded };
    };`,
  );
  // Node closes an idle connection 5 s after its last answer, and grants one second more.
  expect(await payloadOf(target, 7_000)).toEqual({ isClosed: false });
}, 30_000);

test('a function that cannot start says in its log what was looked for, and where', async () => {
  const target = makeFunction('', { handler: 'missing.handler' });
  const { errorType, errorMessage } = await failureOf(target);
  expect(errorType).toBe('Runtime.ImportModuleError');
  const taskRoot = join(target.folder, 'task');
  expect(errorMessage).toBe(`Cannot find module 'missing' in ${taskRoot}`);
  await target.stop();
  expect(readFileSync(join(target.folder, 'fn.log'), 'utf8')).toContain(`'missing' in ${taskRoot}`);
});
