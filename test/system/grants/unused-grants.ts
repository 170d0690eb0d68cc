/** Grants that no run on the local stack uses, and why they are there. A test compares the list with the runs, both ways. */
import type { Reason } from './compare-grants.ts';

const WORKERS = '(?:Ingest|Submit|Call|Collect|Finalize|Observe)/FunctionRole';

export const UNUSED_GRANTS: readonly Reason[] = [
  {
    grants: /s3:AbortMultipartUpload /,
    why: 'A part that S3 does not take ends its upload, so that no parts are left behind and paid for; no upload of these runs fails.',
  },
  {
    grants: new RegExp(`${WORKERS} sqs:GetQueueAttributes `),
    why: "Lambda's own pollers ask for it with the role of the function (Lambda developer guide, Amazon SQS); here messages are handed over without.",
  },
  {
    grants: new RegExp(`${WORKERS} sqs:SendMessage Pipeline(?:Ingest|Submit|Call|Collect|Finalize)Queue$`),
    why: 'Whichever worker comes first sweeps when the poll is late, and sends what is overdue to its queue (src/core/steps/poll/late-sweep.ts); here the poll is never late.',
  },
  {
    grants: new RegExp(`${WORKERS} dynamodb:Query table/PipelineStateTable/index/live$`),
    why: 'The same late sweep looks there for what is overdue.',
  },
  {
    grants:
      /(?:Submit|Call|Collect|Finalize)\/FunctionRole s3:ListBucket(?:Versions)? bucket \{.*"(?:input|work)\/\*"/,
    why: 'Tells an object that is missing from one that may not be read, which S3 answers alike without it (src/adapters/s3/missing.ts); nobody removes an input or a result under a live job here.',
  },
  {
    grants: /(?:Submit|Call|Collect)\/FunctionRole s3:GetObject bucket\/input\/\*$/,
    why: 'Reads the input of a bucket without versions.',
  },
  {
    grants: /Operate\/FunctionRole sqs:SendMessage /,
    why: 'A cancel sends on the duplicates that wait for the job, and a resume the batches that were held: runs here have neither.',
  },
  {
    grants: /Operate\/FunctionRole s3:DeleteObject /,
    why: 'Forgets a job whose bucket has no versions.',
  },
  {
    grants:
      /Operate\/FunctionRole s3:GetObject(?:Version)? bucket\/(?:input|output|errors|retry|receipts)\/\*$/,
    why: 'Retries and forgets read by version or not, as the bucket is; and S3 asks for it where an object is deleted only if it is unchanged (S3 user guide, "How to perform conditional deletes").',
  },
  {
    grants: /(?:IngestQueue|Notifications)\/DeadLetters\/Policy sqs:SendMessage /,
    why: 'EventBridge puts there what it cannot deliver; the local bus delivers everything.',
  },
  {
    grants: /(?:IngestQueue\/Queue|Notifications\/DeadLetters)\/Policy sqs:GetQueue(?:Attributes|Url) /,
    why: 'aws-cdk-lib adds them for the rule of EventBridge, which asks for neither.',
  },
  {
    grants: /ViewerPolicy (?:cloudformation|logs):/,
    why: 'The command line finds a deployed stack by its outputs and reads its log groups; on the local stack it reads files.',
  },
  {
    grants: /ViewerPolicy sqs:GetQueueUrl Pipeline(?:Ingest|Submit|Call|Collect|Finalize)Queue$/,
    why: 'Needed for the dead-letter queues; in one statement with sqs:GetQueueAttributes of all queues, as a managed policy has 6,144 characters at most. It shows a URL that the outputs of the stack show, too.',
  },
  {
    grants: /(?:ViewerPolicy|OperatorPolicy) s3:ListBucket /,
    why: 'Without it S3 answers 403 in place of 404 for a result that is not there yet; the local S3 answers 404.',
  },
  {
    grants:
      /(?:ViewerPolicy|OperatorPolicy) sqs:\w+ Pipeline(?:ObserveQueue(?:DeadLetters)?|NotificationsDeadLetters)$/,
    why: 'In one statement with those of the other queues, which viewers and operators use here; a stack with webhooks or notifications has them, and its runs have neither.',
  },
  {
    grants: /s3:\w+ bucket(?:\/| \{.*")(?:answers|r)\/\*/,
    why: 'Results of a route below a prefix of its own, in one statement with those below output/, which other runs use.',
  },
  {
    grants:
      /Observe\/FunctionRole s3:(?:(?:Get|Put)Object bucket\/work\/\*|ListBucket bucket \{.*"work\/\*")/,
    why: 'Writes down a response that ends before its slice is looked at, reads whether one that comes twice is written down, and, when its slice has ended, whether it is of the slice; here each comes once, and the slice may be looked at first.',
    byChance: true,
  },
  {
    grants: /Finalize\/FunctionRole dynamodb:ConditionCheckItem /,
    why: 'Goes with a batch that follows from a collected one, where the worker that collected it died before it recorded that (src/core/lifecycle/rounds.ts); here none dies.',
    byChance: true,
  },
  {
    grants: /Observe\/FunctionRole dynamodb:Query table\/PipelineStateTable \{/,
    why: 'The late sweep reads whose turn it is; here the poll is never late.',
  },
  {
    grants: /kms:(?:DescribeKey|Encrypt|GenerateDataKey|ReEncrypt(?:From|To)) key\/UUID .*"dynamodb\./,
    why: 'DynamoDB names them as the least that it needs on a key (developer guide, "DynamoDB encryption at rest usage notes"), and CDK grants them to writers; of Decrypt alone it says that each call asks for it, and so do the local services.',
  },
  {
    grants: /(?:Submit|Finalize|Operate)\/FunctionRole kms:(?:Decrypt|GenerateDataKey) key\/UUID .*"sqs\./,
    why: 'For what they send to queues: when they sweep late, continue, or end what waits. Runs with a key have no such case.',
  },
  {
    grants: /Observe\/FunctionRole kms:(?:Decrypt|GenerateDataKey) key\/UUID .*"s3\./,
    why: 'For arrived responses below work/; runs with a key have webhooks about batches alone.',
  },
  {
    grants: /Key kms:\* \*$/,
    why: 'What AWS gives each new key: the policies of the account decide (KMS developer guide, "Default key policy").',
  },
  {
    grants: /Key kms:\S+ \* \{"ArnLike":\{"kms:EncryptionContext:aws:logs:arn":/,
    why: 'CloudWatch Logs asks by itself; the local stack looks at it once, when it starts (local/stack/encryption.ts).',
  },
  {
    grants: /Pager\/Policy sqs:SendMessage /,
    why: 'Of a queue that tests subscribe to the topic of alarms. Whether SNS may send to it is looked at once, when the stack starts (local/stack/wiring-problems.ts).',
  },
];
