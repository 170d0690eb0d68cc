/** `batchdrop resume [JOB...]`: releases batches that are held, in a deployed stack or in the state of a local one. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { startDynamoDb } from '../../local/services/dynamodb/server.ts';
import { openStateFolder } from '../../local/stack/state-folder.ts';
import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { isHeld, resumeJob } from '../../src/core/lifecycle/resume.ts';
import type { BatchRecord } from '../../src/core/model/batch.ts';
import { createDynamoDBClient } from '../../src/runtime/clients.ts';
import { EXIT_CANNOT_RUN, EXIT_SUCCEEDED, UsageError } from '../view/exit.ts';
import { count } from '../view/text.ts';

/** Local stacks take any; the SDK wants one. */
const LOCAL_REGION = 'us-east-1';

export interface ResumeOptions {
  /** Every job that has a held batch. */
  all?: boolean;
  /** Name of the table of a stack. */
  table?: string;
  region?: string;
  /** URL of DynamoDB, where it is not AWS's: that of `batchdrop local up`. */
  endpoint?: string;
  /** The state of a local stack that is not running. */
  local?: boolean;
  /** Folder of that state. */
  state: string;
}

/**
 * Without jobs, shows what is held.
 * @returns the exit status: 0, or 1 if one of the jobs does not exist.
 */
export async function resume(jobIds: readonly string[], options: ResumeOptions): Promise<number> {
  if (options.all && jobIds.length > 0) throw new UsageError('name jobs, or give --all, not both');
  if (options.local ? options.table !== undefined : options.table === undefined)
    throw new UsageError(
      'give --table with the TableName that `cdk deploy` printed, or --local for the state of a local stack that is not running',
    );
  const { jobs, close } = await openJobs(options);
  try {
    if (jobIds.length > 0) return await release(jobs, jobIds);
    const held = await heldOf(jobs);
    if (held.length === 0) console.log('Nothing is held.');
    if (options.all) return await release(jobs, new Set(held.map(({ jobId }) => jobId)));
    for (const batch of held) console.log(lineOf(batch));
    if (held.length > 0) console.log('Nothing was released: name jobs to release theirs, or give --all.');
    return EXIT_SUCCEEDED;
  } catch (error) {
    throw tableError(error as Error, options);
  } finally {
    await close();
  }
}

async function release(jobs: DynamoDBJobs, jobIds: Iterable<string>): Promise<number> {
  // Printed below instead: a command has no log.
  const telemetry = { record: () => {} };
  let status = EXIT_SUCCEEDED;
  for (const jobId of jobIds) {
    const resumed = await resumeJob({ jobs, ambient: { now: Date.now }, telemetry }, jobId);
    if (resumed === undefined) {
      console.error(
        `batchdrop: there is no job ${jobId} in this table; receipts and logs name jobs by \`jobId\``,
      );
      status = EXIT_CANNOT_RUN;
      continue;
    }
    const { job, released, waiting } = resumed;
    const done =
      released.length === 0 ? 'nothing is held' : `${count(released.length, 'batch', 'batches')} released`;
    console.log(`${jobId} (${job.input.key}): ${done}`);
    for (const batch of waiting)
      console.log(
        `  batch ${batch.batchId} waits for ${batch.hold?.reason}, and continues by itself once that is dealt with`,
      );
  }
  return status;
}

/** Batches that are held, those of the oldest job first. */
async function heldOf(jobs: DynamoDBJobs): Promise<BatchRecord[]> {
  const held: BatchRecord[] = [];
  for await (const batch of jobs.listWaiting()) if (isHeld(batch)) held.push(batch);
  return held;
}

/** The same error, with the table that it is about. */
function tableError(cause: Error, { table }: ResumeOptions): Error {
  const code = cause.name === 'Error' ? '' : ` (${cause.name})`;
  const advice = cause.message === 'Region is missing' ? ': give --region' : '';
  const message = `table ${table ?? 'of the local stack'} cannot be used${code}: ${cause.message}${advice}`;
  return new Error(message, { cause });
}

/**
 * `undefined`: the SDK looks into the files of the AWS configuration. It reads no AWS_DEFAULT_REGION, as the AWS CLI
 * does.
 */
function regionOf({ region, endpoint }: ResumeOptions, env: NodeJS.ProcessEnv): string | undefined {
  return (
    region || env.AWS_REGION || env.AWS_DEFAULT_REGION || (endpoint === undefined ? undefined : LOCAL_REGION)
  );
}

function lineOf({ jobId, batchId, requests, hold }: BatchRecord): string {
  const since = new Date(hold!.at!).toISOString();
  return `${jobId}  batch ${batchId}  ${count(requests, 'request')}  ${hold!.reason}  held since ${since}`;
}

async function openJobs(options: ResumeOptions): Promise<{ jobs: DynamoDBJobs; close(): Promise<void> }> {
  const { table, endpoint } = options;
  if (!options.local) {
    const region = regionOf(options, process.env);
    const client = createDynamoDBClient({
      ...(region === undefined ? {} : { region }),
      ...(endpoint === undefined ? {} : { endpoint }),
    });
    return { jobs: new DynamoDBJobs(client, { table: table! }), close: async () => client.destroy() };
  }
  const dir = join(options.state, 'aws');
  if (!existsSync(dir)) throw new UsageError(`--state ${options.state}: no local stack has run there`);
  const folder = openStateFolder(dir);
  try {
    const server = await startDynamoDb({ dir: folder.path('dynamodb') });
    const client = createDynamoDBClient({
      endpoint: server.endpoint,
      region: LOCAL_REGION,
      credentials: { accessKeyId: 'local', secretAccessKey: 'local' },
    });
    const { TableNames = [] } = await client.send(new ListTablesCommand({}));
    const close = async (): Promise<void> => {
      client.destroy();
      await server.close();
      folder.release();
    };
    return { jobs: new DynamoDBJobs(client, { table: TableNames[0]! }), close };
  } catch (error) {
    folder.release();
    throw error;
  }
}
