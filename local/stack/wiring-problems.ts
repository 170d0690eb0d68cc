/**
 * Mistakes in what a template wires together, one sentence each: AWS would refuse them, or would silently not
 * deliver.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EventTarget } from '../services/eventbridge/events.ts';
import { decide } from '../services/iam/evaluate.ts';
import { keyCallsOf } from '../services/iam/keys.ts';
import type { ApiCall } from '../services/iam/policy.ts';
import { ACCOUNT_ID, REGION } from './account.ts';
import type { NamedTemplate } from './names.ts';
import type { FunctionPlan, StackPlan } from './plan.ts';
import { decideForService, decideKeyForService, type StackPolicies } from './policies.ts';

/** What the bootstrap looks for (local/services/lambda/bootstrap.mjs), as AWS's own does. */
const MODULE_EXTENSIONS = ['.mjs', '.js', '.cjs'];
/** AWS: default visibility timeout of a queue, seconds. */
const DEFAULT_VISIBILITY_SECONDS = 30;

/** The rights that AWS wants of the function's role before it makes a mapping. */
const EVENT_SOURCE_ACTIONS = ['sqs:ReceiveMessage', 'sqs:DeleteMessage', 'sqs:GetQueueAttributes'];

/** A function whose module is not there would start nothing and say nothing but that. */
export function findHandlerProblems({ path, handler, taskRoot }: FunctionPlan): string[] {
  const module = handler.slice(0, handler.lastIndexOf('.'));
  const files = MODULE_EXTENSIONS.map((extension) => `${module}${extension}`);
  if (files.some((file) => existsSync(join(taskRoot, file)))) return [];
  return [
    `${path} has the handler "${handler}", and none of ${files.join(', ')} is in ${taskRoot}: run "npx cdk synth" again`,
  ];
}

/** Dead-letter queues that are not in the stack. */
export function findQueueProblems(plan: StackPlan): string[] {
  const names = new Set(plan.queues.map(({ name }) => name));
  return plan.queues
    .filter(({ deadLetterQueueName }) => deadLetterQueueName !== undefined && !names.has(deadLetterQueueName))
    .map(
      ({ path, deadLetterQueueName }) =>
        `${path}: its dead-letter queue "${deadLetterQueueName}" is not in the stack`,
    );
}

/** Mappings that AWS refuses. */
export function findEventSourceProblems(plan: StackPlan): string[] {
  return plan.eventSources.flatMap(({ queueName, functionName }) => {
    const queue = plan.queues.find(({ name }) => name === queueName)!;
    const target = plan.functions.find(({ name }) => name === functionName)!;
    const problems = EVENT_SOURCE_ACTIONS.flatMap((action) => {
      const call: ApiCall = { action, resource: queue.arn };
      const refused = [call, ...keyCallsOf(call, plan.policies.keyOf(queue.arn))].filter(
        (each) => !mayByRole(plan, target, each),
      );
      return refused.map(
        (each) =>
          `the role of ${target.path} does not allow ${each.action} on ${each === call ? '' : 'the key of '}${queue.path}, ` +
          'which it is mapped to',
      );
    });
    const visibilityMs = Number(queue.attributes.VisibilityTimeout ?? DEFAULT_VISIBILITY_SECONDS) * 1000;
    if (visibilityMs < target.timeoutMs) {
      problems.push(
        `${queue.path} shows a message again after ${visibilityMs / 1000} s, while ${target.path} may still work on it ` +
          `(timeout ${target.timeoutMs / 1000} s): AWS refuses the mapping`,
      );
    }
    return problems;
  });
}

function mayByRole({ policies }: StackPlan, { roleArn }: FunctionPlan, call: ApiCall): boolean {
  const role = { name: roleArn, arns: [roleArn], accountId: ACCOUNT_ID };
  const context = { 'aws:SecureTransport': 'true', ...call.context };
  const identity = policies.ofIdentity(roleArn);
  const decision = decide(
    role,
    { ...call, context },
    { identity, resource: policies.ofResource(call.resource) },
  );
  return 'grants' in decision;
}

