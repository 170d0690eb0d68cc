import { RetentionDays } from 'aws-cdk-lib/aws-logs';
import { describe, expect, test } from 'vitest';
import {
  callEnv,
  collectEnv,
  finalizeEnv,
  ingestEnv,
  operateEnv,
  pollEnv,
  submitEnv,
} from '../../../src/contract/env.ts';
import { functionOf, resourcesOf, synthesize } from '../../support/synthesize.ts';

const template = synthesize({ openaiBaseUrl: 'https://llm.example.com/v1' });

const FUNCTIONS = [
  { capability: 'ingest', schema: ingestEnv, memory: 512, timeout: 900, storage: undefined, loop: 'Allow' },
  { capability: 'submit', schema: submitEnv, memory: 512, timeout: 900, storage: undefined, loop: 'Allow' },
  { capability: 'call', schema: callEnv, memory: 1024, timeout: 900, storage: undefined, loop: 'Allow' },
  { capability: 'poll', schema: pollEnv, memory: 512, timeout: 300, storage: undefined, loop: undefined },
  {
    capability: 'collect',
    schema: collectEnv,
    memory: 1024,
    timeout: 900,
    storage: { Size: 10_240 },
    loop: 'Allow',
  },
  {
    capability: 'finalize',
    schema: finalizeEnv,
    memory: 1024,
    timeout: 900,
    storage: undefined,
    loop: 'Allow',
  },
  {
    capability: 'operate',
    schema: operateEnv,
    memory: 512,
    timeout: 900,
    storage: undefined,
    loop: undefined,
  },
] as const;

/** Set by the local stack, where OpenAI's list does not lag. */
const LOCAL_ONLY = 'CREATE_SETTLES_SECONDS';

test('there are seven functions and no other', () => {
  template.resourceCountIs('AWS::Lambda::Function', FUNCTIONS.length);
});

describe.each(FUNCTIONS)('$capability', ({ capability, schema, memory, timeout, storage, loop }) => {
  const { Properties } = functionOf(template, capability)[1];

  test('runs on Node 24 and arm64 with the memory, time and storage that it needs', () => {
    expect(Properties).toMatchObject({
      Runtime: 'nodejs24.x',
      Architectures: ['arm64'],
      Handler: 'index.handler',
      MemorySize: memory,
      Timeout: timeout,
    });
    expect(Properties.EphemeralStorage).toEqual(storage);
  });

  test('has exactly the environment that its handler parses', () => {
    const parsed = Object.keys(schema.shape).filter((name) => name !== LOCAL_ONLY);
    expect(Object.keys(Properties.Environment.Variables).sort()).toEqual(parsed.sort());
  });

  test('has the layer with the settings, and knows where the file is', () => {
    const [layer] = Object.keys(resourcesOf(template, 'AWS::Lambda::LayerVersion'));
    expect(Properties.Layers).toEqual([{ Ref: layer }]);
    expect(Properties.Environment.Variables.SETTINGS_FILE).toBe('/opt/batchdrop/settings.json');
  });

  test('takes the UUID of its stack for the stack id', () => {
    expect(Properties.Environment.Variables.STACK_ID).toEqual({
      'Fn::Select': [2, { 'Fn::Split': ['/', { Ref: 'AWS::StackId' }] }],
    });
  });

  test('logs JSON into a group of its own', () => {
    expect(Properties.LoggingConfig.LogFormat).toBe('JSON');
    const logGroups = resourcesOf(template, 'AWS::Logs::LogGroup');
    expect(logGroups[Properties.LoggingConfig.LogGroup.Ref]?.Properties.RetentionInDays).toBe(30);
  });

  test('has a role of its own without managed policies', () => {
    const role = resourcesOf(template, 'AWS::IAM::Role')[Properties.Role['Fn::GetAtt'][0]];
    expect(role?.Properties.ManagedPolicyArns).toBeUndefined();
    expect(role?.Properties.Policies).toBeUndefined();
    expect(role?.Properties.AssumeRolePolicyDocument.Statement).toEqual([
      { Action: 'sts:AssumeRole', Effect: 'Allow', Principal: { Service: 'lambda.amazonaws.com' } },
    ]);
  });

  test('takes no concurrency away from other functions, and has loop detection on unless it continues itself', () => {
    expect(Properties.ReservedConcurrentExecutions).toBeUndefined();
    expect(Properties.RecursiveLoop).toBe(loop);
  });
});

test('no two functions share a role or a log group', () => {
  template.resourceCountIs('AWS::IAM::Role', FUNCTIONS.length);
  template.resourceCountIs('AWS::Logs::LogGroup', FUNCTIONS.length);
});

test.each([
  ['submit', 460],
  ['collect', 921],
  ['finalize', 921],
] as const)('%s streams, so its young generation stays small', (capability, oldMb) => {
  const { NODE_OPTIONS } = functionOf(template, capability)[1].Properties.Environment.Variables;
  expect(NODE_OPTIONS).toBe(`--max-old-space-size=${oldMb} --max-semi-space-size=4`);
});

test('the functions that call OpenAI get the base URL, and without one none is set', () => {
  const calling = ['submit', 'call', 'poll', 'collect', 'finalize'] as const;
  const plain = synthesize();
  for (const capability of calling) {
    const variables = functionOf(template, capability)[1].Properties.Environment.Variables;
    expect(variables.OPENAI_BASE_URL).toBe('https://llm.example.com/v1');
    const plainVariables = functionOf(plain, capability)[1].Properties.Environment.Variables;
    expect(plainVariables).not.toHaveProperty('OPENAI_BASE_URL');
  }
});

test('log lines are kept as long as its props say', () => {
  const kept = synthesize({ logRetention: RetentionDays.ONE_YEAR });
  for (const { Properties } of Object.values(resourcesOf(kept, 'AWS::Logs::LogGroup'))) {
    expect(Properties.RetentionInDays).toBe(365);
  }
});

test('concurrency is reserved for the functions that the props name, and for no other', () => {
  const reserving = synthesize({ reservedConcurrency: { poll: 1, submit: 5 } });
  const reserved = (['ingest', 'submit', 'call', 'poll', 'collect', 'finalize'] as const).map(
    (capability) => [
      capability,
      functionOf(reserving, capability)[1].Properties.ReservedConcurrentExecutions,
    ],
  );
  expect(Object.fromEntries(reserved)).toEqual({ poll: 1, submit: 5 });
});
