import { Aws, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import { DEFAULT_API_KEY } from '../src/contract/api-key.ts';
import type { Settings } from '../src/contract/settings.ts';
import { BatchPipeline, type BatchPipelineProps } from './batch-pipeline.ts';
import { InvalidConfigurationError } from './configuration.ts';
import { MAX_OUTPUTS } from './size-limits.ts';
import { enableEventBridgeCommand, enableEventBridgeKeepingOthersCommand } from './storage.ts';

/** Props of the stack: CDK's own and the pipeline's. */
export interface PipelineStackProps extends StackProps, BatchPipelineProps {}

/** One pipeline and, as outputs, where things are and the commands to begin with. */
export class PipelineStack extends Stack {
  /** The pipeline. */
  readonly pipeline: BatchPipeline;
  #outputs = 0;

  constructor(scope: Construct, id: string, props: PipelineStackProps = {}) {
    super(scope, id, { description: 'batchdrop: OpenAI batches from dropped files', ...props });
    const pipeline = new BatchPipeline(this, 'Pipeline', props);
    this.pipeline = pipeline;
    const { storage, state, apiKey } = pipeline;
    const drop = storage.urlOf('input');

    this.#output('BucketName', storage.bucket.bucketName, 'The bucket');
    this.#output('DropLocation', drop, 'Drop .jsonl files below this');
    for (const [index, routes] of routeOutputs(pipeline.settings).entries()) {
      const what = 'Prefixes of the routes, by name: what commands drop files below';
      this.#output(`Routes${index === 0 ? '' : index + 1}`, routes, what);
    }
    this.#output('TableName', state.table.tableName, 'State of jobs');
    this.#output('ApiKeySecretArn', apiKey.secret.secretArn, 'Secret with the OpenAI API key');
    this.#output('IngestQueueUrl', pipeline.ingestQueue.queue.queueUrl, 'Objects to look at');
    this.#output('SubmitQueueUrl', pipeline.submitQueue.queue.queueUrl, 'Batches to send to OpenAI');
    this.#output('CallQueueUrl', pipeline.callQueue.queue.queueUrl, 'Slices to call in flex or standard');
    this.#output('CollectQueueUrl', pipeline.collectQueue.queue.queueUrl, 'Batches that OpenAI has ended');
    this.#output('FinalizeQueueUrl', pipeline.finalizeQueue.queue.queueUrl, 'Jobs to merge');
    this.#output('OperateUrl', pipeline.operate.url, 'What operators call, signed with AWS credentials');
    if (pipeline.webhook !== undefined) {
      this.#output('WebhookUrl', pipeline.webhook.url, 'What OpenAI sends webhooks to');
      for (const [name, { secretArn }] of pipeline.webhook.secrets) {
        const suffix = name === DEFAULT_API_KEY ? '' : inPascalCase(name);
        const whose = `the project of the API key "${name}"`;
        this.#output(`WebhookSecretArn${suffix}`, secretArn, `Secret with the signing secret of ${whose}`);
      }
    }
    for (const [name, { secretArn }] of apiKey.secrets) {
      const isOwn = name === DEFAULT_API_KEY;
      this.#output(
        `SetApiKeyCommand${isOwn ? '' : inPascalCase(name)}`,
        `aws secretsmanager put-secret-value --region ${Aws.REGION} --secret-id ${secretArn} ` +
          '--secret-string "$OPENAI_API_KEY"',
        `Sets the API key${isOwn ? '' : ` "${name}"`}; run it once and whenever the key changes`,
      );
    }
    this.#output(
      'DropFileCommand',
      `aws s3 cp requests.jsonl ${drop}requests.jsonl --region ${Aws.REGION}`,
      'Drops a file',
    );
    if (props.bucketName !== undefined) {
      this.#output(
        'EnableEventBridgeCommand',
        enableEventBridgeCommand(props.bucketName),
        'Run once: REPLACES a notification configuration that the bucket may have',
      );
      this.#output(
        'EnableEventBridgeKeepingOthersCommand',
        enableEventBridgeKeepingOthersCommand(props.bucketName),
        'Run in its place to keep the notifications that the bucket has (needs jq)',
      );
    }
  }

  #output(name: string, value: string, description: string): void {
    this.#outputs += 1;
    if (this.#outputs > MAX_OUTPUTS) {
      throw new InvalidConfigurationError(
        `the stack would have more than ${MAX_OUTPUTS} outputs, one for each of its ${this.pipeline.apiKey.secrets.size} API keys beside others: ` +
          'let routes share API keys, or deploy a second pipeline.',
      );
    }
    new CfnOutput(this, name, { value, description });
  }
}

/** As much as fits into one output. Source: CloudFormation quotas, "Output value" (1,024 bytes). */
const MAX_OUTPUT_CHARS = 1_000;

/** `films=input/films/ default=input/`, as many routes to an output as it takes. Neither has a space or `=` in it. */
function routeOutputs({ routes }: Pick<Settings, 'routes'>): string[] {
  const outputs: string[] = [];
  for (const { name, prefix } of routes) {
    const text = `${name}=${prefix}`;
    const last = outputs.at(-1);
    if (last === undefined || last.length + 1 + text.length > MAX_OUTPUT_CHARS) outputs.push(text);
    else outputs[outputs.length - 1] = `${last} ${text}`;
  }
  return outputs;
}

/** `team-a` gives `TeamA`. */
function inPascalCase(name: string): string {
  return name.replaceAll(/(?:^|-)+([a-z0-9]?)/g, (_, first: string) => first.toUpperCase());
}