/** SNS needs the permission of the queues that subscribe to a topic; without it, it drops their messages. */
export function findSubscriptionProblems(plan: StackPlan): string[] {
  return plan.topics.flatMap((topic) =>
    topic.queues.flatMap(({ name }) => {
      const resource = plan.queues.find((queue) => queue.name === name)!.arn;
      const call = { action: 'sqs:SendMessage', resource };
      const decision = decideForService(plan.policies, 'sns.amazonaws.com', topic.arn, call);
      if ('grants' in decision) return [];
      const why = decision.refusal.includes('kms:')
        ? decision.refusal
        : 'no queue policy allows it to sns.amazonaws.com';
      return [`topic "${topic.arn}" may not send to the queue "${name}": ${why}`];
    }),
  );
}

/** CloudFormation refuses a log group whose key CloudWatch Logs may not use. */
export function findLogGroupProblems(named: NamedTemplate, policies: StackPolicies): string[] {
  return named.resourcesOf('AWS::Logs::LogGroup').flatMap(({ logicalId, path }) => {
    const resource = named.arnOf(logicalId);
    const call = { action: 'logs:PutLogEvents', resource };
    const decision = decideKeyForService(policies, `logs.${REGION}.amazonaws.com`, resource, call);
    return 'grants' in decision ? [] : [`${path}: its key cannot be used: ${decision.refusal}`];
  });
}

/** CloudWatch needs rights on the key of a topic that an alarm tells; without them, nobody hears of the alarm. */
export function findAlarmTopicProblems({ alarms, policies }: StackPlan): string[] {
  return alarms.flatMap(({ name, arn, actions }) => {
    const topics = new Set(Object.values(actions).flat());
    return [...topics].flatMap((resource) => {
      const call = { action: 'sns:Publish', resource };
      const decision = decideKeyForService(policies, 'cloudwatch.amazonaws.com', arn, call);
      return 'grants' in decision
        ? []
        : [`alarm "${name}" may not tell the topic "${resource}": ${decision.refusal}`];
    });
  });
}

/** EventBridge needs the target's own permission. */
export function findTargetProblems(plan: StackPlan): string[] {
  return plan.rules.flatMap((rule) =>
    rule.targets.flatMap((target) => {
      const call = deliveryTo(target, plan);
      if (call === undefined)
        return [`rule "${rule.name}" has the target ${nameOf(target)}, which is not in the stack`];
      const decision = decideForService(plan.policies, 'events.amazonaws.com', rule.arn, call);
      if ('grants' in decision) return [];
      if (decision.refusal.includes('kms:'))
        return [`rule "${rule.name}" may not send to ${nameOf(target)}: ${decision.refusal}`];
      const [verb, lacking] =
        target.kind === 'queue' ? ['send to', 'queue policy'] : ['invoke', 'AWS::Lambda::Permission'];
      return [
        `rule "${rule.name}" may not ${verb} ${nameOf(target)}: no ${lacking} allows it to events.amazonaws.com`,
      ];
    }),
  );
}

function nameOf(target: EventTarget): string {
  return target.kind === 'queue' ? `the queue "${target.queueName}"` : `"${target.functionName}"`;
}

/** What a rule calls to reach a target. `undefined`: the target is not in the stack. */
export function deliveryTo(
  target: EventTarget,
  { queues, functions }: Pick<StackPlan, 'queues' | 'functions'>,
): { action: string; resource: string } | undefined {
  const [action, found] =
    target.kind === 'queue'
      ? (['sqs:SendMessage', queues.find(({ name }) => name === target.queueName)] as const)
      : (['lambda:InvokeFunction', functions.find(({ name }) => name === target.functionName)] as const);
  return found && { action, resource: found.arn };
}
