/** A synthesized template with names that say what they stand for, and the words that people use for its resources. */
import type { PolicyStatement } from '../../local/services/iam/policy.ts';
import { type NamedStack, nameStack } from '../../local/stack/names.ts';
import type { Template } from '../../local/stack/template.ts';

/** What the names are made of: those of an account, or what a reader fills in. */
export interface Names {
  accountId: string;
  region: string;
  stackName: string;
  /** Last part of the stack's ARN. */
  uuid: string;
}

/** What a reader fills in. */
export const PLACEHOLDERS: Names = {
  accountId: 'ACCOUNT',
  region: 'REGION',
  stackName: 'STACK',
  uuid: 'UUID',
};

/** The template with these names in place of what CloudFormation makes up. */
export function withNames(template: Template, names: Names = PLACEHOLDERS): NamedStack {
  const { accountId, region, stackName, uuid } = names;
  return nameStack(
    { stackName, template, dependencies: [], assetFolder: (key) => key },
    {
      accountId,
      region,
      stackName,
      stackId: `arn:aws:cloudformation:${region}:${accountId}:stack/${stackName}/${uuid}`,
    },
    (queue) => `https://sqs.${region}.amazonaws.com/${accountId}/${queue}`,
    (url) => `https://${url}.example.com`,
  );
}

/** A role of a function, or a managed policy. */
export interface Holder {
  /** The capability, `viewer`, `operator`, or {@link ROLE_OF_A_RULE}. */
  name: string;
  statements: readonly PolicyStatement[];
}

interface Document {
  Statement: PolicyStatement | PolicyStatement[];
}

/** What a policy document says, as a list. */
export const statementsOf = ({ Statement }: Document): PolicyStatement[] => [Statement].flat();

/** What EventBridge takes on to put events on a bus that a route's `notify` names. */
export const ROLE_OF_A_RULE = 'rule of `notify`';

/** The roles, in the order of the template. That of a function says in its description whose it is. */
export function rolesOf(named: NamedStack): Holder[] {
  const policies = named
    .resourcesOf('AWS::IAM::Policy')
    .map(({ properties }) => properties as { Roles: string[]; PolicyDocument: Document });
  return named.resourcesOf('AWS::IAM::Role').map(({ name: role, properties }) => {
    const { Description = '' } = properties as { Description?: string };
    const own = policies.filter(({ Roles }) => Roles.includes(role));
    return {
      name: /^What batchdrop (\w+) may do$/.exec(Description)?.[1] ?? ROLE_OF_A_RULE,
      statements: own.flatMap(({ PolicyDocument }) => statementsOf(PolicyDocument)),
    };
  });
}

/** The managed policies for people. */
export function managedPoliciesOf(named: NamedStack): Holder[] {
  return named.resourcesOf('AWS::IAM::ManagedPolicy').map(({ logicalId, properties }) => ({
    name: /(Viewer|Operator)Policy/.exec(logicalId)![1]!.toLowerCase(),
    statements: statementsOf((properties as { PolicyDocument: Document }).PolicyDocument),
  }));
}

/** `PipelineIngestQueueDeadLetters3A6969AB` is the dead-letter queue of `ingest`. */
export function queueInWords(name: string): string {
  const [, capability = name, dead] =
    /-Pipeline(\w+?)(?:Queue)?(DeadLetters)?[0-9A-F]{8}(?:-[0-9a-f]{8})?$/.exec(name) ?? [];
  const quoted = `\`${capability.toLowerCase()}\``;
  return dead === undefined ? quoted : `${quoted} (dead letters)`;
}
