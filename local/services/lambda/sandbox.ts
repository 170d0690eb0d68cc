/**
 * One execution environment of a function: a process that runs the synthesized bundle, and the Lambda Runtime API that
 * it talks to. It serves one invocation at a time and stays warm between them.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { PACKAGE_ROOT } from '../package-root.ts';

/** What is run. */
export interface FunctionSettings {
  name: string;
  arn: string;
  /** `FILE.EXPORT`, such as `index.handler`. */
  handler: string;
  /** Folder of the bundle. */
  taskRoot: string;
  timeoutMs: number;
  memoryMb: number;
  /** Synthesized variables, endpoints and credentials; the runtime's own variables are added. */
  environment: Record<string, string>;
  /** Folder below which each process gets a `/tmp` of its own, removed when the process ends. */
  tempRoot: string;
  /** Milliseconds since 1970, as the function sees them; read when an event is delivered. @default Date.now */
  now?: (() => number) | undefined;
}

/** The error that a caller of Lambda sees. */
export interface FunctionError {
  /** Such as `TypeError`, `Sandbox.Timedout`, `Runtime.ExitError`, `Runtime.ImportModuleError`. */
  errorType: string;
  errorMessage: string;
  trace?: string[];
}

/** How an invocation ended. */
export type Invocation = {
  requestId: string;
  /** Milliseconds from the delivery of the event, start-up included. */
  durationMs: number;
} & (
  | { ok: true; payload: unknown }
  | {
      ok: false;
      error: FunctionError;
      /** It did not run: the account, or the function's reserved concurrency, has no room. */
      isThrottled?: true;
    }
);

export interface Sandbox {
  readonly pid: number | undefined;
  readonly isAlive: boolean;
  /** Highest resident memory seen, in bytes; 0 where there is no /proc. */
  readonly peakRssBytes: number;
  /** Delivers an event. Never rejects: what goes wrong is the invocation's error. One at a time. */
  invoke(event: unknown, options: { requestId: string; traceId: string }): Promise<Invocation>;
  /** Ends the process at once (SIGKILL); resolves when it is gone. */
  kill(): Promise<void>;
}

/** AWS: the init phase may take 10 seconds. */
const INIT_TIMEOUT_MS = 10_000;

/** How often the memory of a running process is looked at. */
const MEMORY_SAMPLE_MS = 200;

/** Share of the memory that AWS's Node runtime gives to the old generation. */
const OLD_SPACE_SHARE = 0.9;
/** Share of the memory that AWS's Node runtime gives to both semi-spaces. */
const SEMI_SPACE_SHARE = 0.05;

const BOOTSTRAP = join(PACKAGE_ROOT, 'local/services/lambda/bootstrap.mjs');

interface Running {
  requestId: string;
  traceId: string;
  event: unknown;
  startedAtMs: number;
  timer: NodeJS.Timeout;
  finish(result: { ok: true; payload: unknown } | { ok: false; error: FunctionError }): void;
}

/**
 * Starts the process; it loads the bundle at once.
 *
 * @param onOutput gets what the process writes, as it comes
 */
export async function startSandbox(
  settings: FunctionSettings,
  onOutput: (chunk: Buffer) => void,
): Promise<Sandbox> {
  const sandbox = new ProcessSandbox(settings);
  await sandbox.start(onOutput);
  return sandbox;
}

class ProcessSandbox implements Sandbox {
  readonly #settings: FunctionSettings;
  readonly #server: Server;
  readonly #gone = Promise.withResolvers<void>();
  #child: ChildProcess | undefined;
  #isAlive = true;
  #peakRssBytes = 0;
  /** The runtime's open request for the next event. */
  #waiting: ServerResponse | undefined;
  #running: Running | undefined;
  #initError: FunctionError | undefined;
  /** Why we killed the process, if we did. */
  #killReason: FunctionError | undefined;

