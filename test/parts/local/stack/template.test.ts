// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the syntax of Fn::Sub
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { createResolver, type LocalAccount } from '../../../../local/stack/intrinsics.ts';
import { nameResources, nameStack } from '../../../../local/stack/names.ts';
import { loadStack, type SynthesizedStack, type Template } from '../../../../local/stack/template.ts';
import { planStack } from '../../../../local/stack/wiring.ts';
import { assetKey, pipelineTemplate, STACK_NAME, writeAssembly } from '../../../support/assembly.ts';
import { temporaryFolder } from '../../../support/temporary-folder.ts';

const ACCOUNT: LocalAccount = {
  accountId: '000000000000',
  region: 'us-east-1',
  stackName: 'shop',
  stackId: 'arn:aws:cloudformation:us-east-1:000000000000:stack/shop/1234',
};
const queueUrl = (name: string) => `http://127.0.0.1:9/000000000000/${name}`;

describe('what cdk synth wrote', () => {
  test('a stack is loaded with the folders of its assets', () => {
    const folder = temporaryFolder();
    writeAssembly(folder, pipelineTemplate(), { worker: '' });
    const stack = loadStack(folder);
    expect(stack.stackName).toBe(STACK_NAME);
    expect(Object.keys(stack.template.Resources)).toContain('Bucket');
    expect(stack.assetFolder(assetKey('worker'))).toBe(join(folder, 'asset.worker'));
  });

  test('a relative path is one from where this process runs, whatever folder a function runs in', () => {
    const folder = temporaryFolder();
    writeAssembly(folder, pipelineTemplate(), { worker: '' });
    const stack = loadStack(relative(process.cwd(), folder));
    expect(stack.assetFolder(assetKey('worker'))).toBe(join(folder, 'asset.worker'));
    expect(() => loadStack('no/such/folder')).toThrow(join(process.cwd(), 'no/such/folder', 'manifest.json'));
  });

  test('fails for an asset that is not in the assembly', () => {
    const folder = temporaryFolder();
    writeAssembly(folder, pipelineTemplate(), {});
    expect(() => loadStack(folder).assetFolder('other.zip')).toThrow('has no asset "other.zip"');
  });

  test('fails for a folder that is not an assembly, and says how to make one', () => {
    expect(() => loadStack(temporaryFolder())).toThrow('Run "npx cdk synth" first');
  });

  test('fails for a stack that is not there, naming those that are', () => {
    const folder = temporaryFolder();
    writeAssembly(folder, pipelineTemplate());
    expect(() => loadStack(folder, 'other')).toThrow('named "other" (all: fixture); exactly one is needed');
  });
});

