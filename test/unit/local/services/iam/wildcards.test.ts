import { expect, test } from 'vitest';
import { arnMatcherOf, matcherOf } from '../../../../../local/services/iam/wildcards.ts';

test.each<[string, string, boolean]>([
  ['*', '', true],
  ['in/*', 'in/a/b\nc', true],
  ['in/?', 'in/ab', false],
  ['a.c', 'abc', false],
  ['a.c*', 'abc', false],
  ['$x(*)', '$x(1)', true],
])('%j over %j: %j', (pattern, text, expected) => {
  expect(matcherOf(pattern)(text)).toBe(expected);
});

test('names of actions match whatever their case, where that is asked for', () => {
  expect(matcherOf('S3:Get*', { ignoreCase: true })('s3:getObject')).toBe(true);
  expect(matcherOf('S3:Get*')('s3:getObject')).toBe(false);
});

test.each<[string, string, boolean]>([
  ['arn:aws:sqs:*:1:q', 'arn:aws:sqs:us-east-1:1:q', true],
  ['arn:aws:sqs:*:1:q', 'arn:aws:sqs:us-east-1:2:1:q', false],
  ['arn:aws:logs:r:1:log-group:*', 'arn:aws:logs:r:1:log-group:g:log-stream:s', true],
  ['arn:aws:s3:::shop/a?c', 'arn:aws:s3:::shop/a:c', true],
])('the ARN %j over %j: %j', (pattern, arn, expected) => {
  expect(arnMatcherOf(pattern)(arn)).toBe(expected);
});

test('what is no ARN is an error', () => {
  expect(() => arnMatcherOf('arn:aws:sqs:*')).toThrow('"arn:aws:sqs:*" is no ARN');
});
