/**
 * What people need who look after the pipeline, as managed policies: of whom they are is for the account to decide. Each
 * call is one that a command of `cli/` makes (docs/cli.md, "Rights").
 */
import { ArnFormat, Aws, Stack } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { IQueue } from 'aws-cdk-lib/aws-sqs';
import type { Construct } from 'constructs';
import { LIVE_INDEX } from '../src/contract/table.ts';
import type { ApiKey } from './api-key.ts';
import { DASHBOARD_NAME } from './dashboard.ts';
import type { Operate } from './operate.ts';
import { acknowledgeWildcards, type Permission, statementOf } from './permission.ts';
import { managedPolicyProblems } from './size-limits.ts';
import type { State } from './state.ts';
import type { Storage } from './storage.ts';
import type { WorkQueue } from './work-queue.ts';

/** What a viewer looks at. */
export interface ViewerPolicyProps {
  /** Its receipts only. */
  readonly storage: Storage;
  /** The table: it holds no line of a file. */
  readonly state: State;
  /** Whether its secrets are set; never their values. */
  readonly apiKey: ApiKey;
  /** Their depths. */
  readonly queues: readonly WorkQueue[];
  /** Its depth. Absent: the stack has none. */
  readonly notificationsDeadLetters?: IQueue | undefined;
  /** Whether the stack has alarms. */
  readonly alarms: boolean;
  /** Whether the stack has a dashboard. */
  readonly dashboard: boolean;
}

/** What an operator acts on. */
export interface OperatorPolicyProps {
  /** Inputs are put, results are read. */
  readonly storage: Storage;
  /** Their dead letters are sent again. */
  readonly queues: readonly WorkQueue[];
  /** What is asked to cancel, resume, retry, pause and forget. */
  readonly operate: Operate;
}

/** A managed policy that says why it holds wildcards, and is refused at synth if IAM would refuse it for its size. */
class SpelledOutPolicy extends iam.ManagedPolicy {
  constructor(scope: Construct, id: string, description: string, permissions: readonly Permission[]) {
    const statements = permissions.map(statementOf);
    super(scope, id, { description, statements });
    for (const permission of permissions) acknowledgeWildcards(this, permission);
    this.node.addValidation({
      validate: () =>
        managedPolicyProblems(
          this,
          statements.map((statement) => statement.toStatementJson()),
        ),
    });
  }
}

/**
 * What the commands need that only read: no prompt, answer or secret. Keys of inputs, costs, and what OpenAI says of a
 * batch as a whole are seen.
 */
export class ViewerPolicy extends SpelledOutPolicy {
  constructor(scope: Construct, id: string, props: ViewerPolicyProps) {
    const { storage, state, apiKey, queues, notificationsDeadLetters: notifications } = props;
    const deadLetters = queues.map(({ deadLetterQueue }) => deadLetterQueue);
    const table = state.table.tableArn;
    super(scope, id, 'Looks at the jobs of batchdrop, and reads no prompt, answer or secret', [
      stackItself(scope),
      { actions: ['dynamodb:GetItem'], resources: [table] },
      { actions: ['dynamodb:Query'], resources: [table, `${table}/index/${LIVE_INDEX}`] },
      storage.onObjects(['receipts'], ['s3:GetObject']),
      ...storage.keyUse('read'),
      ...state.keyUse('read'),
      storage.listing(['receipts']),
      { actions: ['s3:GetBucketNotification'], resources: [storage.bucket.bucketArn] },
      {
        actions: ['sqs:GetQueueAttributes', 'sqs:GetQueueUrl'],
        resources: [
          ...queues.map(({ queue }) => queue),
          ...deadLetters,
          ...(notifications === undefined ? [] : [notifications]),
        ].map(({ queueArn }) => queueArn),
      },
      apiKey.onSecrets(['secretsmanager:DescribeSecret']),
      ...logGroups(scope),
      ...metrics(scope, props),
    ]);
  }
}

