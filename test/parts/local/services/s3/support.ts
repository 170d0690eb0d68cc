import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { S3Client } from '@aws-sdk/client-s3';
import { expect } from 'vitest';
import { type S3Options, type S3Server, startS3 } from '../../../../../local/services/s3/server.ts';

export const ACCESS_KEY_ID = 'LOCALKEY';
export const SECRET = 'local-secret';

/** A fresh folder under the system's temporary one, and how to remove it. */
export async function temporaryFolder(): Promise<{ dir: string; remove: () => Promise<void> }> {
  const dir = await mkdtemp(path.join(tmpdir(), 'batchdrop-s3-'));
  return { dir, remove: () => rm(dir, { recursive: true, force: true }) };
}

/** An SDK client at its default settings but for retries: a test wants to see the first answer. */
export function clientOf(endpoint: string, secretAccessKey = SECRET): S3Client {
  return new S3Client({
    endpoint,
    region: 'us-east-1',
    credentials: { accessKeyId: ACCESS_KEY_ID, secretAccessKey },
    maxAttempts: 1,
  });
}

export interface TestS3 {
  readonly dir: string;
  readonly server: S3Server;
  readonly client: S3Client;
  /** Stops the server and starts another on the same folder. */
  restart(options?: Partial<S3Options>): Promise<TestS3>;
  /** Stops the server and removes the folder. */
  stop(): Promise<void>;
}

/** Starts a server in this process on a fresh folder. */
export async function startTestS3(options: Partial<S3Options> = {}): Promise<TestS3> {
  const { dir, remove } = await temporaryFolder();
  return startOn(dir, remove, options);
}

async function startOn(
  dir: string,
  remove: () => Promise<void>,
  options: Partial<S3Options>,
): Promise<TestS3> {
  const server = await startS3({ dir, credentials: { [ACCESS_KEY_ID]: SECRET }, ...options });
  const client = clientOf(server.endpoint);
  const close = async () => {
    client.destroy();
    await server.close();
  };
  return {
    dir,
    server,
    client,
    async restart(changed = {}) {
      await close();
      return startOn(dir, remove, { ...options, ...changed });
    },
    async stop() {
      await close();
      await remove();
    },
  };
}

/** The server in a process of its own, for tests that kill it. */
export interface S3Process {
  readonly endpoint: string;
  readonly child: ChildProcess;
  /** SIGKILL: no handler of any kind runs. Resolves when the process is gone. */
  kill(): Promise<void>;
}

/** Starts `server-process.ts`; `onEvent` takes the events that it sends before it is killed. */
export async function startS3Process(dir: string, onEvent: (event: unknown) => void): Promise<S3Process> {
  const child = fork(new URL('./server-process.ts', import.meta.url), [dir], { execArgv: [] });
  const endpoint = await new Promise<string>((resolve, reject) => {
    child.on('message', (message: { endpoint?: string; event?: unknown }) => {
      if (message.endpoint !== undefined) resolve(message.endpoint);
      else onEvent(message.event);
    });
    child.once('exit', (code) =>
      reject(new Error(`the S3 process ended with code ${code} before it listened`)),
    );
  });
  return {
    endpoint,
    child,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exited = once(child, 'close');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Expects an SDK call to fail with this HTTP status and, if given, this error name; gives the error. */
export async function expectRefusal(
  call: Promise<unknown>,
  status: number,
  name?: string,
): Promise<Error & { $response?: { headers: Record<string, string> } }> {
  const error = await call.then(
    () => undefined,
    (caught) => caught,
  );
  expect(error, 'the call should have been refused').toBeInstanceOf(Error);
  expect(error.$metadata?.httpStatusCode, String(error)).toBe(status);
  if (name !== undefined) expect(error.name).toBe(name);
  return error;
}

/** The bytes of a GetObject answer. */
export async function bytesOf(answer: {
  Body?: { transformToByteArray(): Promise<Uint8Array> };
}): Promise<Buffer> {
  return Buffer.from((await answer.Body?.transformToByteArray()) ?? []);
}

/** A repeatable source of numbers in [0, 1): Mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Bytes that repeat only after 16 MB and are the same in every run. */
export function patternBytes(length: number, seed = 1): Buffer {
  const bytes = Buffer.alloc(length);
  for (let at = 0; at + 4 <= length; at += 4)
    bytes.writeUInt32LE((Math.imul(at >>> 2, 2654435761) ^ seed) >>> 0, at);
  return bytes;
}