  constructor(settings: FunctionSettings) {
    this.#settings = settings;
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch(() => response.destroy());
    });
    // The runtime keeps one connection and is silent on it for as long as an invocation takes. Node would close it
    // after five seconds, just when the runtime may send its answer, and the function would die of that.
    this.#server.keepAliveTimeout = 0;
    this.#server.headersTimeout = 0;
    this.#server.requestTimeout = 0;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  get isAlive(): boolean {
    return this.#isAlive;
  }

  get peakRssBytes(): number {
    return this.#peakRssBytes;
  }

  /** Starts the Runtime API and the process. */
  async start(onOutput: (chunk: Buffer) => void): Promise<void> {
    const settings = this.#settings;
    await listen(this.#server);
    const { port } = this.#server.address() as AddressInfo;
    const tempFolder = mkdtempSync(join(settings.tempRoot, 'sandbox-'));
    const child = spawn(process.execPath, [...heapOptions(settings), BOOTSTRAP, settings.handler], {
      cwd: settings.taskRoot,
      env: runtimeEnvironment(settings, `127.0.0.1:${port}`, tempFolder),
      // A group of its own: Ctrl+C is for the stack, which then ends its functions.
      detached: process.platform !== 'win32',
      // The bootstrap ends with its standard input, see there.
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    this.#child = child;
    // It may be gone already when the pipe is closed.
    child.stdin.on('error', () => {});
    child.stdout.on('data', onOutput);
    child.stderr.on('data', onOutput);
    const sampling = setInterval(() => this.#sampleMemory(), MEMORY_SAMPLE_MS);
    sampling.unref();
    const onGone = (how: string) => {
      clearInterval(sampling);
      this.#onGone(how);
      rmSync(tempFolder, { recursive: true, force: true });
      this.#gone.resolve();
    };
    // "close" and not "exit": by then everything that it wrote has been read.
    child.once('close', (code, signal) =>
      onGone(signal === null ? `exit status ${code}` : `signal: ${signalText(signal)}`),
    );
    child.once('error', (error) => onGone(error.message));
  }

  invoke(
    event: unknown,
    { requestId, traceId }: { requestId: string; traceId: string },
  ): Promise<Invocation> {
    return new Promise((resolve) => {
      const startedAtMs = performance.now();
      this.#running = {
        requestId,
        traceId,
        event,
        startedAtMs,
        timer: setTimeout(() => this.#onTimeout(INIT_TIMEOUT_MS), INIT_TIMEOUT_MS),
        finish: (result) => {
          clearTimeout(this.#running?.timer);
          this.#running = undefined;
          resolve({ requestId, durationMs: performance.now() - startedAtMs, ...result });
        },
      };
      const { exitCode, signalCode } = this.#child!;
      if (!this.#isAlive || exitCode !== null || signalCode !== null) {
        const error = this.#initError ?? exitError(requestId, 'Runtime exited before the invocation');
        this.#running.finish({ ok: false, error });
      } else this.#handOver();
    });
  }

  kill(): Promise<void> {
    this.#end();
    return this.#gone.promise;
  }

  /** Answers a request of the runtime. */
  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = (request.url ?? '').replace('/2018-06-01/runtime', '');
    if (path === '/invocation/next') {
      this.#waiting = response;
      this.#handOver();
      return;
    }
    const body = await readText(request);
    const [, requestId, kind] = /^\/invocation\/([^/]+)\/(response|error)$/.exec(path) ?? [];
    if (path === '/init/error') this.#initError = JSON.parse(body);
    else if (requestId === undefined) {
      response.writeHead(404).end();
      return;
    } else if (this.#running?.requestId === requestId) {
      this.#sampleMemory();
      if (kind === 'response') this.#running.finish({ ok: true, payload: JSON.parse(body || 'null') });
      else this.#running.finish({ ok: false, error: JSON.parse(body) });
    }
    response.writeHead(202, { 'content-type': 'application/json' }).end('{"status":"OK"}');
  }

  #handOver(): void {
    const running = this.#running;
    const response = this.#waiting;
    if (running === undefined || response === undefined) return;
    const { timeoutMs, now, arn } = this.#settings;
    clearTimeout(running.timer);
    running.timer = setTimeout(() => this.#onTimeout(timeoutMs), timeoutMs);
    this.#waiting = undefined;
    const machineMs = Date.now();
    const nowMs = now?.() ?? machineMs;
    response.writeHead(200, {
      'content-type': 'application/json',
      'local-clock-offset-ms': String(nowMs - machineMs),
      'lambda-runtime-aws-request-id': running.requestId,
      'lambda-runtime-deadline-ms': String(nowMs + timeoutMs),
      'lambda-runtime-invoked-function-arn': arn,
      'lambda-runtime-trace-id': running.traceId,
    });
    response.end(JSON.stringify(running.event));
  }

  #onTimeout(limitMs: number): void {
    this.#end({
      errorType: 'Sandbox.Timedout',
      errorMessage: `RequestId: ${this.#running?.requestId} Error: Task timed out after ${(limitMs / 1000).toFixed(2)} seconds`,
    });
  }

  #end(reason?: FunctionError): void {
    this.#sampleMemory();
    this.#isAlive = false;
    this.#killReason ??= reason;
    this.#child?.kill('SIGKILL');
  }

  #onGone(how: string): void {
    this.#isAlive = false;
    const running = this.#running;
    const reason = this.#killReason ?? this.#initError;
    running?.finish({
      ok: false,
      error: reason ?? exitError(running.requestId, `Runtime exited with error: ${how}`),
    });
    this.#server.close();
    this.#server.closeAllConnections();
  }

  #sampleMemory(): void {
    const pid = this.#child?.pid;
    const memory = pid === undefined ? undefined : readMemory(pid);
    if (memory === undefined) return;
    this.#peakRssBytes = Math.max(this.#peakRssBytes, memory.peakBytes);
    const { memoryMb } = this.#settings;
    if (this.#isAlive && memory.currentBytes > memoryMb * 2 ** 20) {
      this.#end({
        errorType: 'Runtime.OutOfMemory',
        errorMessage: `RequestId: ${this.#running?.requestId} Error: Runtime exited with error: signal: killed (over ${memoryMb} MB)`,
      });
    }
  }
}

