/** Statements of policies, and why their resources may hold wildcards. */
import { Stack, Validations } from 'aws-cdk-lib';
import * as iam from 'aws-cdk-lib/aws-iam';
import type { IConstruct } from 'constructs';

/** A statement of what a function, or a person, may do. */
export interface Permission {
  /** IAM actions, spelled out. */
  readonly actions: readonly string[];
  /** ARNs. */
  readonly resources: readonly string[];
  /** IAM conditions. @default - none */
  readonly conditions?: Readonly<Record<string, unknown>>;
  /** Why a resource may hold a wildcard; recorded for cdk-nag. @default - cdk-nag refuses wildcards */
  readonly wildcardReason?: string;
}

/** The same as CDK has it. */
export function statementOf({ actions, resources, conditions }: Permission): iam.PolicyStatement {
  return new iam.PolicyStatement({
    actions: [...actions],
    resources: [...resources],
    ...(conditions === undefined ? {} : { conditions: { ...conditions } }),
  });
}

/** Records why the resources of a statement hold wildcards, if it says so. @param holder what has the policy. */
export function acknowledgeWildcards(
  holder: IConstruct,
  { resources, wildcardReason: reason }: Permission,
): void {
  if (reason === undefined) return;
  Validations.of(holder).acknowledge(
    ...resources.map((resource) => ({
      id: `AwsSolutions-IAM5[Resource::${nameReferences(Stack.of(holder).resolve(resource))}]`,
      reason,
    })),
  );
}

/** A resolved ARN as cdk-nag names it in a finding, and as people read it: references become `<LogicalId.Attribute>`. */
export function nameReferences(value: unknown): string {
  if (typeof value === 'string') return value;
  const node = value as { Ref?: string; 'Fn::GetAtt'?: string[]; 'Fn::Join'?: [string, unknown[]] };
  if (node['Fn::Join'] !== undefined) {
    const [delimiter, parts] = node['Fn::Join'];
    return parts.map(nameReferences).join(delimiter);
  }
  if (node['Fn::GetAtt'] !== undefined) return `<${node['Fn::GetAtt'].join('.')}>`;
  return node.Ref === undefined ? JSON.stringify(value) : `<${node.Ref}>`;
}
