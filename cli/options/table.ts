/** The table of a stack, as commands that work on one name it: a deployed stack's, or that of a local stack's state. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ListTablesCommand } from '@aws-sdk/client-dynamodb';
import { startDynamoDb } from '../../local/services/dynamodb/server.ts';
import { openStateFolder } from '../../local/stack/state-folder.ts';
import { DynamoDBJobs } from '../../src/adapters/dynamodb/jobs.ts';
import { createDynamoDBClient } from '../../src/runtime/clients.ts';
import { UsageError } from '../view/exit.ts';

/** Local stacks take any; the SDK wants one. */
const LOCAL_REGION = 'us-east-1';

/** Which table. */
export interface TableOptions {
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
 * The jobs of a stack, and what to call when they are not needed any more.
 * @throws {UsageError} if the options name no table, or no local stack has run in the folder.
 */
export async function openJobs(
  options: TableOptions,
): Promise<{ jobs: DynamoDBJobs; close(): Promise<void> }> {
  if (options.local ? options.table !== undefined : options.table === undefined)
    throw new UsageError(
      'give --table with the TableName that `cdk deploy` printed, or --local for the state of a local stack that is not running',
    );
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

/** The same error, with the table that it is about. */
export function tableError(cause: Error, { table }: TableOptions): Error {
  const code = cause.name === 'Error' ? '' : ` (${cause.name})`;
  const advice = cause.message === 'Region is missing' ? ': give --region' : '';
  const message = `table ${table ?? 'of the local stack'} cannot be used${code}: ${cause.message}${advice}`;
  return new Error(message, { cause });
}

/**
 * `undefined`: the SDK looks into the files of the AWS configuration. It reads no AWS_DEFAULT_REGION, as the AWS CLI
 * does.
 */
function regionOf({ region, endpoint }: TableOptions, env: NodeJS.ProcessEnv): string | undefined {
  return (
    region || env.AWS_REGION || env.AWS_DEFAULT_REGION || (endpoint === undefined ? undefined : LOCAL_REGION)
  );
}
