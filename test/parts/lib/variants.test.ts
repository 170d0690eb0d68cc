/** What each variant changes in the template, and that it changes nothing else of weight. */
import { Duration, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import { describe, expect, test } from 'vitest';
import { BatchPipeline, type BatchPipelineProps } from '../../../lib/batch-pipeline.ts';
import { PipelineStack } from '../../../lib/pipeline-stack.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import {
  functionOf,
  newApp,
  onlyResource,
  permissionsOf,
  resourcesOf,
  synthesize,
} from '../../support/synthesize.ts';
import { KEY_ARN, stackOf, VARIANTS } from '../../support/variants.ts';

const templateOf = (variant: string): Template =>
  Template.fromStack(stackOf(VARIANTS.find(({ name }) => name === variant)!));
const functionsOf = (template: Template) => Object.values(resourcesOf(template, 'AWS::Lambda::Function'));
const reject =
  (props: BatchPipelineProps): (() => unknown) =>
  () =>
    synthesize(props);

test('variants have names of their own', () => {
  const names = VARIANTS.map(({ name }) => name);
  expect(new Set(names).size).toBe(names.length);
});

describe('in a VPC', () => {
  const IN_VPC = [
    'ec2:AssignPrivateIpAddresses',
    'ec2:CreateNetworkInterface',
    'ec2:DeleteNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:UnassignPrivateIpAddresses',
  ];
  const given = templateOf('vpc');
  const proxied = templateOf('vpc-with-proxy');

  test('every function is in the private subnets, or those that are named, with one security group', () => {
    const groupOf = (template: Template) =>
      new Set(
        functionsOf(template).map(({ Properties }) => JSON.stringify(Properties.VpcConfig.SecurityGroupIds)),
      );
    const subnetsOf = (template: Template) =>
      new Set(functionsOf(template).map(({ Properties }) => JSON.stringify(Properties.VpcConfig.SubnetIds)));
    expect(functionsOf(given)).toHaveLength(9);
    for (const template of [given, proxied]) expect(groupOf(template).size).toBe(1);
    expect([...subnetsOf(given)]).toEqual([expect.stringMatching(/privateSubnet1.*privateSubnet2/)]);
    expect([...subnetsOf(proxied)]).toEqual([expect.stringMatching(/isolatedSubnet1.*isolatedSubnet2/)]);
    expect(resourcesOf(given, 'AWS::EC2::SecurityGroup')).toEqual({});
    expect(onlyResource(proxied, 'AWS::EC2::SecurityGroup').Properties.SecurityGroupIngress).toBeUndefined();
  });

  test('roles may do what Lambda needs to put a function there, and nothing more than without', () => {
    for (const capability of ['ingest', 'submit', 'poll', 'operate', 'webhook'] as const) {
      const rights = permissionsOf(given, capability);
      expect(
        Object.keys(rights)
          .filter((action) => action.startsWith('ec2:'))
          .sort(),
      ).toEqual(IN_VPC);
      for (const action of IN_VPC) expect(rights[action]).toEqual(['*']);
      const others = Object.keys(rights).filter((action) => !action.startsWith('ec2:'));
      expect(others.sort()).toEqual(
        Object.keys(permissionsOf(templateOf('encryption-key'), capability))
          .filter((action) => !action.startsWith('kms:'))
          .sort(),
      );
    }
  });

  test('the functions that call OpenAI are told of the proxy, and the others are not', () => {
    const told = (
      ['ingest', 'submit', 'call', 'poll', 'collect', 'finalize', 'observe', 'operate', 'webhook'] as const
    ).filter((capability) => {
      const { Variables } = functionOf(proxied, capability)[1].Properties.Environment;
      const { HTTPS_PROXY, NODE_USE_ENV_PROXY } = Variables;
      expect([HTTPS_PROXY, NODE_USE_ENV_PROXY]).toEqual(
        HTTPS_PROXY === undefined ? [undefined, undefined] : ['http://proxy.internal:3128', '1'],
      );
      return HTTPS_PROXY !== undefined;
    });
    expect(told).toEqual(['submit', 'call', 'poll', 'collect', 'finalize', 'observe']);
  });

  test.each([
    'proxy.internal:3128',
    'socks5://proxy:1080',
    'http://user:secret@proxy:3128',
    'http://proxy:3128/path',
  ])('the proxy %s is refused', (httpsProxy) => {
    expect(reject({ httpsProxy })).toThrow(
      /httpsProxy is ".*", expected the URL of a proxy without user, path or query/,
    );
  });
});

