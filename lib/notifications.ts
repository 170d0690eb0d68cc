import { Annotations, Names, Stack, Token, Validations } from 'aws-cdk-lib';
import * as events from 'aws-cdk-lib/aws-events';
import * as targets from 'aws-cdk-lib/aws-events-targets';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { IKey } from 'aws-cdk-lib/aws-kms';
import type * as sqs from 'aws-cdk-lib/aws-sqs';
import { Construct } from 'constructs';
import { EVENT_SOURCE, JOB_COMPLETED } from '../src/contract/messages.ts';
import { type NotifyTarget, readNotifyArn } from '../src/contract/notify.ts';
import type { Route } from '../src/contract/route.ts';
import { InvalidConfigurationError } from './configuration.ts';
import { newDeadLetterQueue } from './work-queue.ts';

/** Who is notified of the jobs that have ended. */
export interface NotificationsProps {
  /** Routes, of which some may name a target. */
  readonly routes: readonly Pick<Route, 'name' | 'notify'>[];
  /** What the events say of whom they are. */
  readonly stackId: string;
  /** Key with which the dead-letter queue is encrypted. @default - none of the account's: by SQS */
  readonly encryptionKey?: IKey | undefined;
}

/** EventBridge: names of rules have 64 characters at the most. */
const MAX_RULE_NAME_LENGTH = 64;

/** What the target's own policy has to allow EventBridge. A bus is written to by a role of this stack. */
const ACTION = { sns: 'sns:Publish', sqs: 'sqs:SendMessage', events: undefined } as const;

/**
 * Sends the `JobCompleted` events of routes on to the topics, queues and buses that they name: one rule for each.
 * What cannot be delivered in EventBridge's 24 hours waits in a dead-letter queue.
 */
export class Notifications extends Construct {
  /** What could not be delivered. Absent: nobody is notified. */
  readonly deadLetterQueue?: sqs.Queue;

  /** @throws InvalidConfigurationError if a target is known to be in another account or region than the stack. */
  constructor(scope: Construct, id: string, { routes, stackId, encryptionKey }: NotificationsProps) {
    super(scope, id);
    const byArn = Map.groupBy(
      routes.filter(({ notify }) => notify !== undefined),
      ({ notify }) => notify!,
    );
    if (byArn.size === 0) return;
    const deadLetterQueue = newDeadLetterQueue(this, 'DeadLetters', encryptionKey);
    this.deadLetterQueue = deadLetterQueue;
    Validations.of(deadLetterQueue).acknowledge({
      id: 'AwsSolutions-SQS3',
      reason: 'This is the dead-letter queue, of rules in place of a queue.',
    });
    for (const [arn, routes] of byArn) {
      const target = readNotifyArn(arn)!;
      this.#requireSamePlace(arn, target, routes);
      const rule = new events.Rule(this, `${target.service}-${target.name}`, {
        description: 'Jobs of batchdrop that have ended',
        eventPattern: {
          source: [EVENT_SOURCE],
          detailType: [JOB_COMPLETED],
          detail: {
            // As in STACK_ID of the functions: other stacks of the account put events on the same bus.
            stackId: [stackId],
            route: routes.map(({ name }) => name),
          },
        },
      });
      // A name that is known now, for the statement that the target's policy needs.
      const ruleName = Names.uniqueResourceName(rule, { maxLength: MAX_RULE_NAME_LENGTH, separator: '-' });
      (rule.node.defaultChild as events.CfnRule).name = ruleName;
      rule.addTarget(this.#targetOf(arn, target, rule, deadLetterQueue));
      // What exists already is not changed by this stack, and neither is its policy.
      if (target.service === 'events') continue;
      Annotations.of(this).addInfoV2(
        `batchdrop:notify:${target.service}-${target.name}`,
        [
          `Routes ${routes.map(({ name }) => name).join(', ')} notify ${arn}, which is not changed by this stack. It gets nothing until its ` +
            'access policy has this statement:',
          `  ${JSON.stringify(statementFor(arn, target, ruleName))}`,
          'If it is encrypted with a key of yours, the policy of that key must let events.amazonaws.com use it.',
        ].join('\n'),
      );
    }
  }

  /** CDK's own targets would warn of an account and region that are not known before the deployment. */
  #targetOf(
    arn: string,
    { service, name }: NotifyTarget,
    rule: events.Rule,
    deadLetterQueue: sqs.Queue,
  ): events.IRuleTarget {
    if (service === 'events') {
      const bus = events.EventBus.fromEventBusArn(this, `Bus-${name}`, arn);
      return new targets.EventBus(bus, { deadLetterQueue });
    }
    const conditions = { ArnEquals: { 'aws:SourceArn': rule.ruleArn } };
    deadLetterQueue.grantSendMessages(new iam.ServicePrincipal('events.amazonaws.com', { conditions }));
    return { bind: () => ({ arn, deadLetterConfig: { arn: deadLetterQueue.queueArn } }) };
  }

  #requireSamePlace(arn: string, target: NotifyTarget, routes: readonly Pick<Route, 'name'>[]): void {
    const { account, region } = Stack.of(this);
    for (const [what, of, mine] of [
      ['account', target.account, account],
      ['region', target.region, region],
    ] as const) {
      if (Token.isUnresolved(mine) || of === mine) continue;
      throw new InvalidConfigurationError(
        `notify of route "${routes[0]!.name}" is ${JSON.stringify(arn)}, in ${what} ${of}, and the stack is in ${mine}: ` +
          'name a target in the same account and region, and send on from there.',
      );
    }
  }
}

function statementFor(arn: string, { service, account, region, partition }: NotifyTarget, ruleName: string) {
  return {
    Effect: 'Allow',
    Principal: { Service: 'events.amazonaws.com' },
    Action: ACTION[service],
    Resource: arn,
    Condition: {
      ArnEquals: { 'aws:SourceArn': `arn:${partition}:events:${region}:${account}:rule/${ruleName}` },
    },
  };
}
