/**
 * What a running local stack says of itself in its state folder, so that commands in another terminal find it. Written
 * once everything is up, removed at the end. After a kill it stays: its process is gone then.
 */
import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import * as z from 'zod';
import { problemsOf } from '../../src/contract/problems.ts';
import type { LocalEndpoints, LocalStack } from './local-stack.ts';

/** Where state is kept unless the user says otherwise; survives a restart, and `rm -r` is the way to start afresh. */
export const DEFAULT_STATE_DIR = '.batchdrop/local';

const endpointsSchema = z.object({
  s3: z.string(),
  dynamodb: z.string(),
  sqs: z.string(),
  events: z.string(),
  secretsManager: z.string(),
  cloudwatch: z.string(),
  functionUrls: z.string(),
} satisfies Record<keyof LocalEndpoints, z.ZodType>);

const runningStackSchema = z.object({
  v: z.literal(1),
  /** The process that runs it. */
  pid: z.int(),
  stackName: z.string(),
  region: z.string(),
  endpoints: endpointsSchema,
  /** Of the person at the machine. */
  credentials: z.object({ accessKeyId: z.string(), secretAccessKey: z.string() }),
  /** The outputs of the template. */
  outputs: z.record(z.string(), z.string()),
});

/** A local stack that runs, or ran when its process was killed. */
export type RunningStack = z.infer<typeof runningStackSchema>;

const fileIn = (stateDir: string): string => join(stateDir, 'running.json');

/** Says where the stack of this process is. Only the user may read it. */
export function writeRunning(
  stateDir: string,
  stack: Pick<LocalStack, 'stackId' | 'region' | 'endpoints' | 'credentials' | 'outputs'>,
): void {
  const { stackId, region, endpoints, outputs } = stack;
  // Alone: the SDK notes more on the credentials that it uses.
  const { accessKeyId, secretAccessKey } = stack.credentials;
  const stackName = stackId.split('/')[1]!;
  const running: RunningStack = {
    v: 1,
    pid: process.pid,
    stackName,
    region,
    endpoints,
    credentials: { accessKeyId, secretAccessKey },
    outputs,
  };
  mkdirSync(stateDir, { recursive: true });
  // Written whole or not at all: another terminal may read at any moment.
  const draft = `${fileIn(stateDir)}.${process.pid}`;
  writeFileSync(draft, `${JSON.stringify(running, null, 2)}\n`, { mode: 0o600 });
  renameSync(draft, fileIn(stateDir));
}

/** The stack of this process has ended, or one that left the file behind is gone. */
export function removeRunning(stateDir: string): void {
  rmSync(fileIn(stateDir), { force: true });
}

/**
 * What was written last, whether its process lives or not.
 * @returns `undefined`: none is running, or it is not up yet.
 * @throws if the file is not one that this version reads.
 */
export function readRunning(stateDir: string): RunningStack | undefined {
  let text: string;
  try {
    text = readFileSync(fileIn(stateDir), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const read = runningStackSchema.safeParse(JSON.parse(text));
  if (read.success) return read.data;
  throw new Error(
    `${fileIn(stateDir)} was not written by this version of batchdrop (${problemsOf(read.error, 'the file').join('; ')}): ` +
      'stop the local stack and start it with this version',
  );
}

/** Whether the process that wrote it lives. */
export function isAlive({ pid }: Pick<RunningStack, 'pid'>): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // One of another user lives.
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
