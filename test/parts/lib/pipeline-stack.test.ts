import { Template } from 'aws-cdk-lib/assertions';
import { expect, test } from 'vitest';
import { PipelineStack, type PipelineStackProps } from '../../../lib/pipeline-stack.ts';
import packageJson from '../../../package.json' with { type: 'json' };
import { BATCH_ONLY } from '../../support/routes.ts';
import { nameOf, newApp } from '../../support/synthesize.ts';

function outputsOf(props: PipelineStackProps = {}): Record<string, string> {
  const stack = new PipelineStack(newApp(), 'batchdrop', props);
  const outputs = Template.fromStack(stack).findOutputs('*');
  return Object.fromEntries(Object.entries(outputs).map(([name, { Value }]) => [name, nameOf(Value)]));
}

test('the outputs say where things are and how to begin', () => {
  expect(outputsOf()).toEqual({
    Version: packageJson.version,
    BucketName: 'StorageBucket',
    DropLocation: 's3://StorageBucket/input/',
    Routes: 'default=input/',
    TableName: 'StateTable',
    ApiKeySecretArn: 'ApiKeySecret',
    IngestQueueUrl: 'IngestQueue',
    SubmitQueueUrl: 'SubmitQueue',
    CallQueueUrl: 'CallQueue',
    CollectQueueUrl: 'CollectQueue',
    FinalizeQueueUrl: 'FinalizeQueue',
    ApiKeys: 'default',
    OperateUrl: 'OperateFunctionFunctionUrl',
    ViewerPolicyArn: 'ViewerPolicy',
    OperatorPolicyArn: 'OperatorPolicy',
    SetApiKeyCommand:
      'printf %s "$OPENAI_API_KEY" | aws secretsmanager put-secret-value --region <AWS::Region> --secret-id ApiKeySecret ' +
      '--secret-string file:///dev/stdin',
    DropFileCommand:
      'aws s3 cp requests.jsonl s3://StorageBucket/input/requests.jsonl --region <AWS::Region>',
  });
});

test('the prefixes of routes are in as many outputs as they need', () => {
  const routes = Array.from({ length: 50 }, (_, index) => {
    const name = `a-route-with-a-long-name-${String(index).padStart(2, '0')}`;
    return { ...BATCH_ONLY, name, prefix: `input/${name}/` };
  });
  const outputs = Object.entries(outputsOf({ settings: { routes } })).filter(([name]) =>
    name.startsWith('Routes'),
  );
  expect(outputs.map(([name]) => name)).toEqual(['Routes', 'Routes2', 'Routes3', 'Routes4']);
  expect(outputs.every(([, value]) => value.length <= 1_024)).toBe(true);
  expect(outputs.flatMap(([, value]) => value.split(' '))).toEqual(
    routes.map(({ name, prefix }) => `${name}=${prefix}`),
  );
});

test('each further API key has an output with the command that sets it', () => {
  const route = { ...BATCH_ONLY, name: 'a', prefix: 'input/a/' };
  const outputs = outputsOf({
    settings: {
      routes: [
        { ...route, apiKey: 'team-a-1' },
        { ...route, name: 'b', prefix: 'input/b/', apiKey: 'ads' },
      ],
    },
  });
  expect(outputs.ApiKeys).toBe('default team-a-1 ads');
  const commands = Object.entries(outputs).filter(([name]) => name.startsWith('SetApiKeyCommand'));
  const commandOf = (secret: string) =>
    `printf %s "$OPENAI_API_KEY" | aws secretsmanager put-secret-value --region <AWS::Region> --secret-id ${secret} --secret-string file:///dev/stdin`;
  expect(Object.fromEntries(commands)).toEqual({
    SetApiKeyCommand: commandOf('ApiKeySecret'),
    SetApiKeyCommandTeamA1: commandOf('ApiKeySecretteama1'),
    SetApiKeyCommandAds: commandOf('ApiKeySecretads'),
  });
});

test('queues that not every stack has are named where it has them', () => {
  const route = { ...BATCH_ONLY, name: 'a', prefix: 'input/a/' };
  const notify = 'arn:aws:sns:eu-west-1:123456789012:done';
  const outputs = outputsOf({
    settings: { routes: [{ ...route, notify }], webhooks: { apiKeys: ['default'] } },
  });
  expect(outputs).toMatchObject({
    ObserveQueueUrl: 'ObserveQueue',
    NotificationsDeadLettersUrl: 'NotificationsDeadLetters',
  });
});

test('with an existing bucket the outputs also hold the command that enables EventBridge', () => {
  expect(outputsOf({ bucketName: 'our-prompts' })).toMatchObject({
    BucketName: 'our-prompts',
    DropLocation: 's3://our-prompts/input/',
    EnableEventBridgeCommand:
      'aws s3api put-bucket-notification-configuration --bucket our-prompts ' +
      `--notification-configuration '{"EventBridgeConfiguration":{}}'`,
    EnableEventBridgeKeepingOthersCommand: expect.stringContaining('get-bucket-notification-configuration'),
  });
});
