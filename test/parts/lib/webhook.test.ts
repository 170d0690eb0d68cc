import { Template } from 'aws-cdk-lib/assertions';
import { AwsSolutionsChecks, NIST80053R5Checks } from 'cdk-nag';
import { describe, expect, test } from 'vitest';
import { PipelineStack } from '../../../lib/pipeline-stack.ts';
import { BATCH_ONLY } from '../../support/routes.ts';
import { functionOf, newApp, onlyResource, resourcesOf, synthesize } from '../../support/synthesize.ts';

const routes = [
  { ...BATCH_ONLY, name: 'a', prefix: 'input/a/', apiKey: 'team-a' },
  { ...BATCH_ONLY, name: 'b', prefix: 'input/b/' },
];
const settingsWith = (webhooks: object) => ({ settings: { routes, webhooks } }) as never;

/** URLs that anybody may call. */
const openUrls = (template: Template) =>
  Object.values(resourcesOf(template, 'AWS::Lambda::Url')).filter(
    ({ Properties }) => Properties.AuthType !== 'AWS_IAM',
  );

describe('with webhooks to a function URL', () => {
  const template = synthesize(settingsWith({ apiKeys: ['default', 'team-a'] }));

  test('anybody may call the URL of the webhook function, and nothing else of the stack', () => {
    const [id] = functionOf(template, 'webhook');
    expect(openUrls(template).map(({ Properties }) => Properties)).toEqual([
      { AuthType: 'NONE', TargetFunctionArn: { 'Fn::GetAtt': [id, 'Arn'] } },
    ]);
    const open = Object.values(resourcesOf(template, 'AWS::Lambda::Permission')).filter(
      ({ Properties }) => Properties.Principal === '*',
    );
    expect(
      open.map(({ Properties }) => [Properties.Action, Properties.FunctionName['Fn::GetAtt'][0]]),
    ).toEqual([
      ['lambda:InvokeFunctionUrl', id],
      ['lambda:InvokeFunction', id],
    ]);
    // Not by the API of Lambda.
    expect(open[0]!.Properties.FunctionUrlAuthType).toBe('NONE');
    expect(open[1]!.Properties.InvokedViaFunctionUrl).toBe(true);
  });

  test('the function has the names of the API keys, a short time, and no settings', () => {
    const { Environment, Timeout, Layers } = functionOf(template, 'webhook')[1].Properties;
    expect(Object.keys(Environment.Variables).sort()).toEqual([
      'OBSERVE_QUEUE_URL',
      'POWERTOOLS_SERVICE_NAME',
      'STACK_ID',
      'STACK_NAME',
      'WEBHOOK_API_KEYS',
    ]);
    expect(Environment.Variables.WEBHOOK_API_KEYS).toBe('default,team-a');
    expect(Timeout).toBe(10);
    expect(Layers).toBeUndefined();
  });

  test('each API key has a secret for its signing secret, which holds none yet', () => {
    const secrets = Object.values(resourcesOf(template, 'AWS::SecretsManager::Secret')).filter(
      ({ Properties }) => JSON.stringify(Properties.Name).includes('batchdrop/webhooks/'),
    );
    expect(secrets).toHaveLength(2);
    for (const { Properties, DeletionPolicy } of secrets) {
      expect(Properties.SecretString).toBe('not-set');
      expect(DeletionPolicy).toBe('Delete');
    }
  });

  test('scanners read why it is open', () => {
    const open = [
      ...openUrls(template),
      ...Object.values(resourcesOf(template, 'AWS::Lambda::Permission')).filter(
        ({ Properties }) => Properties.Principal === '*',
      ),
    ] as unknown as { Metadata: { checkov: { skip: { id: string; comment: string }[] } } }[];
    for (const { Metadata } of open) {
      expect(Metadata.checkov.skip.map(({ id }) => id)).toEqual(['CKV_AWS_258', 'CKV_AWS_301']);
      expect(Metadata.checkov.skip[0]!.comment).toMatch(/HMAC signature/);
    }
  });

  test('packs of cdk-nag that forbid open functions find it acknowledged', () => {
    const app = newApp();
    new PipelineStack(app, 'batchdrop', settingsWith({ apiKeys: ['default'] }));
    const found = [new AwsSolutionsChecks(app), new NIST80053R5Checks(app)].flatMap((pack) =>
      pack.validateScope(app).violations.flatMap(({ ruleName }) => ruleName),
    );
    expect(found.filter((rule) => /PublicAccess/.test(rule) && /Lambda/.test(rule))).toEqual([]);
  });
});

test('the HTTP API has one route, throttles, and logs nothing of what was sent', () => {
  const template = synthesize(settingsWith({ apiKeys: ['default'], endpoint: 'http_api' }));
  expect(openUrls(template)).toEqual([]);
  expect(onlyResource(template, 'AWS::ApiGatewayV2::Route').Properties.RouteKey).toBe('POST /');
  expect(onlyResource(template, 'AWS::ApiGatewayV2::Integration').Properties).toMatchObject({
    IntegrationType: 'AWS_PROXY',
    PayloadFormatVersion: '2.0',
  });
  const { DefaultRouteSettings, AccessLogSettings, StageName } = onlyResource(
    template,
    'AWS::ApiGatewayV2::Stage',
  ).Properties;
  expect(StageName).toBe('$default');
  expect(DefaultRouteSettings).toEqual({ ThrottlingRateLimit: 50, ThrottlingBurstLimit: 200 });
  expect(AccessLogSettings.Format).not.toMatch(/header|body|sourceIp|path/i);
  const open = Object.values(resourcesOf(template, 'AWS::Lambda::Permission')).filter(
    ({ Properties }) => Properties.Principal === '*',
  );
  expect(open).toEqual([]);
});

test('the stack prints what the command line asks for', () => {
  const stack = new PipelineStack(newApp(), 'batchdrop', settingsWith({ apiKeys: ['default', 'team-a'] }));
  const { Outputs } = Template.fromStack(stack).toJSON();
  expect(Object.keys(Outputs).filter((name) => name.startsWith('Webhook'))).toEqual([
    'WebhookUrl',
    'WebhookSecretArn',
    'WebhookSecretArnTeamA',
  ]);
});

test('a stack without webhooks has nothing of them', () => {
  // What call and poll may keep in the table does not depend on it.
  const text = JSON.stringify(synthesize().toJSON()).replaceAll('"WEBHOOKS#*"', '');
  expect(text).not.toMatch(/webhook|Observe/i);
});

test.each([
  ['no API key', {}, 'webhooks need a signing secret'],
  ['an empty list', { apiKeys: [] }, 'webhooks need a signing secret'],
  [
    'an API key that no route has',
    { apiKeys: ['team-b'] },
    'which no route has: name one of "default", "team-a"',
  ],
  ['an API key twice', { apiKeys: ['default', 'default'] }, 'names the API key "default" twice'],
  ['another kind of URL', { apiKeys: ['default'], endpoint: 'alb' }, 'endpoint'],
])('webhooks with %s are refused at synth', (_what, webhooks, message) => {
  expect(() => synthesize(settingsWith(webhooks))).toThrow(message);
});
