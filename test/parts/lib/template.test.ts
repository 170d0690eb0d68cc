/** What must hold for the whole template, in each variant. */
import { loadAwsServiceSpec } from '@aws-cdk/aws-service-spec';
import { Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks, type NagPack, ServerlessChecks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';
import { stackOf, VARIANTS } from '../../support/variants.ts';

type Resources = Record<string, { Type: string; Properties?: Record<string, unknown> }>;

const KNOWN_TYPES = [
  'AWS::CloudWatch::Alarm',
  'AWS::CloudWatch::Dashboard',
  'AWS::ApiGatewayV2::Api',
  'AWS::ApiGatewayV2::Integration',
  'AWS::ApiGatewayV2::Route',
  'AWS::ApiGatewayV2::Stage',
  'AWS::DynamoDB::Table',
  'AWS::Events::Rule',
  // A laptop has no VPC.
  'AWS::EC2::SecurityGroup',
  'AWS::IAM::ManagedPolicy',
  'AWS::IAM::Policy',
  'AWS::IAM::Role',
  'AWS::Lambda::EventInvokeConfig',
  'AWS::Lambda::EventSourceMapping',
  'AWS::Lambda::Function',
  'AWS::Lambda::LayerVersion',
  'AWS::Lambda::Permission',
  'AWS::Lambda::Url',
  'AWS::Logs::LogGroup',
  'AWS::S3::Bucket',
  'AWS::S3::BucketPolicy',
  'AWS::SQS::Queue',
  'AWS::SQS::QueuePolicy',
  'AWS::SecretsManager::Secret',
];

/** AWS's own description of its resources. */
const spec = await loadAwsServiceSpec();
const findSpec = (type: string) => spec.lookup('resource', 'cloudFormationType', 'equals', type)[0];
type SpecProperties = NonNullable<ReturnType<typeof findSpec>>['properties'];
type SpecType = SpecProperties[string]['type'];

describe.each(VARIANTS)('in the variant $name', (variant) => {
  const stack = stackOf(variant);
  const app = stack.node.root;
  const resources: Resources = Template.fromStack(stack).toJSON().Resources;

  test('the template has the types of resource that the local stack can build, and no custom resource', () => {
    const types = new Set(Object.values(resources).map(({ Type }) => Type));
    expect([...types].filter((type) => !KNOWN_TYPES.includes(type))).toEqual([]);
  });

  test('every property is one that CloudFormation knows, and none that it requires is missing', () => {
    expect(findSpecProblems(resources)).toEqual([]);
  });

  test.each<[string, () => NagPack]>([
    ['AwsSolutions', () => new AwsSolutionsChecks(app)],
    ['Serverless', () => new ServerlessChecks(app)],
  ])("cdk-nag's %s pack finds nothing that is not acknowledged", (_, newPack) => {
    const findings = newPack()
      .validateScope(app)
      .violations.flatMap(({ ruleName, violatingResources }) =>
        violatingResources.map((resource) => `${ruleName} ${resource.constructPath}`),
      );
    // A VPC or a key that is there before the pipeline is not its to judge.
    expect(findings.filter((finding) => !/ account\//.test(finding))).toEqual([]);
  });
});

test('fails on an unknown property, a missing one, a wrong type and an unknown resource', () => {
  const problems = findSpecProblems({
    Queue: { Type: 'AWS::SQS::Queue', Properties: { VisibilityTimeOut: 60, DelaySeconds: 'soon' } },
    Table: { Type: 'AWS::DynamoDB::Table', Properties: { KeySchema: [{ AttributeName: 'pk' }] } },
    Topic: { Type: 'AWS::SNS::Subject' },
  });
  expect(problems).toEqual([
    'Queue.VisibilityTimeOut is unknown',
    'Queue.DelaySeconds is text, expected integer',
    'Table.KeySchema[0].KeyType is missing',
    'Topic has the unknown type AWS::SNS::Subject',
  ]);
});

/** Compares a template with AWS's own description of its resources. */
function findSpecProblems(resources: Resources): string[] {
  const problems: string[] = [];

  function checkProperties(owner: SpecProperties, given: Record<string, unknown>, path: string): void {
    for (const [name, value] of Object.entries(given)) {
      const property = owner[name];
      if (property === undefined) problems.push(`${path}.${name} is unknown`);
      else checkValue(property.type, value, `${path}.${name}`);
    }
    for (const [name, { required }] of Object.entries(owner)) {
      if (required === true && !(name in given)) problems.push(`${path}.${name} is missing`);
    }
  }

  /** Of a union one member must fit; one that takes any JSON says nothing about a value. */
  function problemsOfUnion(types: readonly SpecType[], value: unknown, path: string): string[] {
    const attempts = types
      .filter(({ type }) => type !== 'json')
      .map((type) => {
        const before = problems.length;
        checkValue(type, value, path);
        return problems.splice(before);
      });
    return attempts.toSorted((a, b) => a.length - b.length)[0] ?? [];
  }

  function checkValue(type: SpecType, value: unknown, path: string): void {
    if (type.type === 'union') {
      problems.push(...problemsOfUnion(type.types, value, path));
    } else if (type.type === 'integer' && typeof value === 'string') {
      problems.push(`${path} is text, expected integer`);
    } else if (type.type === 'array' && Array.isArray(value)) {
      for (const [index, element] of value.entries()) checkValue(type.element, element, `${path}[${index}]`);
    } else if (type.type === 'ref' && typeof value === 'object' && value !== null && !isIntrinsic(value)) {
      const { properties } = spec.get('typeDefinition', type.reference.$ref);
      checkProperties(properties, value as Record<string, unknown>, path);
    }
  }

  for (const [logicalId, { Type, Properties }] of Object.entries(resources)) {
    const resource = findSpec(Type);
    if (resource === undefined) problems.push(`${logicalId} has the unknown type ${Type}`);
    else checkProperties(resource.properties, Properties ?? {}, logicalId);
  }
  return problems;
}

/** A value that CloudFormation works out at deployment. */
function isIntrinsic(value: object): boolean {
  return Object.keys(value).some((key) => key === 'Ref' || key.startsWith('Fn::'));
}
