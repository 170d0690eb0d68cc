/**
 * Rights on keys are enough and no more than is used: whoever may do something with what is encrypted may use its key for that,
 * by the policies of the template as the local stack evaluates them.
 */
import { mkdtempSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Annotations, Match } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { PipelineStack } from '../../../lib/pipeline-stack.ts';
import { decide } from '../../../local/services/iam/evaluate.ts';
import { keyCallsOf } from '../../../local/services/iam/keys.ts';
import type { ApiCall, Grant, PolicyStatement } from '../../../local/services/iam/policy.ts';
import { openCallRecords, REFUSED_CALLS_FILE } from '../../../local/stack/call-records.ts';
import { createCallers } from '../../../local/stack/callers.ts';
import { type NamedStack, nameStack } from '../../../local/stack/names.ts';
import { decideForService, type KeyPolicies, readPolicies } from '../../../local/stack/policies.ts';
import { loadStack, type Template } from '../../../local/stack/template.ts';
import { findLogGroupProblems } from '../../../local/stack/wiring-problems.ts';
import { newApp } from '../../support/synthesize.ts';
import { temporaryFolder } from '../../support/temporary-folder.ts';
import { KEY_ARN, stackOf, VARIANTS } from '../../support/variants.ts';
import { workerFolder } from '../../support/worker-folder.ts';

const folder = workerFolder('batchdrop-key-grants-');

/** The assembly of a variant, as `cdk synth` writes it. */
function assemblyOf(variant: string): string {
  const { props } = VARIANTS.find(({ name }) => name === variant)!;
  const outdir = mkdtempSync(join(folder, `${variant}-`));
  const app = newApp(outdir);
  new PipelineStack(app, variant, props(app));
  app.synth();
  return outdir;
}
const encrypted = assemblyOf('encryption-key');
const dropped = assemblyOf('droppers');

interface Role {
  /** What it is the role of: functions, or a managed policy. */
  name: string;
  arn: string;
}

/**
 * The stack of a variant.
 *
 * @param change breaks its template, or that of the stack with the key
 */
function openStack(
  cdkOut: string,
  name: string,
  change: (templates: Template[]) => void = () => {},
  keyPolicies: KeyPolicies = {},
) {
  const stack = loadStack(cdkOut, name);
  change([stack.template, ...stack.dependencies.map(({ template }) => template)]);
  const account = {
    accountId: '000000000000',
    region: 'us-east-1',
    stackName: name,
    stackId: 'arn:aws:x:::s/n/id',
  };
  const named = nameStack(
    stack,
    account,
    (queue) => `http://queues/000000000000/${queue}`,
    (url) => `http://urls/${url}`,
  );
  return { named, policies: readPolicies(named, keyPolicies), functions: functionsOf(named) };
}

function functionsOf(named: NamedStack) {
  return named.resourcesOf('AWS::Lambda::Function').map(({ name, properties }) => {
    const { Role, Environment } = properties as {
      Role: string;
      Environment: { Variables: Record<string, string> };
    };
    return { name, roleArn: Role, capability: Environment.Variables.POWERTOOLS_SERVICE_NAME! };
  });
}

const { named, policies, functions } = openStack(encrypted, 'encryption-key');
const roles: Role[] = [
  ...functions.map(({ capability, roleArn }) => ({ name: capability, arn: roleArn })),
  ...named
    .resourcesOf('AWS::IAM::ManagedPolicy')
    .map(({ logicalId }) => ({ name: logicalId, arn: named.arnOf(logicalId) }))
    .filter(({ name }) => /(Viewer|Operator)Policy/.test(name)),
];

/** S3's operations that the same right is needed for. */
const OPERATIONS: Readonly<Record<string, readonly string[]>> = {
  's3:PutObject': [
    ...['PutObject', 'CopyObject', 'CreateMultipartUpload', 'UploadPart', 'UploadPartCopy'],
    'CompleteMultipartUpload',
  ],
};
const secrets = named
  .resourcesOf('AWS::SecretsManager::Secret')
  .map(({ logicalId }) => named.arnOf(logicalId));

/** Calls that a grant allows, one of each kind; a prefix of secrets stands for those that there are. */
function callsOf({ action, resource }: Grant): ApiCall[] {
  const found = secrets.filter((arn) => resource.endsWith('*') && arn.startsWith(resource.slice(0, -1)));
  const resources = found.length > 0 ? found : [resource.replace(/\*$/, 'a.jsonl')];
  const operations = OPERATIONS[action] ?? [undefined];
  return resources.flatMap((each) => operations.map((operation) => ({ action, resource: each, operation })));
}

