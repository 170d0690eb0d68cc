import { App, type AppProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { PipelineStack } from '../lib/pipeline-stack.ts';
import { contextToStackProps, refuseUnknownContext } from './context.ts';

/**
 * The app as `cdk` runs it: one stack made from context, checked by cdk-nag's AwsSolutions and Serverless packs, whose
 * findings make synth fail.
 *
 * @throws InvalidConfigurationError if the context cannot work.
 */
export function createApp(props: AppProps = {}): App {
  // `bin/app.ts` synthesizes by itself; CDK's own synth at exit would write half a template after a refusal.
  const app = new App({ autoSynth: false, ...props });
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  refuseUnknownContext(Object.keys(app.node.getAllContext()));
  const stackProps = contextToStackProps((key) => app.node.tryGetContext(key));
  new PipelineStack(app, stackProps.stackName, stackProps);
  return app;
}
