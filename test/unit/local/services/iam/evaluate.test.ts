import { runSimulation } from '@cloud-copilot/iam-simulate';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { decide } from '../../../../../local/services/iam/evaluate.ts';
import {
  type ApiCall,
  compilePolicy,
  type PolicyStatement,
  type Principal,
} from '../../../../../local/services/iam/policy.ts';
import { propertyRuns } from '../../../../support/property-runs.ts';

const ACCOUNT = '000000000000';
const ROLE = `arn:aws:iam::${ACCOUNT}:role/Reader`;
const READER: Principal = { name: ROLE, arns: [ROLE], accountId: ACCOUNT };
const EVENTS: Principal = { name: 'events.amazonaws.com', arns: [], service: 'events.amazonaws.com' };
const ANYBODY: Principal = { name: 'anonymous', arns: [] };
const READ: ApiCall = { action: 's3:GetObject', resource: 'arn:aws:s3:::shop/input/a.jsonl' };
const INPUT = 'arn:aws:s3:::shop/input/*';

const allow = (rest: Omit<PolicyStatement, 'Effect'>): PolicyStatement => ({ Effect: 'Allow', ...rest });
const deny = (rest: Omit<PolicyStatement, 'Effect'>): PolicyStatement => ({ Effect: 'Deny', ...rest });
const ALL = allow({ Action: '*', Resource: '*' });

function decided(
  { principal = READER, call = READ }: { principal?: Principal; call?: ApiCall },
  identity: PolicyStatement[],
  resource?: PolicyStatement[],
) {
  return decide(principal, call, {
    identity: compilePolicy(identity, 'Reader'),
    resource: resource && compilePolicy(resource, 'Bucket'),
  });
}
const isAllowed = (...given: Parameters<typeof decided>) => 'grants' in decided(...given);

test.each<[string, PolicyStatement[], boolean]>([
  ['without a statement a call is refused', [], false],
  [
    'an action and a resource that match are allowed',
    [allow({ Action: 's3:GetObject', Resource: INPUT })],
    true,
  ],
  [
    'one of several actions is enough',
    [allow({ Action: ['s3:PutObject', 's3:GetObject'], Resource: INPUT })],
    true,
  ],
  ['an action matches whatever its case', [allow({ Action: 'S3:getobject', Resource: '*' })], true],
  ['a star in an action matches', [allow({ Action: 's3:Get*', Resource: '*' })], true],
  ['a shorter action does not match', [allow({ Action: 's3:Get', Resource: '*' })], false],
  [
    'another resource does not match',
    [allow({ Action: 's3:*', Resource: 'arn:aws:s3:::shop/output/*' })],
    false,
  ],
  [
    'a question mark is one character',
    [allow({ Action: 's3:*', Resource: 'arn:aws:s3:::sho?/input/a.jsonl' })],
    true,
  ],
  [
    'a star for the region reaches no further',
    [allow({ Action: '*', Resource: 'arn:aws:*:::input/a.jsonl' })],
    false,
  ],
  ['a dot is a dot', [allow({ Action: 's3:*', Resource: 'arn:aws:s3:::shop/input/aXjsonl' })], false],
  ['a denial wins over a permission', [ALL, deny({ Action: 's3:GetObject', Resource: INPUT })], false],
  ['NotAction covers every other action', [allow({ NotAction: 's3:DeleteObject', Resource: '*' })], true],
  ['NotResource leaves the named resource out', [allow({ Action: '*', NotResource: INPUT })], false],
])('%s', (_sentence, statements, expected) => {
  expect(isAllowed({}, statements)).toBe(expected);
});

