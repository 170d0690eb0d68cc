/** Log lines of the functions of a stack: of CloudWatch Logs, or of the files of a local stack. */
import { createReadStream } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import {
  CloudWatchLogsClient,
  paginateDescribeLogGroups,
  paginateFilterLogEvents,
} from '@aws-sdk/client-cloudwatch-logs';
import { CannotRunError } from '../view/exit.ts';
import { type OpenStack, stackText } from './stack.ts';

/** Which lines are wanted. */
export interface LogQuery {
  jobId: string;
  /** Epoch milliseconds. */
  from: number;
  to: number;
}

/** Lines that may be of the job, as they were written, function by function. */
export async function* readLogLines(
  stack: OpenStack,
  stateDir: string,
  query: LogQuery,
): AsyncGenerator<string> {
  yield* stack.kind === 'deployed' ? deployedLines(stack, query) : localLines(stateDir, query);
}

async function* localLines(stateDir: string, { jobId }: LogQuery): AsyncGenerator<string> {
  const folder = join(stateDir, 'aws', 'logs');
  const files = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new CannotRunError(`${folder}: no local stack has written logs there (${error.code})`);
  });
  for (const file of files.filter((name) => name.endsWith('.log')).sort()) {
    for await (const line of createInterface({ input: createReadStream(join(folder, file)) }))
      if (line.includes(jobId)) yield line;
  }
}

async function* deployedLines(stack: OpenStack, { jobId, from, to }: LogQuery): AsyncGenerator<string> {
  const client = new CloudWatchLogsClient(stack.connectionTo('cloudwatch'));
  try {
    const groups = await logGroups(client, stack.name);
    if (groups.length === 0)
      throw new CannotRunError(`${stackText(stack)} has no log groups: is it still being deployed?`);
    for (const logGroupName of groups) {
      const pages = paginateFilterLogEvents(
        { client },
        { logGroupName, startTime: from, endTime: to, filterPattern: `{ $.jobId = "${jobId}" }` },
      );
      for await (const { events = [] } of pages) for (const { message } of events) if (message) yield message;
    }
  } finally {
    client.destroy();
  }
}

/** As CloudFormation names the groups of functions: the stack, the logical id, a random part. */
async function logGroups(client: CloudWatchLogsClient, stackName: string): Promise<string[]> {
  const names: string[] = [];
  const pages = paginateDescribeLogGroups({ client }, { logGroupNamePrefix: `${stackName}-` });
  for await (const { logGroups: groups = [] } of pages) {
    // Not those of a stack whose name begins with that of this one.
    for (const { logGroupName = '' } of groups)
      if (/^[A-Za-z0-9]+Logs[0-9A-F]{8}-[A-Za-z0-9]+$/.test(logGroupName.slice(stackName.length + 1)))
        names.push(logGroupName);
  }
  return names.sort();
}
