import { App, type AppProps } from 'aws-cdk-lib';
import { InvalidConfigurationError } from '../lib/configuration.ts';
import { PipelineStack } from '../lib/pipeline-stack.ts';
import { contextToStackProps, refuseUnknownContext } from './context.ts';

/**
 * The app without checks of its template: one stack made from context.
 *
 * @throws InvalidConfigurationError if the context cannot work.
 */
export function createApp(props: AppProps = {}): App {
  // `bin/app.ts` synthesizes by itself; CDK's own synth at exit would write half a template after a refusal.
  const app = new App({ autoSynth: false, ...props });
  refuseUnknownContext(Object.keys(app.node.getAllContext()));
  const stackProps = contextToStackProps((key) => app.node.tryGetContext(key));
  new PipelineStack(app, stackProps.stackName, stackProps);
  return app;
}

/** Synthesizes an app as an entry does: what a person is to fix in the configuration is one line, and the exit status is 1. */
export function synthesize(newApp: () => App): void {
  try {
    newApp().synth();
  } catch (error) {
    if (!(error instanceof InvalidConfigurationError)) throw error;
    // The person who reads this fixes their configuration: a stack trace would only hide the message.
    console.error(`batchdrop: ${error.message}`);
    process.exitCode = 1;
  }
}
