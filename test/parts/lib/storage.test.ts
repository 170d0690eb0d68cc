import { RemovalPolicy, Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { BatchPipeline } from '../../../lib/batch-pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { newApp, onlyResource, synthesize } from '../../support/synthesize.ts';

describe('a bucket that is made', () => {
  const template = synthesize();
  const bucket = onlyResource(template, 'AWS::S3::Bucket');

  test('is versioned, encrypted, closed to the public and owned by the account', () => {
    expect(bucket.Properties).toMatchObject({
      VersioningConfiguration: { Status: 'Enabled' },
      BucketEncryption: {
        ServerSideEncryptionConfiguration: [{ ServerSideEncryptionByDefault: { SSEAlgorithm: 'AES256' } }],
      },
      PublicAccessBlockConfiguration: {
        BlockPublicAcls: true,
        BlockPublicPolicy: true,
        IgnorePublicAcls: true,
        RestrictPublicBuckets: true,
      },
      OwnershipControls: { Rules: [{ ObjectOwnership: 'BucketOwnerEnforced' }] },
    });
  });

  test('refuses requests without TLS', () => {
    template.hasResourceProperties('AWS::S3::BucketPolicy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Effect: 'Deny',
            Action: 's3:*',
            Principal: { AWS: '*' },
            Condition: { Bool: { 'aws:SecureTransport': 'false' } },
          }),
        ]),
      },
    });
  });

  test('notifies EventBridge of its objects without a custom resource', () => {
    expect(bucket.Properties.NotificationConfiguration).toEqual({
      EventBridgeConfiguration: { EventBridgeEnabled: true },
    });
    template.resourcePropertiesCountIs('AWS::Lambda::Function', {}, 7);
  });

  test('expires of work/ only what was removed there, a day later, and unfinished uploads after 7', () => {
    expect(bucket.Properties.LifecycleConfiguration.Rules).toEqual([
      {
        Id: 'expire-removed-work',
        Prefix: 'work/',
        Status: 'Enabled',
        ExpiredObjectDeleteMarker: true,
        NoncurrentVersionExpiration: { NoncurrentDays: 1 },
      },
      { Id: 'abort-uploads', Status: 'Enabled', AbortIncompleteMultipartUpload: { DaysAfterInitiation: 7 } },
    ]);
  });

  test('is retained with its policy when the stack is gone, unless its props say otherwise', () => {
    expect(bucket.DeletionPolicy).toBe('Retain');
    expect(onlyResource(template, 'AWS::S3::BucketPolicy').DeletionPolicy).toBe('Retain');
    const destroyed = synthesize({ removalPolicy: RemovalPolicy.DESTROY });
    expect(onlyResource(destroyed, 'AWS::S3::Bucket').DeletionPolicy).toBe('Delete');
  });

  test('follows the work prefix of the layout', () => {
    const made = synthesize({
      settings: {
        layout: { work: 'batchdrop/work/' },
        routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'input/' }],
      },
    });
    expect(onlyResource(made, 'AWS::S3::Bucket').Properties.LifecycleConfiguration.Rules[0]).toMatchObject({
      Prefix: 'batchdrop/work/',
    });
  });
});

describe('a bucket that exists already', () => {
  const stack = new Stack(newApp(), 'Test');
  new BatchPipeline(stack, 'Pipeline', { bucketName: 'our-prompts' });
  const template = Template.fromStack(stack);

  test('is neither made nor changed', () => {
    template.resourceCountIs('AWS::S3::Bucket', 0);
    template.resourceCountIs('AWS::S3::BucketPolicy', 0);
  });

  test('is named in the rule and in the environment of every function', () => {
    template.hasResourceProperties('AWS::Events::Rule', {
      EventPattern: { detail: { bucket: { name: ['our-prompts'] } } },
    });
    template.resourcePropertiesCountIs(
      'AWS::Lambda::Function',
      { Environment: { Variables: { BUCKET_NAME: 'our-prompts' } } },
      7,
    );
  });

  test('is readable by the functions below the input prefix', () => {
    template.hasResourceProperties('AWS::IAM::Policy', {
      PolicyDocument: {
        Statement: Match.arrayWith([
          Match.objectLike({
            Action: ['s3:GetObject', 's3:GetObjectVersion'],
            Resource: Match.arrayWith([
              { 'Fn::Join': ['', ['arn:', { Ref: 'AWS::Partition' }, ':s3:::our-prompts/input/*']] },
            ]),
          }),
        ]),
      },
    });
  });

  test('comes with the command that enables EventBridge, a warning that it replaces, and the one that keeps', () => {
    const [info] = Annotations.fromStack(stack).findInfo('*', Match.anyValue());
    expect(info!.entry.data).toContain(
      'aws s3api put-bucket-notification-configuration --bucket our-prompts ' +
        `--notification-configuration '{"EventBridgeConfiguration":{}}'`,
    );
    expect(info!.entry.data).toContain('replaces a notification configuration');
    expect(info!.entry.data).toContain('No lifecycle rule may expire current objects there');
    expect(info!.entry.data).toContain("jq -s '(.[0] // {}) + {EventBridgeConfiguration: {}}'");
  });
});
