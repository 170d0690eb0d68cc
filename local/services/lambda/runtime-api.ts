/** A Lambda function on this machine: a pool of sandboxes that grows with the load, up to a limit. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync, type WriteStream } from 'node:fs';
import { dirname } from 'node:path';
import type { ConcurrencyShare } from './concurrency.ts';
import { type FunctionSettings, type Invocation, type Sandbox, startSandbox } from './sandbox.ts';

/** What a function has done since it was started. */
export interface FunctionStats {
  invocations: number;
  errors: number;
  /** Invocations that did not run, because there was no concurrency left. */
  throttles: number;
  coldStarts: number;
  /** Highest resident memory of any of its processes, in bytes; 0 where there is no /proc. */
  peakRssBytes: number;
  /** Longest invocation, in milliseconds. */
  longestMs: number;
}

export interface LocalFunction {
  readonly name: string;
  readonly stats: FunctionStats;
  /** Invocations running or waiting for a sandbox. */
  readonly active: number;
  /**
   * Runs the function with an event. Never rejects: what goes wrong is the invocation's error, also that it was
   * throttled.
   *
   * @param lineage how often each function has run in the chain of calls that led here, see {@link lineageOf}
   */
  invoke(event: unknown, lineage?: Lineage): Promise<Invocation>;
  /** Kills every process of the function at once; the next invocation gets a fresh one. */
  kill(): Promise<void>;
  /** Kills the process that has the security token, if there is one: the signal has been sent when this returns. */
  killProcess(sessionToken: string): void;
  /** Kills every process and refuses what comes after. */
  stop(): Promise<void>;
}

/** Runs in a chain of calls, by hashed function name: what Lambda's recursion detection counts. */
export type Lineage = Readonly<Record<string, number>>;

/** An idle warm process is ended after this time. */
const IDLE_LIFETIME_MS = 60_000;

/** Reads the lineage out of an `X-Amzn-Trace-Id` header; the SDK passes the header on inside Lambda. */
export function lineageOf(traceId: string | undefined): Lineage {
  const text = /Lineage=([^;]+)/.exec(traceId ?? '')?.[1] ?? '';
  return Object.fromEntries(
    text
      .split('|')
      .filter(Boolean)
      .map((part) => [part.split(':')[0]!, Number(part.split(':')[1])]),
  );
}

/** How often the function has run in the chain. */
export function runsInLineage(lineage: Lineage, functionName: string): number {
  return lineage[lineageKey(functionName)] ?? 0;
}

/** The higher count of each function: the lineage of a batch of messages. */
export function mergeLineages(lineages: readonly Lineage[]): Lineage {
  const merged: Record<string, number> = {};
  for (const lineage of lineages) {
    for (const [key, count] of Object.entries(lineage)) merged[key] = Math.max(merged[key] ?? 0, count);
  }
  return merged;
}

/** What a function is made with. */
export interface LocalFunctionOptions {
  /** How many processes at most; further invocations wait. */
  maxConcurrency: number;
  /** What the account gives it; above, invocations are throttled. @default no limit */
  concurrency?: ConcurrencyShare | undefined;
  /** Everything that the processes write is appended to it. */
  logFile: string;
  /** Gets each line as well. */
  onLog?: ((line: string) => void) | undefined;
  /** Called for each run that has ended, and of each that was throttled. */
  onRun?: ((invocation: Invocation) => void) | undefined;
  /** Variables that differ between processes, found by `AWS_SESSION_TOKEN`, which each has for itself. */
  environmentOf?: ((sessionToken: string) => Record<string, string>) | undefined;
}

/** Makes a function; processes are started when they are needed. */
export function createLocalFunction(
  settings: FunctionSettings,
  options: LocalFunctionOptions,
): LocalFunction {
  return new SandboxPool(settings, options);
}

class SandboxPool implements LocalFunction {
  readonly #settings: FunctionSettings;
  readonly #options: LocalFunctionOptions;
  readonly #log: WriteStream;
  readonly stats: FunctionStats = {
    invocations: 0,
    errors: 0,
    throttles: 0,
    coldStarts: 0,
    peakRssBytes: 0,
    longestMs: 0,
  };
  /** By security token. */
  readonly #sandboxes = new Map<string, Sandbox>();
  readonly #idle = new Map<Sandbox, NodeJS.Timeout>();
  readonly #waiting: (() => void)[] = [];
  #occupied = 0;
  #active = 0;
  #isStopped = false;

  constructor(settings: FunctionSettings, options: LocalFunctionOptions) {
    mkdirSync(dirname(options.logFile), { recursive: true });
    mkdirSync(settings.tempRoot, { recursive: true });
    this.#settings = settings;
    this.#options = options;
    this.#log = createWriteStream(options.logFile, { flags: 'a' });
  }

  get name(): string {
    return this.#settings.name;
  }

  get active(): number {
    return this.#active;
  }

