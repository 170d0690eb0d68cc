import { Annotations, Duration, RemovalPolicy, Validations } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import * as s3 from 'aws-cdk-lib/aws-s3';
import { Construct } from 'constructs';
import { type Layout, type Places, prefixesOf } from '../src/contract/layout.ts';
import { OWNERS_KEY } from '../src/contract/prefix-owners.ts';
import { requireBucketName } from './configuration.ts';
import { keyPermissions } from './encryption.ts';
import type { Permission } from './permission.ts';
import type { PipelineFunction } from './pipeline-function.ts';
import { type Retention, retentionRules } from './retention.ts';

/** A prefix of the layout, by its name. */
export type Area = keyof Layout;

/** Whole, or in parts. */
const WRITE = ['s3:PutObject', 's3:AbortMultipartUpload'];

/** Where files are dropped and results appear. */
export interface StorageProps {
  /** Key prefixes: those of the layout and of routes. */
  readonly places: Places;
  /** Name of a bucket that exists already. @default - a bucket is made */
  readonly bucketName?: string | undefined;
  /** What becomes of a bucket that was made when the stack is deleted. @default RemovalPolicy.RETAIN */
  readonly removalPolicy?: RemovalPolicy | undefined;
  /** Whether a bucket that is made keeps versions. @default true */
  readonly versioned?: boolean | undefined;
  /** How long objects stay in a bucket that is made. @default - for ever, but for `work/` */
  readonly retention?: Retention | undefined;
  /** Key with which the bucket is encrypted. @default - none of the account's: by S3 */
  readonly encryptionKey?: IKey | undefined;
}

/** The bucket, made or existing, and what functions may do in it. */
export class Storage extends Construct {
  /** The bucket: made here, or looked at by name. */
  readonly bucket: s3.IBucket;
  readonly #places: Places;
  readonly #key: IKey | undefined;

  constructor(scope: Construct, id: string, props: StorageProps) {
    super(scope, id);
    this.#places = props.places;
    this.#key = props.encryptionKey;
    this.bucket =
      props.bucketName === undefined ? this.#makeBucket(props) : this.#useBucket(props.bucketName);
  }