describe("a resource's own policy", () => {
  const byPolicy = (Principal: PolicyStatement['Principal']) => [
    allow({ Principal: Principal!, Action: 's3:GetObject', Resource: INPUT }),
  ];
  test.each<[string, Principal, PolicyStatement['Principal'], boolean]>([
    ['is enough for the role that it names', READER, { AWS: ROLE }, true],
    ['is enough for everybody of its account, if it names all', READER, '*', true],
    [
      'leaves it to the policies of the account that it names',
      READER,
      { AWS: `arn:aws:iam::${ACCOUNT}:root` },
      false,
    ],
    ['gives another role nothing', READER, { AWS: `${ROLE}-of-another` }, false],
    ['is enough for the service that it names', EVENTS, { Service: 'events.amazonaws.com' }, true],
    ['gives another service nothing', EVENTS, { Service: ['sns.amazonaws.com'] }, false],
    ['gives a service nothing by naming its account', EVENTS, { AWS: ACCOUNT }, false],
    ['is enough for anybody, if it names all', ANYBODY, { AWS: '*' }, true],
  ])('%s', (_sentence, principal, named, expected) => {
    expect(isAllowed({ principal }, [], byPolicy(named))).toBe(expected);
  });

  test('that denies wins over what the caller may do', () => {
    const denied = [deny({ Principal: '*', Action: 's3:*', Resource: INPUT })];
    expect(decided({}, [ALL], denied)).toEqual({
      refusal: `User: ${ROLE} is not authorized to perform: s3:GetObject on resource: ${READ.resource} with an explicit deny in a resource-based policy`,
    });
  });
});

describe('the policy of a KMS key', () => {
  const KEY = `arn:aws:kms:us-east-1:${ACCOUNT}:key/k`;
  const call: ApiCall = {
    action: 'kms:Decrypt',
    resource: KEY,
    context: { 'kms:ViaService': 's3.us-east-1.amazonaws.com', 'kms:EncryptionContext:aws:s3:arn': INPUT },
  };
  const may = allow({ Action: 'kms:Decrypt', Resource: KEY });
  const toAccount = allow({
    Principal: { AWS: `arn:aws:iam::${ACCOUNT}:root` },
    Action: 'kms:*',
    Resource: '*',
  });
  const toRole = (Condition: PolicyStatement['Condition']) =>
    allow({ Principal: { AWS: ROLE }, Action: 'kms:Decrypt', Resource: '*', Condition: Condition! });

  test('lets nobody in whom it does not name, whatever the own policy allows', () => {
    expect(decided({ call }, [may], [])).toMatchObject({
      refusal: expect.stringContaining('no resource-based policy'),
    });
  });
  test('that names the account leaves it to the own policy', () => {
    expect(isAllowed({ call }, [may], [toAccount])).toBe(true);
    expect(isAllowed({ call }, [], [toAccount])).toBe(false);
  });
  test('that names the role is enough, within its conditions', () => {
    const via = (service: string) =>
      toRole({ StringEquals: { 'kms:ViaService': `${service}.us-east-1.amazonaws.com` } });
    expect(isAllowed({ call }, [], [via('s3')])).toBe(true);
    expect(isAllowed({ call }, [], [via('sqs')])).toBe(false);
    const of = (arn: string) => toRole({ ArnLike: { 'kms:EncryptionContext:aws:s3:arn': arn } });
    expect(isAllowed({ call }, [], [of('arn:aws:s3:::shop/*')])).toBe(true);
    expect(isAllowed({ call }, [], [of('arn:aws:s3:::other/*')])).toBe(false);
  });
});

