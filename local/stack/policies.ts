/** The policies of a template: those of roles and people, and those that resources have of their own. */
import type { Condition } from '../services/iam/conditions.ts';
import { type Decision, decide } from '../services/iam/evaluate.ts';
import { keyCallsOf, keyContextOfService } from '../services/iam/keys.ts';
import {
  type ApiCall,
  type CompiledStatement,
  compilePolicy,
  type Grant,
  type PolicyStatement,
  type Principal,
} from '../services/iam/policy.ts';
import { ACCOUNT_ID } from './account.ts';
import { type KeyOf, readKeys } from './encryption.ts';
import type { NamedResource, NamedTemplate } from './names.ts';

/** Every policy that a call may be held against. */
export interface StackPolicies {
  /** By ARN of the role, or of a managed policy by its own. */
  ofIdentity(arn: string): readonly CompiledStatement[];
  /** By ARN of what is acted on; an object's is its bucket's. `undefined`: it has none. */
  ofResource(arn: string): readonly CompiledStatement[] | undefined;
  /** With what a resource is encrypted. */
  keyOf: KeyOf;
  /** Everything that all of them allow. */
  grants: readonly Grant[];
}

interface Document {
  Statement: PolicyStatement | PolicyStatement[];
}

/** Policies of keys that are in no template, by ARN. */
export type KeyPolicies = Readonly<Record<string, readonly PolicyStatement[]>>;

/** What AWS gives a key by default: the policies of its account decide. */
const DEFAULT_KEY_POLICY: PolicyStatement = {
  Effect: 'Allow',
  Principal: { AWS: `arn:aws:iam::${ACCOUNT_ID}:root` },
  Action: 'kms:*',
  Resource: '*',
};

/**
 * Reads what a template says, with the policies of resources of the stacks that it depends on.
 *
 * @param keyPolicies of keys that are in none of them. Default of each: what AWS gives a key by default.
 * @throws naming what of a policy is not evaluated here
 */
export function readPolicies(named: NamedTemplate, keyPolicies: KeyPolicies = {}): StackPolicies {
  const templates = [named, ...named.dependencies];
  const defaultKeyPolicy = compilePolicy([DEFAULT_KEY_POLICY], 'a key that is in no template');
  const identities = new Map<string, CompiledStatement[]>();
  const resources = new Map<string, CompiledStatement[]>();
  const add = (to: Map<string, CompiledStatement[]>, arn: string, statements: CompiledStatement[]) =>
    to.set(arn, [...(to.get(arn) ?? []), ...statements]);
  for (const { arn, statements } of identityPolicies(named)) add(identities, arn, statements);
  for (const { arn, statements } of templates.flatMap(resourcePolicies)) add(resources, arn, statements);
  for (const [arn, statements] of Object.entries(keyPolicies))
    add(resources, arn, compilePolicy(statements, `the key ${arn}`));
  const ofKey = (arn: string) => (arn.startsWith('arn:aws:kms:') ? defaultKeyPolicy : undefined);
  return {
    ofIdentity: (arn) => identities.get(arn) ?? [],
    ofResource: (arn) => resources.get(arn) ?? resources.get(arn.split('/', 1)[0]!) ?? ofKey(arn),
    keyOf: readKeys(templates),
    grants: [...identities.values(), ...resources.values()].flat().flatMap(({ grants }) => grants),
  };
}

/**
 * Holds a call of one of AWS's services against the policy of what it acts on, and against that of the key with which this is
 * encrypted.
 *
 * @param sourceArn for what it calls
 */
export function decideForService(
  policies: StackPolicies,
  service: string,
  sourceArn: string,
  call: ApiCall,
): Decision {
  const own = decideAsService(policies, service, sourceArn, call);
  return 'refusal' in own ? own : joined(own, decideKeyForService(policies, service, sourceArn, call));
}

/** The part of {@link decideForService} that is about the key. */
export function decideKeyForService(
  policies: StackPolicies,
  service: string,
  sourceArn: string,
  call: ApiCall,
): Decision {
  return keyCallsOf(call, policies.keyOf(call.resource))
    .map((each) => decideAsService(policies, service, sourceArn, each))
    .reduce(joined, { grants: [] });
}

/** Both must be allowed. */
function joined(one: Decision, other: Decision): Decision {
  if ('refusal' in one) return one;
  return 'refusal' in other ? other : { grants: [...one.grants, ...other.grants] };
}

function decideAsService(
  policies: StackPolicies,
  service: string,
  sourceArn: string,
  call: ApiCall,
): Decision {
  const known = {
    'aws:PrincipalIsAWSService': 'true',
    'aws:SecureTransport': 'true',
    'aws:SourceArn': sourceArn,
    'aws:SourceAccount': ACCOUNT_ID,
    ...call.context,
  };
  const context = call.action.startsWith('kms:') ? keyContextOfService(service, known) : known;
  const principal: Principal = { name: service, arns: [], service };
  const resource = policies.ofResource(call.resource);
  return decide(principal, { ...call, context }, { identity: [], resource });
}

/** Holds a call that nobody has signed against the policy of what it acts on. */
export function decideForAnybody(policies: StackPolicies, call: ApiCall): Decision {
  const context = { 'aws:SecureTransport': 'true', ...call.context };
  const resource = policies.ofResource(call.resource);
  return decide({ name: 'anonymous', arns: [] }, { ...call, context }, { identity: [], resource });
}

interface ReadPolicy {
  arn: string;
  statements: CompiledStatement[];
}

