/** A Lambda function on this machine: a pool of sandboxes that grows with the load, up to a limit. */
import { createHash, randomBytes, randomUUID } from 'node:crypto';
import { createWriteStream, mkdirSync } from 'node:fs';
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
   * Runs the function with an event. Never rejects: what goes wrong is the invocation's error, also that it was throttled.
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

/** A warm process that nobody needs is ended after this time. */
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

/**
 * Makes a function; processes are started when they are needed.
 *
 * @param options.maxConcurrency how many processes at most; further invocations wait
 * @param options.concurrency what the account gives it; above, invocations are throttled. @default no limit
 * @param options.logFile everything that the processes write is appended to it
 * @param options.onLog gets each line as well
 * @param options.environmentOf variables that differ between processes, found by `AWS_SESSION_TOKEN`, which each has for
 *   itself
 */
export function createLocalFunction(
  settings: FunctionSettings,
  options: {
    maxConcurrency: number;
    concurrency?: ConcurrencyShare | undefined;
    logFile: string;
    onLog?: ((line: string) => void) | undefined;
    environmentOf?: ((sessionToken: string) => Record<string, string>) | undefined;
  },
): LocalFunction {
  mkdirSync(dirname(options.logFile), { recursive: true });
  mkdirSync(settings.tempRoot, { recursive: true });
  const log = createWriteStream(options.logFile, { flags: 'a' });
  const stats: FunctionStats = {
    invocations: 0,
    errors: 0,
    throttles: 0,
    coldStarts: 0,
    peakRssBytes: 0,
    longestMs: 0,
  };
  /** By security token. */
  const sandboxes = new Map<string, Sandbox>();
  const idle = new Map<Sandbox, NodeJS.Timeout>();
  const waiting: (() => void)[] = [];
  let occupied = 0;
  let active = 0;
  let isStopped = false;

  async function acquire(): Promise<Sandbox> {
    if (occupied >= options.maxConcurrency) await new Promise<void>((resolve) => waiting.push(resolve));
    else occupied += 1;
    for (const [sandbox, timer] of idle) {
      clearTimeout(timer);
      idle.delete(sandbox);
      if (sandbox.isAlive) return sandbox;
      forget(sandbox);
    }
    stats.coldStarts += 1;
    const sessionToken = `${settings.name}.${randomUUID()}`;
    const environment = {
      ...settings.environment,
      ...options.environmentOf?.(sessionToken),
      AWS_SESSION_TOKEN: sessionToken,
    };
    const sandbox = await startSandbox({ ...settings, environment }, createLineWriter());
    sandboxes.set(sessionToken, sandbox);
    return sandbox;
  }

  function release(sandbox: Sandbox): void {
    stats.peakRssBytes = Math.max(stats.peakRssBytes, sandbox.peakRssBytes);
    if (sandbox.isAlive) {
      const timer = setTimeout(() => {
        idle.delete(sandbox);
        forget(sandbox);
        void sandbox.kill();
      }, IDLE_LIFETIME_MS);
      timer.unref();
      idle.set(sandbox, timer);
    } else forget(sandbox);
    // The place goes to the next in line, or is given back.
    const next = waiting.shift();
    if (next === undefined) occupied -= 1;
    else next();
  }

  function forget(sandbox: Sandbox): void {
    for (const [sessionToken, each] of sandboxes) if (each === sandbox) sandboxes.delete(sessionToken);
  }

  function createLineWriter(): (chunk: Buffer) => void {
    let rest = '';
    return (chunk) => {
      log.write(chunk);
      if (options.onLog === undefined) return;
      const lines = (rest + chunk.toString()).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) options.onLog(line);
    };
  }

  async function killAll(): Promise<void> {
    for (const timer of idle.values()) clearTimeout(timer);
    idle.clear();
    const all = [...sandboxes.values()];
    sandboxes.clear();
    await Promise.all(all.map((sandbox) => sandbox.kill()));
  }

  return {
    name: settings.name,
    stats,
    get active() {
      return active;
    },
    async invoke(event, lineage = {}) {
      const requestId = randomUUID();
      if (options.concurrency?.enter() === false) {
        stats.throttles += 1;
        return throttled(requestId);
      }
      active += 1;
      try {
        if (isStopped) return refused(requestId);
        const sandbox = await acquire();
        if (isStopped) {
          // It was started, or waited for, while everything ended; nobody else will end it.
          await sandbox.kill();
          release(sandbox);
          return refused(requestId);
        }
        stats.invocations += 1;
        const invocation = await sandbox.invoke(event, {
          requestId,
          traceId: traceId(settings.name, lineage),
        });
        if (!invocation.ok) stats.errors += 1;
        stats.longestMs = Math.max(stats.longestMs, invocation.durationMs);
        // A killed process may take a moment to go; its place is free when it is gone.
        if (!sandbox.isAlive) await sandbox.kill();
        release(sandbox);
        return invocation;
      } finally {
        active -= 1;
        options.concurrency?.leave();
      }
    },
    kill: killAll,
    killProcess(sessionToken) {
      void sandboxes.get(sessionToken)?.kill();
    },
    async stop() {
      isStopped = true;
      await killAll();
      await new Promise<void>((resolve) => log.end(resolve));
    },
  };
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