test('a permissions boundary is on every role', () => {
  const roles = Object.values(resourcesOf(templateOf('permissions-boundary'), 'AWS::IAM::Role'));
  expect(roles).toHaveLength(7);
  for (const { Properties } of roles)
    expect(JSON.stringify(Properties.PermissionsBoundary)).toContain(':policy/team-boundary');
});

test('a permissions boundary is on every role of a pipeline in a stack with others, too', () => {
  const stack = new Stack(newApp(), 'Test');
  const pipeline = new BatchPipeline(stack, 'Pipeline');
  const boundary = iam.ManagedPolicy.fromManagedPolicyArn(
    stack,
    'Boundary',
    'arn:aws:iam::111122223333:policy/b',
  );
  iam.PermissionsBoundary.of(pipeline).apply(boundary);
  const roles = Object.values(resourcesOf(Template.fromStack(stack), 'AWS::IAM::Role'));
  expect(new Set(roles.map(({ Properties }) => Properties.PermissionsBoundary))).toEqual(
    new Set(['arn:aws:iam::111122223333:policy/b']),
  );
});

test('tags of the stack are on all that costs money; of what there is, secrets alone say whose API key they are for', () => {
  const template = Template.fromStack(stackOf(VARIANTS.find(({ name }) => name === 'tags')!));
  const untagged = Object.values(resourcesOf(template, 'AWS::S3::Bucket')).flatMap(
    ({ Properties }) => Properties.Tags ?? [],
  );
  // CloudFormation hands on the tags of a stack, which the `cdk` command takes from the assembly.
  expect(untagged).toEqual([]);
  const stack = stackOf(VARIANTS.find(({ name }) => name === 'tags')!);
  expect(stack.tags.tagValues()).toEqual({ team: 'search', 'cost-centre': '4711' });
  const secrets = Object.values(
    resourcesOf(templateOf('webhooks-function-url'), 'AWS::SecretsManager::Secret'),
  );
  expect(secrets.map(({ Properties }) => Properties.Tags)).toEqual(
    ['default', 'team-a', 'default', 'team-a'].map((Value) => [{ Key: 'batchdrop:api-key', Value }]),
  );
});

test('functions and the layer of settings are of the architecture that is asked for', () => {
  const template = templateOf('x86');
  for (const { Properties } of functionsOf(template)) expect(Properties.Architectures).toEqual(['x86_64']);
  expect(onlyResource(template, 'AWS::Lambda::LayerVersion').Properties.CompatibleArchitectures).toEqual([
    'x86_64',
  ]);
});

