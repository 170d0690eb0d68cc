import { expect, test } from 'vitest';
import { compilePolicy, type PolicyStatement } from '../../../../../local/services/iam/policy.ts';

test('the grants of a policy are each action on each resource, with its condition; a denial grants nothing', () => {
  const Condition = { StringLike: { 's3:prefix': 'in/*' } };
  const [allowing, denying] = compilePolicy(
    [
      {
        Effect: 'Allow',
        Action: ['s3:ListBucket', 's3:GetObject'],
        Resource: ['arn:aws:s3:::a', 'arn:aws:s3:::b'],
        Condition,
      },
      { Effect: 'Deny', Action: '*', Resource: '*' },
    ],
    'Role',
  );
  const condition = JSON.stringify(Condition);
  expect(allowing!.grants).toEqual(
    ['s3:ListBucket', 's3:GetObject'].flatMap((action) =>
      ['arn:aws:s3:::a', 'arn:aws:s3:::b'].map((resource) => ({
        holder: 'Role',
        action,
        resource,
        condition,
      })),
    ),
  );
  expect(denying!.grants).toEqual([]);
});

test.each<[object, RegExp]>([
  [
    { NotPrincipal: { AWS: '*' } },
    /The policy of Role has NotPrincipal, which the local stack does not evaluate/,
  ],
  [{ Principal: { Federated: 'cognito' } }, /names the principal "Federated"/],
])('%j is an error, never a statement that is passed over', (more, message) => {
  const statement = { Effect: 'Allow', Action: '*', Resource: '*', ...more } as PolicyStatement;
  expect(() => compilePolicy([statement], 'Role')).toThrow(message);
});