  async invoke(event: unknown, lineage: Lineage = {}): Promise<Invocation> {
    const requestId = randomUUID();
    const { concurrency } = this.#options;
    if (concurrency?.enter() === false) {
      this.stats.throttles += 1;
      const refusal = throttled(requestId);
      this.#options.onRun?.(refusal);
      return refusal;
    }
    this.#active += 1;
    try {
      return await this.#run(event, { requestId, traceId: traceId(this.name, lineage) });
    } finally {
      this.#active -= 1;
      concurrency?.leave();
    }
  }

  async #run(event: unknown, ids: { requestId: string; traceId: string }): Promise<Invocation> {
    if (this.#isStopped) return refused(ids.requestId);
    const sandbox = await this.#acquire();
    if (this.#isStopped) {
      // It was started, or waited for, while everything ended; no one else will end it.
      await sandbox.kill();
      this.#release(sandbox);
      return refused(ids.requestId);
    }
    this.stats.invocations += 1;
    const invocation = await sandbox.invoke(event, ids);
    if (!invocation.ok) this.stats.errors += 1;
    this.stats.longestMs = Math.max(this.stats.longestMs, invocation.durationMs);
    this.#options.onRun?.(invocation);
    // A killed process may take a moment to go; its place is free when it is gone.
    if (!sandbox.isAlive) await sandbox.kill();
    this.#release(sandbox);
    return invocation;
  }

  async kill(): Promise<void> {
    for (const timer of this.#idle.values()) clearTimeout(timer);
    this.#idle.clear();
    const all = [...this.#sandboxes.values()];
    this.#sandboxes.clear();
    await Promise.all(all.map((sandbox) => sandbox.kill()));
  }

  killProcess(sessionToken: string): void {
    void this.#sandboxes.get(sessionToken)?.kill();
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    await this.kill();
    await new Promise<void>((resolve) => this.#log.end(resolve));
  }

  async #acquire(): Promise<Sandbox> {
    if (this.#occupied >= this.#options.maxConcurrency)
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    else this.#occupied += 1;
    for (const [sandbox, timer] of this.#idle) {
      clearTimeout(timer);
      this.#idle.delete(sandbox);
      if (sandbox.isAlive) return sandbox;
      this.#forget(sandbox);
    }
    this.stats.coldStarts += 1;
    const sessionToken = `${this.name}.${randomUUID()}`;
    const environment = {
      ...this.#settings.environment,
      ...this.#options.environmentOf?.(sessionToken),
      AWS_SESSION_TOKEN: sessionToken,
    };
    const sandbox = await startSandbox({ ...this.#settings, environment }, this.#createLineWriter());
    this.#sandboxes.set(sessionToken, sandbox);
    return sandbox;
  }

  #release(sandbox: Sandbox): void {
    this.stats.peakRssBytes = Math.max(this.stats.peakRssBytes, sandbox.peakRssBytes);
    if (sandbox.isAlive) {
      const timer = setTimeout(() => {
        this.#idle.delete(sandbox);
        this.#forget(sandbox);
        void sandbox.kill();
      }, IDLE_LIFETIME_MS);
      timer.unref();
      this.#idle.set(sandbox, timer);
    } else this.#forget(sandbox);
    // The place goes to the next in line, or is given back.
    const next = this.#waiting.shift();
    if (next === undefined) this.#occupied -= 1;
    else next();
  }

  #forget(sandbox: Sandbox): void {
    for (const [sessionToken, each] of this.#sandboxes)
      if (each === sandbox) this.#sandboxes.delete(sessionToken);
  }

  #createLineWriter(): (chunk: Buffer) => void {
    const { onLog } = this.#options;
    let rest = '';
    return (chunk) => {
      this.#log.write(chunk);
      if (onLog === undefined) return;
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLog(line);
    };
  }
}

/** What an invocation gets once the stack has ended. */
function refused(requestId: string): Invocation {
  const error = { errorType: 'Stopped', errorMessage: 'The local stack has been stopped' };
  return { requestId, durationMs: 0, ok: false, error };
}

/** Lambda's answer when there is no concurrency left. */
function throttled(requestId: string): Invocation {
  const error = { errorType: 'TooManyRequestsException', errorMessage: 'Rate Exceeded.' };
  return { requestId, durationMs: 0, ok: false, error, isThrottled: true };
}

/** Lambda's trace header with this run counted in. */
function traceId(functionName: string, lineage: Lineage): string {
  const key = lineageKey(functionName);
  const counted = { ...lineage, [key]: (lineage[key] ?? 0) + 1 };
  const text = Object.entries(counted)
    .map(([name, count]) => `${name}:${count}`)
    .join('|');
  const root = `1-${Math.floor(Date.now() / 1000).toString(16)}-${randomBytes(12).toString('hex')}`;
  return `Root=${root};Parent=${randomBytes(8).toString('hex')};Sampled=0;Lineage=${text}`;
}

function lineageKey(functionName: string): string {
  return createHash('sha256').update(functionName).digest('hex').slice(0, 8);
}
