import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Stack } from 'aws-cdk-lib';
import { Annotations, Match, Template } from 'aws-cdk-lib/assertions';
import { expect, onTestFinished, test } from 'vitest';
import { createCheckedApp } from '../../../bin/checked-app.ts';
import { BatchPipeline } from '../../../lib/batch-pipeline.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { functionOf, newApp, resourcesOf, TEST_CONTEXT } from '../../support/synthesize.ts';

const ACCOUNT = '123456789012';
const TOPIC = `arn:aws:sns:eu-west-1:${ACCOUNT}:done`;
const QUEUE = `arn:aws:sqs:eu-west-1:${ACCOUNT}:done`;
const BUS = `arn:aws:events:eu-west-1:${ACCOUNT}:event-bus/ours`;

function stackWith(notify: Record<string, string | undefined>, env?: { account: string; region: string }) {
  const stack = new Stack(newApp(), 'Test', env === undefined ? {} : { env });
  const routes = Object.entries(notify).map(([name, arn]) => ({
    ...BATCH_ONLY,
    name,
    prefix: `input/${name}/`,
    ...(arn === undefined ? {} : { notify: arn }),
  }));
  new BatchPipeline(stack, 'Pipeline', { settings: { routes } });
  return { stack, template: Template.fromStack(stack) };
}
// biome-ignore lint/suspicious/noExplicitAny: a template is what CDK wrote, read by path
const rulesOf = (template: Template): any[] =>
  Object.values(resourcesOf(template, 'AWS::Events::Rule'))
    .map(({ Properties }) => Properties)
    .filter(({ EventPattern }) => EventPattern?.source?.includes('batchdrop'));

test('each target has one rule, for the events of its routes and of this stack alone', () => {
  const { template } = stackWith({ a: QUEUE, b: TOPIC, c: QUEUE, d: undefined, e: BUS });
  const rules = rulesOf(template);
  expect(rules.map(({ EventPattern, Targets }) => [EventPattern.detail.route, Targets[0].Arn])).toEqual([
    [['a', 'c'], QUEUE],
    [['b'], TOPIC],
    [['e'], BUS],
  ]);
  const stackId = functionOf(template, 'finalize')[1].Properties.Environment.Variables.STACK_ID;
  for (const { EventPattern, Targets } of rules) {
    expect(EventPattern).toMatchObject({ source: ['batchdrop'], 'detail-type': ['JobCompleted'] });
    expect(EventPattern.detail.stackId).toEqual([stackId]);
    expect(Targets).toHaveLength(1);
    expect(Targets[0].DeadLetterConfig.Arn['Fn::GetAtt'][0]).toMatch(/^PipelineNotificationsDeadLetters/);
    // Only another bus is written to by a role.
    expect('RoleArn' in Targets[0]).toBe(Targets[0].Arn === BUS);
  }
});

test('without a target there is neither rule nor word of it, and no function knows of targets', () => {
  const { stack, template } = stackWith({ a: undefined });
  expect(rulesOf(template)).toEqual([]);
  expect(Annotations.fromStack(stack).findInfo('*', Match.stringLikeRegexp('notify'))).toEqual([]);
  expect(
    JSON.stringify(resourcesOf(stackWith({ a: QUEUE }).template, 'AWS::Lambda::Function')),
  ).not.toContain(QUEUE);
});

test.each([
  ['topic', TOPIC, 'sns:Publish'],
  ['queue', QUEUE, 'sqs:SendMessage'],
])(
  'synth says which statement the policy of a %s needs, with the name of the very rule',
  (_what, arn, action) => {
    const { stack, template } = stackWith({ a: arn });
    const [info] = Annotations.fromStack(stack).findInfo('*', Match.stringLikeRegexp('access policy'));
    const text = String(info!.entry.data);
    expect(text).toContain(`Routes a notify ${arn}`);
    const statement = JSON.parse(/^ {2}(\{.*\})$/m.exec(text)![1]!);
    const [{ Name }] = rulesOf(template) as [{ Name: string }];
    expect(Name.length).toBeLessThanOrEqual(64);
    expect(statement).toEqual({
      Effect: 'Allow',
      Principal: { Service: 'events.amazonaws.com' },
      Action: action,
      Resource: arn,
      Condition: { ArnEquals: { 'aws:SourceArn': `arn:aws:events:eu-west-1:${ACCOUNT}:rule/${Name}` } },
    });
  },
);

test('the app with every kind of target passes the checks that synth makes', () => {
  const routes = [QUEUE, TOPIC, BUS].map((notify, index) => ({
    ...BATCH_ONLY,
    name: `r${index}`,
    prefix: `input/${index}/`,
    notify,
  }));
  const outdir = mkdtempSync(join(tmpdir(), 'batchdrop-notify-'));
  onTestFinished(() => rmSync(outdir, { recursive: true }));
  const app = createCheckedApp({ context: { ...TEST_CONTEXT, settings: { routes } }, outdir });
  expect(() => app.synth()).not.toThrow();
});

test('the name of a rule distinguishes stacks', () => {
  const nameIn = (id: string): string => {
    const stack = new Stack(newApp(), id);
    new BatchPipeline(stack, 'Pipeline', {
      settings: { routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', notify: QUEUE }] },
    });
    return rulesOf(Template.fromStack(stack))[0].Name;
  };
  expect(nameIn('one')).not.toBe(nameIn('other'));
});

test('a target in the account and region of the stack is taken, one elsewhere is refused', () => {
  const env = { account: ACCOUNT, region: 'eu-west-1' };
  expect(rulesOf(stackWith({ a: QUEUE }, env).template)).toHaveLength(1);
  expect(() => stackWith({ a: QUEUE }, { ...env, region: 'us-east-1' })).toThrow(
    /^notify of route "a" is "arn:aws:sqs:.*", in region eu-west-1, and the stack is in us-east-1: name a target/,
  );
  expect(() => stackWith({ a: TOPIC }, { ...env, account: '210987654321' })).toThrow(
    /in account 123456789012, and the stack is in 210987654321/,
  );
});