/** What an operator needs beside {@link ViewerPolicy}: prompts and answers are read, secrets are not. */
export class OperatorPolicy extends SpelledOutPolicy {
  constructor(scope: Construct, id: string, { storage, queues, operate }: OperatorPolicyProps) {
    const fn = operate.fn.functionArn;
    super(scope, id, 'Operates batchdrop, together with the policy of viewers; reaches no API key', [
      {
        actions: ['lambda:InvokeFunctionUrl'],
        resources: [fn],
        conditions: { StringEquals: { 'lambda:FunctionUrlAuthType': 'AWS_IAM' } },
      },
      {
        // Not by the API: what comes that way does not say who called.
        actions: ['lambda:InvokeFunction'],
        resources: [fn],
        conditions: { Bool: { 'lambda:InvokedViaFunctionUrl': 'true' } },
      },
      {
        // Source: SQS developer guide, "Configure permissions for a dead-letter queue redrive".
        actions: [
          'sqs:StartMessageMoveTask',
          'sqs:ListMessageMoveTasks',
          'sqs:ReceiveMessage',
          'sqs:DeleteMessage',
        ],
        resources: queues.map(({ deadLetterQueue }) => deadLetterQueue.queueArn),
      },
      { actions: ['sqs:SendMessage'], resources: queues.map(({ queue }) => queue.queueArn) },
      // What is re-driven is decrypted, and encrypted again.
      ...queues.slice(0, 1).flatMap((queue) => queue.keyUse('send')),
      ...storage.keyUse('write'),
      storage.onObjects(
        ['input'],
        ['s3:PutObject', 's3:AbortMultipartUpload', 's3:GetObject', 's3:GetObjectVersion'],
      ),
      storage.onObjects(['output', 'errors', 'retry'], ['s3:GetObject']),
      storage.listing(['input', 'output', 'errors', 'retry']),
    ]);
  }
}

/** Its outputs say where everything is. */
function stackItself(scope: Construct): Permission {
  const arn = Stack.of(scope).formatArn({
    service: 'cloudformation',
    resource: 'stack',
    resourceName: `${Aws.STACK_NAME}/*`,
  });
  return {
    actions: ['cloudformation:DescribeStacks'],
    resources: [arn],
    wildcardReason: 'The last part of the ARN of a stack is an id that CloudFormation makes up.',
  };
}

/**
 * The groups of the functions, by what CloudFormation's names of them begin with: a name of each would not fit. They are
 * found by a listing, which shows names of other groups too, and nothing in them.
 */
function logGroups(scope: Construct): Permission[] {
  const groupsNamed = (resourceName: string) =>
    Stack.of(scope).formatArn({
      service: 'logs',
      resource: 'log-group',
      resourceName,
      arnFormat: ArnFormat.COLON_RESOURCE_NAME,
    });
  return [
    {
      actions: ['logs:DescribeLogGroups'],
      resources: [groupsNamed('*')],
      wildcardReason: 'IAM knows no narrower right to list log groups.',
    },
    {
      actions: ['logs:FilterLogEvents'],
      resources: [groupsNamed(`${Aws.STACK_NAME}-${logicalIdPrefix(scope)}*FunctionLogs*`)],
      wildcardReason:
        'CloudFormation names log groups by stack and logical id, and those that are named so are those of the functions.',
    },
  ];
}

/** What the console's pages of the alarms and of the dashboard read: numbers, and no content. */
function metrics(scope: Construct, { alarms, dashboard }: ViewerPolicyProps): Permission[] {
  const stack = Stack.of(scope);
  const ofAlarms: Permission = {
    actions: ['cloudwatch:DescribeAlarms'],
    resources: [
      stack.formatArn({
        service: 'cloudwatch',
        resource: 'alarm',
        resourceName: '*',
        arnFormat: ArnFormat.COLON_RESOURCE_NAME,
      }),
    ],
    wildcardReason: 'A list of alarms is of all alarms of the account: IAM knows no narrower right to it.',
  };
  const ofDashboard: Permission = {
    actions: ['cloudwatch:GetDashboard'],
    resources: [
      // Dashboards are of no region.
      stack.formatArn({
        service: 'cloudwatch',
        region: '',
        resource: 'dashboard',
        resourceName: DASHBOARD_NAME,
      }),
    ],
  };
  const numbers: Permission = {
    actions: ['cloudwatch:GetMetricData'],
    resources: ['*'],
    wildcardReason: 'Metrics have no ARN: IAM knows no narrower right to read them.',
  };
  return [
    ...(alarms ? [ofAlarms] : []),
    ...(dashboard ? [ofDashboard] : []),
    ...(alarms || dashboard ? [numbers] : []),
  ];
}

/** What logical ids of all that is inside a construct begin with: the parts of its path below the stack. */
function logicalIdPrefix(scope: Construct): string {
  const within = scope.node.scopes.slice(Stack.of(scope).node.scopes.length);
  return within.map(({ node }) => node.id.replaceAll(/[^A-Za-z0-9]/g, '')).join('');
}
