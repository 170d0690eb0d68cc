/**
 * List prices of AWS in us-east-1 (N. Virginia), in USD, first tier, without what an account has free each month, and
 * the figures that turn the model's work into Lambda's time. A price list is not a bill: discounts, other regions and
 * taxes are yours to add.
 */

/** One price, where it was read, and when that page was written or read. */
interface Price {
  usd: number;
  per: string;
  source: string;
  date: string;
}

export const AWS_PRICES = {
  dynamodbWriteUnits: {
    usd: 0.625,
    per: 'million write request units',
    source: 'airbyte.com/data-engineering-resources/dynamodb-pricing',
    date: '2025-07-21',
  },
  dynamodbReadUnits: {
    usd: 0.125,
    per: 'million read request units',
    source: 'airbyte.com/data-engineering-resources/dynamodb-pricing',
    date: '2025-07-21',
  },
  s3Writes: {
    usd: 5,
    per: 'million PUT, COPY, POST or LIST requests',
    source: 'c3x.dev/blog/s3-request-fees-explained',
    date: '2026-06',
  },
  s3Reads: {
    usd: 0.4,
    per: 'million GET or HEAD requests',
    source: 'c3x.dev/blog/s3-request-fees-explained',
    date: '2026-06',
  },
  s3Storage: {
    usd: 0.023,
    per: 'GB and month',
    source: 'aws.amazon.com/s3/pricing, not read again',
    date: '2025',
  },
  sqsRequests: {
    usd: 0.4,
    per: 'million requests',
    source: 'cloudburn.io/blog/amazon-sqs-pricing',
    date: '2026-03-14',
  },
  events: {
    usd: 1,
    per: 'million events of S3',
    source: 'aws.amazon.com/eventbridge/pricing, not read again',
    date: '2025',
  },
  lambdaGbSeconds: {
    usd: 13.3334,
    per: 'million GB-seconds on arm64',
    source: 'cloudchipr.com/blog/aws-lambda-pricing',
    date: '2024',
  },
  lambdaRequests: {
    usd: 0.2,
    per: 'million requests',
    source: 'cloudchipr.com/blog/aws-lambda-pricing',
    date: '2024',
  },
  lambdaStorageGbSeconds: {
    usd: 0.0309,
    per: 'million GB-seconds of /tmp beyond 512 MB',
    source: 'aws.amazon.com/lambda/pricing, not read again',
    date: '2025',
  },
  logs: { usd: 0.5, per: 'GB', source: 'c3x.dev/blog/cloudwatch-logs-cost-optimization', date: '2026-06' },
  internetOut: {
    usd: 0.09,
    per: 'GB sent to OpenAI',
    source: 'aws.amazon.com/ec2/pricing/on-demand, "Data transfer", not read again',
    date: '2025',
  },
} as const satisfies Record<string, Price>;

/** What a function has, and what its work takes. */
interface FunctionFigures {
  /** `lib/`. */
  memoryMb: number;
  /** `/tmp` beyond 512 MB, in GB. */
  extraStorageGb: number;
  /** CPU time for a megabyte of what {@link FunctionFigures.of} names, measured: docs/performance.md. */
  cpuMsPerMb: number;
  of: string;
}

export const FUNCTIONS = {
  ingest: { memoryMb: 512, extraStorageGb: 0, cpuMsPerMb: 2, of: 'input' },
  // A plain pass with the same clients: a submit alone was never measured.
  submit: { memoryMb: 512, extraStorageGb: 0, cpuMsPerMb: 4.2, of: 'batch files' },
  poll: { memoryMb: 512, extraStorageGb: 0, cpuMsPerMb: 0, of: 'nothing' },
  collect: { memoryMb: 1024, extraStorageGb: 9.5, cpuMsPerMb: 18.5, of: 'result files' },
  finalize: { memoryMb: 1024, extraStorageGb: 0, cpuMsPerMb: 1, of: 'results' },
} as const satisfies Record<string, FunctionFigures>;

export type FunctionName = keyof typeof FUNCTIONS;

/** Assumed, not measured; round figures of what AWS's and OpenAI's services take as a rule. */
export const ASSUMED = {
  /** For each invocation: the runtime, and its share of cold starts. */
  invocationMs: 50,
  dynamodbCallMs: 5,
  s3CallMs: 25,
  sqsCallMs: 10,
  openaiCallMs: 300,
  /** To and from OpenAI. */
  networkMbPerSecond: 25,
  /** Lambda gives a whole vCPU at 1,769 MB; it is taken to be as fast as the core that the figures were measured on. */
  mbForOneVcpu: 1_769,
  /**
   * Lambda asks each of the five queues 15 times a minute though there is nothing in it: 5 pollers, 20 seconds each.
   */
  idleReceivesPerMinute: 5 * 15,
  /** What the logger and the platform add to each line and invocation. */
  logLineBytes: 250,
  logInvocationBytes: 800,
  /** Intermediates below work/ stay so long: the default of `lib/storage.ts`, and a day as old versions. */
  workDays: 31,
} as const;