describe('a caller of another account', () => {
  const OTHER = 'arn:aws:iam::444455556666:role/exporter';
  const exporter: Principal = { name: OTHER, arns: [OTHER], accountId: '444455556666' };
  const drop: ApiCall = {
    action: 's3:PutObject',
    resource: 'arn:aws:s3:::shop/input/a.jsonl',
    context: { 'aws:ResourceAccount': ACCOUNT },
  };
  const own = allow({ Action: 's3:PutObject', Resource: INPUT });
  const ofBucket = (Principal: PolicyStatement['Principal']) =>
    allow({ Principal: Principal!, Action: 's3:PutObject', Resource: INPUT });
  const outcome = (identity: PolicyStatement[], resource?: PolicyStatement[], call = drop) =>
    decided({ principal: exporter, call }, identity, resource);
  const lacking = (kind: string, action = 's3:PutObject') => ({
    refusal: expect.stringContaining(`because no ${kind} policy allows the ${action} action`),
  });

  test.each<[string, PolicyStatement['Principal']]>([
    ['it', { AWS: OTHER }],
    ['its account', { AWS: 'arn:aws:iam::444455556666:root' }],
    ['everybody', '*'],
  ])('needs the policy of the resource to name %s, and its own to allow the call', (_whom, named) => {
    expect(outcome([own], [ofBucket(named)])).toHaveProperty('grants.length', 2);
    expect(outcome([], [ofBucket(named)])).toEqual(lacking('identity-based'));
    expect(outcome([own], [])).toEqual(lacking('resource-based'));
  });

  test('is refused where the policy of the resource names somebody else, or denies', () => {
    expect(outcome([own], [ofBucket({ AWS: `${OTHER}-2` })])).toEqual(lacking('resource-based'));
    const denies = deny({ Principal: { AWS: OTHER }, Action: 's3:*', Resource: INPUT });
    expect(outcome([ALL], [ofBucket('*'), denies])).toHaveProperty('refusal');
  });

  test('may use a key only by its own policy and by that of the key', () => {
    const key = `arn:aws:kms:us-east-1:${ACCOUNT}:key/k`;
    const call = { ...drop, action: 'kms:GenerateDataKey', resource: key };
    const mine = allow({ Action: 'kms:*', Resource: key });
    const ofKey = (AWS: string) => allow({ Principal: { AWS }, Action: 'kms:*', Resource: '*' });
    expect(outcome([mine], [ofKey(OTHER)], call)).toHaveProperty('grants');
    expect(outcome([], [ofKey(OTHER)], call)).toEqual(lacking('identity-based', call.action));
    expect(outcome([mine], [ofKey(`arn:aws:iam::${ACCOUNT}:root`)], call)).toEqual(
      lacking('resource-based', call.action),
    );
  });
});

test('an allowed call names the grants by which it is allowed, of each statement that allows it', () => {
  const narrow = allow({
    Action: ['s3:GetObject', 's3:PutObject'],
    Resource: [INPUT, 'arn:aws:s3:::shop/work/*'],
  });
  const bySelf = allow({ Principal: { AWS: ROLE }, Action: 's3:Get*', Resource: INPUT });
  expect(decided({}, [narrow, deny({ Action: 's3:Put*', Resource: '*' })], [bySelf])).toEqual({
    grants: [
      { holder: 'Bucket', action: 's3:Get*', resource: INPUT, condition: '' },
      { holder: 'Reader', action: 's3:GetObject', resource: INPUT, condition: '' },
    ],
  });
});

/** Values from which requests and policies are made, so that they meet often. */
const BUCKET = 'arn:aws:s3:::shop';
const CALLS: { call: Omit<ApiCall, 'context'>; keys: Record<string, readonly string[]> }[] = [
  { call: { action: 's3:ListBucket', resource: BUCKET }, keys: { 's3:prefix': ['', 'in/', 'in/a', 'out/'] } },
  { call: { action: 's3:GetObject', resource: `${BUCKET}/in/a` }, keys: {} },
  { call: { action: 's3:PutObject', resource: `${BUCKET}/out/b` }, keys: {} },
  {
    call: { action: 'dynamodb:DeleteItem', resource: `arn:aws:dynamodb:us-east-1:${ACCOUNT}:table/t` },
    keys: { 'dynamodb:LeadingKeys': ['JOB#1', 'JOB#2', 'PAUSES'] },
  },
  {
    call: { action: 'sqs:SendMessage', resource: `arn:aws:sqs:us-east-1:${ACCOUNT}:q` },
    keys: {
      'aws:SourceArn': [`arn:aws:events:us-east-1:${ACCOUNT}:rule/r`, `arn:aws:sns:us-east-1:${ACCOUNT}:t`],
    },
  },
];
const LIST_KEYS = ['dynamodb:LeadingKeys'];
const pick = fc.constantFrom;
const some = <Value>(...values: readonly Value[]) => fc.subarray([...values], { minLength: 1 });

/** A request, with or without each key that belongs to it. */
const requests = fc.constantFrom(...CALLS).chain(({ call, keys }) => {
  const context = Object.fromEntries(
    Object.entries({ 'aws:SecureTransport': ['true', 'false'], ...keys }).map(([key, values]) => [
      key,
      LIST_KEYS.includes(key) ? some(...values) : pick(...values),
    ]),
  );
  return fc.record({
    call: fc.constant(call),
    keys: fc.constant(keys),
    context: fc.record(context, { requiredKeys: [] }),
  });
});

