/**
 * docs/roles.md says what the templates say, and its permissions boundary is enough and no more. `npm run docs:roles` writes
 * the page.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template as CdkTemplate } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { decide } from '../../../local/services/iam/evaluate.ts';
import { type ApiCall, compilePolicy, type Grant } from '../../../local/services/iam/policy.ts';
import type { Template } from '../../../local/stack/template.ts';
import {
  actionsOfHandlers,
  CONDITIONAL,
  cloudFormationRights,
  cloudFormationTable,
} from '../../../scripts/roles-reference/cloudformation-rights.ts';
import {
  type Names,
  ROLE_OF_A_RULE,
  rolesOf,
  withNames,
} from '../../../scripts/roles-reference/named-template.ts';
import {
  type PolicyDocument,
  permissionsBoundary,
  policyText,
} from '../../../scripts/roles-reference/permissions-boundary.ts';
import {
  resourcePolicyTable,
  rightsTable,
  withCurrentTables,
} from '../../../scripts/roles-reference/roles-page.ts';
import { stackOf, VARIANTS } from '../../support/variants.ts';

const PAGE = join(import.meta.dirname, '../../../docs/roles.md');
const templates = new Map(
  VARIANTS.map((variant) => [
    variant.name,
    CdkTemplate.fromStack(stackOf(variant)).toJSON() as unknown as Template,
  ]),
);
const templateOf = (name: string): Template => templates.get(name)!;
const named = (name: string) => withNames(templateOf(name));

/** Together they have every right that a role may have. */
const OF_THE_BOUNDARY = ['webhooks-http-api', 'encryption-key-by-arn', 'vpc-with-proxy'];
const boundary = permissionsBoundary(OF_THE_BOUNDARY.map(named));

test('docs/roles.md has the tables that the templates give; otherwise run `npm run docs:roles`', async () => {
  const page = withCurrentTables(readFileSync(PAGE, 'utf8'), {
    rights: rightsTable(named('default')),
    'rights with webhooks': rightsTable(named('webhooks-function-url'), ['webhook', 'observe']),
    'rights with notify': rightsTable(named('notifications'), [ROLE_OF_A_RULE]),
    policies: resourcePolicyTable(named('default')),
    'further policies': [
      resourcePolicyTable(named('webhooks-function-url'), named('default')),
      resourcePolicyTable(named('notifications'), named('default')).split('\n').slice(2).join('\n'),
    ].join('\n'),
    deployment: cloudFormationTable(templateOf('default'), [...templates.values()]),
    boundary: `\`\`\`json\n${policyText(boundary)}\n\`\`\``,
  });
  await expect(page).toMatchFileSnapshot(PAGE);
});

test('tables cannot be written where their marks are gone', () => {
  expect(() => withCurrentTables('# Roles\n', { rights: '' })).toThrow('restore them');
});

test('every role of every variant is assumed by Lambda alone, or by EventBridge for a bus of `notify`, and has no managed policy', () => {
  for (const [name, template] of templates)
    for (const { Type, Properties = {} } of Object.values(template.Resources)) {
      if (Type !== 'AWS::IAM::Role') continue;
      const { Statement } = Properties.AssumeRolePolicyDocument as { Statement: { Principal: object }[] };
      const services = Statement.map(({ Principal }) => Principal);
      const isOfRule = name === 'notifications' && Properties.Description === undefined;
      expect(services).toEqual([{ Service: `${isOfRule ? 'events' : 'lambda'}.amazonaws.com` }]);
      expect(Properties).not.toHaveProperty('ManagedPolicyArns');
    }
});

