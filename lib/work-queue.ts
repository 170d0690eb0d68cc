import { Duration, Validations } from 'aws-cdk-lib';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import * as lambda from 'aws-cdk-lib/aws-lambda';
import * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { requireWhole } from './configuration.ts';
import { keyPermissions } from './encryption.ts';
import type { Permission } from './permission.ts';
import type { PipelineFunction } from './pipeline-function.ts';

/** What a queue must know of the function that works it off. */
export interface WorkQueueProps {
  /** Longest run of the function that receives the messages. */
  readonly consumerTimeout: Duration;
  /** Key with which messages are encrypted. @default - none of the account's: by SQS */
  readonly encryptionKey?: IKey | undefined;
}

/**
 * How many times a message is received before it moves to the dead-letter queue: with the handlers' backoff of 30
 * seconds to 15 minutes, after half a day of failing. Many, because each delivery that Lambda throttles counts as
 * one, too. A step that has to wait, or fails again and again, uses up none: it is the record that gives up, see
 * lifecycle/step-failure.ts and lifecycle/job-failure.ts.
 */
const MAX_RECEIVE_COUNT = 50;

/**
 * A queue for what could not be worked off or delivered, encrypted and TLS only; it is kept 14 days, the longest SQS
 * allows.
 */
export function newDeadLetterQueue(scope: Construct, id: string, encryptionKey?: IKey): sqs.Queue {
  const queue = new sqs.Queue(scope, id, {
    ...encryptedWith(encryptionKey),
    enforceSSL: true,
    retentionPeriod: Duration.days(14),
  });
  Validations.of(queue).acknowledge({
    id: 'Serverless-SQSRedrivePolicy',
    reason: 'This is the dead-letter queue.',
  });
  return queue;
}

function encryptedWith(key: IKey | undefined): Pick<sqs.QueueProps, 'encryption' | 'encryptionMasterKey'> {
  return key === undefined
    ? { encryption: sqs.QueueEncryption.SQS_MANAGED }
    : { encryption: sqs.QueueEncryption.KMS, encryptionMasterKey: key };
}

/** Lets a function send messages to queues of one stack. One statement: a role's policy has a longest length. */
export function allowSend(fn: PipelineFunction, queues: readonly WorkQueue[]): void {
  fn.allow({ actions: ['sqs:SendMessage'], resources: queues.map(({ queue }) => queue.queueArn) });
  fn.allow(...queues.flatMap((queue) => queue.keyUse('send')));
}

/**
 * A queue of work with its dead-letter queue, both encrypted and TLS only.
 *
 * The visibility timeout is the function's timeout plus a minute, not the six times that AWS advises: six times of 15
 * minutes would hide the message of a crashed run for 90 minutes. The advice is there for throttled pollers, which burn
 * receives; here a handler makes its message visible again when it fails, every step is re-entrant, each message is a
 * batch of its own with a cap on concurrency, and what still ends in the dead-letter queue is found by the sweep.
 */
export class WorkQueue extends Construct {
  /** The queue itself. */
  readonly queue: sqs.Queue;
  /** Where a message goes that was received {@link MAX_RECEIVE_COUNT} times; kept 14 days, the longest SQS allows. */
  readonly deadLetterQueue: sqs.Queue;
  /** Longest run of the function that receives the messages. */
  readonly consumerTimeout: Duration;
  readonly #key: IKey | undefined;

  constructor(scope: Construct, id: string, props: WorkQueueProps) {
    super(scope, id);
    this.consumerTimeout = props.consumerTimeout;
    this.#key = props.encryptionKey;
    this.deadLetterQueue = newDeadLetterQueue(this, 'DeadLetters', props.encryptionKey);
    this.queue = new sqs.Queue(this, 'Queue', {
      ...encryptedWith(props.encryptionKey),
      enforceSSL: true,
      // A message keeps its age when it moves to the dead-letter queue: half of the 14 days remain there at the least.
      retentionPeriod: Duration.days(7),
      visibilityTimeout: props.consumerTimeout.plus(Duration.seconds(60)),
      deadLetterQueue: { queue: this.deadLetterQueue, maxReceiveCount: MAX_RECEIVE_COUNT },
    });
  }

  /** The statements that allow to use the key of the queue and its dead-letter queue; none, if they have none. */
  keyUse(what: 'send' | 'receive'): Permission[] {
    return keyPermissions(this.#key, `sqs.${what}`);
  }

  /**
   * Makes a function work off the queue, one message at a time.
   *
   * @param name what the prop with the cap is called, for messages.
   * @param maxConcurrency how many messages are worked on at a time; Lambda takes 2 to 1,000.
   * @throws InvalidConfigurationError if `maxConcurrency` is out of range.
   */
  deliverTo(fn: PipelineFunction, name: string, maxConcurrency: number): void {
    requireWhole(name, maxConcurrency, 2, 1_000);
    fn.allow({
      actions: [
        'sqs:ReceiveMessage',
        'sqs:DeleteMessage',
        'sqs:ChangeMessageVisibility',
        'sqs:GetQueueAttributes',
      ],
      resources: [this.queue.queueArn],
    });
    fn.allow(...this.keyUse('receive'));
    // The L2 `SqsEventSource` would grant by itself, more than is needed.
    const mapping = new lambda.EventSourceMapping(fn, 'Messages', {
      target: fn,
      eventSourceArn: this.queue.queueArn,
      batchSize: 1,
      reportBatchItemFailures: true,
      maxConcurrency,
    });
    Validations.of(mapping).acknowledge({
      id: 'Serverless-LambdaEventSourceMappingDestination',
      reason: 'Lambda has no failure destination for SQS; the dead-letter queue of the queue does this.',
    });
  }
}
