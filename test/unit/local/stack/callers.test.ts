import { expect, test } from 'vitest';
import type { PolicyStatement } from '../../../../local/services/iam.ts';
import { createCallers, OPERATOR } from '../../../../local/stack/callers.ts';
import type { StackPlan } from '../../../../local/stack/plan.ts';

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
const [VIEWER, WRITER] = ['Viewer', 'Writer'].map((name) => `arn:aws:iam::000000000000:policy/${name}`) as [
  string,
  string,
];
const statements = new Map([
  [VIEWER, [READS]],
  [WRITER, [WRITES]],
]);
const callers = () =>
  createCallers(
    { functions: [], statementsOf: (arn: string) => statements.get(arn) ?? [] } as unknown as StackPlan,
    (reason) => expect.fail(reason),
  );

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
