import { expect, test } from 'vitest';
import { type ApiCall, isAllowed, type PolicyStatement } from '../../../../local/services/iam.ts';

const READ: ApiCall = { action: 's3:GetObject', resource: 'arn:aws:s3:::shop/input/a.jsonl' };
const allow = (rest: Omit<PolicyStatement, 'Effect'>): PolicyStatement => ({ Effect: 'Allow', ...rest });
const INPUT = 'arn:aws:s3:::shop/input/*';

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
  ['a dot is a dot', [allow({ Action: 's3:*', Resource: 'arn:aws:s3:::shop/input/aXjsonl' })], false],
  [
    'a denial wins over a permission',
    [allow({ Action: '*', Resource: '*' }), { Effect: 'Deny', Action: 's3:GetObject', Resource: INPUT }],
    false,
  ],
  [
    'a denial with a condition is taken as not met',
    [
      allow({ Action: '*', Resource: '*' }),
      { Effect: 'Deny', Action: '*', Resource: '*', Condition: { Bool: { 'aws:SecureTransport': 'false' } } },
    ],
    true,
  ],
  ['NotAction covers every other action', [allow({ NotAction: 's3:DeleteObject', Resource: '*' })], true],
  ['NotResource leaves the named resource out', [allow({ Action: '*', NotResource: INPUT })], false],
])('%s', (_sentence, statements, expected) => {
  expect(isAllowed(statements, READ)).toBe(expected);
});
