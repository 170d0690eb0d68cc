import { expect, test } from 'vitest';
import { compilePolicy, type PolicyStatement } from '../../../../local/services/iam/policy.ts';
import { createCallers, OPERATOR } from '../../../../local/stack/callers.ts';
import type { FunctionPlan } from '../../../../local/stack/plan.ts';
import type { StackPolicies } from '../../../../local/stack/policies.ts';

const READS: PolicyStatement = {
  Effect: 'Allow',
  Action: 's3:GetObject',
  Resource: 'arn:aws:s3:::b/receipts/*',
};
const WRITES: PolicyStatement = {
  Effect: 'Allow',
  Action: 's3:PutObject',
  Resource: 'arn:aws:s3:::b/input/*',
};
const TLS_ONLY: PolicyStatement = {
  Effect: 'Deny',
  Principal: { AWS: '*' },
  Action: 's3:*',
  Resource: '*',
  Condition: { Bool: { 'aws:SecureTransport': 'false' } },
};
const [VIEWER, WRITER] = ['Viewer', 'Writer'].map((name) => `arn:aws:iam::000000000000:policy/${name}`) as [
  string,
  string,
];
const policies: StackPolicies = {
  ofIdentity: (arn) => compilePolicy(arn === VIEWER ? [READS] : arn === WRITER ? [WRITES] : [], arn),
  ofResource: (arn) => (arn.startsWith('arn:aws:s3:::b') ? compilePolicy([TLS_ONLY], 'Bucket') : undefined),
  keyOf: () => undefined,
  grants: [],
};
const PLAN = { functions: [], policies };
const nothing = { held() {}, used() {}, refused() {} };
const callers = () =>
  createCallers({ plan: PLAN, records: nothing, onDenied: (reason) => expect.fail(reason) });

const read = { action: 's3:GetObject', resource: 'arn:aws:s3:::b/receipts/a.json' };
const write = { action: 's3:PutObject', resource: 'arn:aws:s3:::b/input/a.jsonl' };

test('a person has the rights of the managed policies that are given, and is refused the rest in the words of AWS', () => {
  const { keyWith, authorize, arnOf, denied, allowed } = callers();
  const viewer = keyWith([VIEWER]).accessKeyId;
  expect(authorize(viewer, read)).toBeUndefined();
  expect(authorize(viewer, write)).toBe(
    'User: arn:aws:iam::000000000000:user/Viewer is not authorized to perform: s3:PutObject on resource: ' +
      'arn:aws:s3:::b/input/a.jsonl because no identity-based policy allows the s3:PutObject action',
  );
  const both = keyWith([VIEWER, WRITER]).accessKeyId;
  expect(arnOf(both)).toBe('arn:aws:iam::000000000000:user/Viewer+Writer');
  expect([read, write].map((call) => authorize(both, call))).toEqual([undefined, undefined]);
  // What functions did, and nobody else.
  expect([...denied, ...allowed]).toEqual([]);
});

test('a person has the same key each time, which opens nothing elsewhere', () => {
  const { keyWith, secretOf, authorize } = callers();
  const key = keyWith([VIEWER]);
  expect(keyWith([VIEWER])).toEqual(key);
  expect(secretOf(key.accessKeyId)).toBe(key.secretAccessKey);
  expect(secretOf(OPERATOR.accessKeyId)).toBe(OPERATOR.secretAccessKey);
  expect(secretOf('AKIAUNKNOWN')).toBeUndefined();
  expect(authorize('AKIAUNKNOWN', read)).toContain('is not known to the local stack');
  expect(authorize(keyWith([]).accessKeyId, read)).toContain('is not authorized');
});

test('a policy of the resource that denies calls without TLS holds for everybody, the person at the machine too', () => {
  const { authorize } = callers();
  const plain = { ...read, context: { 'aws:SecureTransport': 'false' } };
  expect(authorize(OPERATOR.accessKeyId, read)).toBeUndefined();
  expect(authorize(OPERATOR.accessKeyId, plain)).toContain(
    'with an explicit deny in a resource-based policy',
  );
});

