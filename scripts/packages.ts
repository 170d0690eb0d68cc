/** The packages that are published, as data: `npm run pack` makes them of this one tree (ADR 48). */

/** A package. Paths are those of the repository, which a package keeps below `base`. */
export interface PublishedPackage {
  readonly name: string;
  readonly description: string;
  readonly keywords: readonly string[];
  /** Lowest version of Node that runs it. */
  readonly node: string;
  /** Folder that the package has as its root. */
  readonly base: string;
  /** The module that the package exports; its types are declared. */
  readonly main: string;
  /** Modules that are run, each bundled apart from `main`. */
  readonly programs: readonly string[];
  /** Commands, by name; each is one of `programs`. */
  readonly bin: Readonly<Record<string, string>>;
  /** Packages that are installed with it, in the versions of the repository. */
  readonly dependencies: readonly string[];
  /** Packages that its user brings, by the versions that fit. `exact`: another package of this release. */
  readonly peers: Readonly<Record<string, string>>;
  /** Those of `peers` without which something of it runs. */
  readonly optionalPeers: readonly string[];
  /** Whether other packages than `dependencies` and `peers` become part of its files. */
  readonly bundlesOthers: boolean;
  /** Files and folders that are copied as they are. */
  readonly copies: readonly string[];
}

/** Of a peer that is another package of the same release. */
export const SAME_RELEASE = 'exact';

/**
 * The lowest version of aws-cdk-lib that has all that the construct uses: in 2.265.0, `Validations` refuses to acknowledge a finding whose
 * resource is an ARN with a reference in it; 2.270.0 does not. `npm run test:packages` synthesizes with it.
 */
export const LOWEST_CDK = '2.270.0';

const CDK = { 'aws-cdk-lib': `^${LOWEST_CDK}`, constructs: '^10.5.0' };

/** Modules that belong to one package; the others import it in their place. */
export const OWNERS: Readonly<Record<string, string>> = {
  'lib/configuration.ts': 'batchdrop',
  'lib/pipeline-stack.ts': 'batchdrop',
  'local/index.ts': 'batchdrop-local',
  'local/openai-emulator/emulator.ts': 'openai-batch-emulator',
};

/** Every package, those that others need first. */
export const PACKAGES: readonly PublishedPackage[] = [
  {
    name: 'openai-batch-emulator',
    description:
      "OpenAI's Files, Uploads and Batch APIs and background responses on your machine, with faults, a ledger, webhooks and a virtual clock.",
    keywords: ['openai', 'batch', 'emulator', 'mock', 'testing'],
    node: '>=22.12',
    base: 'local/openai-emulator',
    main: 'local/openai-emulator/emulator.ts',
    programs: ['local/openai-emulator/main.ts'],
    bin: { 'openai-batch-emulator': 'local/openai-emulator/main.ts' },
    dependencies: ['commander', 'zod'],
    peers: {},
    optionalPeers: [],
    bundlesOthers: false,
    copies: ['local/openai-emulator/README.md', 'local/openai-emulator/faults'],
  },
  {
    name: 'batchdrop',
    description:
      'Drop a JSONL file of OpenAI requests into an S3 bucket; get exactly one outcome per request back, at batch price. AWS CDK construct and command line.',
    keywords: ['openai', 'batch', 'aws', 'cdk', 'aws-cdk', 's3', 'llm'],
    node: '>=22.12',
    base: '.',
    main: 'lib/index.ts',
    programs: ['cli/main.ts'],
    bin: { batchdrop: 'cli/main.ts' },
    dependencies: ['zod'],
    peers: { ...CDK, 'batchdrop-local': SAME_RELEASE },
    optionalPeers: ['batchdrop-local'],
    bundlesOthers: true,
    copies: ['README.md', 'CHANGELOG.md'],
  },
  {
    name: 'batchdrop-local',
    description: 'The batchdrop stack on one machine, from its CDK template: no Docker, no AWS account.',
    keywords: ['openai', 'batch', 'aws', 'cdk', 'local', 'emulator'],
    node: '>=24',
    base: '.',
    main: 'local/index.ts',
    programs: ['bin/local-app.ts'],
    bin: {},
    dependencies: [
      '@aws-sdk/client-dynamodb',
      '@aws-sdk/client-eventbridge',
      '@aws-sdk/client-s3',
      '@aws-sdk/client-secrets-manager',
      '@aws-sdk/client-sqs',
      '@aws-sdk/lib-dynamodb',
      '@smithy/core',
      '@smithy/signature-v4',
      'dynalite',
      'fauxqs',
      'zod',
    ],
    peers: { ...CDK, batchdrop: SAME_RELEASE, 'openai-batch-emulator': SAME_RELEASE },
    optionalPeers: [],
    bundlesOthers: false,
    copies: ['local/README.md', 'local/services/lambda/bootstrap.mjs'],
  },
];
