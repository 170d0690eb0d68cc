/**
 * The variants in which a pipeline is deployed, as data: what reads templates (cfn-lint, cdk-nag, other scanners, tests)
 * reads each of them.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { type App, Duration, PermissionsBoundary, RemovalPolicy, Stack } from 'aws-cdk-lib';
import * as ec2 from 'aws-cdk-lib/aws-ec2';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { PipelineStack, type PipelineStackProps } from '../../lib/pipeline-stack.ts';
import { BATCH_ONLY } from './routes.ts';
import { newApp } from './synthesize.ts';
import { workerFolder } from './worker-folder.ts';

/** One way to deploy a pipeline. */
export interface Variant {
  /** Lower case with `-`: also the name of the stack and, with `.template.json`, of its file. */
  readonly name: string;
  /** Props of the stack. @param app what stacks that are there before the pipeline's would be put into. */
  readonly props: (app: App) => PipelineStackProps;
}

/** Of keys that are there before the pipeline. */
export const KEY_ARN = 'arn:aws:kms:eu-west-1:111122223333:key/0b1c2d3e-0000-4000-8000-000000000001';
export const BUCKET_KEY_ARN = 'arn:aws:kms:eu-west-1:111122223333:key/0b1c2d3e-0000-4000-8000-000000000002';

/** Every kind of resource that settings add. */
const EVERYTHING = {
  routes: [
    {
      ...BATCH_ONLY,
      name: 'a',
      prefix: 'input/',
      apiKey: 'team-a',
      notify: 'arn:aws:sqs:eu-west-1:111122223333:done',
    },
  ],
  webhooks: { apiKeys: ['default'], endpoint: 'http_api' as const },
};

/** A route inside another, with results below prefixes of its own. */
const OWN_RESULTS = {
  routes: [
    { ...BATCH_ONLY, name: 'all', prefix: 'input/' },
    { ...BATCH_ONLY, name: 'a', prefix: 'input/a/', layout: { output: 'a/', receipts: 'r/' } },
  ],
};

/** A network in a stack of its own. */
function networkOfAccount(app: App) {
  const account = new Stack(app, 'account');
  // With an optional member, the class is none of the interface in TypeScript's exact terms.
  const vpc: ec2.IVpc = new ec2.Vpc(account, 'Vpc', {
    maxAzs: 2,
    natGateways: 1,
    subnetConfiguration: [
      { name: 'public', subnetType: ec2.SubnetType.PUBLIC },
      { name: 'private', subnetType: ec2.SubnetType.PRIVATE_WITH_EGRESS },
      { name: 'isolated', subnetType: ec2.SubnetType.PRIVATE_ISOLATED },
    ],
  }) as ec2.IVpc;
  return { vpc, securityGroup: new ec2.SecurityGroup(account, 'Functions', { vpc }) };
}

/** A key in a stack of its own, as a platform team has it. */
function keyOfAccount(app: App): kms.IKey {
  return new kms.Key(new Stack(app, 'account'), 'Key', { enableKeyRotation: true });
}

function importedKey(app: App, arn: string): kms.IKey {
  const account = new Stack(app, 'account');
  const key = kms.Key.fromKeyArn(account, 'Key', arn);
  // CDK refuses a stack without a resource.
  new kms.Alias(account, 'Alias', { aliasName: 'alias/prompts', targetKey: key });
  return key;
}