function exitError(requestId: string, what: string): FunctionError {
  return { errorType: 'Runtime.ExitError', errorMessage: `RequestId: ${requestId} Error: ${what}` };
}

/**
 * The options by which AWS's Node runtime fits the heap to a function's memory; none where the function's own
 * `NODE_OPTIONS` name a limit. Source: `bootstrap` of the runtime nodejs24.x.
 */
function heapOptions({ memoryMb, environment: { NODE_OPTIONS = '' } }: FunctionSettings): string[] {
  if (/--max[-_](semi|old)[-_]space[-_]size/.test(NODE_OPTIONS)) return [];
  return [
    `--max-old-space-size=${Math.floor(memoryMb * OLD_SPACE_SHARE)}`,
    `--max-semi-space-size=${Math.max(1, Math.floor((memoryMb * SEMI_SPACE_SHARE) / 2))}`,
  ];
}

function runtimeEnvironment(settings: FunctionSettings, runtimeApi: string, tempFolder: string) {
  const { SystemRoot } = process.env;
  return {
    // Node does not start on Windows without it; a variable that is `undefined` is not set.
    SystemRoot,
    PATH: '/usr/local/bin:/usr/bin/:/bin',
    LANG: 'en_US.UTF-8',
    TZ: ':UTC',
    // No file of the user's (~/.aws) may reach a function.
    HOME: tempFolder,
    TMPDIR: tempFolder,
    AWS_LAMBDA_RUNTIME_API: runtimeApi,
    AWS_EXECUTION_ENV: 'AWS_Lambda_nodejs24.x',
    AWS_LAMBDA_INITIALIZATION_TYPE: 'on-demand',
    AWS_LAMBDA_FUNCTION_NAME: settings.name,
    AWS_LAMBDA_FUNCTION_VERSION: '$LATEST',
    AWS_LAMBDA_FUNCTION_MEMORY_SIZE: String(settings.memoryMb),
    AWS_LAMBDA_LOG_GROUP_NAME: `/aws/lambda/${settings.name}`,
    AWS_LAMBDA_LOG_STREAM_NAME: 'local',
    LAMBDA_TASK_ROOT: settings.taskRoot,
    _HANDLER: settings.handler,
    ...settings.environment,
  };
}

async function listen(server: Server): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
}

async function readText(request: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  for await (const chunk of request) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).toString();
}

/** Linux only; elsewhere memory is limited by the heap size alone. */
function readMemory(pid: number): { currentBytes: number; peakBytes: number } | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    const bytes = (name: string) =>
      Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) * 1024;
    return { currentBytes: bytes('VmRSS'), peakBytes: bytes('VmHWM') };
  } catch {
    return undefined;
  }
}

/** Lambda's words for the two signals that are met. */
function signalText(signal: NodeJS.Signals): string {
  if (signal === 'SIGKILL') return 'killed';
  return signal === 'SIGABRT' ? 'aborted' : signal;
}
