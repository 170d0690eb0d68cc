import { Aws, CfnOutput, Stack, type StackProps } from 'aws-cdk-lib';
import type { Construct } from 'constructs';
import packageJson from '../package.json' with { type: 'json' };
import { apiKeyOutputSuffix, DEFAULT_API_KEY, setApiKeyCommand } from '../src/contract/api-key.ts';
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

    this.#output(
      'Version',
      packageJson.version,
      'Release of batchdrop; `batchdrop doctor` compares it with its own',
    );
    this.#output('BucketName', storage.bucket.bucketName, 'The bucket');
    this.#output('DropLocation', drop, 'Drop .jsonl files below this');
    const routes = pipeline.settings.routes.map(({ name, prefix }) => `${name}=${prefix}`);
    this.#outputList('Routes', routes, 'Prefixes of the routes, by name: what commands drop files below');
    this.#output('TableName', state.table.tableName, 'State of jobs');
    this.#output('ApiKeySecretArn', apiKey.secret.secretArn, 'Secret with the OpenAI API key');
    this.#output('IngestQueueUrl', pipeline.ingestQueue.queue.queueUrl, 'Objects to look at');
    this.#output('SubmitQueueUrl', pipeline.submitQueue.queue.queueUrl, 'Batches to send to OpenAI');
    this.#output('CallQueueUrl', pipeline.callQueue.queue.queueUrl, 'Slices to call in flex or standard');
    this.#output('CollectQueueUrl', pipeline.collectQueue.queue.queueUrl, 'Batches that OpenAI has ended');
    this.#output('FinalizeQueueUrl', pipeline.finalizeQueue.queue.queueUrl, 'Jobs to merge');
    if (pipeline.observeQueue !== undefined) {
      this.#output('ObserveQueueUrl', pipeline.observeQueue.queue.queueUrl, 'What webhooks reported');
    }
    if (pipeline.notificationsDeadLetters !== undefined) {
      const url = pipeline.notificationsDeadLetters.queueUrl;
      this.#output('NotificationsDeadLettersUrl', url, 'Events of ended jobs that no target took');
    }
    this.#output('OperateUrl', pipeline.operate.url, 'What operators call, signed with AWS credentials');
    const { viewerPolicy, operatorPolicy } = pipeline;
    if (viewerPolicy !== undefined && operatorPolicy !== undefined) {
      const viewer = 'Managed policy of those who look at jobs: no prompt, answer or secret';
      this.#output('ViewerPolicyArn', viewerPolicy.managedPolicyArn, viewer);
      const operator = 'Managed policy of those who operate, attached together with that of viewers';
      this.#output('OperatorPolicyArn', operatorPolicy.managedPolicyArn, operator);
    }
    if (pipeline.webhook !== undefined) {
      this.#output('WebhookUrl', pipeline.webhook.url, 'What OpenAI sends webhooks to');
      for (const [name, { secretArn }] of pipeline.webhook.secrets) {
        const suffix = apiKeyOutputSuffix(name);
        const whose = `the project of the API key "${name}"`;
        this.#output(`WebhookSecretArn${suffix}`, secretArn, `Secret with the signing secret of ${whose}`);
      }
    }
    this.#outputList('ApiKeys', [...apiKey.secrets.keys()], 'Names of the API keys');
    for (const [name, { secretArn }] of apiKey.secrets) {
      const isOwn = name === DEFAULT_API_KEY;
      this.#output(
        `SetApiKeyCommand${apiKeyOutputSuffix(name)}`,
        setApiKeyCommand(secretArn, Aws.REGION),
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

  /** Words with spaces between them; what does not fit into one output continues in `Name2`, and so on. */
  #outputList(name: string, words: readonly string[], description: string): void {
    for (const [index, value] of outputValues(words).entries())
      this.#output(`${name}${index === 0 ? '' : index + 1}`, value, description);
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

/** As many words, which have no spaces, to an output as it takes. */
function outputValues(words: readonly string[]): string[] {
  const values: string[] = [];
  for (const word of words) {
    const last = values.at(-1);
    if (last === undefined || last.length + 1 + word.length > MAX_OUTPUT_CHARS) values.push(word);
    else values[values.length - 1] = `${last} ${word}`;
  }
  return values;
}
