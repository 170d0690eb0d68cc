/** Which resources of a template are encrypted with keys of the account, so that who calls them needs rights on the key. */
import type { EncryptionKey } from '../services/iam/keys.ts';
import { ACCOUNT_ID, REGION } from './account.ts';
import type { NamedTemplate } from './names.ts';

/** Gives the key of a resource by the ARN that a call names: of an object, that of its bucket. `undefined`: AWS's own. */
export type KeyOf = (resourceArn: string) => EncryptionKey | undefined;

interface NamedKey {
  /** ARN, id or alias. */
  id?: string | undefined;
  isBucketKey?: boolean | undefined;
}

interface SseSpecification {
  KMSMasterKeyId?: string;
}

interface BucketEncryption {
  ServerSideEncryptionConfiguration?: {
    BucketKeyEnabled?: boolean | string;
    ServerSideEncryptionByDefault?: { KMSMasterKeyID?: string };
  }[];
}

/** Where each type of resource names its key. Source: CloudFormation reference. */
const KEY_OF_TYPE: Readonly<Record<string, (properties: never) => NamedKey>> = {
  'AWS::S3::Bucket': ({ BucketEncryption: given }: { BucketEncryption?: BucketEncryption }) => {
    const [rule] = given?.ServerSideEncryptionConfiguration ?? [];
    return {
      id: rule?.ServerSideEncryptionByDefault?.KMSMasterKeyID,
      isBucketKey: String(rule?.BucketKeyEnabled) === 'true',
    };
  },
  'AWS::DynamoDB::Table': ({ SSESpecification }: { SSESpecification?: SseSpecification }) => ({
    id: SSESpecification?.KMSMasterKeyId,
  }),
  'AWS::DynamoDB::GlobalTable': ({ Replicas }: { Replicas?: { SSESpecification?: SseSpecification }[] }) => ({
    id: Replicas?.[0]?.SSESpecification?.KMSMasterKeyId,
  }),
  'AWS::SQS::Queue': ({ KmsMasterKeyId }: { KmsMasterKeyId?: string }) => ({ id: KmsMasterKeyId }),
  'AWS::SNS::Topic': ({ KmsMasterKeyId }: { KmsMasterKeyId?: string }) => ({ id: KmsMasterKeyId }),
  'AWS::SecretsManager::Secret': ({ KmsKeyId }: { KmsKeyId?: string }) => ({ id: KmsKeyId }),
  'AWS::Logs::LogGroup': ({ KmsKeyId }: { KmsKeyId?: string }) => ({ id: KmsKeyId }),
};

/**
 * Reads the keys of a stack's resources, and of those of the stacks that it depends on.
 *
 * @throws for a key that is named by an alias of the account's: what it stands for is in no template
 */
export function readKeys(templates: readonly NamedTemplate[]): KeyOf {
  const keys = new Map<string, EncryptionKey>();
  for (const named of templates)
    for (const { logicalId, type, path, properties } of named.resourcesOf(...Object.keys(KEY_OF_TYPE))) {
      const { id, isBucketKey } = KEY_OF_TYPE[type]!(properties as never);
      const arn = keyArnOf(id, path);
      if (arn !== undefined) keys.set(named.arnOf(logicalId), { arn, isBucketKey });
    }
  return (arn) => keys.get(ownerOf(arn));
}

/** Of an object its bucket, of an index its table. */
function ownerOf(arn: string): string {
  return arn.startsWith('arn:aws:s3:') ? arn.split('/', 1)[0]! : arn.replace(/\/index\/.*$/, '');
}

function keyArnOf(id: string | undefined, path: string): string | undefined {
  // Keys that AWS makes for a service let everybody use them who may use that service.
  if (id === undefined || /(^|:)alias\/aws\//.test(id)) return undefined;
  if (/(^|:)alias\//.test(id))
    throw new Error(
      `${path} is encrypted with "${id}": the local stack does not know which key that is; name its ARN.`,
    );
  return id.startsWith('arn:') ? id : `arn:aws:kms:${REGION}:${ACCOUNT_ID}:key/${id}`;
}
