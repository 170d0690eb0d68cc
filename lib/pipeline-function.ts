import { type Duration, RemovalPolicy, type Size, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import { LogGroup, RetentionDays } from 'aws-cdk-lib/aws-logs';
import type { Construct } from 'constructs';
import { functionCode } from './function-code.ts';
import { acknowledgeWildcards, type Permission, statementOf } from './permission.ts';
import type { Platform } from './platform.ts';
import { environmentProblems, policyProblems } from './size-limits.ts';

/** The word that names a capability in every room: `lib/`, `lambdas/`, `src/core/`, `test/`. */
export type Capability =
  | 'ingest'
  | 'submit'
  | 'call'
  | 'poll'
  | 'collect'
  | 'finalize'
  | 'observe'
  | 'operate'
  | 'webhook';

/** What differs between the functions. */
export interface PipelineFunctionProps {
  /** Which capability: names the entry `lambdas/<capability>/handler.ts`. */
  readonly capability: Capability;
  /** What the capability does, for the console. */
  readonly description: string;
  /** MB; also sets the CPU share. */
  readonly memorySize: number;
  /** Runs at a time that are kept free for this function, and the most that it gets. @default - none is reserved */
  readonly reservedConcurrency?: number | undefined;
  /** Longest run; Lambda allows 15 minutes. */
  readonly timeout: Duration;
  /**
   * Whether the function sends messages to the queue that it works off, to continue what takes longer than one run.
   * Lambda stops what looks like a loop after 16 runs, unless the function allows it. Each such message follows a
   * conditional write that proves progress, or puts off what is due. @default false
   */
  readonly continuesItself?: boolean;
  /** Room in `/tmp`. @default - 512 MB, as Lambda gives it */
  readonly ephemeralStorageSize?: Size | undefined;
  /** What Lambda puts below `/opt`. */
  readonly layers: readonly lambda.ILayerVersion[];
  /** Exactly the keys of the capability's schema in `src/contract/env.ts`. */
  readonly environment: Readonly<Record<string, string>>;
  /** What it has in common with the others. */
  readonly platform: Platform;
}

/**
 * What Lambda itself does with the role of a function in a VPC. Source: Lambda developer guide, "Giving Lambda functions
 * access to resources in an Amazon VPC".
 */
const IN_VPC: Permission = {
  actions: [
    'ec2:AssignPrivateIpAddresses',
    'ec2:CreateNetworkInterface',
    'ec2:DeleteNetworkInterface',
    'ec2:DescribeNetworkInterfaces',
    'ec2:DescribeSubnets',
    'ec2:UnassignPrivateIpAddresses',
  ],
  resources: ['*'],
  wildcardReason: 'Lambda puts a function into a VPC only if its role may do this on all resources.',
};

/**
 * A function with the house defaults: Node 24, on arm64 unless another is asked for, one self-contained minified ES module (and what is loaded
 * late), JSON logs in a log group of its own, and a role that allows nothing but writing those logs until `allow` is
 * called.
 *
 * There are no source maps: reading them adds 30 to 40 ms and 26 MB to each cold start (measured). There is no reserved
 * concurrency unless it is asked for: it would take from what the account's other functions share.
 */
export class PipelineFunction extends lambda.Function {
  readonly #role: iam.Role;
  /** By their text: what is allowed twice is in the policy once. */
  readonly #statements = new Map<string, unknown>();

  constructor(scope: Construct, id: string, props: PipelineFunctionProps) {
    const { architecture, logRetention, encryptionKey, vpc, vpcSubnets, securityGroups } = props.platform;
    const logGroup = new LogGroup(scope, `${id}Logs`, {
      retention: logRetention ?? RetentionDays.ONE_MONTH,
      ...(encryptionKey === undefined ? {} : { encryptionKey }),
      // Lines expire by themselves; a retained group would stay behind, empty, for ever.
      removalPolicy: RemovalPolicy.DESTROY,
    });
    const role = new iam.Role(scope, `${id}Role`, {
      assumedBy: new iam.ServicePrincipal('lambda.amazonaws.com'),
      description: `What batchdrop ${props.capability} may do`,
    });
    super(scope, id, {
      description: props.description,
      runtime: lambda.Runtime.NODEJS_24_X,
      architecture: architecture ?? lambda.Architecture.ARM_64,
      code: functionCode(props.capability),
      handler: 'index.handler',
      memorySize: props.memorySize,
      timeout: props.timeout,
      ...(props.reservedConcurrency === undefined
        ? {}
        : { reservedConcurrentExecutions: props.reservedConcurrency }),
      ...(props.continuesItself === true ? { recursiveLoop: lambda.RecursiveLoop.ALLOW } : {}),
      ...(props.ephemeralStorageSize === undefined
        ? {}
        : { ephemeralStorageSize: props.ephemeralStorageSize }),
      ...(vpc === undefined ? {} : { vpc }),
      ...(vpcSubnets === undefined ? {} : { vpcSubnets }),
      ...(securityGroups === undefined ? {} : { securityGroups: [...securityGroups] }),
      role,
      logGroup,
      loggingFormat: lambda.LoggingFormat.JSON,
      layers: [...props.layers],
      environment: { ...props.environment },
    });
    this.#role = role;
    this.node.addValidation({
      validate: () => [
        ...environmentProblems(this, props.environment),
        ...policyProblems(this, [...this.#statements.values()]),
      ],
    });
    this.allow({
      actions: ['logs:CreateLogStream', 'logs:PutLogEvents'],
      resources: [logGroup.logGroupArn],
    });
    if (vpc !== undefined) this.allow(IN_VPC);
    Validations.of(this).acknowledge(
      {
        id: 'Serverless-LambdaDLQ',
        reason:
          'Work comes from queues that have dead-letter queues; a lost run of the schedule is made up by the next.',
      },
      {
        id: 'Serverless-LambdaTracing',
        reason:
          'A job is followed by its id through JSON logs; its steps are hours apart, which X-Ray traces do not span.',
      },
    );
  }

  /** Adds to what the function may do. Spelled out, never `grantX`, whose wildcards allow more than is used. */
  allow(...permissions: readonly Permission[]): void {
    for (const permission of permissions) {
      const statement = statementOf(permission);
      const json = statement.toStatementJson();
      this.#statements.set(JSON.stringify(json), json);
      this.#role.addToPolicy(statement);
      acknowledgeWildcards(this.#role, permission);
    }
  }
}