describe('intrinsic functions', () => {
  const template: Template = {
    Resources: {},
    Parameters: { Size: { Type: 'String', Default: 'large' }, Open: { Type: 'String' } },
    Conditions: {
      IsLarge: { 'Fn::Equals': [{ Ref: 'Size' }, 'large'] },
      IsSmall: { 'Fn::Not': [{ Condition: 'IsLarge' }] },
      Both: { 'Fn::And': [{ Condition: 'IsLarge' }, { Condition: 'IsSmall' }] },
      Either: { 'Fn::Or': [{ Condition: 'IsLarge' }, { Condition: 'IsSmall' }] },
    },
    Mappings: { Regions: { 'us-east-1': { zone: 'a' } } },
  };
  const resolve = createResolver(template, ACCOUNT, {
    ref: (logicalId) => `ref-${logicalId}`,
    attribute: (logicalId, name) => `${logicalId}/${name}`,
  });

  test.each<[string, unknown, unknown]>([
    ['a plain value is kept', { a: [1, 'b', null, true] }, { a: [1, 'b', null, true] }],
    ['Ref of a resource', { Ref: 'Table' }, 'ref-Table'],
    ['Ref of a parameter with a default', { Ref: 'Size' }, 'large'],
    ['Ref of a pseudo parameter', { Ref: 'AWS::StackId' }, ACCOUNT.stackId],
    ['Ref of AWS::NoValue leaves the property out', { a: { Ref: 'AWS::NoValue' }, b: 1 }, { b: 1 }],
    ['GetAtt as a list', { 'Fn::GetAtt': ['Queue', 'Arn'] }, 'Queue/Arn'],
    ['GetAtt as text', { 'Fn::GetAtt': 'Queue.Arn' }, 'Queue/Arn'],
    [
      'Join resolves its parts',
      { 'Fn::Join': ['-', ['a', { Ref: 'Q' }, { Ref: 'AWS::Region' }]] },
      'a-ref-Q-us-east-1',
    ],
    [
      'Sub with resources, attributes, pseudo parameters and literals',
      { 'Fn::Sub': '${Q} ${Q.Arn} ${AWS::Partition} ${!Kept}' },
      'ref-Q Q/Arn aws ${Kept}',
    ],
    ['Sub with variables of its own', { 'Fn::Sub': ['${a}/${Q}', { a: { Ref: 'X' } }] }, 'ref-X/ref-Q'],
    ['Select out of Split', { 'Fn::Select': [2, { 'Fn::Split': ['/', { Ref: 'AWS::StackId' }] }] }, '1234'],
    ['If takes the branch of its condition', { 'Fn::If': ['IsSmall', 'no', { Ref: 'Size' }] }, 'large'],
    ['And is false when one part is', { 'Fn::If': ['Both', 1, 2] }, 2],
    ['Or is true when one part is', { 'Fn::If': ['Either', 1, 2] }, 1],
    ['FindInMap', { 'Fn::FindInMap': ['Regions', { Ref: 'AWS::Region' }, 'zone'] }, 'a'],
    [
      'the Condition of a policy statement is data',
      { Condition: { Bool: { x: 'y' } } },
      { Condition: { Bool: { x: 'y' } } },
    ],
  ])('%s', (_sentence, value, expected) => {
    expect(resolve(value)).toEqual(expected);
  });

  test('fails for an unknown function, saying which, where and what is known', () => {
    expect(() => resolve({ Properties: { Zones: [{ 'Fn::GetAZs': '' }] } })).toThrow(
      /template\.Properties\.Zones\[0\]: the intrinsic function Fn::GetAZs is not known to the local stack \(known: Ref, /,
    );
  });

  test('fails for a parameter without a default', () => {
    expect(() => resolve({ Ref: 'Open' })).toThrow('Parameter "Open" has no default');
  });

  test('fails for an index beyond the list', () => {
    expect(() => resolve({ 'Fn::Select': [3, ['a']] })).toThrow('the list of 1 has no item 3');
  });
});

describe('local names', () => {
  const named = (Resources: Template['Resources']) => nameResources({ Resources }, ACCOUNT, queueUrl);

  test('a resource is named after the stack and its logical id; a bucket in small letters', () => {
    const { nameOf } = named({
      MyTable: { Type: 'AWS::DynamoDB::Table' },
      MyBucket: { Type: 'AWS::S3::Bucket' },
    });
    expect(nameOf('MyTable')).toBe('shop-MyTable');
    expect(nameOf('MyBucket')).toBe('shop-mybucket');
  });

  test('a name that the template gives is used', () => {
    const { nameOf } = named({
      Q: { Type: 'AWS::SQS::Queue', Properties: { QueueName: { 'Fn::Sub': '${AWS::StackName}-jobs' } } },
    });
    expect(nameOf('Q')).toBe('shop-jobs');
  });

  test('a name that is too long for AWS is cut and stays unique', () => {
    const long = (last: string) => `${'VeryLong'.repeat(10)}${last}`;
    const { nameOf } = named({
      [long('A')]: { Type: 'AWS::SQS::Queue' },
      [long('B')]: { Type: 'AWS::SQS::Queue' },
    });
    expect(nameOf(long('A'))).toHaveLength(80);
    expect(nameOf(long('A'))).not.toBe(nameOf(long('B')));
  });

  test('Ref gives what CloudFormation gives: URL of a queue, ARN of a secret, name of the others', () => {
    const { resolve } = named({
      Q: { Type: 'AWS::SQS::Queue' },
      S: { Type: 'AWS::SecretsManager::Secret' },
      F: { Type: 'AWS::Lambda::Function' },
    });
    expect(resolve({ Ref: 'Q' })).toBe(queueUrl('shop-Q'));
    expect(resolve({ Ref: 'S' })).toMatch(
      /^arn:aws:secretsmanager:us-east-1:000000000000:secret:shop-S-[0-9a-f]{6}$/,
    );
    expect(resolve({ Ref: 'F' })).toBe('shop-F');
    expect(resolve({ 'Fn::GetAtt': ['Q', 'Arn'] })).toBe('arn:aws:sqs:us-east-1:000000000000:shop-Q');
  });

  test.each([
    ['fails for a reference to nothing', { Ref: 'Nope' }, 'no resource or parameter "Nope"'],
    [
      'fails for an attribute without a local value',
      { 'Fn::GetAtt': ['Q', 'Color'] },
      'Fn::GetAtt Q.Color (AWS::SQS::Queue) has no local value',
    ],
    [
      'fails for the ARN of a type without one',
      { 'Fn::GetAtt': ['X', 'Arn'] },
      '"X" (AWS::Cow::Moo) has no local ARN',
    ],
  ])('%s', (_sentence, value, message) => {
    const { resolve } = named({ Q: { Type: 'AWS::SQS::Queue' }, X: { Type: 'AWS::Cow::Moo' } });
    expect(() => resolve(value)).toThrow(message);
  });
});

describe('other stacks of the assembly', () => {
  const base: SynthesizedStack = {
    stackName: 'base',
    template: {
      Resources: { Key: { Type: 'AWS::KMS::Key', Properties: {} } },
      Outputs: {
        KeyArn: {
          Value: { 'Fn::GetAtt': ['Key', 'Arn'] },
          Export: { Name: { 'Fn::Sub': '${AWS::StackName}-key' } },
        },
      },
    },
    dependencies: [],
    assetFolder: () => '',
  };
  const stack: SynthesizedStack = {
    ...base,
    stackName: 'shop',
    template: { Resources: {} },
    dependencies: [base],
  };
  const { resolve, dependencies } = nameStack(stack, ACCOUNT, queueUrl);
  const keyArn = dependencies[0]!.arnOf('Key');

  test('give what this one takes from them, by output and by export', () => {
    expect(keyArn).toMatch(
      /^arn:aws:kms:us-east-1:000000000000:key\/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/,
    );
    const output = { StackName: 'base', OutputName: 'KeyArn', Region: { Ref: 'AWS::Region' } };
    expect(resolve({ 'Fn::GetStackOutput': output })).toBe(keyArn);
    expect(resolve({ 'Fn::ImportValue': 'base-key' })).toBe(keyArn);
  });

  test.each([
    [{ 'Fn::ImportValue': 'other' }, 'no stack that this one depends on gives "other"'],
    [
      { 'Fn::GetStackOutput': { StackName: 'base', OutputName: 'Other' } },
      'no stack that this one depends on gives "base.Other"',
    ],
  ])('fail for what they do not give: %j', (value, message) => {
    expect(() => resolve(value)).toThrow(message);
  });
});

describe('wiring', () => {
  /** Plans the fixture after `change` has broken it. */
  function planOf(change: (resources: Template['Resources']) => void = () => {}) {
    const folder = temporaryFolder();
    const template = pipelineTemplate();
    change(template.Resources);
    writeAssembly(folder, template, { worker: '', ticker: '' });
    const stack = loadStack(folder);
    return planStack(
      stack,
      nameResources(stack.template, ACCOUNT, queueUrl, (name) => `http://urls/${name}`),
    );
  }
  const properties = (resources: Template['Resources'], id: string) => (resources[id]!.Properties ??= {});

  test('targets outside of the stack are named as not delivered; a queue of the stack that is named so is', () => {
    const [queue, other, topic] = [
      'sqs:us-east-1:000000000000:shop-Queue',
      'sqs:us-east-1:000000000000:x',
      'sns:eu-west-1:1:t',
    ];
    const plan = planOf((resources) => {
      properties(resources, 'ObjectCreated').Targets = [queue, other, topic].map((rest, index) => ({
        Id: `t${index}`,
        Arn: `arn:aws:${rest}`,
      }));
    });
    expect(plan.rules.find(({ name }) => name === 'shop-ObjectCreated')?.targets).toEqual([
      { kind: 'queue', queueName: 'shop-Queue', input: undefined },
    ]);
    expect(plan.undelivered).toEqual([`arn:aws:${other}`, `arn:aws:${topic}`]);
  });

  test('a sound template becomes a plan with everything resolved', () => {
    const plan = planOf();
    expect(plan.buckets).toEqual([
      { path: 'Bucket', name: 'shop-bucket', isVersioned: true, sendsEvents: true },
    ]);
    expect(plan.tables[0]).toMatchObject({ name: 'shop-Table', ttlAttribute: 'expiresAt' });
    expect(plan.functions[0]).toMatchObject({
      path: 'Pipeline/Worker/Function',
      timeoutMs: 10_000,
      memoryMb: 256,
      environment: { QUEUE_URL: queueUrl('shop-Queue'), TABLE_NAME: 'shop-Table', STACK_ID: '1234' },
    });
    expect(plan.eventSources).toEqual([
      {
        queueName: 'shop-Queue',
        functionName: 'shop-Worker',
        batchSize: 1,
        maxConcurrency: 2,
        reportsItemFailures: true,
      },
    ]);
  });

  /** A URL of the worker that anybody may call. */
  const withUrl = (resources: Template['Resources']) => {
    const FunctionName = { 'Fn::GetAtt': ['Worker', 'Arn'] };
    const open = { FunctionName, Principal: '*' };
    Object.assign(resources, {
      Hook: { Type: 'AWS::Lambda::Url', Properties: { AuthType: 'NONE', TargetFunctionArn: FunctionName } },
      MayUrl: {
        Type: 'AWS::Lambda::Permission',
        Properties: { ...open, Action: 'lambda:InvokeFunctionUrl', FunctionUrlAuthType: 'NONE' },
      },
      MayInvoke: {
        Type: 'AWS::Lambda::Permission',
        Properties: { ...open, Action: 'lambda:InvokeFunction', InvokedViaFunctionUrl: true },
      },
    });
  };
  const withApi = (resources: Template['Resources']) => {
    const arn = { 'Fn::GetAtt': ['Worker', 'Arn'] };
    Object.assign(resources, {
      Api: { Type: 'AWS::ApiGatewayV2::Api', Properties: { Name: 'Api', ProtocolType: 'HTTP' } },
      Way: {
        Type: 'AWS::ApiGatewayV2::Integration',
        Properties: { ApiId: { Ref: 'Api' }, IntegrationUri: arn },
      },
      Post: {
        Type: 'AWS::ApiGatewayV2::Route',
        Properties: {
          ApiId: { Ref: 'Api' },
          RouteKey: 'POST /',
          Target: { 'Fn::Join': ['', ['integrations/', { Ref: 'Way' }]] },
        },
      },
      May: {
        Type: 'AWS::Lambda::Permission',
        Properties: {
          FunctionName: arn,
          Principal: 'apigateway.amazonaws.com',
          Action: 'lambda:InvokeFunction',
        },
      },
    });
  };

  test('a URL of a function, and an HTTP API in front of one, are planned', () => {
    expect(planOf(withUrl).urls).toMatchObject([
      { name: 'shop-Hook', functionName: 'shop-Worker', isSigned: false },
    ]);
    expect(planOf(withApi).urls).toMatchObject([
      { name: 'shop-Api', functionName: 'shop-Worker', routeKey: 'POST /', isSigned: false },
    ]);
  });

  test('a URL with IAM authorization takes no permission of the function: the rights are those of callers', () => {
    const { urls } = planOf((resources) => {
      withUrl(resources);
      Object.assign(properties(resources, 'Hook'), { AuthType: 'AWS_IAM' });
      delete resources.MayUrl;
      delete resources.MayInvoke;
    });
    expect(urls).toMatchObject([
      {
        functionName: 'shop-Worker',
        functionArn: expect.stringMatching(/:shop-Worker$/),
        isSigned: true,
      },
    ]);
  });

  test('a managed policy has an ARN, by which its statements are found', () => {
    const Statement = [{ Effect: 'Allow', Action: 's3:GetObject', Resource: '*' }];
    const plan = planOf((resources) => {
      const Properties = { PolicyDocument: { Version: '2012-10-17', Statement } };
      resources.Viewer = { Type: 'AWS::IAM::ManagedPolicy', Properties };
    });
    const [statement] = plan.policies.ofIdentity('arn:aws:iam::000000000000:policy/shop-Viewer');
    expect(statement!.grants).toEqual([
      { holder: 'Viewer', action: 's3:GetObject', resource: '*', condition: '' },
    ]);
  });

  test.each<[string, (resources: Template['Resources']) => void, string]>([
    [
      'no permission for the URL',
      (resources) => delete resources.MayUrl,
      'no AWS::Lambda::Permission allows lambda:InvokeFunctionUrl',
    ],
    [
      'no permission to invoke by it',
      (resources) => delete resources.MayInvoke,
      'no AWS::Lambda::Permission allows lambda:InvokeFunction',
    ],
    [
      'a function of another stack',
      (resources) => Object.assign(properties(resources, 'Hook'), { TargetFunctionArn: 'arn:x' }),
      'is no function of the stack',
    ],
  ])('a URL with %s is refused', (_what, change, message) => {
    expect(() =>
      planOf((resources) => {
        withUrl(resources);
        change(resources);
      }),
    ).toThrow(message);
  });

  test('an HTTP API that may not invoke its function is refused', () => {
    expect(() =>
      planOf((resources) => {
        withApi(resources);
        delete resources.May;
      }),
    ).toThrow('may not invoke');
  });

  test('a disabled mapping and a disabled rule are left out', () => {
    const plan = planOf((resources) => {
      Object.assign(properties(resources, 'WorkerMessages'), { Enabled: false });
      Object.assign(properties(resources, 'ObjectCreated'), { State: 'DISABLED' });
    });
    expect(plan.eventSources).toEqual([]);
    expect(plan.rules.find(({ name }) => name === 'shop-ObjectCreated')?.pattern).toBeUndefined();
  });

  test.each<[string, (resources: Template['Resources']) => void, string]>([
    [
      'fails for a resource type that is not known',
      (resources) => Object.assign(resources, { Cow: { Type: 'AWS::Cow::Moo' } }),
      'Cow is a AWS::Cow::Moo, which the local stack does not know',
    ],
    [
      'fails when the role may not receive from the mapped queue',
      (resources) => Object.assign(properties(resources, 'Policy'), { PolicyDocument: { Statement: [] } }),
      'does not allow sqs:ReceiveMessage on Pipeline/WorkQueue/Queue',
    ],
    [
      'fails when a message is visible again before the function must have ended',
      (resources) => Object.assign(properties(resources, 'Queue'), { VisibilityTimeout: 5 }),
      'shows a message again after 5 s',
    ],
    [
      'fails when no queue policy lets EventBridge send',
      (resources) => delete resources.QueuePolicy,
      'rule "shop-ObjectCreated" may not send to the queue "shop-Queue"',
    ],
    [
      'fails when the queue policy is for another rule',
      (resources) => {
        const [statement] = (properties(resources, 'QueuePolicy').PolicyDocument as { Statement: object[] })
          .Statement;
        Object.assign(statement!, {
          Condition: { ArnEquals: { 'aws:SourceArn': 'arn:aws:events:us-east-1:000000000000:rule/other' } },
        });
      },
      'rule "shop-ObjectCreated" may not send to the queue "shop-Queue"',
    ],
    [
      'fails when EventBridge may not invoke the function',
      (resources) => delete resources.SchedulePermission,
      'rule "shop-Schedule" may not invoke "shop-Ticker"',
    ],
    [
      'fails when a rule changes its input',
      (resources) => {
        const [target] = properties(resources, 'ObjectCreated').Targets as unknown as [object];
        Object.assign(target, { InputPath: '$.detail' });
      },
      'changes its input',
    ],
  ])('%s', (_sentence, change, message) => {
    expect(() => planOf(change)).toThrow(message);
  });

  describe('with queues that are encrypted with a key of the account', () => {
    const ofAccount = {
      Effect: 'Allow',
      Principal: { AWS: ACCOUNT.accountId },
      Action: 'kms:*',
      Resource: '*',
    };
    const ofService = (Service: string) => ({
      Effect: 'Allow',
      Principal: { Service },
      Action: ['kms:Decrypt', 'kms:GenerateDataKey'],
      Resource: '*',
    });
    /** @param keyPolicy statements of the key. @param role what the role may do beside what it may in the fixture. */
    const encrypt = (resources: Template['Resources'], keyPolicy: object[], role: object[]) => {
      const arn = { 'Fn::GetAtt': ['Key', 'Arn'] };
      resources.Key = { Type: 'AWS::KMS::Key', Properties: { KeyPolicy: { Statement: keyPolicy } } };
      Object.assign(properties(resources, 'Queue'), { KmsMasterKeyId: arn });
      const { Statement } = properties(resources, 'Policy').PolicyDocument as { Statement: object[] };
      Statement.push(...role.map((each) => ({ ...each, Effect: 'Allow', Resource: arn })));
      return arn;
    };
    const decrypts = { Action: 'kms:Decrypt' };

    test('the key is known by the ARN of the queue, and a role that decrypts is enough', () => {
      const { policies } = planOf((resources) =>
        encrypt(resources, [ofAccount, ofService('events.amazonaws.com')], [decrypts]),
      );
      const { arn } = policies.keyOf('arn:aws:sqs:us-east-1:000000000000:shop-Queue')!;
      expect(arn).toContain(':key/');
      expect(policies.keyOf('arn:aws:sqs:us-east-1:000000000000:shop-DeadLetters')).toBeUndefined();
    });

    test('fails when the role of the mapped function may not decrypt', () => {
      const plan = () =>
        planOf((resources) => encrypt(resources, [ofAccount, ofService('events.amazonaws.com')], []));
      expect(plan).toThrow('does not allow kms:Decrypt on the key of Pipeline/WorkQueue/Queue');
    });

    test('fails when EventBridge may not use the key, in the words of AWS', () => {
      const plan = () => planOf((resources) => encrypt(resources, [ofAccount], [decrypts]));
      expect(plan).toThrow(
        /may not send to the queue "shop-Queue": User: events.amazonaws.com is not authorized to perform: kms:GenerateDataKey/,
      );
    });

    test.each([
      [
        ['events.amazonaws.com', 'sns.amazonaws.com'],
        /alarm "late" may not tell the topic .* cloudwatch.amazonaws.com is not/,
      ],
      [
        ['events.amazonaws.com', 'cloudwatch.amazonaws.com'],
        /topic .* may not send to the queue "shop-Queue": User: sns.amazonaws.com/,
      ],
    ])('fails when of the services that alarms need only %j may use the key', (services, message) => {
      const topicArn = 'arn:aws:sns:us-east-1:000000000000:pager';
      const plan = () =>
        planOf((resources) => {
          const key = encrypt(resources, [ofAccount, ...services.map(ofService)], [decrypts]);
          const { Statement } = properties(resources, 'QueuePolicy').PolicyDocument as {
            Statement: object[];
          };
          Statement.push({
            Effect: 'Allow',
            Principal: { Service: 'sns.amazonaws.com' },
            Action: 'sqs:SendMessage',
            Resource: '*',
          });
          resources.Pager = {
            Type: 'AWS::SNS::Topic',
            Properties: { TopicName: 'pager', KmsMasterKeyId: key },
          };
          resources.OnCall = {
            Type: 'AWS::SNS::Subscription',
            Properties: { TopicArn: topicArn, Protocol: 'sqs', Endpoint: { 'Fn::GetAtt': ['Queue', 'Arn'] } },
          };
          resources.Late = {
            Type: 'AWS::CloudWatch::Alarm',
            Properties: {
              AlarmName: 'late',
              Namespace: 'n',
              MetricName: 'm',
              Period: 60,
              Statistic: 'Sum',
              Threshold: 1,
              EvaluationPeriods: 1,
              ComparisonOperator: 'GreaterThanThreshold',
              AlarmActions: [topicArn],
            },
          };
        });
      expect(plan).toThrow(message);
    });

    test('a key that is named by its id is one of the account; AWS owns those that it makes', () => {
      const keyOf = (KmsMasterKeyId: string) =>
        planOf((resources) =>
          Object.assign(properties(resources, 'DeadLetters'), { KmsMasterKeyId }),
        ).policies.keyOf('arn:aws:sqs:us-east-1:000000000000:shop-DeadLetters')?.arn;
      expect(keyOf('0b1c')).toBe('arn:aws:kms:us-east-1:000000000000:key/0b1c');
      expect(keyOf('alias/aws/sqs')).toBeUndefined();
      expect(() => keyOf('alias/ours')).toThrow('is encrypted with "alias/ours"');
    });
  });

  test('fails with every mistake at once', () => {
    const plan = () =>
      planOf((resources) => {
        delete resources.QueuePolicy;
        delete resources.SchedulePermission;
      });
    expect(plan).toThrow(/may not send[\s\S]*may not invoke/);
  });
});