test('what functions and services of AWS use is recorded, and what they are refused is reported once', () => {
  const used: string[] = [];
  const refused: string[] = [];
  const reported: string[] = [];
  const called = createCallers({
    plan: { functions: [{ name: 'reader', roleArn: VIEWER } as FunctionPlan], policies },
    records: {
      held: () => undefined,
      used: (grants) => used.push(...grants.map(({ action, resource }) => `${action} ${resource}`)),
      refused: (reason) => refused.push(reason),
    },
    onDenied: (reason) => reported.push(reason),
  });
  const reader = called.keyOf('reader').accessKeyId;
  for (const call of [read, write, write]) called.authorize(reader, call);
  called.authorizeService('events.amazonaws.com', 'arn:aws:events:us-east-1:000000000000:rule/r', write);
  expect(used).toEqual(['s3:GetObject arn:aws:s3:::b/receipts/*']);
  expect(called.allowed).toEqual([{ functionName: 'reader', ...read }]);
  expect(called.denied).toEqual([{ functionName: 'reader', ...write }]);
  expect(reported).toEqual([
    expect.stringContaining('reader is not authorized to perform: s3:PutObject'),
    expect.stringContaining('events.amazonaws.com is not authorized to perform: s3:PutObject'),
  ]);
  expect(new Set(refused)).toEqual(new Set(reported));
});

test('what a call asks of KMS is held against the caller as well, and is a call of its own', () => {
  const key = 'arn:aws:kms:us-east-1:000000000000:key/k';
  const decrypts = { Effect: 'Allow', Action: 'kms:Decrypt', Resource: key } as const;
  const toAccount: PolicyStatement = {
    Effect: 'Allow',
    Principal: { AWS: 'arn:aws:iam::000000000000:root' },
    Action: 'kms:*',
    Resource: '*',
    Condition: { StringEquals: { 'kms:CallerAccount': '000000000000' } },
  };
  const outcomeFor = (identity: PolicyStatement[]) => {
    const reported: string[] = [];
    const encrypted: StackPolicies = {
      ...policies,
      ofIdentity: (arn) => compilePolicy(identity, arn),
      ofResource: (arn) => (arn === key ? compilePolicy([toAccount], 'Key') : undefined),
      keyOf: (arn) => (arn.startsWith('arn:aws:s3:::b/') ? { arn: key } : undefined),
    };
    const called = createCallers({
      plan: { functions: [{ name: 'reader', roleArn: VIEWER } as FunctionPlan], policies: encrypted },
      records: nothing,
      onDenied: (reason) => reported.push(reason),
    });
    const reason = called.authorize(called.keyOf('reader').accessKeyId, read);
    return { reason, reported, ...called };
  };
  const allowed = outcomeFor([READS, decrypts]);
  expect(allowed.reason).toBeUndefined();
  expect(allowed.allowed.map(({ action }) => action)).toEqual(['s3:GetObject', 'kms:Decrypt']);
  const refused = outcomeFor([READS]);
  expect(refused.reason).toBe(
    'User: arn:aws:sts::000000000000:assumed-role/Viewer/reader is not authorized to perform: kms:Decrypt on ' +
      `resource: ${key} because no identity-based policy allows the kms:Decrypt action`,
  );
  expect(refused.reported).toEqual([refused.reason]);
  expect(refused.denied).toEqual([{ functionName: 'reader', action: 'kms:Decrypt', resource: key }]);
});

test('a role of another account has a key that is its own, and rights where both accounts give them', () => {
  const { keyOfOther, authorize, denied } = callers();
  const arn = 'arn:aws:iam::444455556666:role/exporter';
  const key = keyOfOther({ arn, policy: [WRITES] });
  expect(keyOfOther({ arn, policy: [WRITES] })).toEqual(key);
  expect(keyOfOther({ arn, policy: [] })).not.toEqual(key);
  expect(authorize(key.accessKeyId, write)).toContain(
    `User: ${arn} is not authorized to perform: s3:PutObject on resource: ${write.resource} because no resource-based policy`,
  );
  // No mistake of the stack.
  expect(denied).toEqual([]);
  for (const wrong of ['exporter', 'arn:aws:iam::000000000000:role/own'])
    expect(() => keyOfOther({ arn: wrong, policy: [] })).toThrow(`"${wrong}" is no ARN of a role`);
});