/** What a role asks of keys by the calls that its policies allow. */
function askedBy({ arn }: Role): { call: ApiCall; decision: ReturnType<typeof decide> }[] {
  const identity = policies.ofIdentity(arn);
  const principal = { name: arn, arns: [arn], accountId: '000000000000' };
  return identity
    .flatMap(({ grants }) => grants)
    .filter(({ action }) => !action.startsWith('kms:'))
    .flatMap(callsOf)
    .flatMap((call) => keyCallsOf(call, policies.keyOf(call.resource)))
    .map((call) => ({
      call,
      decision: decide(principal, call, { identity, resource: policies.ofResource(call.resource) }),
    }));
}

test('every role and policy is looked at, and each service that keeps something encrypted', () => {
  expect(roles.map(({ name }) => name.replace(/^.*(Viewer|Operator)Policy.*$/, '$1')).sort()).toEqual(
    [
      ...['ingest', 'submit', 'call', 'poll', 'collect', 'finalize', 'observe', 'operate', 'webhook'],
      ...['Operator', 'Viewer'],
    ].sort(),
  );
  const services = new Set(
    roles.flatMap(askedBy).map(({ call }) => String(call.context!['kms:ViaService']).split('.')[0]),
  );
  expect([...services].sort()).toEqual(['dynamodb', 's3', 'secretsmanager', 'sqs']);
});

test.each(roles.map((role) => [role.name, role] as const))(
  '%s may use the key for all that it may do with what is encrypted',
  (_name, role) => {
    const asked = askedBy(role);
    expect(asked.length).toBeGreaterThan(0);
    expect(asked.flatMap(({ decision }) => ('refusal' in decision ? [decision.refusal] : []))).toEqual([]);
  },
);

/**
 * Why rights on the key are given that no call was seen to need. AWS's guide names these as the least that DynamoDB needs on a
 * key and says of `kms:Decrypt` alone that it is asked for with the rights of who reads or writes; CDK gives them to readers
 * and writers. What they allow is limited to DynamoDB by `kms:ViaService`.
 */
const UNUSED = {
  dynamodb: ['DescribeKey', 'Encrypt', 'GenerateDataKey', 'ReEncryptFrom', 'ReEncryptTo'],
};

test('no role has a right on the key that no call of its own needs, but for what AWS names for DynamoDB', () => {
  const unused: Record<string, Set<string>> = {};
  for (const role of roles) {
    const used = new Set(
      askedBy(role).flatMap(({ decision }) => ('grants' in decision ? decision.grants : [])),
    );
    const all = policies.ofIdentity(role.arn).flatMap(({ grants }) => grants);
    for (const grant of all.filter(({ action }) => action.startsWith('kms:'))) {
      if (used.has(grant)) continue;
      const [service] = JSON.parse(grant.condition).StringEquals['kms:ViaService'].split('.');
      unused[service] ??= new Set();
      unused[service].add(grant.action.slice('kms:'.length));
    }
  }
  expect(
    Object.fromEntries(Object.entries(unused).map(([service, actions]) => [service, [...actions].sort()])),
  ).toEqual(UNUSED);
});

describe('services of AWS may use the key where nobody calls them', () => {
  const queues = named.resourcesOf('AWS::SQS::Queue').map(({ logicalId }) => named.arnOf(logicalId));
  const rules = named.resourcesOf('AWS::Events::Rule');

  test('EventBridge, to send to the queues, by the key and by each queue that is a target', () => {
    const sends = rules.flatMap(({ logicalId, properties }) => {
      const { Targets } = properties as { Targets: { Arn: string; DeadLetterConfig?: { Arn: string } }[] };
      const arns = Targets.flatMap(({ Arn, DeadLetterConfig }) => [Arn, DeadLetterConfig?.Arn ?? '']);
      return arns
        .filter((arn) => queues.includes(arn))
        .map((resource) => ({ rule: named.arnOf(logicalId), resource }));
    });
    // Drops and what of them could not be delivered, and the same of notifications, whose queue is elsewhere.
    expect(sends.map(({ resource }) => resource.replace(/^.*Pipeline(\w+)[0-9A-F]{8}$/, '$1'))).toEqual([
      'IngestQueue',
      'IngestQueueDeadLetters',
      'NotificationsDeadLetters',
    ]);
    for (const { rule, resource } of sends) {
      const call = { action: 'sqs:SendMessage', resource };
      const decision = decideForService(policies, 'events.amazonaws.com', rule, call);
      expect(decision).toHaveProperty('grants.length', 3);
    }
  });

  test('CloudWatch Logs, for every group of the stack and of no other', () => {
    expect(named.resourcesOf('AWS::Logs::LogGroup')).toHaveLength(10);
    expect(findLogGroupProblems(named, policies)).toEqual([]);
    const other = openStack(encrypted, 'encryption-key', ([template]) => {
      for (const { Type, Properties } of Object.values(template!.Resources))
        if (Type === 'AWS::Logs::LogGroup') Properties!.LogGroupName = 'of-another-stack';
    });
    expect(findLogGroupProblems(other.named, other.policies)).toHaveLength(10);
  });
});

