import { expect, test } from 'vitest';
import {
  type Condition,
  compileCondition,
  type RequestContext,
} from '../../../../../local/services/iam/conditions.ts';

const PREFIX = 's3:prefix';
const KEYS = 'dynamodb:LeadingKeys';
const NOTHING: RequestContext = {};

test.each<[Condition, RequestContext, boolean]>([
  [{ StringEquals: { [PREFIX]: 'in/' } }, { [PREFIX]: 'in/' }, true],
  [{ StringEquals: { [PREFIX]: 'in/*' } }, { [PREFIX]: 'in/a' }, false],
  [{ StringEquals: { [PREFIX]: 'in/' } }, NOTHING, false],
  [{ StringEqualsIfExists: { [PREFIX]: 'in/' } }, NOTHING, true],
  [{ StringNotEquals: { [PREFIX]: 'in/' } }, NOTHING, true],
  [{ StringNotEquals: { [PREFIX]: ['in/', 'out/'] } }, { [PREFIX]: 'out/' }, false],
  [{ StringLike: { [PREFIX]: ['in/*', 'out/*'] } }, { [PREFIX]: 'out/a' }, true],
  [{ StringLike: { 'S3:Prefix': 'in/*' } }, { [PREFIX]: 'in/a' }, true],
  [{ Null: { [PREFIX]: 'true' } }, NOTHING, true],
  [{ Null: { [PREFIX]: 'true' } }, { [PREFIX]: '' }, false],
  [{ Bool: { 'aws:SecureTransport': 'False' } }, { 'aws:SecureTransport': 'false' }, true],
  [{ NumericLessThanEquals: { 's3:max-keys': '10' } }, { 's3:max-keys': '10' }, true],
  [{ NumericGreaterThan: { 's3:max-keys': '10' } }, { 's3:max-keys': '10' }, false],
  [{ 'ForAllValues:StringLike': { [KEYS]: ['JOB#*'] } }, { [KEYS]: ['JOB#1', 'JOB#2'] }, true],
  [{ 'ForAllValues:StringLike': { [KEYS]: ['JOB#*'] } }, { [KEYS]: ['JOB#1', 'PAUSES'] }, false],
  [{ 'ForAllValues:StringLike': { [KEYS]: ['JOB#*'] } }, NOTHING, true],
  [{ 'ForAnyValue:StringLike': { [KEYS]: ['JOB#*'] } }, { [KEYS]: ['JOB#1', 'PAUSES'] }, true],
  [{ 'ForAnyValue:StringLike': { [KEYS]: ['JOB#*'] } }, NOTHING, false],
  [
    { ArnLike: { 'aws:SourceArn': 'arn:aws:events:*:000000000000:rule/*' } },
    { 'aws:SourceArn': 'arn:aws:events:us-east-1:000000000000:rule/r' },
    true,
  ],
  [
    { ArnEquals: { 'aws:SourceArn': 'arn:aws:events:*:*:rule/other' } },
    { 'aws:SourceArn': 'arn:aws:events:us-east-1:000000000000:rule/r' },
    false,
  ],
  [
    { StringEquals: { [PREFIX]: 'in/' }, Bool: { 'aws:SecureTransport': 'true' } },
    { [PREFIX]: 'in/' },
    false,
  ],
])('%j of a request with %j is %j', (condition, context, expected) => {
  expect(compileCondition(condition, 'it')(context)).toBe(expected);
});

test.each<[Condition, RegExp]>([
  [{ StringMatches: { [PREFIX]: 'in/' } }, /The policy of X has the condition operator "StringMatches"/],
  [{ IpAddress: { 'aws:SourceArn': '10.0.0.0/8' } }, /condition operator "IpAddress"/],
  [
    { StringEquals: { 'aws:username': 'ann' } },
    /has a condition on "aws:username", which no local service supplies/,
  ],
  [{ Null: { 's3:prefx': 'true' } }, /"s3:prefx"/],
  [{ StringLike: { [KEYS]: 'JOB#*' } }, /several values, with StringLike: say ForAllValues:StringLike/],
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of IAM
  [{ StringLike: { [PREFIX]: 'home/${aws:username}/*' } }, /holds a variable/],
])('%j is an error that says what is not evaluated', (condition, message) => {
  expect(() => compileCondition(condition, 'The policy of X')).toThrow(message);
});
