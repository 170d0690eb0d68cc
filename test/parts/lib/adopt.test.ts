import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, it } from 'vitest';
import { contextToStackProps } from '../../../bin/context.ts';
import type { BatchPipelineProps } from '../../../lib/batch-pipeline.ts';
import { PipelineStack } from '../../../lib/pipeline-stack.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { functionOf, newApp, permissionsOf, resourcesOf, synthesize } from '../../support/synthesize.ts';

const ID = '0b5e3c3a-6c1f-4b5e-9a53-3f6f3f1f2a10';
const ADOPTED = {
  bucketName: 'our-prompts',
  adopt: { stackId: ID, tableName: 'old-Table' },
} satisfies BatchPipelineProps;

/** One for all tests that look at it. */
const adopting = (() => {
  let template: Template | undefined;
  return () => {
    template ??= synthesize(ADOPTED);
    return template;
  };
})();

describe('a stack that adopts what a removed one has left', () => {
  it('makes no bucket, table or secret of its own key, so that deleting it removes none', () => {
    const template = adopting();
    for (const type of ['AWS::S3::Bucket', 'AWS::DynamoDB::Table', 'AWS::SecretsManager::Secret'])
      expect(resourcesOf(template, type)).toEqual({});
  });

  it('goes on under the id of the removed stack, with its table and its keys', () => {
    const template = adopting();
    const { Variables } = functionOf(template, 'submit')[1].Properties.Environment;
    expect(Variables).toMatchObject({ STACK_ID: ID, TABLE_NAME: 'old-Table', BUCKET_NAME: 'our-prompts' });
    const { 'secretsmanager:GetSecretValue': keys, 'dynamodb:UpdateItem': table } = permissionsOf(
      template,
      'submit',
    );
    expect(keys).toEqual([expect.stringContaining(`:secret:batchdrop/${ID}/*`)]);
    expect(table).toEqual([expect.stringContaining(':table/old-Table')]);
  });

  it('makes keys of routes and secrets of webhooks anew, and notifies of events, under that id', () => {
    const notify = 'arn:aws:sns:us-east-1:111122223333:done';
    const settings = {
      routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', apiKey: 'team-a', notify }],
      webhooks: { apiKeys: ['default'] },
    };
    const template = synthesize({ ...ADOPTED, settings });
    const secrets = resourcesOf(template, 'AWS::SecretsManager::Secret');
    expect(Object.values(secrets).map(({ Properties }) => Properties.Name)).toEqual([
      `batchdrop/${ID}/team-a`,
      `batchdrop/webhooks/${ID}/default`,
    ]);
    const rules = Object.values(resourcesOf(template, 'AWS::Events::Rule'));
    const patterns = rules.map(({ Properties }) => Properties.EventPattern?.detail?.stackId).filter(Boolean);
    expect(patterns).toEqual([[ID]]);
  });

  it('says the same in its outputs as any other stack', () => {
    const stack = new PipelineStack(newApp(), 'Test', ADOPTED);
    const outputs = Template.fromStack(stack).findOutputs('*');
    expect(outputs.TableName!.Value).toBe('old-Table');
    expect(JSON.stringify(outputs.ApiKeySecretArn!.Value)).toContain(`:secret:batchdrop/${ID}/default`);
  });

  it.each<[string, BatchPipelineProps, string]>([
    ['without a bucket', { adopt: ADOPTED.adopt }, 'adopt is given without bucketName'],
    [
      'the ARN of a stack for its UUID',
      { ...ADOPTED, adopt: { ...ADOPTED.adopt, stackId: `arn:aws:cloudformation:x:1:stack/b/${ID}` } },
      'adopt.stackId is "arn:aws:cloudformation:x:1:stack/b/',
    ],
    [
      'the ARN of a table for its name',
      { ...ADOPTED, adopt: { stackId: ID, tableName: 'arn:aws:dynamodb:x:1:table/b' } },
      'adopt.tableName is "arn:aws:dynamodb:x:1:table/b"',
    ],
  ])('is refused %s', (_, props, message) => {
    expect(() => synthesize(props)).toThrow(message);
  });

  it('is asked for on the command line with -c adopt=UUID,TABLE', () => {
    const read = (values: Record<string, string>) => contextToStackProps((key) => values[key]);
    expect(read({ adopt: `${ID},old-Table` }).adopt).toEqual(ADOPTED.adopt);
    expect(read({}).adopt).toBeUndefined();
    for (const adopt of [ID, `${ID},`, `${ID},old-Table,more`])
      expect(() => read({ adopt })).toThrow(`context adopt is "${adopt}", expected UUID,TABLE`);
  });
});
