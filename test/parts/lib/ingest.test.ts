import { expect, test } from 'vitest';
import { BATCH_ONLY } from '../../support/routes.ts';
import { nameOf, resourcesOf, synthesize } from '../../support/synthesize.ts';

function ruleOf(template: ReturnType<typeof synthesize>) {
  const rules = Object.values(resourcesOf(template, 'AWS::Events::Rule'));
  return rules.find(({ Properties }) => Properties.EventPattern !== undefined)!.Properties;
}

test('a new object below the input prefix, and nothing else, is queued', () => {
  const { EventPattern, Targets } = ruleOf(synthesize());
  expect(EventPattern).toEqual({
    source: ['aws.s3'],
    'detail-type': ['Object Created'],
    detail: {
      bucket: { name: [{ Ref: expect.stringMatching(/^PipelineStorageBucket/) }] },
      object: { key: [{ prefix: 'input/' }] },
    },
  });
  expect(Targets.map((target: { Arn: unknown }) => nameOf(target.Arn))).toEqual(['IngestQueue']);
});

test('an event that could not be queued waits in the dead-letter queue', () => {
  const [target] = ruleOf(synthesize()).Targets;
  expect(nameOf(target.DeadLetterConfig.Arn)).toBe('IngestQueueDeadLetters');
});

test('the rule follows the input prefix of the layout', () => {
  const moved = synthesize({
    settings: {
      layout: { input: 'team-a/drop/' },
      routes: [{ ...BATCH_ONLY, name: 'all', prefix: 'team-a/drop/' }],
    },
  });
  expect(ruleOf(moved).EventPattern.detail.object.key).toEqual([{ prefix: 'team-a/drop/' }]);
});

test('ingest may continue by a message to itself for as long as a file takes: Lambda is configured not to take this for a loop', () => {
  const functions = resourcesOf(synthesize(), 'AWS::Lambda::Function');
  const [ingest] = Object.entries(functions).filter(([id]) => nameOf({ Ref: id }) === 'IngestFunction');
  expect(ingest![1].Properties.RecursiveLoop).toBe('Allow');
});