test('of a key that is not of the app, what synth prints is enough for both, and less is not', () => {
  const name = 'encryption-key-by-arn';
  const [info] = Annotations.fromStack(stackOf(VARIANTS.find((each) => each.name === name)!)).findInfo(
    '*',
    Match.stringLikeRegexp('policy of the encryption key'),
  );
  const printed = [...String(info!.entry.data).matchAll(/^ {2}(\{.*\})/gm)].map(([, json]) =>
    JSON.parse(
      json!
        .replaceAll('<AWS::AccountId>', '000000000000')
        .replaceAll(/<AWS::Region>/g, 'us-east-1')
        .replaceAll('<AWS::Partition>', 'aws'),
    ),
  ) as PolicyStatement[];
  expect(printed).toHaveLength(2);
  const cdkOut = assemblyOf(name);
  /** Who is refused. */
  const refusedWith = (statements: PolicyStatement[] | undefined) => {
    const keyPolicies = statements === undefined ? {} : { [KEY_ARN]: statements };
    const opened = openStack(cdkOut, name, undefined, keyPolicies);
    const [rule] = opened.named.resourcesOf('AWS::Events::Rule');
    const { Targets } = rule!.properties as { Targets: { Arn: string }[] };
    const call = { action: 'sqs:SendMessage', resource: Targets[0]!.Arn };
    const arn = opened.named.arnOf(rule!.logicalId);
    const sends = decideForService(opened.policies, 'events.amazonaws.com', arn, call);
    const isLogged = findLogGroupProblems(opened.named, opened.policies).length === 0;
    return [...('refusal' in sends ? ['events'] : []), ...(isLogged ? [] : ['logs'])];
  };
  expect(refusedWith(undefined)).toEqual(['events', 'logs']);
  expect(refusedWith(printed)).toEqual([]);
  expect(refusedWith(printed.slice(0, 1))).toEqual(['logs']);
  expect(refusedWith(printed.slice(1))).toEqual(['events']);
});

/** Takes all statements about a key that are by a service out of the policies of a template. */
function withoutKeyUse(service: string): (templates: Template[]) => void {
  return ([template]) => {
    for (const { Type, Properties = {} } of Object.values(template!.Resources)) {
      if (Type !== 'AWS::IAM::Policy') continue;
      const document = Properties.PolicyDocument as { Statement: object[] };
      document.Statement = document.Statement.filter(
        (statement) => !JSON.stringify(statement).includes(`"${service}.",{"Ref":"AWS::Region"}`),
      );
    }
  };
}

/** Takes a statement out of the policies of keys. @param sid what its id begins with */
function withoutStatement(sid: string): (templates: Template[]) => void {
  return (templates) => {
    for (const { Type, Properties = {} } of templates.flatMap(({ Resources }) => Object.values(Resources))) {
      if (Type !== 'AWS::KMS::Key') continue;
      const document = Properties.KeyPolicy as { Statement: { Sid?: string }[] };
      document.Statement = document.Statement.filter(({ Sid = '' }) => !Sid.startsWith(sid));
    }
  };
}

