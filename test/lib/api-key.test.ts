import { RemovalPolicy } from 'aws-cdk-lib';
import { expect, test } from 'vitest';
import { BATCH_ONLY } from '../support/routes.ts';
import { functionOf, nameOf, onlyResource, permissionsOf, resourcesOf, synthesize } from './synthesize.ts';

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

test('the secret is retained with the stack gone, unless it is told otherwise', () => {
  expect(onlyResource(synthesize(), SECRET).DeletionPolicy).toBe('Retain');
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
    expect(DeletionPolicy).toBe('Retain');
  }
});

test('functions that talk to OpenAI know the secret of each key and may read these, and ingest none', () => {
  const template = synthesize(TEAMS);
  for (const capability of ['submit', 'call', 'poll', 'collect', 'finalize'] as const) {
    const { API_KEY_SECRETS } = functionOf(template, capability)[1].Properties.Environment.Variables;
    expect(JSON.parse(nameOf(API_KEY_SECRETS))).toEqual({
      default: 'ApiKeySecret',
      'team-a': 'ApiKeySecretteama',
      b: 'ApiKeySecretb',
    });
    const { 'secretsmanager:GetSecretValue': readable } = permissionsOf(template, capability);
    expect(readable).toEqual(['ApiKeySecret', 'ApiKeySecretb', 'ApiKeySecretteama']);
  }
  expect(permissionsOf(template, 'ingest')).not.toHaveProperty('secretsmanager:GetSecretValue');
});
