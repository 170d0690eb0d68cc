/** Findings of checkov that stay, by check: which resources have them, and why. Every other finding fails. */

/** Why a finding stays. */
interface Explained {
  /** Logical ids of resources, as `Type.Id`. */
  resources: RegExp;
  /** Where it stays, by the file name of the template. Default: everywhere. */
  variants?: RegExp;
  why: string;
}

const EVERY_FUNCTION = /^AWS::Lambda::Function\./;

export const EXPLAINED: Readonly<Record<string, Explained>> = {
  CKV_AWS_18: {
    resources: /^AWS::S3::Bucket\..*StorageBucket/,
    why: 'Server access logs go to a bucket of the account, which a deployment names: docs/security.md, "Left to the account". A log bucket of our own would be one more store of the names of files.',
  },
  CKV_AWS_21: {
    resources: /^AWS::S3::Bucket\..*StorageBucket/,
    variants: /^unversioned\./,
    why: 'The variant is a bucket without versions: `versioned: false` is a choice of the deployment, and inputs are copied before they are read.',
  },
  CKV_AWS_27: {
    resources: /^AWS::SQS::Queue\./,
    why: 'Queues are encrypted by SQS (SSE-SQS, SqsManagedSseEnabled, or the default of SQS since 2023); the check knows keys of KMS only. Messages hold ids, no content.',
  },
  CKV_AWS_111: {
    resources: /^AWS::IAM::Policy\..*FunctionRoleDefaultPolicy/,
    variants: /^vpc/,
    why: 'Lambda makes network interfaces with the role of the function, and EC2 takes no resource for that ("Giving Lambda functions access to resources in an Amazon VPC"). All other statements name resources.',
  },
  CKV_AWS_115: {
    resources: EVERY_FUNCTION,
    why: 'An account with ten functions at a time is enough (ADR 35), and a reservation takes from others: `reservedConcurrency` reserves where it is wanted.',
  },
  CKV_AWS_116: {
    resources: EVERY_FUNCTION,
    why: 'Functions are invoked by queues that have dead-letter queues of their own, by a schedule that comes again, or by a request that gets the error. A dead-letter queue of a function is for asynchronous invocations alone.',
  },
  CKV_AWS_117: {
    resources: EVERY_FUNCTION,
    why: 'They call OpenAI over the internet and AWS by its public endpoints, with TLS; a VPC with a NAT gateway adds a charge and no control that the functions lack.',
  },
  CKV_AWS_119: {
    resources: /^AWS::DynamoDB::Table\./,
    why: 'The table is encrypted with the key of the account that AWS manages (aws/dynamodb), and holds ids, counts and keys of objects, no content. A key of the customer is a choice of the deployment.',
  },
  CKV_AWS_149: {
    resources: /^AWS::SecretsManager::Secret\./,
    why: "Secrets are encrypted with the account's key `aws/secretsmanager`; who may read one is limited by IAM. A key of the customer is a choice of the deployment.",
  },
  CKV_AWS_158: {
    resources: /^AWS::Logs::LogGroup\./,
    why: 'Logs are encrypted by CloudWatch Logs, and hold no content: test/system/e2e/planted.test.ts. A key of the customer is a choice of the deployment.',
  },
  CKV_AWS_173: {
    resources: EVERY_FUNCTION,
    why: 'Environment variables are names, ARNs and URLs; Lambda encrypts them. No secret is among them: test/parts/lib/api-key.test.ts.',
  },
};
