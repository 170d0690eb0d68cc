/**
 * Runs the functions that a deployment has made in moto, which runs none itself: each as moto describes it (variables,
 * handler, memory, event source), with the folders from which its code and its layer were uploaded, in processes of its own.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { CloudFormationClient, DescribeStackResourcesCommand } from '@aws-sdk/client-cloudformation';
import { SQSClient } from '@aws-sdk/client-sqs';
import { startEventSource } from '../../../local/services/lambda/event-sources.ts';
import { createLocalFunction } from '../../../local/services/lambda/runtime-api.ts';
import { mountLayers } from '../../../local/stack/layers.ts';
import type { Moto } from '../moto/moto.ts';

/** What the functions are run with. */
export interface DeployedFunctionsOptions {
  readonly moto: Moto;
  readonly stackName: string;
  /** The assembly that was deployed. */
  readonly cdkOut: string;
  /** What they call as OpenAI. */
  readonly openaiBaseUrl: string;
  /** Gets logs, and what the processes have as `/tmp`. */
  readonly folder: string;
}

interface FunctionDescription {
  readonly FunctionName: string;
  readonly FunctionArn: string;
  readonly Handler: string;
  readonly Timeout: number;
  readonly MemorySize: number;
  readonly Environment: { readonly Variables: Record<string, string> };
}

interface MappingDescription {
  readonly EventSourceArn: string;
  readonly FunctionArn: string;
  readonly BatchSize: number;
  readonly FunctionResponseTypes?: readonly string[];
}

/** Processes of a function: few, since there are seven functions. */
const MAX_CONCURRENCY = 2;

/** Starts to work off the queues. */
export async function runDeployedFunctions(options: DeployedFunctionsOptions) {
  const { moto, folder, openaiBaseUrl } = options;
  const folderOf = await assetFolders(options);
  const { Functions } = (await moto.call('lambda', 'list_functions')) as { Functions: FunctionDescription[] };
  const byCapability = new Map(
    Functions.map((each) => {
      const variables = each.Environment.Variables;
      const capability = variables.POWERTOOLS_SERVICE_NAME!;
      const settings = {
        name: each.FunctionName,
        arn: each.FunctionArn,
        handler: each.Handler,
        taskRoot: folderOf.code(each.FunctionName),
        timeoutMs: each.Timeout * 1_000,
        memoryMb: each.MemorySize,
        environment: {
          ...mountLayers(variables, [folderOf.layer]),
          ...moto.environment,
          OPENAI_BASE_URL: openaiBaseUrl,
        },
        tempRoot: join(folder, 'tmp'),
      };
      const logFile = join(folder, 'logs', `${capability}.log`);
      return [
        capability,
        createLocalFunction(settings, { maxConcurrency: MAX_CONCURRENCY, logFile }),
      ] as const;
    }),
  );
  const functions = [...byCapability.values()];
  // Receives wait longer than the pipeline's own client would.
  const sqs = new SQSClient({ ...moto.connection, useQueueUrlAsEndpoint: false });
  /** What went wrong with messages so far. */
  const problems: string[] = [];
  const { EventSourceMappings } = (await moto.call('lambda', 'list_event_source_mappings')) as {
    EventSourceMappings: MappingDescription[];
  };
  const sources = EventSourceMappings.map((mapping) => {
    const [, , , , accountId, queue] = mapping.EventSourceArn.split(':');
    return startEventSource({
      sqs,
      ownSqs: sqs,
      target: functions.find(({ name }) => mapping.FunctionArn.endsWith(`:${name}`))!,
      settings: {
        queueUrl: `${moto.endpoint}/${accountId}/${queue}`,
        queueArn: mapping.EventSourceArn,
        batchSize: mapping.BatchSize,
        maxConcurrency: MAX_CONCURRENCY,
        reportsItemFailures: mapping.FunctionResponseTypes?.includes('ReportBatchItemFailures') ?? false,
        allowsRecursion: true,
        delivery: 'once',
        retryAfterSeconds: 1,
      },
      onProblem: (text) => problems.push(text),
    });
  });
  return {
    problems,
    /** Runs one as its schedule does. @throws if it fails */
    async invoke(capability: string): Promise<void> {
      const invocation = await byCapability.get(capability)!.invoke({ 'detail-type': 'Scheduled Event' });
      if (!invocation.ok) throw new Error(`${capability} failed: ${JSON.stringify(invocation.error)}`);
    },
    /** Runs that failed, of all functions. */
    failures: () => functions.reduce((sum, { stats }) => sum + stats.errors, 0),
    async stop(): Promise<void> {
      const stopped = sources.map((source) => source.stop());
      await Promise.all(functions.map((each) => each.stop()));
      await Promise.all(stopped);
      sqs.destroy();
    },
  };
}

/** The folders of the assembly that were uploaded: as the code of a function, by its physical name, and as the layer. */
async function assetFolders({ moto, stackName, cdkOut }: DeployedFunctionsOptions) {
  const client = new CloudFormationClient(moto.connection);
  const { StackResources = [] } = await client.send(
    new DescribeStackResourcesCommand({ StackName: stackName }),
  );
  client.destroy();
  const read = (suffix: string) => JSON.parse(readFileSync(join(cdkOut, `${stackName}.${suffix}`), 'utf8'));
  const { Resources } = read('template.json') as {
    Resources: Record<
      string,
      { Type: string; Properties: { Code: { S3Key: string }; Content: { S3Key: string } } }
    >;
  };
  const { files } = read('assets.json') as { files: Record<string, { source: { path: string } }> };
  const folderOfKey = (key: string) => join(cdkOut, files[key.replace(/\.zip$/, '')]!.source.path);
  const layer = Object.values(Resources).find(({ Type }) => Type === 'AWS::Lambda::LayerVersion')!;
  return {
    layer: folderOfKey(layer.Properties.Content.S3Key),
    code(functionName: string): string {
      const { LogicalResourceId } = StackResources.find(
        ({ PhysicalResourceId }) => PhysicalResourceId === functionName,
      )!;
      return folderOfKey(Resources[LogicalResourceId!]!.Properties.Code.S3Key);
    },
  };
}