  #makeBucket({
    removalPolicy = RemovalPolicy.RETAIN,
    versioned = true,
    retention = {},
  }: StorageProps): s3.IBucket {
    const bucket = new s3.Bucket(this, 'Bucket', {
      // A job is one version of one object: what was dropped stays readable when the key is dropped again.
      versioned,
      ...(this.#key === undefined
        ? { encryption: s3.BucketEncryption.S3_MANAGED }
        : {
            encryption: s3.BucketEncryption.KMS,
            encryptionKey: this.#key,
            // One call of KMS for many objects, in place of one for each.
            bucketKeyEnabled: true,
          }),
      blockPublicAccess: s3.BlockPublicAccess.BLOCK_ALL,
      objectOwnership: s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
      enforceSSL: true,
      removalPolicy,
      lifecycleRules: [
        {
          // Never what is current: a job may wait for longer than any number of days. The poll removes the files of
          // jobs that have ended; a day later the bytes go too, and what marks the removal.
          id: 'expire-removed-work',
          prefix: this.#places.layout.work,
          noncurrentVersionExpiration: Duration.days(1),
          expiredObjectDeleteMarker: true,
        },
        { id: 'abort-uploads', abortIncompleteMultipartUploadAfter: Duration.days(7) },
        ...retentionRules(this.#places, retention, versioned),
      ],
    });
    // A bucket that stays still refuses requests without TLS.
    bucket.policy?.applyRemovalPolicy(removalPolicy);
    // The L2 property `eventBridgeEnabled` would add a custom resource with wide rights to do the same.
    (bucket.node.defaultChild as s3.CfnBucket).notificationConfiguration = {
      eventBridgeConfiguration: { eventBridgeEnabled: true },
    };
    Validations.of(bucket).acknowledge({
      id: 'AwsSolutions-S1',
      reason:
        'Server access logs need a second bucket and name keys only; who reads or writes objects is for CloudTrail ' +
        'data events, which the account owner turns on for the trail that the account has.',
    });
    // `IBucket.policy` is declared without undefined, which exactOptionalPropertyTypes distinguishes.
    return bucket as s3.IBucket;
  }

  #useBucket(bucketName: string): s3.IBucket {
    requireBucketName(bucketName);
    Annotations.of(this).addInfoV2(
      'batchdrop:existing-bucket',
      [
        `Bucket ${bucketName} exists already and is not changed by this stack. Once, so that S3 notifies EventBridge of new objects, run:`,
        `  ${enableEventBridgeCommand(bucketName)}`,
        'That replaces a notification configuration which the bucket may have. To keep one, add to it (needs jq):',
        `  ${enableEventBridgeKeepingOthersCommand(bucketName)}`,
        `Files below ${this.#places.layout.work} are removed some time after their job has ended. No lifecycle rule may expire current ` +
          'objects there, because a job that waits needs them. If the bucket is versioned, add a rule for that prefix that ' +
          'expires noncurrent versions and expired delete markers.',
        `${OWNERS_KEY} says which stack owns which prefix: no lifecycle rule may expire it.`,
      ].join('\n'),
    );
    return s3.Bucket.fromBucketName(this, 'Bucket', bucketName);
  }

  /** URL of an area, such as `s3://bucket/input/`. */
  urlOf(area: Area): string {
    return `s3://${this.bucket.bucketName}/${this.#places.layout[area]}`;
  }

  /**
   * Lets a function read objects of these areas, any version, and list these areas and no others. S3 says of a missing
   * object that it may not be read, unless its reader may list the bucket: then the function lists the one key, see
   * src/adapters/s3/missing.ts.
   */
  allowReadVersions(fn: PipelineFunction, areas: readonly Area[]): void {
    this.#allowOnObjects(fn, areas, ['s3:GetObject', 's3:GetObjectVersion']);
    fn.allow(this.listing(areas, ['s3:ListBucket', 's3:ListBucketVersions']));
    fn.allow(...this.keyUse('read'));
  }

  /**
   * Lets a function read and write objects of these areas, and list these areas and no others. In one statement, since
   * each names every prefix, and a role's policy must not be longer than 10,240 characters.
   */
  allowReadWrite(fn: PipelineFunction, areas: readonly Area[]): void {
    this.#allowOnObjects(fn, areas, ['s3:GetObject', ...WRITE]);
    fn.allow(this.listing(areas));
    fn.allow(...this.keyUse('write'));
  }

  /** Lets a function list all versions of objects of these areas, and read none. */
  allowListVersions(fn: PipelineFunction, areas: readonly Area[]): void {
    fn.allow(this.listing(areas, ['s3:ListBucketVersions']));
  }

  /** Lets a function write objects of these areas, in parts too. */
  allowWrite(fn: PipelineFunction, areas: readonly Area[]): void {
    this.#allowOnObjects(fn, areas, WRITE);
    fn.allow(...this.keyUse('write'));
  }

  /** Lets a function delete the current version in these areas; older versions stay. */
  allowDelete(fn: PipelineFunction, areas: readonly Area[]): void {
    this.#allowOnObjects(fn, areas, ['s3:DeleteObject']);
  }

  /** Lets a function delete any version in these areas, so that nothing of it is left. */
  allowErase(fn: PipelineFunction, areas: readonly Area[]): void {
    this.#allowOnObjects(fn, areas, ['s3:DeleteObject', 's3:DeleteObjectVersion']);
  }

  /**
   * Lets a function delete on the condition that an object is unchanged, for which S3 asks for the right to read it (S3
   * user guide, "How to perform conditional deletes"). Areas that it may read need no more.
   */
  allowConditions(fn: PipelineFunction, areas: readonly Area[]): void {
    this.#allowOnObjects(fn, areas, ['s3:GetObject']);
  }

  /**
   * Lets a function read and replace the object that says which stack owns which prefix, and list that one key; see
   * {@link allowReadVersions}.
   */
  allowOwners(fn: PipelineFunction): void {
    fn.allow({
      actions: ['s3:GetObject', 's3:PutObject'],
      resources: [this.bucket.arnForObjects(OWNERS_KEY)],
    });
    fn.allow({
      actions: ['s3:ListBucket'],
      resources: [this.bucket.bucketArn],
      conditions: { StringEquals: { 's3:prefix': OWNERS_KEY } },
    });
    fn.allow(...this.keyUse('write'));
  }

  /** The statement that allows these actions on all objects of these areas. */
  onObjects(areas: readonly Area[], actions: readonly string[]): Permission {
    return {
      actions,
      resources: this.#prefixesOf(areas).map((prefix) => this.bucket.arnForObjects(`${prefix}*`)),
      wildcardReason:
        'The person who drops a file chooses its key; the wildcard is confined to one prefix of one bucket.',
    };
  }

  /** The statements that allow to use the key of the bucket, beside those on its objects; none, if it has none. */
  keyUse(what: 'read' | 'write'): Permission[] {
    return keyPermissions(this.#key, `s3.${what}`);
  }

  /** The statement that allows to list these areas, and no others: names, not content. */
  listing(areas: readonly Area[], actions: readonly string[] = ['s3:ListBucket']): Permission {
    return {
      actions,
      resources: [this.bucket.bucketArn],
      conditions: { StringLike: { 's3:prefix': this.#prefixesOf(areas).map((prefix) => `${prefix}*`) } },
    };
  }

  #prefixesOf(areas: readonly Area[]): string[] {
    return areas.flatMap((area) => prefixesOf(this.#places, area));
  }

  #allowOnObjects(fn: PipelineFunction, areas: readonly Area[], actions: readonly string[]): void {
    fn.allow(this.onObjects(areas, actions));
  }
}

/** The command that makes an existing bucket notify EventBridge of its objects. It replaces other notifications. */
export function enableEventBridgeCommand(bucketName: string): string {
  return (
    `aws s3api put-bucket-notification-configuration --bucket ${bucketName} ` +
    `--notification-configuration '{"EventBridgeConfiguration":{}}'`
  );
}

/** The same for a bucket that has a notification configuration which must stay. */
export function enableEventBridgeKeepingOthersCommand(bucketName: string): string {
  // The CLI prints nothing at all for a bucket without notifications: -s turns that into an empty list.
  return (
    `aws s3api get-bucket-notification-configuration --bucket ${bucketName} --output json | ` +
    `jq -s '(.[0] // {}) + {EventBridgeConfiguration: {}}' > notifications.json && ` +
    `aws s3api put-bucket-notification-configuration --bucket ${bucketName} ` +
    '--notification-configuration file://notifications.json'
  );
}
