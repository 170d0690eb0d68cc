/** The example of an app with several environments: it synthesizes, and its policies let in whom it names, and nobody else. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, describe, expect, test } from 'vitest';
import { decide } from '../../../local/services/iam/evaluate.ts';
import { compilePolicy } from '../../../local/services/iam/policy.ts';
import { readPolicies } from '../../../local/stack/policies.ts';
import type { Template } from '../../../local/stack/template.ts';
import { withNames } from '../../../scripts/roles-reference/named-template.ts';
import { runScript } from '../../support/run-script.ts';
import { TEST_CONTEXT } from '../../support/synthesize.ts';
import { workerFolder } from '../../support/worker-folder.ts';

const APP = 'test/packages/apps/environments/app.ts';
const cdkOut = workerFolder('batchdrop-environments-');

/** In a project of its own the app finds the package by its name; here that is the construct of the checkout. */
const FIND_PACKAGE = `import { registerHooks } from 'node:module';
registerHooks({
  resolve: (name, context, next) =>
    next(name === 'batchdrop' ? ${JSON.stringify(pathToFileURL(join(import.meta.dirname, '../../../lib/index.ts')).href)} : name, context),
});`;

beforeAll(async () => {
  const { status, stderr } = await runScript(APP, [], {
    CDK_OUTDIR: cdkOut,
    CDK_CONTEXT_JSON: JSON.stringify(TEST_CONTEXT),
    NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(FIND_PACKAGE)}`,
  });
  expect([status, stderr.replaceAll(/^\[(Info|Warning).*$/gm, '')]).toEqual([0, expect.any(String)]);
}, 60_000);

const templateOf = (id: string): Template =>
  JSON.parse(readFileSync(join(cdkOut, `${id}.template.json`), 'utf8')) as Template;
const ofType = (template: Template, type: string) =>
  Object.values(template.Resources).filter(({ Type }) => Type === type) as {
    Properties: Record<string, unknown>;
    DeletionPolicy?: string;
  }[];

test('each environment is a stack in its account and region, and those of one account may share a name', () => {
  const { artifacts } = JSON.parse(readFileSync(join(cdkOut, 'manifest.json'), 'utf8')) as {
    artifacts: Record<string, { type: string; environment: string; properties: { stackName?: string } }>;
  };
  const stacks = Object.entries(artifacts).filter(([, { type }]) => type === 'aws:cloudformation:stack');
  expect(
    stacks.map(([id, { environment, properties }]) => [id, environment, properties.stackName ?? id]),
  ).toEqual([
    ['batchdrop-dev', 'aws://111111111111/eu-west-1', 'batchdrop-dev'],
    ['batchdrop-prod-eu', 'aws://222222222222/eu-west-1', 'batchdrop'],
    ['batchdrop-prod-us', 'aws://222222222222/us-east-1', 'batchdrop'],
  ]);
});

test('development keeps nothing when it is removed, and production keeps its data', () => {
  const kept = (id: string) =>
    ['AWS::S3::Bucket', 'AWS::DynamoDB::Table', 'AWS::SecretsManager::Secret'].map(
      (type) => ofType(templateOf(id), type)[0]!.DeletionPolicy,
    );
  expect(kept('batchdrop-dev')).toEqual(['Delete', 'Delete', 'Delete']);
  // The secret is kept once it is there: a deployment that fails at first leaves none behind.
  expect(kept('batchdrop-prod-eu')).toEqual(['Retain', 'Retain', 'RetainExceptOnCreate']);
  expect(kept('batchdrop-prod-us')).toEqual(['Retain', 'Retain', 'RetainExceptOnCreate']);
});

test('no stack names another region or another account than its own, but for whom it lets in', () => {
  for (const [id, others] of [
    ['batchdrop-dev', /us-east-1|222222222222|333333333333|444444444444/],
    ['batchdrop-prod-eu', /us-east-1|111111111111/],
    ['batchdrop-prod-us', /eu-west-1|111111111111|333333333333|444444444444/],
  ] as const)
    expect([id, JSON.stringify(templateOf(id)).match(others)]).toEqual([id, null]);
});

describe('roles of other accounts', () => {
  const account = { accountId: '222222222222', region: 'eu-west-1', stackName: 'batchdrop', uuid: 'uuid' };

  /** Whether a role, to which its own account allows everything, is let in by the bucket's policy. */
  function mayOf(arn: string, accountId: string) {
    const named = withNames(templateOf('batchdrop-prod-eu'), account);
    const [bucket] = named.resourcesOf('AWS::S3::Bucket');
    const bucketArn = named.arnOf(bucket!.logicalId);
    const resource = readPolicies(named).ofResource(bucketArn);
    const identity = compilePolicy([{ Effect: 'Allow', Action: 's3:*', Resource: '*' }], arn);
    return (action: string, key: string | undefined, context: Record<string, string> = {}): boolean => {
      const call = {
        action,
        resource: key === undefined ? bucketArn : `${bucketArn}/${key}`,
        context: { 'aws:SecureTransport': 'true', 'aws:ResourceAccount': account.accountId, ...context },
      };
      return 'grants' in decide({ name: arn, arns: [arn], accountId }, call, { identity, resource });
    };
  }

  test('a reader gets results and receipts of its route with TLS, and nothing else', () => {
    const may = mayOf('arn:aws:iam::444444444444:role/reader', '444444444444');
    for (const area of ['output', 'errors', 'receipts']) {
      expect(may('s3:GetObject', `${area}/search/a.jsonl`)).toBe(true);
      expect(may('s3:GetObject', `${area}/other/a.jsonl`)).toBe(false);
      expect(may('s3:ListBucket', undefined, { 's3:prefix': `${area}/search/` })).toBe(true);
    }
    expect(may('s3:GetObject', 'output/search/a.jsonl', { 'aws:SecureTransport': 'false' })).toBe(false);
    expect(may('s3:ListBucket', undefined)).toBe(false);
    expect(may('s3:ListBucket', undefined, { 's3:prefix': 'input/' })).toBe(false);
    for (const key of [
      'input/search/a.jsonl',
      'work/a/job.json',
      'retry/search/a.jsonl',
      '.batchdrop/owners.json',
    ])
      expect([key, may('s3:GetObject', key)]).toEqual([key, false]);
    for (const action of ['s3:PutObject', 's3:DeleteObject', 's3:GetObjectVersion'])
      expect([action, may(action, 'output/search/a.jsonl')]).toEqual([action, false]);
  });

  test('a dropper puts files of its route, and reads none', () => {
    const may = mayOf('arn:aws:iam::333333333333:role/exporter', '333333333333');
    expect(may('s3:PutObject', 'input/search/a.jsonl')).toBe(true);
    expect(may('s3:PutObject', 'input/a.jsonl')).toBe(false);
    expect(may('s3:GetObject', 'input/search/a.jsonl')).toBe(false);
    expect(may('s3:GetObject', 'output/search/a.jsonl')).toBe(false);
  });

  test('another role of the same account is let in nowhere', () => {
    const may = mayOf('arn:aws:iam::444444444444:role/other', '444444444444');
    expect(may('s3:GetObject', 'output/search/a.jsonl')).toBe(false);
    expect(may('s3:PutObject', 'input/search/a.jsonl')).toBe(false);
  });
});
