/**
 * Mistakes in what a template wires together, one sentence each: AWS would refuse them, or would silently not
 * deliver.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import type { EventTarget } from '../services/eventbridge/events.ts';
import { decide } from '../services/iam/evaluate.ts';
import { ACCOUNT_ID } from './account.ts';
import type { FunctionPlan, StackPlan } from './plan.ts';
import { decideForService } from './policies.ts';

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
    const problems = EVENT_SOURCE_ACTIONS.filter(
      (action) => !mayByRole(plan, target, { action, resource: queue.arn }),
    ).map(
      (action) =>
        `the role of ${target.path} does not allow ${action} on ${queue.path}, which it is mapped to`,
    );
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

function mayByRole(
  { policies }: StackPlan,
  { roleArn }: FunctionPlan,
  call: { action: string; resource: string },
): boolean {
  const role = { name: roleArn, arns: [roleArn], accountId: ACCOUNT_ID };
  const context = { 'aws:SecureTransport': 'true' };
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
      return 'grants' in decision
        ? []
        : [
            `topic "${topic.arn}" may not send to the queue "${name}": no queue policy allows it to sns.amazonaws.com`,
          ];
    }),
  );
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