describe('the objects of a bucket that is made', () => {
  const rulesOf = (template: Template): Record<string, unknown>[] =>
    onlyResource(template, 'AWS::S3::Bucket').Properties.LifecycleConfiguration.Rules;
  const KEPT = rulesOf(synthesize());

  test('stay for as long as each area says, at every prefix that a route has for it, and old versions 30 days more', () => {
    const own = rulesOf(templateOf('retention')).slice(KEPT.length);
    const expiring = (Prefix: string, ExpirationInDays: number) => ({
      Id: `expire-${Prefix}`,
      Prefix,
      Status: 'Enabled',
      ExpirationInDays,
    });
    const noncurrent = (Prefix: string, NoncurrentDays = 30) => ({
      Id: `expire-noncurrent-${Prefix}`,
      Prefix,
      Status: 'Enabled',
      ExpiredObjectDeleteMarker: true,
      NoncurrentVersionExpiration: { NoncurrentDays },
    });
    expect(own).toEqual([
      expiring('input/', 90),
      noncurrent('input/'),
      expiring('output/', 30),
      noncurrent('output/'),
      expiring('a/', 30),
      noncurrent('a/'),
      expiring('receipts/', 365),
      noncurrent('receipts/'),
      expiring('r/', 365),
      noncurrent('r/'),
    ]);
  });

  test('stay for ever unless said otherwise, old versions too, and nothing of work/ ever expires while it is current', () => {
    expect(KEPT.map(({ Id }) => Id)).toEqual(['expire-removed-work', 'abort-uploads']);
    const all = synthesize({ retention: { noncurrentVersions: Duration.days(20) } });
    expect(
      rulesOf(all)
        .slice(KEPT.length)
        .map(({ Id }) => Id),
    ).toEqual(['input', 'output', 'errors', 'retry', 'receipts'].map((area) => `expire-noncurrent-${area}/`));
    for (const template of [all, templateOf('retention')])
      expect(
        rulesOf(template).filter(({ Prefix, ExpirationInDays }) => Prefix === 'work/' && ExpirationInDays),
      ).toEqual([]);
  });

  test('have one version each if the bucket is to keep none, and rules for old versions are left out', () => {
    const bucket = onlyResource(templateOf('unversioned'), 'AWS::S3::Bucket').Properties;
    expect(bucket.VersioningConfiguration).toBeUndefined();
    expect(bucket.LifecycleConfiguration.Rules.slice(KEPT.length)).toEqual([
      { Id: 'expire-output/', Prefix: 'output/', Status: 'Enabled', ExpirationInDays: 7 },
    ]);
  });

  test.each([
    [
      { input: Duration.days(14) },
      /retention.input is 14 days, expected a whole number of days from 15 to 3650/,
    ],
    [{ noncurrentVersions: Duration.days(1) }, /retention.noncurrentVersions is 1 days, .*from 15/],
    [{ output: Duration.hours(12) }, /retention.output is 0.5 days, .*from 1 to/],
  ])('may not go before a job can have read them: %j', (retention, message) => {
    expect(reject({ retention })).toThrow(message);
  });

  test.each([
    ['versioned', { versioned: true }],
    ['retention', { retention: {} }],
    ['droppers', { droppers: {} }],
  ])('%s says nothing of a bucket that exists already, and is refused', (name, props) => {
    expect(reject({ bucketName: 'our-prompts', ...props })).toThrow(
      `${name} is given together with bucketName "our-prompts", and a bucket that exists already is not changed`,
    );
  });
});

