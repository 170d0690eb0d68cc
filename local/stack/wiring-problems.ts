/**
 * Mistakes in what a template wires together, one sentence each: AWS would refuse them, or would silently not
 * deliver.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { isAllowed, type PolicyStatement } from '../services/iam.ts';
import type { NamedTemplate } from './names.ts';
import type { FunctionPlan, StackPlan } from './plan.ts';

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
      (action) => !isAllowed(plan.statementsOf(target.roleArn), { action, resource: queue.arn }),
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

interface ResourceStatement extends PolicyStatement {
  Principal?: { Service?: string | string[] };
  Condition?: { ArnEquals?: Record<string, string>; ArnLike?: Record<string, string> };
}

/** EventBridge needs the target's own permission. */
export function findTargetProblems(plan: StackPlan, named: NamedTemplate): string[] {
  const queueStatements = named
    .resourcesOf('AWS::SQS::QueuePolicy')
    .flatMap(
      ({ properties }) =>
        (properties as { PolicyDocument: { Statement: ResourceStatement[] } }).PolicyDocument.Statement,
    )
    .filter(({ Principal }) => [Principal?.Service].flat().includes('events.amazonaws.com'));
  const permissions = named
    .resourcesOf('AWS::Lambda::Permission')
    .map(({ properties }) => properties as { FunctionName: string; Principal: string; SourceArn?: string })
    .filter(({ Principal }) => Principal === 'events.amazonaws.com');
  const problems: string[] = [];
  for (const rule of plan.rules) {
    for (const target of rule.targets) {
      if (target.kind === 'queue') {
        const resource = plan.queues.find(({ name }) => name === target.queueName)?.arn;
        if (resource === undefined) {
          problems.push(
            `rule "${rule.name}" sends to the queue "${target.queueName}", which is not in the stack`,
          );
          continue;
        }
        const meant = queueStatements.filter(({ Condition }) => isMeantFor(Condition, rule.arn));
        if (!isAllowed(meant, { action: 'sqs:SendMessage', resource })) {
          problems.push(
            `rule "${rule.name}" may not send to the queue "${target.queueName}": no queue policy allows events.amazonaws.com`,
          );
        }
      } else {
        const isPermitted = permissions.some(
          ({ FunctionName, SourceArn }) =>
            FunctionName.split(':').at(-1) === target.functionName &&
            (SourceArn === undefined || SourceArn === rule.arn),
        );
        if (!plan.functions.some(({ name }) => name === target.functionName)) {
          problems.push(`rule "${rule.name}" invokes "${target.functionName}", which is not in the stack`);
        } else if (!isPermitted) {
          problems.push(
            `rule "${rule.name}" may not invoke "${target.functionName}": no AWS::Lambda::Permission for events.amazonaws.com`,
          );
        }
      }
    }
  }
  return problems;
}

function isMeantFor(condition: ResourceStatement['Condition'], ruleArn: string): boolean {
  const source = condition?.ArnEquals?.['aws:SourceArn'] ?? condition?.ArnLike?.['aws:SourceArn'];
  return source === undefined || source === ruleArn;
}
