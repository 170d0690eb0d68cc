/** What `local up` prints once the stack is up. Pure. */
import { resolve } from 'node:path';
import type { LocalPipeline } from '../../local/stack/pipeline.ts';
import type { Layout } from '../../src/contract/layout.ts';

/** Of the running stack, what is printed. */
export interface RunningPipeline {
  stack: Pick<
    LocalPipeline['stack'],
    'endpoints' | 'credentials' | 'region' | 'resources' | 'outputs' | 'alarms'
  >;
  openai: LocalPipeline['openai'];
}

/**
 * Where everything is, and what to do next.
 *
 * @param state folder of the stack.
 * @param flags options with which commands find the stack.
 */
export function localUpText(
  { stack, openai }: RunningPipeline,
  { state, flags, layout }: { state: string; flags: string; layout: Layout },
): string {
  const { endpoints, credentials, region, resources } = stack;
  const { bucket, queues } = resources;
  return `The stack is up; its state is in ${state}.

  S3          ${endpoints.s3}   bucket ${bucket}
  DynamoDB    ${endpoints.dynamodb}   table ${resources.table}
  SQS         ${endpoints.sqs}   ${Object.keys(queues).length} queues, such as ${queues.ingest!.name}
  Secrets     ${endpoints.secretsManager}   (Secrets Manager)
  CloudWatch  ${endpoints.cloudwatch}   ${stack.alarms().length} alarms
  OpenAI      ${openai.baseUrl}${openai.isEmulated ? '   (emulated)' : ''}
  Logs        ${resolve(state, 'aws/logs')}

In another terminal:

  export AWS_ACCESS_KEY_ID=${credentials.accessKeyId} AWS_SECRET_ACCESS_KEY=${credentials.secretAccessKey} AWS_DEFAULT_REGION=${region}
  aws --endpoint-url ${endpoints.s3} s3 cp FILE.jsonl s3://${bucket}/${layout.input}
  aws --endpoint-url ${endpoints.s3} s3 ls --recursive s3://${bucket}/${layout.receipts}
  aws --endpoint-url ${endpoints.s3} s3 cp s3://${bucket}/${layout.output}FILE.jsonl .

Without the AWS CLI (receipts name files as s3://…, which \`results\` reads):

  npm run -s batchdrop -- submit FILE.jsonl --wait ${flags}
  npm run -s batchdrop -- results ${layout.input}FILE.jsonl ${flags}

Each start puts ${openai.isEmulated ? 'a key for the emulator, which takes any,' : 'OPENAI_API_KEY'} into the secrets of the API keys. Another one is set by

${setKeyCommands(stack).join('\n')}

Commands find it with ${flags}. What is held is shown and released by

  npm run -s batchdrop -- resume ${flags}

Ctrl-C stops it; what is under way continues at the next start, on the same ports. What it does:
`;
}

/** One for each API key, as the template's outputs have them, sent to this machine. */
function setKeyCommands({ outputs, endpoints }: RunningPipeline['stack']): string[] {
  return Object.entries(outputs)
    .filter(([output]) => output.startsWith('SetApiKeyCommand'))
    .map(
      ([, command]) =>
        `  ${command.replace(/(?<=^|\| )aws /, `aws --endpoint-url ${endpoints.secretsManager} `)}`,
    );
}
