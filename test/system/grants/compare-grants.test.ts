import { expect, test } from 'vitest';
import type { Grant } from '../../../local/services/iam/policy.ts';
import { compareGrants, textOf } from './compare-grants.ts';

const grant = (action: string, resource = 'arn:aws:s3:::batchdrop-bucket56cef515/input/*'): Grant => ({
  holder: 'Pipeline/Submit/FunctionRole',
  action,
  resource,
  condition: '',
});

test('a grant reads the same whatever the stack, its id, account and bucket are called', () => {
  const queue = (stack: string, region: string): Grant => ({
    holder: 'Pipeline/Submit/FunctionRole',
    action: 'sqs:SendMessage',
    resource: `arn:aws:sqs:${region}:000000000000:${stack}-PipelineCallQueue61F23021`,
    condition: '{"StringLike":{"s3:prefix":["input/*"]}}',
  });
  expect(textOf(queue('batchdrop', 'us-east-1'))).toBe(
    'Submit/FunctionRole sqs:SendMessage PipelineCallQueue {"StringLike":{"s3:prefix":["input/*"]}}',
  );
  expect(textOf(queue('of-a-team', 'eu-west-1'))).toBe(textOf(queue('batchdrop', 'us-east-1')));
  expect(textOf(grant('s3:GetObject'))).toBe('Submit/FunctionRole s3:GetObject bucket/input/*');
  const secret = (id: string) =>
    textOf(grant('a', `arn:aws:secretsmanager:us-east-1:000000000000:secret:batchdrop/${id}/*`));
  expect(secret('0de30a3c-5e61-4757-91d2-316bb0df1b48')).toBe(secret('f7f2e267-60bd-4ad9-bc29-eeb77365aebd'));
});

test('what no run used and no reason names is unexplained, and a reason that names nothing unused is outdated', () => {
  const held = [grant('s3:GetObject'), grant('s3:PutObject'), grant('s3:DeleteObject')];
  const reasons = [
    { grants: /s3:PutObject /, why: 'no run writes' },
    { grants: /s3:GetObject /, why: 'no run reads' },
    { grants: /s3:GetObject /, why: 'some run reads', byChance: true },
  ];
  expect(compareGrants(held, [grant('s3:GetObject')], reasons)).toEqual({
    unexplained: ['Submit/FunctionRole s3:DeleteObject bucket/input/*'],
    outdated: ['/s3:GetObject /: no run reads'],
  });
});