function identityPolicies(named: NamedTemplate): ReadPolicy[] {
  const roles = named.resourcesOf('AWS::IAM::Role');
  const roleOf = (roleName: string) => roles.find(({ name }) => name === roleName);
  const inline = roles.flatMap((role) => {
    const { Policies = [] } = role.properties as { Policies?: { PolicyDocument: Document }[] };
    return Policies.map(({ PolicyDocument }) => read(named.arnOf(role.logicalId), PolicyDocument, role.path));
  });
  const attached = named
    .resourcesOf('AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy')
    .flatMap(({ properties }) => {
      const { Roles = [], PolicyDocument } = properties as { Roles?: string[]; PolicyDocument: Document };
      return Roles.flatMap((name) => {
        const role = roleOf(name);
        return role === undefined ? [] : [read(named.arnOf(role.logicalId), PolicyDocument, role.path)];
      });
    });
  const managed = named.resourcesOf('AWS::IAM::ManagedPolicy').map(({ logicalId, path, properties }) => {
    const { PolicyDocument } = properties as { PolicyDocument: Document };
    return read(named.arnOf(logicalId), PolicyDocument, path);
  });
  return [...inline, ...attached, ...managed];
}

/** How each type of policy names what it is the policy of, and where its document is. */
const RESOURCE_POLICIES: Readonly<
  Record<string, (properties: never) => [targets: string[], document: Document]>
> = {
  'AWS::S3::BucketPolicy': ({ Bucket, PolicyDocument }: { Bucket: string; PolicyDocument: Document }) => [
    [`arn:aws:s3:::${Bucket}`],
    PolicyDocument,
  ],
  'AWS::SQS::QueuePolicy': ({ Queues, PolicyDocument }: { Queues: string[]; PolicyDocument: Document }) => [
    Queues,
    PolicyDocument,
  ],
  'AWS::SNS::TopicPolicy': ({ Topics, PolicyDocument }: { Topics: string[]; PolicyDocument: Document }) => [
    Topics,
    PolicyDocument,
  ],
  'AWS::SecretsManager::ResourcePolicy': ({
    SecretId,
    ResourcePolicy,
  }: {
    SecretId: string;
    ResourcePolicy: Document;
  }) => [[SecretId], ResourcePolicy],
};

function resourcePolicies(named: NamedTemplate): ReadPolicy[] {
  const queues = named.resourcesOf('AWS::SQS::Queue');
  const arnOf = (target: string): string => {
    const queue = queues.find(({ name }) => target.startsWith('http') && target.endsWith(`/${name}`));
    return queue === undefined ? target : named.arnOf(queue.logicalId);
  };
  const ofDocuments = named
    .resourcesOf(...Object.keys(RESOURCE_POLICIES))
    .flatMap(({ type, properties, path }) => {
      const [targets, document] = RESOURCE_POLICIES[type]!(properties as never);
      return targets.map((target) => read(arnOf(target), document, path));
    });
  const ofKeys = named.resourcesOf('AWS::KMS::Key').map(({ logicalId, properties, path }) => {
    const { KeyPolicy } = properties as { KeyPolicy: Document };
    return read(named.arnOf(logicalId), KeyPolicy, path);
  });
  return [...ofDocuments, ...ofKeys, ...functionPolicies(named)];
}

interface LambdaPermission {
  Action: string;
  FunctionName: string;
  Principal: string;
  SourceArn?: string;
  SourceAccount?: string;
  FunctionUrlAuthType?: string;
  InvokedViaFunctionUrl?: boolean | string;
}

/** Each AWS::Lambda::Permission is a statement of its function's policy. */
function functionPolicies(named: NamedTemplate): ReadPolicy[] {
  const functions = named.resourcesOf('AWS::Lambda::Function');
  return named.resourcesOf('AWS::Lambda::Permission').flatMap(({ path, properties }) => {
    const permission = properties as LambdaPermission;
    const target = functions.find(({ name }) => permission.FunctionName.split(':').at(-1) === name);
    if (target === undefined) return [];
    const arn = named.arnOf(target.logicalId);
    return [read(arn, { Statement: statementOf(permission, arn) }, path)];
  });
}

/** Source: CloudFormation reference, AWS::Lambda::Permission; the statements that AddPermission makes. */
function statementOf(permission: LambdaPermission, resource: string): PolicyStatement {
  const { Action, Principal, SourceArn, SourceAccount, FunctionUrlAuthType, InvokedViaFunctionUrl } =
    permission;
  const condition: Record<string, Record<string, string>> = {};
  if (SourceArn !== undefined) condition.ArnLike = { 'aws:SourceArn': SourceArn };
  const equals = {
    ...(SourceAccount === undefined ? {} : { 'aws:SourceAccount': SourceAccount }),
    ...(FunctionUrlAuthType === undefined ? {} : { 'lambda:FunctionUrlAuthType': FunctionUrlAuthType }),
  };
  if (Object.keys(equals).length > 0) condition.StringEquals = equals;
  if (InvokedViaFunctionUrl !== undefined)
    condition.Bool = { 'lambda:InvokedViaFunctionUrl': String(InvokedViaFunctionUrl) };
  return {
    Effect: 'Allow',
    Principal: principalOf(Principal),
    Action,
    Resource: resource,
    ...(Object.keys(condition).length === 0 ? {} : { Condition: condition as Condition }),
  };
}

function principalOf(written: string): NonNullable<PolicyStatement['Principal']> {
  if (written === '*') return '*';
  return written.endsWith('.amazonaws.com') ? { Service: written } : { AWS: written };
}

function read(arn: string, { Statement }: Document, holder: NamedResource['path']): ReadPolicy {
  return { arn, statements: compilePolicy([Statement].flat(), holder) };
}
