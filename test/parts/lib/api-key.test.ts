import { RemovalPolicy } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { BATCH_ONLY } from '../../support/routes.ts';
import { nameOf, onlyResource, permissionsOf, resourcesOf, synthesize } from '../../support/synthesize.ts';

const SECRET = 'AWS::SecretsManager::Secret';
/** Three routes, two further keys. */
const TEAMS = {
  settings: {
    routes: [
      { ...BATCH_ONLY, name: 'all', prefix: 'input/' },
      { ...BATCH_ONLY, name: 'a', prefix: 'input/a/', apiKey: 'team-a' },
      { ...BATCH_ONLY, name: 'b', prefix: 'input/b/', apiKey: 'b' },
    ],
  },
};

test('the secret begins with a placeholder that no deployment changes', () => {
  expect(onlyResource(synthesize(), SECRET).Properties.SecretString).toBe('not-set');
});

test('the secret is retained with the stack gone, unless its props say otherwise', () => {
  // But not when the deployment that makes it fails: its name would be taken.
  expect(onlyResource(synthesize(), SECRET).DeletionPolicy).toBe('RetainExceptOnCreate');
  const destroyed = synthesize({ removalPolicy: RemovalPolicy.DESTROY });
  expect(onlyResource(destroyed, SECRET).DeletionPolicy).toBe('Delete');
});

test('the template refers to the secret by its ARN and never resolves its value', () => {
  expect(JSON.stringify(synthesize().toJSON())).not.toContain('{{resolve:');
});

test('each name that a route gives has a secret, and the one of the stack itself stays what it was', () => {
  const [own] = Object.entries(resourcesOf(synthesize(), SECRET));
  const secrets = resourcesOf(synthesize(TEAMS), SECRET);
  // What deployments have: another id would replace the secret, and the key in it.
  expect(own![0]).toMatch(/^PipelineApiKeySecret[0-9A-F]{8}$/);
  expect(secrets[own![0]]).toEqual(own![1]);
  expect(Object.keys(secrets).map((id) => nameOf({ Ref: id }))).toEqual([
    'ApiKeySecret',
    'ApiKeySecretteama',
    'ApiKeySecretb',
  ]);
  for (const { Properties, DeletionPolicy } of Object.values(secrets)) {
    expect(Properties.SecretString).toBe('not-set');
    // One that is left would be in the way when a route names the key again.
    expect(DeletionPolicy).toBe(Properties.Description.includes('"') ? 'Delete' : 'RetainExceptOnCreate');
  }
  expect(Object.values(secrets).map(({ Properties }) => Properties.Name['Fn::Join'][1].at(-1))).toEqual([
    '/default',
    '/team-a',
    '/b',
  ]);
});

test('functions that talk to OpenAI may read the secrets whose names begin with the id of the stack, and ingest none', () => {
  for (const template of [synthesize(), synthesize(TEAMS)]) {
    for (const capability of ['submit', 'call', 'poll', 'collect', 'finalize'] as const) {
      const { 'secretsmanager:GetSecretValue': readable } = permissionsOf(template, capability);
      expect(readable).toEqual([
        'arn:<AWS::Partition>:secretsmanager:<AWS::Region>:<AWS::AccountId>:secret:batchdrop/<stack uuid>/*',
      ]);
    }
    expect(permissionsOf(template, 'ingest')).not.toHaveProperty('secretsmanager:GetSecretValue');
  }
});