const SINGLE = ['StringEquals', 'StringNotEquals', 'StringLike', 'StringNotLike', 'StringEqualsIgnoreCase'];
const conditionOn = (key: string, values: readonly string[]) => {
  const shortened = (value: string) =>
    key === 'aws:SourceArn' ? value.replace(/us-east-1|(?<=:)[^:]*$/, '*') : `${value.slice(0, 3)}*`;
  const patterns = some(...values, ...values.map(shortened));
  const comparison = key === 'aws:SourceArn' ? pick('ArnLike', 'ArnEquals', 'ArnNotLike') : pick(...SINGLE);
  const operator = LIST_KEYS.includes(key)
    ? fc.tuple(pick('ForAllValues:', 'ForAnyValue:'), comparison).map(([set, name]) => set + name)
    : fc.tuple(comparison, pick('', 'IfExists')).map(([name, ifExists]) => name + ifExists);
  return fc.oneof(
    fc.tuple(operator, patterns).map(([name, given]) => ({ [name]: { [key]: given } })),
    pick('true', 'false').map((given) => ({ Null: { [key]: given } })),
  );
};

function statements(
  request: { call: Omit<ApiCall, 'context'>; keys: Record<string, readonly string[]> },
  named: boolean,
) {
  const { action, resource } = request.call;
  const conditions = [
    pick('true', 'false').map((given) => ({ Bool: { 'aws:SecureTransport': given } })),
    ...Object.entries(request.keys).map(([key, values]) => conditionOn(key, values)),
  ];
  return fc.array(
    fc.record(
      {
        Effect: pick('Allow' as const, 'Allow' as const, 'Deny' as const),
        Action: pick(
          action,
          `${action.slice(0, -3)}*`,
          `${action.split(':')[0]}:Other`,
          action.toUpperCase(),
        ),
        Resource: pick(
          resource,
          `${resource.slice(0, -1)}*`,
          '*',
          `${resource}x`,
          `${resource.slice(0, -1)}?`,
        ),
        Condition: fc.oneof(...conditions),
        ...(named
          ? {
              Principal: pick<StatementPrincipals>(
                '*',
                { AWS: ROLE },
                { AWS: `arn:aws:iam::${ACCOUNT}:root` },
                { Service: 'sns.amazonaws.com' },
              ),
            }
          : {}),
      },
      { requiredKeys: ['Effect', 'Action', 'Resource', ...(named ? (['Principal'] as const) : [])] },
    ),
    { minLength: 1, maxLength: 3 },
  );
}
type StatementPrincipals = '*' | Record<string, string>;

const cases = requests.chain((request) =>
  fc.record({
    request: fc.constant(request),
    identity: statements(request, false),
    resource: fc.option(statements(request, true), { nil: undefined }),
  }),
);

test('decides as an independent simulator of IAM does, whatever the policies and the request', {
  timeout: 120_000,
}, async () => {
  const version = '2012-10-17';
  await fc.assert(
    fc.asyncProperty(cases, async ({ request: { call, context }, identity, resource }) => {
      const ours = isAllowed(
        { call: { ...call, context: context as Record<string, string | string[]> } },
        identity as PolicyStatement[],
        resource as PolicyStatement[] | undefined,
      );
      const theirs = await runSimulation(
        {
          request: {
            principal: ROLE,
            action: call.action,
            resource: { resource: call.resource, accountId: ACCOUNT },
            contextVariables: context as Record<string, string | string[]>,
          },
          identityPolicies: [{ name: 'own', policy: { Version: version, Statement: identity } }],
          serviceControlPolicies: [],
          resourceControlPolicies: [],
          resourcePolicy: resource && { Version: version, Statement: resource },
        },
        {},
      );
      if (theirs.resultType !== 'single') throw new Error(JSON.stringify(theirs));
      expect(ours).toBe(theirs.overallResult === 'Allowed');
    }),
    { numRuns: propertyRuns(1000) },
  );
});