/** Every variant; a new prop that changes the template gets one. */
export const VARIANTS: readonly Variant[] = [
  { name: 'default', props: () => ({}) },
  {
    name: 'adopted',
    props: () => ({
      bucketName: 'our-prompts',
      adopt: { stackId: '0b5e3c3a-6c1f-4b5e-9a53-3f6f3f1f2a10', tableName: 'batchdrop-Table' },
    }),
  },
  { name: 'existing-bucket', props: () => ({ bucketName: 'our-prompts' }) },
  {
    name: 'development',
    props: () => ({ removalPolicy: RemovalPolicy.DESTROY, openaiBaseUrl: 'https://llm.example.com/v1' }),
  },
  {
    name: 'own-layout',
    props: () => ({
      settings: {
        layout: { input: 'drop/', work: 'tmp/work/' },
        routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'drop/a/' }],
      },
    }),
  },
  {
    name: 'webhooks-function-url',
    props: () => ({
      settings: {
        routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', apiKey: 'team-a' }],
        webhooks: { apiKeys: ['default', 'team-a'] },
      },
    }),
  },
  {
    name: 'webhooks-http-api',
    props: () => ({
      settings: {
        routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/' }],
        webhooks: { apiKeys: ['default'], endpoint: 'http_api' },
      },
    }),
  },
  {
    name: 'route-api-key',
    props: () => ({
      settings: { routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', apiKey: 'team-a' }] },
    }),
  },
  {
    name: 'notifications',
    props: () => ({
      settings: {
        routes: [
          { ...BATCH_ONLY, name: 'a', prefix: 'input/', notify: 'arn:aws:sqs:eu-west-1:111122223333:done' },
          { ...BATCH_ONLY, name: 'b', prefix: 'input/b/', notify: 'arn:aws:sns:eu-west-1:111122223333:done' },
          {
            ...BATCH_ONLY,
            name: 'c',
            prefix: 'input/c/',
            notify: 'arn:aws:events:eu-west-1:111122223333:event-bus/done',
          },
        ],
      },
    }),
  },
  { name: 'quiet', props: () => ({ alarms: false, dashboard: false, policies: false }) },
  {
    name: 'reserved-concurrency',
    props: () => ({ reservedConcurrency: { poll: 1, ingest: 10 } }),
  },
  { name: 'encryption-key', props: (app) => ({ encryptionKey: keyOfAccount(app), settings: EVERYTHING }) },
  {
    name: 'encryption-key-by-arn',
    props: (app) => ({ encryptionKey: importedKey(app, KEY_ARN), settings: EVERYTHING }),
  },
  {
    name: 'existing-bucket-with-key',
    props: (app) => ({ bucketName: 'our-prompts', bucketEncryptionKey: importedKey(app, BUCKET_KEY_ARN) }),
  },
  {
    name: 'vpc',
    props: (app) => {
      const { vpc, securityGroup } = networkOfAccount(app);
      return { vpc, securityGroups: [securityGroup], settings: EVERYTHING };
    },
  },
  {
    name: 'vpc-with-proxy',
    props: (app) => {
      const { vpc } = networkOfAccount(app);
      const vpcSubnets = { subnetType: ec2.SubnetType.PRIVATE_ISOLATED };
      return { vpc, vpcSubnets, httpsProxy: 'http://proxy.internal:3128', settings: EVERYTHING };
    },
  },
  {
    name: 'permissions-boundary',
    props: () => ({ permissionsBoundary: PermissionsBoundary.fromName('team-boundary') }),
  },
  { name: 'tags', props: () => ({ tags: { team: 'search', 'cost-centre': '4711' } }) },
  { name: 'x86', props: () => ({ architecture: lambda.Architecture.X86_64 }) },
  { name: 'unversioned', props: () => ({ versioned: false, retention: { output: Duration.days(7) } }) },
  {
    name: 'retention',
    props: () => ({
      settings: OWN_RESULTS,
      retention: { input: Duration.days(90), output: Duration.days(30), receipts: Duration.days(365) },
    }),
  },
  {
    name: 'droppers',
    props: (app) => ({
      settings: OWN_RESULTS,
      encryptionKey: keyOfAccount(app),
      droppers: {
        all: [new iam.ArnPrincipal('arn:aws:iam::444455556666:role/exporter')],
        a: [new iam.AccountPrincipal('777788889999')],
      },
    }),
  },
  {
    name: 'budget-time-zone',
    props: () => ({
      settings: {
        routes: [
          {
            name: 'a',
            prefix: 'input/',
            tiers: ['batch'],
            budget: { perDayUsd: '10', timeZone: 'Europe/Berlin' },
          },
        ],
      },
    }),
  },
];

/** The stack of a variant, in an app of its own. Its output goes when the process ends. */
export function stackOf({ name, props }: Variant): PipelineStack {
  const app = newApp();
  return new PipelineStack(app, name, props(app));
}

const folder = workerFolder('batchdrop-variants-');

/**
 * Writes what `cdk synth` writes of every variant. @param into a folder that is there. Default: one that goes when the
 * process ends.
 *
 * @returns where the template of each is, by its name.
 */
export function writeVariants(into: string = mkdtempSync(join(folder, 'templates-'))): Map<string, string> {
  return new Map(
    VARIANTS.map(({ name, props }) => {
      const app = newApp(join(into, name));
      new PipelineStack(app, name, props(app));
      app.synth();
      return [name, join(into, name, `${name}.template.json`)];
    }),
  );
}