describe('droppers of other accounts', () => {
  const EXPORTER = 'arn:aws:iam::444455556666:role/exporter';
  const statementsOf = (template: Template): Record<string, unknown>[] =>
    onlyResource(template, 'AWS::S3::BucketPolicy').Properties.PolicyDocument.Statement.slice(1);
  const bucketArn = (path: string) => ({
    'Fn::Join': ['', [{ 'Fn::GetAtt': [expect.stringContaining('StorageBucket'), 'Arn'] }, path]],
  });
  const upload = { Action: ['s3:AbortMultipartUpload', 's3:PutObject'] };
  const settings = {
    routes: [
      { ...BATCH_ONLY, name: 'all', prefix: 'input/' },
      { ...BATCH_ONLY, name: 'a', prefix: 'input/a/' },
    ],
  };

  test('may put objects below the prefix of their route, not into a route inside it, and read nothing', () => {
    const template = templateOf('droppers');
    const account = { AWS: expect.objectContaining({ 'Fn::Join': expect.anything() }) };
    expect(statementsOf(template)).toEqual([
      { Effect: 'Allow', Principal: { AWS: EXPORTER }, ...upload, Resource: bucketArn('/input/*') },
      { Effect: 'Deny', Principal: { AWS: EXPORTER }, ...upload, Resource: bucketArn('/input/a/*') },
      { Effect: 'Allow', Principal: account, ...upload, Resource: bucketArn('/input/a/*') },
    ]);
    expect(JSON.stringify(statementsOf(template))).toContain('777788889999');
  });

  test('who is named for both routes is denied neither', () => {
    const droppers = { all: [new iam.ArnPrincipal(EXPORTER)], a: [new iam.ArnPrincipal(EXPORTER)] };
    const statements = statementsOf(synthesize({ settings, droppers }));
    const Resource = [bucketArn('/input/*'), bucketArn('/input/a/*')];
    expect(statements).toEqual([{ Effect: 'Allow', Principal: { AWS: EXPORTER }, ...upload, Resource }]);
  });

  test('may encrypt with the key of the bucket, through S3', () => {
    const stack = stackOf(VARIANTS.find(({ name }) => name === 'droppers')!);
    const account = stack.node.root.node.findChild('account') as Stack;
    const { Statement } = onlyResource(Template.fromStack(account), 'AWS::KMS::Key').Properties.KeyPolicy;
    expect(Statement.at(-1)).toMatchObject({
      Sid: expect.stringMatching(/^DroppersToBucketdroppersPipeline[0-9A-F]{8}$/),
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
      Condition: {
        StringEquals: {
          'kms:ViaService': {
            'Fn::Join': ['', ['s3.', { Ref: 'AWS::Region' }, '.', { Ref: 'AWS::URLSuffix' }]],
          },
        },
      },
    });
  });

  test('of a bucket with a key that is not of this app, synth prints what that needs', () => {
    const stack = new Stack(newApp(), 'Test');
    const bucketEncryptionKey = kms.Key.fromKeyArn(stack, 'Key', KEY_ARN);
    new BatchPipeline(stack, 'Pipeline', {
      bucketEncryptionKey,
      droppers: { default: [new iam.ArnPrincipal(EXPORTER)] },
    });
    const [info] = Annotations.fromStack(stack).findInfo('*', Match.stringLikeRegexp('DroppersToBucket'));
    expect(String(info!.entry.data)).toContain(`"Principal":{"AWS":"${EXPORTER}"}`);
    expect(String(info!.entry.data)).toContain(KEY_ARN);
  });

  test('of a route that there is not are refused', () => {
    expect(reject({ settings, droppers: { b: [] } })).toThrow(
      'droppers names the route "b", and the routes are all, a',
    );
  });
});

describe('several environments', () => {
  test('two stacks of one account and region have no name in common', () => {
    const app = newApp();
    const props = VARIANTS.find(({ name }) => name === 'webhooks-http-api')!.props(app);
    const stacks = ['staging', 'production'].map((id) => new PipelineStack(app, id, props));
    const templates = stacks.map((stack) => Template.fromStack(stack));
    /** Names that are given, in place of names that CloudFormation makes up. */
    const namesIn = (template: Template): string[] =>
      Object.values(
        template.toJSON().Resources as Record<string, { Type: string; Properties?: object }>,
      ).flatMap(({ Type, Properties = {} }) =>
        Object.entries(Properties)
          .filter(([property]) => /^(Name|.*Name)$/.test(property) && !OF_OTHERS.includes(property))
          .map(([property, value]) => `${Type}.${property} ${JSON.stringify(value)}`),
      );
    // Of what belongs to another resource, which has a name of its own.
    const OF_OTHERS = ['FunctionName', 'PolicyName', 'StageName', 'TableName', 'MetricName'];
    const [staging, production] = templates.map(namesIn);
    expect(staging!.length).toBeGreaterThan(10);
    const shared = staging!.filter((name) => production!.includes(name));
    // The same text, which is another name in each stack.
    expect(shared.filter((name) => !/"AWS::Stack(Name|Id)"/.test(name))).toEqual([]);
  });

  test('a second pipeline in one stack is refused', () => {
    const stack = new Stack(newApp(), 'Test');
    new BatchPipeline(stack, 'One');
    expect(() => new BatchPipeline(stack, 'Two')).toThrow(
      'stack Test has the pipeline Test/One and is to have Test/Two, too, and a stack has one',
    );
  });
});
