/** Many routes and keys fit, and what does not is refused at synth. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Template } from 'aws-cdk-lib/assertions';
import { describe, expect, test } from 'vitest';
import { InvalidConfigurationError } from '../../../lib/configuration.ts';
import { PipelineStack, type PipelineStackProps } from '../../../lib/pipeline-stack.ts';
import { loadStack } from '../../../local/stack/template.ts';
import { parseSettingsFile } from '../../../src/contract/settings-file.ts';
import { manyRoutes } from '../../support/routes.ts';
import { newApp, resourcesOf } from '../../support/synthesize.ts';

const MANY = { routes: manyRoutes(200, 50) };

function synthesizeStack(props: PipelineStackProps, name = 'batchdrop') {
  const app = newApp();
  const stack = new PipelineStack(app, name, props);
  const assembly = app.synth();
  return { template: Template.fromStack(stack), folder: assembly.directory };
}

describe('200 routes with 50 API keys', () => {
  const { template, folder } = synthesizeStack({ settings: MANY }, `b${'x'.repeat(127)}`);
  const json = template.toJSON();

  test('fit into a stack with a name of 128 characters, within the limits of CloudFormation', () => {
    expect(Object.keys(resourcesOf(template, 'AWS::SecretsManager::Secret'))).toHaveLength(51);
    expect(Object.keys(json.Resources).length).toBeLessThanOrEqual(500);
    expect(Object.keys(json.Outputs).length).toBeLessThanOrEqual(200);
    expect(JSON.stringify(json).length).toBeLessThan(1_000_000);
  });

  test('change no environment and no policy: both are those of one route', () => {
    const one = synthesizeStack({}).template;
    for (const type of ['AWS::Lambda::Function', 'AWS::IAM::Policy', 'AWS::IAM::ManagedPolicy']) {
      const essence = (of: Template) =>
        Object.values(resourcesOf(of, type)).map(({ Properties }) =>
          JSON.stringify(Properties.Environment ?? Properties.PolicyDocument).replaceAll(
            /[0-9A-F]{8}"/g,
            '"',
          ),
        );
      expect(essence(template)).toEqual(essence(one));
    }
  });

  test('are in the one layer that every function has, with their defaults and without whom to notify', () => {
    const [layer, ...others] = Object.values(resourcesOf(template, 'AWS::Lambda::LayerVersion'));
    expect(others).toEqual([]);
    const asset = loadStack(folder).assetFolder(layer!.Properties.Content.S3Key);
    const settings = parseSettingsFile(readFileSync(join(asset, 'batchdrop/settings.json'), 'utf8'));
    expect(settings.routes).toHaveLength(200);
    expect(settings.routes[7]).toMatchObject({ name: 'route-7', apiKey: 'team-7', maxTries: 3 });
  });
});

test('the layer is the same for the same settings, and another for others: so it rolls back with the stack', () => {
  const keyOf = (props: PipelineStackProps) =>
    Object.values(resourcesOf(synthesizeStack(props).template, 'AWS::Lambda::LayerVersion'))[0]!.Properties
      .Content.S3Key;
  expect(keyOf({ settings: MANY })).toBe(keyOf({ settings: MANY }));
  expect(keyOf({ settings: MANY })).not.toBe(keyOf({ settings: { routes: manyRoutes(199, 50) } }));
});

describe('synth refuses what AWS would refuse for its size', () => {
  const refusal = (props: PipelineStackProps): string => {
    try {
      synthesizeStack(props);
    } catch (error) {
      return (error as Error).message;
    }
    throw new Error('nothing was refused');
  };

  test('a policy, where too many routes have result prefixes of their own', () => {
    const routes = manyRoutes(60, 1).map((route, index) => ({
      ...route,
      layout: { output: `of-team-${index}/`, errors: `bad-of-team-${index}/` },
    }));
    expect(refusal({ settings: { routes } })).toMatch(
      /the policy of the role of batchdrop\/Pipeline\/Finalize\/Function may have \d+ characters once it is deployed, and IAM takes 10240: give fewer routes/,
    );
  });

  test('an environment', () => {
    expect(refusal({ openaiBaseUrl: `https://example.com/${'x'.repeat(3_500)}` })).toMatch(
      /the environment of batchdrop\/Pipeline\/Poll\/Function may have \d+ bytes once it is deployed, and Lambda takes 4096/,
    );
  });

  test('outputs, where there are too many API keys', () => {
    const props = { settings: { routes: manyRoutes(190, 190) } };
    expect(() => synthesizeStack(props)).toThrow(InvalidConfigurationError);
    expect(refusal(props)).toMatch(/more than 200 outputs/);
  });

  test('but takes 20 result prefixes', () => {
    const routes = manyRoutes(10, 1).map((route, index) => ({
      ...route,
      layout: { output: `of-${index}/`, errors: `bad-${index}/` },
    }));
    expect(() => synthesizeStack({ settings: { routes } })).not.toThrow();
  });
});
