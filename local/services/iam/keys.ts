/**
 * What services ask KMS for, where a call reaches something that is encrypted with a key of the account. They ask with the
 * rights of who made the call, so those need rights on the key as well. A service of AWS's that makes the call itself needs
 * them by the policy of the key.
 *
 * Data keys that services keep for minutes are left out: here, each call asks anew, so a right that is lacking shows at once.
 */
import type { RequestContext } from './conditions.ts';
import type { ApiCall } from './policy.ts';

/** With what something is encrypted. */
export interface EncryptionKey {
  /** ARN of the key. */
  arn: string;
  /** Of a bucket: S3 derives keys of objects from one of the bucket's (`BucketKeyEnabled`). @default false */
  isBucketKey?: boolean | undefined;
}

/** A refusal as a service answers it. */
export interface KeyRefusal {
  /** Name of the exception. */
  code: string;
  message: string;
  /** Of HTTP. */
  status: number;
}

type KeyAction =
  | 'kms:Decrypt'
  | 'kms:Encrypt'
  | 'kms:GenerateDataKey'
  | 'kms:ReEncryptFrom'
  | 'kms:ReEncryptTo';

interface ServiceUse {
  /** What KMS is asked for, by the operation that the service is asked for; the others need no key. */
  operations: Readonly<Record<string, readonly KeyAction[]>>;
  /** The encryption context that the service gives KMS, which policies may name. */
  encryptionContext(resource: string, key: EncryptionKey): Record<string, string>;
  /** What the caller gets. @param reason AWS's words for what is lacking */
  refusal(reason: string): KeyRefusal;
}

const DECRYPT = ['kms:Decrypt'] as const;
const GENERATE = ['kms:GenerateDataKey'] as const;
const BOTH = ['kms:GenerateDataKey', 'kms:Decrypt'] as const;

const denied = (message: string): KeyRefusal => ({ code: 'AccessDenied', message, status: 403 });

const SERVICES: Readonly<Record<string, ServiceUse>> = {
  /**
   * S3 user guide, "Using server-side encryption with AWS KMS keys" and "Multipart upload API and permissions"; API
   * reference of each operation. A HEAD decrypts only a checksum that it asks for.
   */
  s3: {
    operations: {
      GetObject: DECRYPT,
      GetObjectVersion: DECRYPT,
      PutObject: GENERATE,
      CopyObject: GENERATE,
      CreateMultipartUpload: GENERATE,
      UploadPart: DECRYPT,
      UploadPartCopy: DECRYPT,
      CompleteMultipartUpload: DECRYPT,
    },
    // S3 user guide, "Reducing the cost of SSE-KMS with Amazon S3 Bucket Keys": of the bucket, not of the object.
    encryptionContext: (resource, { isBucketKey }) => ({
      'aws:s3:arn': isBucketKey === true ? resource.split('/', 1)[0]! : resource,
    }),
    refusal: denied,
  },
  /**
   * SQS developer guide, "Amazon SQS key management": producers and consumers. Moving dead letters is receiving and sending.
   * The encryption context is not described there; policies in public repositories name it so.
   */
  sqs: {
    operations: { SendMessage: BOTH, ReceiveMessage: DECRYPT },
    encryptionContext: (resource) => ({ 'aws:sqs:arn': resource }),
    // SQS API reference, errors of SendMessage and ReceiveMessage.
    refusal: (message) => ({ code: 'KmsAccessDenied', message, status: 400 }),
  },
  /**
   * DynamoDB developer guide, "DynamoDB encryption at rest usage notes": who accesses a table decrypts the table's key.
   * DynamoDB itself made that key, by the grant that it got from who made the table. What CDK grants to writers beyond
   * `kms:Decrypt` is not described there as asked for.
   */
  dynamodb: {
    operations: {
      GetItem: DECRYPT,
      PutItem: DECRYPT,
      UpdateItem: DECRYPT,
      DeleteItem: DECRYPT,
      ConditionCheckItem: DECRYPT,
      Query: DECRYPT,
      Scan: DECRYPT,
      BatchGetItem: DECRYPT,
      BatchWriteItem: DECRYPT,
    },
    encryptionContext: (resource) => {
      const [, , , , accountId = '', table = ''] = resource.split(':');
      return { 'aws:dynamodb:tableName': table.split('/')[1]!, 'aws:dynamodb:subscriberId': accountId };
    },
    refusal: (reason) => ({
      code: 'AccessDeniedException',
      message: `KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: ${reason}`,
      status: 400,
    }),
  },
  /** Secrets Manager user guide, "Secret encryption and decryption in AWS Secrets Manager". */
  secretsmanager: {
    operations: { GetSecretValue: DECRYPT, PutSecretValue: GENERATE },
    encryptionContext: (resource) => ({ SecretARN: resource }),
    refusal: () => ({
      code: 'AccessDeniedException',
      message: 'Access to KMS is not allowed',
      status: 400,
    }),
  },
  /** SNS developer guide, "Managing Amazon SNS encryption keys and costs". */
  sns: {
    operations: { Publish: BOTH },
    encryptionContext: (resource) => ({ 'aws:sns:topicArn': resource }),
    refusal: (message) => ({ code: 'KMSAccessDenied', message, status: 400 }),
  },
  /** CloudWatch Logs user guide, "Encrypt log data in CloudWatch Logs using AWS KMS": by the service alone. */
  logs: {
    operations: {
      PutLogEvents: [
        'kms:Encrypt',
        'kms:Decrypt',
        'kms:ReEncryptFrom',
        'kms:ReEncryptTo',
        'kms:GenerateDataKey',
      ],
    },
    encryptionContext: (resource) => ({ 'aws:logs:arn': resource.replace(/:\*$/, '') }),
    refusal: denied,
  },
};

/**
 * Services of AWS's of whose calls KMS is told the account only, and not for which of its resources they are made. Source: the
 * statement that CDK's `SqsQueue` target adds to the policy of a key. SNS supports neither for EventBridge (developer guide).
 */
const WITHOUT_SOURCE_ARN: readonly string[] = ['events.amazonaws.com'];

const REGION = 'us-east-1';

/** What KMS is asked for by a call, on behalf of who makes it. @param key of the resource, if that has one */
export function keyCallsOf(call: ApiCall, key: EncryptionKey | undefined): ApiCall[] {
  if (key === undefined) return [];
  const [name = '', action = ''] = call.action.split(':');
  const use = SERVICES[name];
  const context: Record<string, string> = {
    'aws:SecureTransport': 'true',
    'kms:ViaService': `${name}.${REGION}.amazonaws.com`,
  };
  for (const [pair, value] of Object.entries(use?.encryptionContext(call.resource, key) ?? {}))
    context[`kms:EncryptionContext:${pair}`] = value;
  const { isOptional } = call;
  return (use?.operations[call.operation ?? action] ?? []).map((each) => ({
    action: each,
    resource: key.arn,
    context,
    isOptional,
  }));
}

/** What KMS knows of a call of a service of AWS's own: it is made via no other service. */
export function keyContextOfService(service: string, context: RequestContext): RequestContext {
  const { 'kms:ViaService': _, 'aws:SourceArn': sourceArn, ...others } = context;
  if (sourceArn === undefined || WITHOUT_SOURCE_ARN.includes(service)) return others;
  return { ...others, 'aws:SourceArn': sourceArn };
}

/** How a service answers a refusal. `undefined`: it is not about a key, and worded as the service does by itself. */
export function keyRefusalOf(service: string, reason: string): KeyRefusal | undefined {
  return reason.includes(' is not authorized to perform: kms:')
    ? SERVICES[service]?.refusal(reason)
    : undefined;
}
