/** What AWS would refuse at deployment for its size is refused at synth. */
import { Stack } from 'aws-cdk-lib';
import type { IConstruct } from 'constructs';

/** Source: Lambda developer guide, "Lambda quotas" (environment variables, in aggregate). */
const MAX_ENVIRONMENT_BYTES = 4_096;
/** Source: IAM user guide, "IAM and AWS STS quotas" (inline policies of a role, without white space). */
const MAX_ROLE_POLICY_CHARS = 10_240;
/** Source: IAM user guide, "IAM and AWS STS quotas" (a customer managed policy, without white space). */
const MAX_MANAGED_POLICY_CHARS = 6_144;
/** Source: CloudFormation user guide, "Understand CloudFormation quotas". CDK itself counts the resources. */
export const MAX_OUTPUTS = 200;

/** The longest values that CloudFormation may put in place of a reference. */
const LONGEST: Readonly<Record<string, number>> = {
  'AWS::Partition': 'aws-iso-b'.length,
  'AWS::Region': 'ap-southeast-7'.length + 2,
  'AWS::AccountId': 12,
  'AWS::StackId': 256,
  'AWS::StackName': 128,
};
/** Name, URL or ARN of a bucket (63 characters of a name), and of a queue (80). */
const LONGEST_OF_BUCKET = 80;
const LONGEST_OF_RESOURCE = 150;
/** A table's name or ARN, and a log group's, which have the name of the stack in them. */
const LONGEST_NAME = 255;
/** A UUID. */
const LONGEST_SELECTED = 36;

/** The most characters that a value has once it is deployed; of a policy or an environment, without white space. */
function longestOf(scope: IConstruct, value: unknown): number {
  return lengthOf(Stack.of(scope).resolve(value));
}

function lengthOf(value: unknown): number {
  if (typeof value === 'string') return Buffer.byteLength(JSON.stringify(value)) - 2;
  if (typeof value !== 'object' || value === null) return String(value).length;
  const node = value as Record<string, unknown>;
  if (Array.isArray(value)) return value.reduce((sum: number, item) => sum + lengthOf(item) + 3, 2);
  if (typeof node.Ref === 'string') return LONGEST[node.Ref] ?? longestOfResource(node.Ref);
  if (node['Fn::GetAtt'] !== undefined) return longestOfResource(String(node['Fn::GetAtt']));
  if (node['Fn::Select'] !== undefined) return LONGEST_SELECTED;
  if (node['Fn::Join'] !== undefined) {
    const [delimiter, parts] = node['Fn::Join'] as [string, unknown[]];
    return parts.reduce((sum: number, part) => sum + lengthOf(part) + delimiter.length, 0);
  }
  return Object.entries(node).reduce((sum, [name, item]) => sum + name.length + lengthOf(item) + 6, 2);
}

function longestOfResource(logicalId: string): number {
  if (/Bucket/.test(logicalId)) return LONGEST_OF_BUCKET;
  return /Table|Logs/.test(logicalId) ? LONGEST_NAME : LONGEST_OF_RESOURCE;
}

/** What is wrong with a function's environment; empty: nothing. */
export function environmentProblems(
  scope: IConstruct,
  environment: Readonly<Record<string, string>>,
): string[] {
  const bytes = Object.entries(environment).reduce(
    (sum, [name, value]) => sum + name.length + longestOf(scope, value),
    0,
  );
  if (bytes <= MAX_ENVIRONMENT_BYTES) return [];
  return [
    `the environment of ${scope.node.path} may have ${bytes} bytes once it is deployed, and Lambda takes ${MAX_ENVIRONMENT_BYTES}: ` +
      'shorten what was given (openaiBaseUrl)',
  ];
}

/** What is wrong with the policy of a function's role; empty: nothing. */
export function policyProblems(scope: IConstruct, statements: readonly unknown[]): string[] {
  const characters = longestOf(scope, { Version: '2012-10-17', Statement: statements });
  if (characters <= MAX_ROLE_POLICY_CHARS) return [];
  return [
    `the policy of the role of ${scope.node.path} may have ${characters} characters once it is deployed, and IAM takes ` +
      `${MAX_ROLE_POLICY_CHARS}: give fewer routes result prefixes of their own (layout), or let them share prefixes`,
  ];
}

/** What is wrong with a managed policy; empty: nothing. */
export function managedPolicyProblems(scope: IConstruct, statements: readonly unknown[]): string[] {
  const characters = longestOf(scope, { Version: '2012-10-17', Statement: statements });
  if (characters <= MAX_MANAGED_POLICY_CHARS) return [];
  return [
    `the managed policy ${scope.node.path} may have ${characters} characters once it is deployed, and IAM takes ` +
      `${MAX_MANAGED_POLICY_CHARS}: let routes share result prefixes (layout), or leave the managed policies out (policies: false, in ` +
      'context policies=off) and write your own',
  ];
}