describe('the permissions boundary', () => {
  /** An account and a stack; names as CloudFormation makes them, with what it adds at the end. */
  const ACCOUNT: Names = {
    accountId: '111122223333',
    region: 'eu-west-1',
    stackName: 'batchdrop',
    uuid: '0b5e3c3a-6c1f-4b5e-9a53-3f6f3f1f2a10',
  };
  const filledIn = JSON.parse(
    JSON.stringify(boundary)
      .replaceAll('STACK', ACCOUNT.stackName)
      .replaceAll('stack', ACCOUNT.stackName)
      .replaceAll('REGION', ACCOUNT.region)
      .replaceAll('ACCOUNT', ACCOUNT.accountId)
      .replaceAll('key/KEY', 'key/0b1c2d3e-0000-4000-8000-000000000001'),
  ) as PolicyDocument;
  const identity = compilePolicy(filledIn.Statement, 'the boundary');
  const principal = { name: 'a role', arns: [], accountId: ACCOUNT.accountId };
  /** Leaves it to the policies of its account, here to the boundary. */
  const ofKey = compilePolicy(
    [{ Effect: 'Allow', Principal: { AWS: ACCOUNT.accountId }, Action: 'kms:*', Resource: '*' }],
    'the key',
  );
  const decideAll = (calls: readonly ApiCall[]) =>
    calls.map((call) => {
      const resource = call.action.startsWith('kms:') ? ofKey : undefined;
      return decide(principal, call, { identity, resource });
    });
  const physical = (arn: string): string =>
    arn
      .replace(/(batchdrop-Pipeline\w+?[0-9A-F]{8})/, '$1-ZJ3kq0LxYb1c')
      .replace(/(batchdrop-pipeline\w+?[0-9a-f]{8})(?=\/|$)/, '$1-zj3kq0lxyb1c');

  /** What a role's grant allows, as a call that meets its conditions. */
  function callsOf(variant: string): ApiCall[] {
    const stack = withNames(templateOf(variant), ACCOUNT);
    return rolesOf(stack).flatMap(({ name, statements }) =>
      compilePolicy(statements, name)
        .flatMap(({ grants }) => grants)
        .map(({ action, resource, condition }: Grant) => ({
          action,
          resource: physical(resource).replace(/\*$/, 'a'),
          context: Object.fromEntries(
            Object.values((condition === '' ? {} : JSON.parse(condition)) as object).flatMap((byKey) =>
              Object.entries(byKey as object).map(([key, values]) => [
                key,
                key === 'dynamodb:LeadingKeys' ? [String([values].flat()[0])] : String([values].flat()[0]),
              ]),
            ),
          ),
        })),
    );
  }

  /** Their bucket, prefixes, keys or buses are none of the example's. */
  const OTHERS = [
    ...['adopted', 'existing-bucket', 'existing-bucket-with-key', 'own-layout', 'retention'],
    'notifications',
  ];
  const OF_A_KEY_OF_THE_APP = ['encryption-key', 'droppers'];
  const held = VARIANTS.map(({ name }) => name).filter(
    (name) => ![...OTHERS, ...OF_A_KEY_OF_THE_APP].includes(name),
  );

  test.each(held)('allows what the roles of the variant %s may do', (variant) => {
    const calls = callsOf(variant);
    expect(calls.length).toBeGreaterThan(100);
    expect(decideAll(calls).flatMap((one) => ('refusal' in one ? [one.refusal] : []))).toEqual([]);
  });

  test('allows nothing that no role needs', () => {
    const used = new Set(
      decideAll(OF_THE_BOUNDARY.flatMap(callsOf)).flatMap((one) =>
        'grants' in one ? one.grants.map((grant) => JSON.stringify(grant)) : [],
      ),
    );
    const unused = identity
      .flatMap(({ grants }) => grants)
      .filter((grant) => !used.has(JSON.stringify(grant)));
    expect(unused).toEqual([]);
  });

  test.each<[string, ApiCall]>([
    ['make a role', { action: 'iam:CreateRole', resource: 'arn:aws:iam::111122223333:role/batchdrop-x' }],
    ['take on a role', { action: 'sts:AssumeRole', resource: 'arn:aws:iam::111122223333:role/admin' }],
    [
      'read another bucket',
      { action: 's3:GetObject', resource: 'arn:aws:s3:::payroll/input/a.jsonl', context: {} },
    ],
    [
      'change the policy of its bucket',
      { action: 's3:PutBucketPolicy', resource: 'arn:aws:s3:::batchdrop-pipelinestoragebucket-1' },
    ],
    [
      'read another table',
      { action: 'dynamodb:GetItem', resource: 'arn:aws:dynamodb:eu-west-1:111122223333:table/payroll' },
    ],
    [
      'scan its table',
      {
        action: 'dynamodb:Scan',
        resource: 'arn:aws:dynamodb:eu-west-1:111122223333:table/batchdrop-PipelineStateTable-1',
      },
    ],
    [
      'read another secret',
      {
        action: 'secretsmanager:GetSecretValue',
        resource: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:payroll-AbCdEf',
      },
    ],
    [
      'put an event of another source',
      {
        action: 'events:PutEvents',
        resource: 'arn:aws:events:eu-west-1:111122223333:event-bus/default',
        context: { 'events:source': 'payroll' },
      },
    ],
  ])('does not let a role %s', (_what, call) => {
    expect(decideAll([call])[0]).toHaveProperty('refusal');
  });

  test('fits into a managed policy, with a stack name of 20 characters', () => {
    const grown = JSON.stringify(filledIn).replaceAll('batchdrop-', `${'b'.repeat(20)}-`);
    // Source: IAM quotas, "Managed policy", without white space.
    expect(grown.length).toBeLessThan(6_144);
  });
});

describe('rights of the role by which CloudFormation deploys', () => {
  test('are known for every type of resource of every variant', () => {
    for (const template of templates.values())
      for (const { type, actions } of cloudFormationRights(template))
        expect([type, actions.length > 0]).toEqual([type, true]);
  });

  test.each(CONDITIONAL)('of $type that are left out are there: $actions', ({ type, actions }) => {
    expect(actionsOfHandlers(type).filter((action) => actions.test(action)).length).toBeGreaterThan(0);
  });

  test('are added where a template has a property that needs them, and not otherwise', () => {
    const actionsOf = (name: string, type: string) =>
      cloudFormationRights(templateOf(name)).find((each) => each.type === type)!.actions;
    expect(actionsOf('default', 'AWS::Lambda::Function')).not.toContain('ec2:DescribeSubnets');
    expect(actionsOf('vpc', 'AWS::Lambda::Function')).toContain('ec2:DescribeSubnets');
    expect(actionsOf('default', 'AWS::DynamoDB::Table')).not.toContain('kms:CreateGrant');
    expect(actionsOf('encryption-key', 'AWS::DynamoDB::Table')).toContain('kms:CreateGrant');
    expect(actionsOf('default', 'AWS::S3::Bucket')).toContain('s3:PutLifecycleConfiguration');
  });
});