describe('a right on the key that is not there', () => {
  /** By the end of the path of its construct. */
  const arnAt = (type: string, path: string) => {
    const isThere = new RegExp(`${path}[0-9A-F]{8}$`);
    return named.arnOf(named.resourcesOf(type).find(({ logicalId }) => isThere.test(logicalId))!.logicalId);
  };
  const queueOf = (role: string) => arnAt('AWS::SQS::Queue', `${role}Queue`);
  const bucket = arnAt('AWS::S3::Bucket', 'Bucket');
  const table = arnAt('AWS::DynamoDB::Table', 'Table');
  const jobs = { 'dynamodb:LeadingKeys': ['JOB#a'] };
  const secret = arnAt('AWS::SecretsManager::Secret', 'ApiKeySecret');

  test.each<[string, string, string, ApiCall]>([
    [
      's3',
      'ingest',
      'kms:Decrypt',
      { action: 's3:GetObject', resource: `${bucket}/input/a.jsonl`, operation: 'GetObject' },
    ],
    [
      's3',
      'finalize',
      'kms:GenerateDataKey',
      { action: 's3:PutObject', resource: `${bucket}/output/a.jsonl`, operation: 'PutObject' },
    ],
    ['dynamodb', 'collect', 'kms:Decrypt', { action: 'dynamodb:GetItem', resource: table, context: jobs }],
    ['dynamodb', 'submit', 'kms:Decrypt', { action: 'dynamodb:UpdateItem', resource: table, context: jobs }],
    ['sqs', 'ingest', 'kms:GenerateDataKey', { action: 'sqs:SendMessage', resource: queueOf('Submit') }],
    ['sqs', 'submit', 'kms:Decrypt', { action: 'sqs:ReceiveMessage', resource: queueOf('Submit') }],
    ['secretsmanager', 'call', 'kms:Decrypt', { action: 'secretsmanager:GetSecretValue', resource: secret }],
  ])(
    'through %s: a call of %s is refused for %s in the words of AWS, and fails the run',
    (service, capability, keyAction, call) => {
      const outcome = (change?: (templates: Template[]) => void) => {
        const opened = openStack(encrypted, 'encryption-key', change);
        const records = temporaryFolder();
        const reported: string[] = [];
        const callers = createCallers({
          plan: { functions: opened.functions as never, policies: opened.policies },
          records: openCallRecords(records),
          onDenied: (reason) => reported.push(reason),
        });
        const { name } = opened.functions.find((each) => each.capability === capability)!;
        const context = { 'aws:SecureTransport': 'true', ...call.context };
        const reason = callers.authorize(callers.keyOf(name).accessKeyId, { ...call, context });
        return { reason, reported, denied: callers.denied, records };
      };
      expect(outcome()).toMatchObject({ reason: undefined, reported: [] });
      const { reason, reported, denied, records } = outcome(withoutKeyUse(service));
      const key = policies.keyOf(call.resource)!.arn;
      expect(reason).toMatch(
        new RegExp(
          `^User: arn:aws:sts::000000000000:assumed-role/\\S+ is not authorized to perform: ${keyAction} on resource: ${key} ` +
            `because no identity-based policy allows the ${keyAction} action$`,
        ),
      );
      expect(reported).toEqual([reason]);
      expect(denied).toMatchObject([{ action: keyAction, resource: key }]);
      // What test/support/refused-calls.ts looks at after each test.
      expect(JSON.parse(readFileSync(join(records, REFUSED_CALLS_FILE), 'utf8'))).toEqual({ reason });
    },
  );

  test('keeps EventBridge from the queue of drops, though the policy of the queue allows it', () => {
    const { policies: broken } = openStack(
      encrypted,
      'encryption-key',
      withoutStatement('EventBridgeToQueues'),
    );
    const [rule] = named.resourcesOf('AWS::Events::Rule').filter(({ path }) => path.includes('Ingest'));
    const call = { action: 'sqs:SendMessage', resource: queueOf('Ingest') };
    expect(decideForService(broken, 'events.amazonaws.com', named.arnOf(rule!.logicalId), call)).toEqual({
      refusal:
        `User: events.amazonaws.com is not authorized to perform: kms:GenerateDataKey on resource: ${policies.keyOf(call.resource)!.arn} ` +
        'because no resource-based policy allows the kms:GenerateDataKey action',
    });
  });

  test('keeps CloudWatch Logs from the groups of log lines', () => {
    const broken = openStack(encrypted, 'encryption-key', withoutStatement('CloudWatchLogs'));
    const [problem, ...others] = findLogGroupProblems(broken.named, broken.policies);
    expect(others).toHaveLength(9);
    expect(problem).toContain('User: logs.us-east-1.amazonaws.com is not authorized to perform: kms:Encrypt');
  });

  test('keeps a dropper of another account from the bucket, though the policy of the bucket allows it', () => {
    const key = (change?: (templates: Template[]) => void) => {
      const opened = openStack(dropped, 'droppers', change);
      const callers = createCallers({
        plan: { functions: [], policies: opened.policies },
        records: { held() {}, used() {}, refused() {} },
        onDenied: (reason) => expect.fail(reason),
      });
      const ofBucket = opened.named.arnOf(opened.named.resourcesOf('AWS::S3::Bucket')[0]!.logicalId);
      const policy = [
        { Effect: 'Allow' as const, Action: ['s3:PutObject', 'kms:GenerateDataKey'], Resource: '*' },
      ];
      const exporter = callers.keyOfOther({ arn: 'arn:aws:iam::444455556666:role/exporter', policy });
      return callers.authorize(exporter.accessKeyId, {
        action: 's3:PutObject',
        resource: `${ofBucket}/input/a.jsonl`,
        context: { 'aws:SecureTransport': 'true' },
      });
    };
    expect(key()).toBeUndefined();
    expect(key(withoutStatement('DroppersToBucket'))).toMatch(
      /^User: arn:aws:iam::444455556666:role\/exporter is not authorized to perform: kms:GenerateDataKey on resource: arn:aws:kms:\S+ because no resource-based policy allows/,
    );
  });
});
