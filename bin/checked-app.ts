import { type App, type AppProps, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks, ServerlessChecks } from 'cdk-nag';
import { createApp } from './create-app.ts';

/**
 * The app as `cdk` runs it, checked by cdk-nag's AwsSolutions and Serverless packs, whose findings make synth fail.
 *
 * @throws InvalidConfigurationError if the context cannot work.
 */
export function createCheckedApp(props: AppProps = {}): App {
  const app = createApp(props);
  Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new ServerlessChecks(app));
  return app;
}
