/**
 * A permissions boundary for the roles of functions: what they all may do together, by names that are known before the
 * stack is there. It is made from the grants of templates, so that it allows them and nothing else.
 */
import type { PolicyStatement } from '../../local/services/iam/policy.ts';
import type { NamedStack } from '../../local/stack/names.ts';
import { type Names, PLACEHOLDERS, rolesOf } from './named-template.ts';

/** A policy as IAM takes it. */
export interface PolicyDocument {
  Version: '2012-10-17';
  Statement: (PolicyStatement & { Sid: string })[];
}

/** Names of statements, by the service of their actions. */
const SIDS: Readonly<Record<string, string>> = {
  dynamodb: 'Table',
  ec2: 'Network',
  events: 'Events',
  kms: 'Key',
  logs: 'Logs',
  s3: 'Bucket',
  secretsmanager: 'Secrets',
  sqs: 'Queues',
};

/** Conditions that divide what is the stack's own: the boundary ends at the stack, the roles' policies within it. */
const WITHIN_THE_STACK = ['s3:prefix', 'dynamodb:LeadingKeys'];

/** @param stacks of which each role's grants are to be within the boundary. */
export function permissionsBoundary(stacks: readonly NamedStack[]): PolicyDocument {
  const resourcesByAction = new Map<string, Set<string>>();
  for (const grant of stacks.flatMap(rolesOf).flatMap(({ statements }) => statements.flatMap(grantsOf))) {
    const key = JSON.stringify([grant.action, grant.condition]);
    resourcesByAction.set(key, (resourcesByAction.get(key) ?? new Set()).add(grant.resource));
  }
  const byResources = Map.groupBy([...resourcesByAction], ([key, resources]) => {
    const [action, condition] = JSON.parse(key) as [string, object | null];
    return JSON.stringify([action.split(':')[0], [...resources].sort(), condition]);
  });
  const statements = [...byResources]
    .map(([key, actions]) =>
      statementOf(
        key,
        actions.map(([action]) => JSON.parse(action)[0] as string),
      ),
    )
    .sort((one, other) => (JSON.stringify(one) < JSON.stringify(other) ? -1 : 1));
  return { Version: '2012-10-17', Statement: numbered(statements) };
}

type Condition = NonNullable<PolicyStatement['Condition']>;

interface Wanted {
  action: string;
  resource: string;
  condition: Condition | null;
}

function grantsOf({ Action, Resource, Condition }: PolicyStatement): Wanted[] {
  const condition = conditionBeyond(Condition);
  return [Action ?? []]
    .flat()
    .flatMap((action) =>
      [Resource ?? []].flat().map((resource) => ({ action, resource: patternOf(resource), condition })),
    );
}

function conditionBeyond(condition: Condition | undefined): Wanted['condition'] {
  const kept = Object.entries(condition ?? {}).filter(
    ([, byKey]) => !Object.keys(byKey).every((key) => WITHIN_THE_STACK.includes(key)),
  );
  return kept.length === 0 ? null : Object.fromEntries(kept);
}

/** An ARN without what CloudFormation adds to a name, which nobody knows before. */
function patternOf(arn: string, { accountId, region, stackName }: Names = PLACEHOLDERS): string {
  return arn
    .replace(new RegExp(`:${stackName}-Pipeline\\w*`), `:${stackName}-Pipeline*`)
    .replace(new RegExp(`/${stackName}-Pipeline\\w*`), `/${stackName}-Pipeline*`)
    .replace(
      new RegExp(`:${stackName.toLowerCase()}-pipeline[a-z0-9]*`),
      `:${stackName.toLowerCase()}-pipeline*`,
    )
    .replace(/:secret:batchdrop\/.*$/, ':secret:batchdrop/*')
    .replace(/^arn:aws:kms:.*$/, `arn:aws:kms:${region}:${accountId}:key/KEY`);
}

function statementOf(key: string, actions: readonly string[]): PolicyStatement {
  const [service, resources, condition] = JSON.parse(key) as [string, string[], Wanted['condition']];
  const sid = SIDS[service];
  if (sid === undefined)
    throw new Error(`scripts/roles-reference/permissions-boundary.ts has no name for ${service}`);
  return {
    Sid: sid,
    Effect: 'Allow',
    Action: actions.toSorted(),
    Resource: resources.toSorted(),
    ...(condition === null ? {} : { Condition: condition }),
  };
}

/** `Bucket`, `Bucket2`, …: names of statements are unique in a policy. */
function numbered(statements: readonly PolicyStatement[]): PolicyDocument['Statement'] {
  const seen = new Map<string, number>();
  return statements.map((statement) => {
    const count = (seen.get(statement.Sid!) ?? 0) + 1;
    seen.set(statement.Sid!, count);
    return { ...statement, Sid: count === 1 ? statement.Sid! : `${statement.Sid}${count}` };
  });
}

/** As JSON for people: one line an action or resource is too much of it, one line a statement too little. */
export function policyText({ Version, Statement }: PolicyDocument): string {
  const statements = Statement.map((statement) => {
    const members = Object.entries(statement).map(([name, value]) => `    "${name}": ${listText(value)}`);
    return `  {\n${members.join(',\n')}\n  }`;
  });
  return `{\n "Version": "${Version}",\n "Statement": [\n${statements.join(',\n')}\n ]\n}`;
}

function listText(value: unknown): string {
  if (!Array.isArray(value)) return JSON.stringify(value);
  if (value.length === 1) return JSON.stringify(value[0]);
  return `[\n${value.map((each) => `      ${JSON.stringify(each)}`).join(',\n')}\n    ]`;
}
