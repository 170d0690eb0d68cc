// The Lambda runtime for Node, in plain JavaScript: asks the Runtime API for an event, calls the handler, answers.
// Started as `node bootstrap.mjs FILE.EXPORT`, as AWS's own runtime interface client is.
import { existsSync } from 'node:fs';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// Standard input is a pipe from the stack. It ends when the stack dies, however it dies: nothing may outlive it.
process.stdin.on('end', () => process.exit(1)).resume();

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const agent = new Agent({ keepAlive: true });

/** One call to the Runtime API. It is on this machine: an error means that the stack is gone. */
function call(method, path, body) {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      {
        agent,
        host,
        port,
        method,
        path: `/2018-06-01/runtime${path}`,
        headers: body === undefined ? {} : { 'content-length': Buffer.byteLength(body) },
      },
      (response) => {
        const chunks = [];
        response.on('data', (chunk) => chunks.push(chunk));
        response.on('error', reject);
        response.on('end', () =>
          resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }),
        );
      },
    );
    outgoing.on('error', reject);
    outgoing.end(body);
  });
}

const toErrorBody = (error) =>
  JSON.stringify({
    errorType: error?.name ?? 'Error',
    errorMessage: error?.message ?? String(error),
    trace: String(error?.stack ?? '').split('\n'),
  });

async function loadHandler() {
  const [file, name] = process.argv[2].split('.');
  const path = ['.mjs', '.js', '.cjs']
    .map((extension) => join(process.env.LAMBDA_TASK_ROOT, file + extension))
    .find((candidate) => existsSync(candidate));
  if (path === undefined) {
    throw Object.assign(new Error(`Cannot find module '${file}' in ${process.env.LAMBDA_TASK_ROOT}`), {
      name: 'Runtime.ImportModuleError',
    });
  }
  const module = await import(pathToFileURL(path)).catch((error) => {
    // The names that AWS's own runtime gives them.
    if (error?.code === 'ERR_MODULE_NOT_FOUND' || error?.code === 'MODULE_NOT_FOUND') {
      throw Object.assign(new Error(`Error: ${error.message}`), { name: 'Runtime.ImportModuleError' });
    }
    if (error instanceof SyntaxError) {
      throw Object.assign(new Error(`SyntaxError: ${error.message}`), {
        name: 'Runtime.UserCodeSyntaxError',
      });
    }
    throw error;
  });
  const handler = module[name] ?? module.default?.[name];
  if (typeof handler !== 'function') {
    throw Object.assign(new Error(`${process.argv[2]} is undefined or not exported`), {
      name: 'Runtime.HandlerNotFound',
    });
  }
  return handler;
}

let handler;
try {
  handler = await loadHandler();
} catch (error) {
  // As AWS's own runtime does: else the log of a function that cannot start is empty.
  console.error(`${error?.name}: ${error?.message}`);
  await call('POST', '/init/error', toErrorBody(error));
  process.exit(1);
}

const {
  AWS_LAMBDA_FUNCTION_NAME: functionName,
  AWS_LAMBDA_FUNCTION_VERSION: functionVersion,
  AWS_LAMBDA_FUNCTION_MEMORY_SIZE: memoryLimitInMB,
  AWS_LAMBDA_LOG_GROUP_NAME: logGroupName,
  AWS_LAMBDA_LOG_STREAM_NAME: logStreamName,
} = process.env;

// The stack may have a clock of its own: how far it is from the machine's comes with each event.
const machineNow = Date.now;
let clockOffsetMs = 0;
Date.now = () => machineNow() + clockOffsetMs;

for (;;) {
  const next = await call('GET', '/invocation/next');
  const awsRequestId = next.headers['lambda-runtime-aws-request-id'];
  const deadlineMs = Number(next.headers['lambda-runtime-deadline-ms']);
  clockOffsetMs = Number(next.headers['local-clock-offset-ms'] ?? 0);
  process.env._X_AMZN_TRACE_ID = next.headers['lambda-runtime-trace-id'];
  try {
    const result = await handler(JSON.parse(next.body), {
      awsRequestId,
      callbackWaitsForEmptyEventLoop: true,
      functionName,
      functionVersion,
      getRemainingTimeInMillis: () => deadlineMs - Date.now(),
      invokedFunctionArn: next.headers['lambda-runtime-invoked-function-arn'],
      logGroupName,
      logStreamName,
      memoryLimitInMB,
    });
    await call('POST', `/invocation/${awsRequestId}/response`, JSON.stringify(result) ?? 'null');
  } catch (error) {
    await call('POST', `/invocation/${awsRequestId}/error`, toErrorBody(error));
  }
}
