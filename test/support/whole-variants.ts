/** Variants that are run whole on the local stack, as stacks of one app whose functions are bundled. */
import { Duration, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as kms from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { PipelineStack } from '../../lib/pipeline-stack.ts';
import { newBundlingApp } from './open-emulated-stack.ts';
import { BATCH_ONLY } from './routes.ts';

/** A role that drops into the route `all` of the stack `shared`. */
export const EXPORTER = 'arn:aws:iam::444455556666:role/exporter';
/** An account whose roles and users drop into its route `a`. */
export const TEAM = '777788889999';

/**
 * Writes a platform team's stack `account` with keys and the bucket `our-prompts`, and pipelines that take them from there:
 * `with-key`, `existing-bucket`, `unversioned`, and `shared`, with droppers, retention and a key.
 */
export function synthesizeWholeVariants(cdkOut: string): void {
  const app = newBundlingApp(cdkOut);
  const account = new Stack(app, 'account');
  const key = (id: string) => new kms.Key(account, id, { enableKeyRotation: true });
  const bucketEncryptionKey = key('BucketKey');
  const prompts = new s3.Bucket(account, 'Prompts', {
    bucketName: 'our-prompts',
    versioned: true,
    encryption: s3.BucketEncryption.KMS,
    encryptionKey: bucketEncryptionKey,
  });
  (prompts.node.defaultChild as s3.CfnBucket).notificationConfiguration = {
    eventBridgeConfiguration: { eventBridgeEnabled: true },
  };
  const all = { ...BATCH_ONLY, name: 'all', prefix: 'input/' };

  new PipelineStack(app, 'with-key', {
    encryptionKey: key('Key'),
    settings: {
      routes: [
        { ...all, apiKey: 'team-a' },
        { name: 'now', prefix: 'input/now/', tiers: ['standard'], budget: 'unlimited' },
      ],
      webhooks: { apiKeys: ['default', 'team-a'], endpoint: 'http_api' },
    },
  });
  const existing = { bucketName: 'our-prompts', bucketEncryptionKey, settings: { routes: [all] } };
  new PipelineStack(app, 'existing-bucket', existing).addStackDependency(account);
  new PipelineStack(app, 'unversioned', { versioned: false, settings: { routes: [all] } });
  new PipelineStack(app, 'shared', {
    encryptionKey: key('SharedKey'),
    settings: {
      routes: [
        all,
        { ...BATCH_ONLY, name: 'a', prefix: 'input/a/', layout: { output: 'answers/', receipts: 'r/' } },
      ],
    },
    droppers: { all: [new iam.ArnPrincipal(EXPORTER)], a: [new iam.AccountPrincipal(TEAM)] },
    retention: { input: Duration.days(90), output: Duration.days(30), receipts: Duration.days(365) },
  });
  app.synth();
}
