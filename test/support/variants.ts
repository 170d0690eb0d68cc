/**
 * The variants in which a pipeline is deployed, as data: what reads templates (cfn-lint, cdk-nag, other scanners, tests)
 * reads each of them.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { type App, RemovalPolicy } from 'aws-cdk-lib';
import { PipelineStack, type PipelineStackProps } from '../../lib/pipeline-stack.ts';
import { BATCH_ONLY } from './routes.ts';
import { newApp } from './synthesize.ts';
import { workerFolder } from './worker-folder.ts';

/** One way to deploy a pipeline. */
export interface Variant {
  /** Lower case with `-`: also the name of the stack and, with `.template.json`, of its file. */
  readonly name: string;
  /** Props of the stack. @param app what stacks that are there before the pipeline's would be put into. */
  readonly props: (app: App) => PipelineStackProps;
}

/** Every variant; a new prop that changes the template gets one. */
export const VARIANTS: readonly Variant[] = [
  { name: 'default', props: () => ({}) },
  { name: 'existing-bucket', props: () => ({ bucketName: 'our-prompts' }) },
  {
    name: 'development',
    props: () => ({ removalPolicy: RemovalPolicy.DESTROY, openaiBaseUrl: 'https://llm.example.com/v1' }),
  },
  {
    name: 'own-layout',
    props: () => ({
      settings: {
        layout: { input: 'drop/', work: 'tmp/work/' },
        routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'drop/a/' }],
      },
    }),
  },
  {
    name: 'webhooks-function-url',
    props: () => ({
      settings: {
        routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', apiKey: 'team-a' }],
        webhooks: { apiKeys: ['default', 'team-a'] },
      },
    }),
  },
  {
    name: 'webhooks-http-api',
    props: () => ({
      settings: {
        routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/' }],
        webhooks: { apiKeys: ['default'], endpoint: 'http_api' },
      },
    }),
  },
  {
    name: 'route-api-key',
    props: () => ({
      settings: { routes: [{ ...BATCH_ONLY, name: 'a', prefix: 'input/', apiKey: 'team-a' }] },
    }),
  },
  {
    name: 'notifications',
    props: () => ({
      settings: {
        routes: [
          { ...BATCH_ONLY, name: 'a', prefix: 'input/', notify: 'arn:aws:sqs:eu-west-1:111122223333:done' },
          { ...BATCH_ONLY, name: 'b', prefix: 'input/b/', notify: 'arn:aws:sns:eu-west-1:111122223333:done' },
          {
            ...BATCH_ONLY,
            name: 'c',
            prefix: 'input/c/',
            notify: 'arn:aws:events:eu-west-1:111122223333:event-bus/done',
          },
        ],
      },
    }),
  },
  { name: 'quiet', props: () => ({ alarms: false, dashboard: false, policies: false }) },
  {
    name: 'reserved-concurrency',
    props: () => ({ reservedConcurrency: { poll: 1, ingest: 10 } }),
  },
];

/** The stack of a variant, in an app of its own. Its output goes when the process ends. */
export function stackOf({ name, props }: Variant): PipelineStack {
  const app = newApp();
  return new PipelineStack(app, name, props(app));
}

const folder = workerFolder('batchdrop-variants-');

/**
 * Writes what `cdk synth` writes of every variant. @param into a folder that is there. Default: one that goes when the
 * process ends.
 *
 * @returns where the template of each is, by its name.
 */
export function writeVariants(into: string = mkdtempSync(join(folder, 'templates-'))): Map<string, string> {
  return new Map(
    VARIANTS.map(({ name, props }) => {
      const app = newApp(join(into, name));
      new PipelineStack(app, name, props(app));
      app.synth();
      return [name, join(into, name, `${name}.template.json`)];
    }),
  );
}
