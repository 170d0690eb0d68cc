/**
 * One app, several environments: an account for development, one for production in two regions, and roles of other accounts
 * that drop files and read results. Deploy one with `npx cdk deploy batchdrop-dev`.
 */
import { App, Duration, RemovalPolicy } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import { PipelineStack, type PipelineStackProps } from 'batchdrop';

const EXPORTER = new iam.ArnPrincipal('arn:aws:iam::333333333333:role/exporter');
const READER = new iam.ArnPrincipal('arn:aws:iam::444444444444:role/reader');
const DEVELOPMENT = '111111111111';
const PRODUCTION = '222222222222';

/** The same routes everywhere; what they may cost differs. */
const routes = (perDayUsd: string) => [
  { name: 'search', prefix: 'input/search/', tiers: ['batch' as const], budget: { perDayUsd } },
];

/** The id of a construct, by which `cdk deploy` names the stack, is one for each; the name in the account may be the same. */
const ENVIRONMENTS: Readonly<Record<string, PipelineStackProps>> = {
  'batchdrop-dev': {
    env: { account: DEVELOPMENT, region: 'eu-west-1' },
    settings: { routes: routes('1') },
    removalPolicy: RemovalPolicy.DESTROY,
    alarms: false,
    dashboard: false,
  },
  'batchdrop-prod-eu': {
    env: { account: PRODUCTION, region: 'eu-west-1' },
    stackName: 'batchdrop',
    settings: { routes: routes('200') },
    retention: { input: Duration.days(90), output: Duration.days(30) },
    droppers: { search: [EXPORTER] },
    alarms: { topicArn: `arn:aws:sns:eu-west-1:${PRODUCTION}:on-call` },
    terminationProtection: true,
  },
  // A bucket, a table, a secret and, best, an OpenAI project of its own: regions share nothing.
  'batchdrop-prod-us': {
    env: { account: PRODUCTION, region: 'us-east-1' },
    stackName: 'batchdrop',
    settings: { routes: routes('200') },
    alarms: { topicArn: `arn:aws:sns:us-east-1:${PRODUCTION}:on-call` },
    terminationProtection: true,
  },
};

const app = new App();
const stacks = new Map(
  Object.entries(ENVIRONMENTS).map(([id, props]) => [id, new PipelineStack(app, id, props)]),
);

// Readers of another account: results and receipts of one route, and their names. Their own account must allow it, too.
const { bucket } = stacks.get('batchdrop-prod-eu')!.pipeline.storage;
const READ = ['output/search/', 'errors/search/', 'receipts/search/'];
bucket.addToResourcePolicy(
  new iam.PolicyStatement({
    principals: [READER],
    actions: ['s3:GetObject'],
    resources: READ.map((prefix) => bucket.arnForObjects(`${prefix}*`)),
  }),
);
bucket.addToResourcePolicy(
  new iam.PolicyStatement({
    principals: [READER],
    actions: ['s3:ListBucket'],
    resources: [bucket.bucketArn],
    conditions: { StringLike: { 's3:prefix': READ.map((prefix) => `${prefix}*`) } },
  }),
);
